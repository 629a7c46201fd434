"""How well a network judges real traffic, by kind of request, beside every simple way of choosing.

    python benchmarks/traffic.py [--router NAME=PATH ...] [--embeddings DIR_OF_ALL_MINILM_L6_V2] [--output FILE.json]

Reads ``traffic_*.parquet`` of ``../shared/data`` (or ``$MODELSAT_DATA``). Of data sets that trained, prompts whose
group never trained are judged (the validation and test parts of the split of ``recipes/tables.py``); of data sets that
only measure, all of them; at most ``--limit`` of each. Candidates are the models that the shipped registry knows, with
its profiles, and nothing is fitted. Columns:

* ``auc``: mean over models of the share of pairs of prompts, one answered better than the other, that are scored in
  that order; ``knn``, ``ridge``, ``mlp``: the same for regressions on all training outcomes of these very models, on
  frozen embeddings; ``others``: for the mean score of the other models on the prompt, which no router can know;
* ``best``: mean score of the best-scored model; ``single``: of the best single model (by its mean on these prompts, so
  in hindsight); ``ahead``: of the single model that is best on one half of these prompts, judged on the other (what
  picking one model by outcomes gives; mean of 50 halvings); ``random`` and ``oracle``; ``loss``: single minus best;
* ``level``: mean P minus mean score; ``brier`` against the score, and ``brier0`` of each model's own mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "recipes"))
import outcomes as oc
import tables

from modelsat.capability import CapabilityProfile
from modelsat.inference import load_scorer
from modelsat.lab.outcomes.table import buckets, question_key
from modelsat.request import extract_instruction

Floats = NDArray[np.float64]
HELD_OUT = 22
"""Buckets of the split, of 100, that never train: validation and test."""
FEWEST_MODELS, FEWEST_PROMPTS = 3, 5
FEWEST_OF_A_LANGUAGE = 10
OWN = {
    "swe_verified": ("SWE-bench Verified",),
    "swe_moatless": ("SWE-bench Verified", "SWE-bench"),
    "swt": ("SWT-bench",),
    "commit0": ("Commit0",),
    "swe_pro": ("SWE-bench Pro",),
    "swe_pro_2usd": ("SWE-bench Pro",),
    "sql_dialect": ("SCALE SQL dialect conversion",),
    "sql_optimization": ("SCALE SQL optimization",),
    "sql_understanding": ("SCALE SQL understanding",),
    "bfcl": ("BFCL",),
    "kor": ("KOR-Bench",),
    "eq_bench": ("EQ-Bench",),
    "arena_hard": ("Arena-Hard",),
    "arena_hard_ko": ("Arena-Hard",),
    "lcb_repair": ("LiveCodeBench",),
    "lcb_testgen": ("LiveCodeBench",),
}
"""Benchmarks whose figures are means over the data set's own items, or may be."""


@dataclass
class Case:
    """One data set: its prompts that are judged, those that baselines learn from, and the scores of known models."""

    dataset: str
    kind: str
    trained: bool
    prompts: list[str]
    languages: NDArray[np.object_]
    scores: Floats
    models: list[str]
    learn: list[str]
    learn_scores: Floats


def concordance(predicted: Floats, score: Floats) -> float:
    """Share of pairs with different scores that are predicted in order, ties count half; NaN without any."""
    known = ~np.isnan(score)
    p, y = predicted[known], score[known]
    better = y[:, None] > y[None, :]
    if not better.any():
        return float("nan")
    apart = p[:, None] - p[None, :]
    return float(((apart > 0) + 0.5 * (apart == 0))[better].mean())


