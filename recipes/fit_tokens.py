"""Fit the estimate of prompt tokens, and print its error on every data set.

    python recipes/fit_tokens.py --data ../shared/data

Reads prompts from ``items.parquet``, the package's own source code and its registry (as code and JSON); counts their
tokens with the two tokenizers that the installed LiteLLM carries, OpenAI's cl100k and Claude's. The weights go into
``src/modelsat/request/tokens.py`` by hand, rounded; the error printed is that of the estimate as it stands there.
"""

from __future__ import annotations

import argparse
import os
import random
from importlib import util
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from scipy.optimize import nnls

from modelsat.request.tokens import estimate_tokens

SAMPLE = 300
"""Prompts of each data set; each data set weighs the same."""
SYMBOLS = '\\{}[]()"$_^=+-*/<>|&:,.;'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MODELSAT_DATA", "../shared/data")))
    texts = read(parser.parse_args().data)
    count = load_tokenizers()
    rows = [(name, text, count(text)) for name, group in texts.items() for text in group]
    features = np.array([read_features(text) for _, text, _ in rows], float)
    tokens = np.array([number for _, _, number in rows])
    weight = np.array([len(texts[name]) ** -0.5 for name, _, _ in rows]) / tokens
    fitted, _ = nnls(features * weight[:, None], tokens * weight)
    print("characters, further bytes, symbols, digits, line breaks:", fitted.round(3))
    estimated = np.array([estimate_tokens(text) for _, text, _ in rows])
    for name in texts:
        chosen = np.array([row[0] == name for row in rows])
        ratio = np.quantile(estimated[chosen] / tokens[chosen], [0.1, 0.9])
        total = estimated[chosen].sum() / tokens[chosen].sum()
        print(f"{name:22} sum {total:.2f}  prompts {ratio[0]:.2f} to {ratio[1]:.2f}")


def read(data: Path) -> dict[str, list[str]]:
    """Texts by where they come from."""
    table = pq.read_table(data / "items.parquet", columns=["prompt", "dataset"]).to_pydict()
    groups: dict[str, list[str]] = {}
    for prompt, dataset in zip(table["prompt"], table["dataset"], strict=True):
        groups.setdefault(dataset, []).append(prompt)
    rng = random.Random(0)
    texts = {name: rng.sample(group, min(SAMPLE, len(group))) for name, group in sorted(groups.items())}
    code = "\n".join(path.read_text("utf-8") for path in sorted(Path("src/modelsat").rglob("*.py")))
    catalogue = Path("src/modelsat/capability/data/tasks.json").read_text("utf-8")
    for name, whole in (("code", code), ("JSON", catalogue)):
        texts[name] = [whole[start : start + 3_000] for start in range(0, min(len(whole), 300_000), 3_000)]
    return texts


def load_tokenizers():  # noqa: ANN201 - a function from text to the mean count of both
    spec = util.find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed: pip install litellm")
    folder = Path(spec.origin).parent / "litellm_core_utils" / "tokenizers"
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    import tiktoken
    from tokenizers import Tokenizer

    openai = tiktoken.get_encoding("cl100k_base")
    claude = Tokenizer.from_file(str(folder / "anthropic_tokenizer.json"))
    return lambda text: (len(openai.encode(text, disallowed_special=())) + len(claude.encode(text).ids)) / 2


def read_features(text: str) -> list[int]:
    further = len(text.encode("utf-8", "surrogatepass")) - len(text)
    counts = (sum(map(text.count, SYMBOLS)), sum(map(text.count, "0123456789")), text.count("\n"))
    return [len(text), further, *counts]


if __name__ == "__main__":
    main()