def mean_auc(predicted: Floats, scores: Floats) -> float:
    """Mean over models of :func:`concordance`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(np.nanmean([concordance(predicted[:, m], scores[:, m]) for m in range(scores.shape[1])]))


def cases(
    data: Path, limit: int, only: list[str] | None, known: Callable[[str, str], CapabilityProfile | None]
) -> list[Case]:
    """The data sets with at least three models that ``known`` describes."""
    trained = tables.items(data)
    trained["trained"] = True
    measured = tables.items(data, "measure")
    measured["trained"] = False
    table = pd.concat([trained, measured], ignore_index=True)
    keyed = trained.assign(key=trained.prompt.map(question_key))
    exams = oc.load(data).items
    asked = set(exams.question[exams.dataset.isin(tables.EXAMS)])
    groups = np.where(keyed.key.isin(asked), "", tables.joined(keyed))
    held = np.concatenate([buckets(trained.prompt.to_numpy(object), groups) < HELD_OUT, np.ones(len(measured), bool)])
    table["held"] = held
    log = tables.outcomes(data)
    log = log.merge(table[["item_id", "dataset"]], on="item_id")
    pairs = log[["dataset", "model"]].drop_duplicates()
    pairs = pairs[[known(model, dataset) is not None for dataset, model in pairs.itertuples(index=False)]]
    log = log.merge(pairs, on=["dataset", "model"])
    found = []
    for dataset, own in table.groupby("dataset"):
        if only and dataset not in only:
            continue
        matrix = log[log.dataset == dataset].pivot_table(index="item_id", columns="model", values="score")
        matrix = matrix.reindex(own.item_id)
        matrix = matrix.loc[:, matrix.notna().mean() >= 0.3] if matrix.shape[1] else matrix
        rows = np.flatnonzero(own.held.to_numpy() & matrix.notna().any(axis=1).to_numpy())
        if len(rows) > limit:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:limit])
        if matrix.shape[1] < FEWEST_MODELS or len(rows) < FEWEST_PROMPTS:
            continue
        rest = np.flatnonzero(~own.held.to_numpy())
        prompts = own.prompt.map(lambda text: extract_instruction(text)[0]).tolist()
        found.append(
            Case(
                str(dataset),
                str(own.kind.iloc[0]),
                bool(own.trained.iloc[0]),
                [prompts[row] for row in rows],
                own.language.to_numpy(object)[rows],
                matrix.to_numpy(float)[rows],
                list(matrix.columns),
                [prompts[row] for row in rest],
                matrix.to_numpy(float)[rest],
            )
        )
    return found


def choice(values: Floats, scores: Floats) -> Floats:
    """Score of the highest value of each row, among the models with an outcome."""
    chosen = np.where(np.isnan(scores), -np.inf, values).argmax(axis=1)
    return scores[np.arange(len(scores)), chosen]


def picked_ahead(scores: Floats, halvings: int = 50) -> float:
    """Mean score of the model that is best on a random half of the prompts, on the other half."""
    rng, found = np.random.default_rng(0), []
    for _ in range(halvings):
        order = rng.permutation(len(scores))
        seen, rest = scores[order[: len(order) // 2]], scores[order[len(order) // 2 :]]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means = np.nan_to_num(np.nanmean(seen, axis=0), nan=-1.0)
        found.append(float(np.mean(choice(np.broadcast_to(means, rest.shape), rest))))
    return float(np.mean(found))


def judged(case: Case, p: Floats) -> dict[str, float]:
    """The row of one data set for P(success) of shape (prompts, models)."""
    y = case.scores
    own = np.nanmean(y, axis=0)
    known = ~np.isnan(y)
    single = float(np.mean(choice(np.broadcast_to(own, y.shape), y)))
    best = float(np.mean(choice(p, y)))
    return {
        "auc": mean_auc(p, y),
        "best": best,
        "single": single,
        "ahead": picked_ahead(y),
        "loss": single - best,
        "random": float(np.mean(np.nanmean(y, axis=1))),
        "oracle": float(np.mean(np.nanmax(y, axis=1))),
        "level": float((p - y)[known].mean()),
        "brier": float(((p - y)[known] ** 2).mean()),
        "brier0": float(((own - y)[known] ** 2).mean()),
    }


def regressions(case: Case, embed: Callable[[list[str]], Floats]) -> dict[str, Floats]:
    """What regressions on all training outcomes of the same models expect, shape (prompts, models); none for want of
    outcomes. Of models without any outcome: NaN.
    """
    if len(case.learn) < 20:
        return {}
    from sklearn.linear_model import Ridge
    from sklearn.neighbors import KNeighborsRegressor
    from sklearn.neural_network import MLPRegressor

    means = np.nanmean(case.learn_scores, axis=0)
    kept = ~np.isnan(means)
    target = np.where(np.isnan(case.learn_scores), means, case.learn_scores)[:, kept]
    x, asked = embed(case.learn), embed(case.prompts)
    found = {}
    for name, model in (
        ("knn", KNeighborsRegressor(min(20, len(x)), metric="cosine")),
        ("ridge", Ridge(1.0)),
        (
            "mlp",
            MLPRegressor(
                hidden_layer_sizes=(64,), alpha=1.0, early_stopping=len(x) >= 50, max_iter=300, random_state=0
            ),
        ),
    ):
        found[name] = np.full(case.scores.shape, np.nan)
        found[name][:, kept] = model.fit(x, target).predict(asked).reshape(len(asked), -1)
    return found


def baselines(case: Case, embed: Callable[[list[str]], Floats]) -> dict[str, float]:
    """AUC of :func:`regressions`, and of the mean of the other models."""
    total, count = np.nansum(case.scores, axis=1, keepdims=True), (~np.isnan(case.scores)).sum(axis=1, keepdims=True)
    others = (total - np.nan_to_num(case.scores)) / np.maximum(count - ~np.isnan(case.scores), 1)
    found = {"others": mean_auc(others, case.scores)}
    for name, expected in regressions(case, embed).items():
        known = ~np.isnan(expected).any(axis=0)
        found[name] = mean_auc(expected[:, known], case.scores[:, known])
    return found


def embedder(folder: Path) -> Callable[[list[str]], Floats]:
    """Sentence embeddings, each text encoded once."""
    from sentence_transformers import SentenceTransformer

    encoder, memory = SentenceTransformer(str(folder), device="cpu"), dict[str, Floats]()

    def embed(texts: list[str]) -> Floats:
        new = [text for text in dict.fromkeys(texts) if text not in memory]
        if new:
            vectors = encoder.encode(new, show_progress_bar=False, normalize_embeddings=True, batch_size=64)
            memory.update(zip(new, np.asarray(vectors, float), strict=True))
        return np.stack([memory[text] for text in texts])

    return embed


def registered(model: str, dataset: str = "") -> CapabilityProfile | None:
    """The registry's profile of a model at its effort, without the figure of the data set's own benchmark."""
    profile = tables.registered(model)
    if profile is None or dataset not in OWN:
        return profile
    kept = tuple(statement for statement in profile.statements if statement.task not in OWN[dataset])
    return profile.model_copy(update={"statements": kept}) if kept else None


def show(rows: list[dict[str, object]], title: str, console: Console) -> None:
    """Print rows of figures."""
    names = [name for name in rows[0] if name not in ("what", "prompts", "models")]
    table = Table(title=title, title_justify="left")
    for name in ("what", "prompts", "models", *names):
        table.add_column(name, justify="left" if name == "what" else "right")
    for row in rows:
        numbers = (
            f"{row[name]:+.3f}" if name in ("loss", "level") else f"{row[name]:.3f}" if name in row else ""
            for name in names
        )
        table.add_row(str(row["what"]), str(row["prompts"]), str(row["models"]), *numbers)
    console.print(table)


def summary(rows: list[dict[str, object]], title: str) -> dict[str, object]:
    """Mean of data sets; ``level`` is the mean of its absolute value."""
    names = [name for name in rows[0] if name not in ("what", "prompts", "models")]
    means = {
        name: float(
            np.nanmean([abs(float(row[name])) if name == "level" else float(row.get(name, np.nan)) for row in rows])
        )
        for name in names
    }
    return {"what": title, "prompts": sum(int(row["prompts"]) for row in rows), "models": "", **means}


def languages(found: Sequence[Case], given: Sequence[Floats]) -> list[dict[str, object]]:
    """A row for each language, the mean over data sets with enough prompts in it."""
    rows: dict[str, list[dict[str, object]]] = {}
    for case, p in zip(found, given, strict=True):
        for language in sorted(set(case.languages)):
            own = np.flatnonzero(case.languages == language)
            if len(own) >= FEWEST_OF_A_LANGUAGE:
                part = replace(case, scores=case.scores[own])
                row = {"what": language, "prompts": len(own), "models": len(case.models), **judged(part, p[own])}
                rows.setdefault(str(language), []).append(row)
    return [summary(rows[language], language) for language in sorted(rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", action="append", help="NAME=PATH or the name of shipped weights; may be repeated")
    parser.add_argument("--embeddings", type=Path, help="folder of all-MiniLM-L6-v2, for kNN, ridge and MLP")
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--datasets", nargs="+")
    parser.add_argument("--limit", type=int, default=300, help="prompts of a data set at most")
    parser.add_argument("--unseen", action="store_true", help="only models that never trained (recipes/tables.py)")
    parser.add_argument("--output", type=Path, help="JSON file for the figures")
    parser.add_argument("--backend", default="onnx", choices=("onnx", "torch"))
    arguments = parser.parse_args()
    console = Console(width=150)
    held = {name.lower() for name in (*tables.UNSEEN, *oc.UNSEEN_MODELS)}

    def known(model: str, dataset: str) -> CapabilityProfile | None:
        wanted = not arguments.unseen or model.lower().split("@")[0] in held
        return registered(model, dataset) if wanted else None

    found = cases(arguments.data, arguments.limit, arguments.datasets, known)
    embed = embedder(arguments.embeddings) if arguments.embeddings else None
    beside = {case.dataset: baselines(case, embed) for case in found} if embed else {}
    result: dict[str, object] = {}
    for text in arguments.router or ["modelsat-nano"]:
        name, _, path = text.rpartition("=")
        scorer = load_scorer(path, backend=arguments.backend)
        rows: list[dict[str, object]] = []
        given: list[Floats] = []
        for case in found:
            profiles = [profile for model in case.models if (profile := registered(model, case.dataset)) is not None]
            p = np.asarray(scorer.score(case.prompts, profiles).p, float)
            given.append(p)
            row = {"what": case.dataset, "prompts": len(case.prompts), "models": len(case.models), **judged(case, p)}
            rows.append(row | beside.get(case.dataset, {}))
        kinds = {case.dataset: case.kind for case in found}
        trained = [row for row in rows if next(c.trained for c in found if c.dataset == row["what"])]
        other = [row for row in rows if row not in trained]
        parts = [
            summary(part, title) for part, title in ((trained, "mean, trained"), (other, "mean, never trained")) if part
        ]
        show(rows + parts, f"{name or path}: {scorer.version}, data sets", console)
        by_kind = [
            summary([row for row in rows if kinds[str(row["what"])] == kind], kind)
            for kind in sorted(set(kinds.values()))
        ]
        show(by_kind, f"{name or path}: kinds (mean of their data sets)", console)
        by_language = languages(found, given)
        show(by_language, f"{name or path}: languages (mean of their data sets)", console)
        result[name or path] = {
            "version": scorer.version,
            "datasets": rows,
            "means": parts,
            "kinds": by_kind,
            "languages": by_language,
        }
    if arguments.output:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
