"""Build the shipped registry of known models from published figures and logged outcomes.

    python recipes/build_registry.py --data ../shared/data

Reads ``published_benchmarks.csv``, ``items.parquet`` and ``outcomes.parquet``, and beside this file
``further_figures.csv``, for models that those do not know; writes the package's ``registry.json``, one statement a
line. Only accuracies, counts and sources are taken over, never a prompt or an answer.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
from model_names import ALIASES, FROM_CARDS, LEFT_OUT, SAME

from modelsat.capability import CapabilityStatement, find_task

MINIMUM_ITEMS = 10
"""Subjects with fewer items say too little to be worth a line."""

CARDS = Path(__file__).with_name("further_figures.csv")
"""Figures of model cards."""
LOGS = {
    "mmlu_pro": ("", "TIGER-AI-Lab/MMLU-Pro eval_results"),  # one statement a subject
    "gsm8k": ("GSM8K", "WildEval/ZeroEval logs"),
    "math_l5": ("MATH level 5", "WildEval/ZeroEval logs"),
    "crux": ("CRUXEval-O", "WildEval/ZeroEval logs"),
    "mmlu_routellm": ("MMLU", "lm-sys/RouteLLM logs"),
    "gsm8k_routellm": ("GSM8K", "lm-sys/RouteLLM logs"),
    "rdc_mmlu": ("MMLU", "shuhao02/RouterDC logs"),
    "rdc_cmmlu": ("CMMLU", "shuhao02/RouterDC logs"),
    "rdc_gsm8k": ("GSM8K", "shuhao02/RouterDC logs"),
    "rdc_humaneval": ("HumanEval", "shuhao02/RouterDC logs"),
    "rdc_javascript": ("HumanEval-JavaScript", "shuhao02/RouterDC logs"),
    "rdc_MATH_prealgebra": ("MATH prealgebra", "shuhao02/RouterDC logs"),
    "alpaca_eval": ("AlpacaEval", "tatsu-lab/alpaca_eval results"),
}
"""Data set -> (task, source)."""


@dataclass(frozen=True)
class Figure:
    """One accuracy of one model, as found."""

    model: str
    task: str
    accuracy: float
    items: int | None
    source: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MODELSAT_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=Path("src/modelsat/capability/data/registry.json"))
    arguments = parser.parse_args()
    text = build(arguments.data)
    arguments.output.write_text(text, "utf-8")
    print(f"{arguments.output}: {len(json.loads(text)['profiles'])} models, {len(text.encode()) / 1024:.0f} KiB")


def build(data: Path) -> str:
    """The registry as JSON text."""
    published = group(read_published(data / "published_benchmarks.csv"))
    logged = group(read_logs(data / "items.parquet", data / "outcomes.parquet"))
    cards = group(read_cards(CARDS, data / "published_benchmarks.csv"))
    if known_already := sorted(cards.keys() & (published.keys() | logged.keys())):
        raise SystemExit(f"FROM_CARDS names models that have other figures: {', '.join(known_already)}")
    profiles = {}
    for model in sorted(published.keys() | logged.keys() | cards.keys(), key=str.casefold):
        # a published figure wins over a logged one
        tasks = {**logged.get(model, {}), **published.get(model, {}), **cards.get(model, {})}
        profiles[model] = [settle(tasks[task]) for task in sorted(tasks, key=order)]
    unused = sorted(ALIASES.keys() - profiles.keys())
    if unused:
        raise SystemExit(f"aliases are given for models without figures: {', '.join(unused)}")
    return "\n".join(render(profiles))


def group(figures: Iterator[Figure]) -> dict[str, dict[str, list[Figure]]]:
    """Figures by registry name and task."""
    groups: dict[str, dict[str, list[Figure]]] = defaultdict(lambda: defaultdict(list))
    for figure in figures:
        if figure.model not in LEFT_OUT:
            groups[SAME.get(figure.model, figure.model)][figure.task].append(figure)
    return groups


def settle(figures: list[Figure]) -> Figure:
    """One figure out of several on one task: that with the most items; the mean of repeated runs."""
    most = max((figure.items for figure in figures if figure.items), default=None)
    runs = [figure for figure in figures if figure.items == most]
    first = runs[0]
    accuracy = sum(figure.accuracy for figure in runs) / len(runs)
    sources = list(dict.fromkeys(figure.source for figure in runs))
    source = "; ".join(sources) + (f" (mean of {len(runs)} runs)" if len(runs) > 1 else "")
    return Figure(first.model, first.task, accuracy, first.items, source)


def read_published(path: Path) -> Iterator[Figure]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            accuracy = float(row["accuracy_percent"]) / 100.0
            yield Figure(row["model"], known(row["benchmark"]), accuracy, int(float(row["n_items"])), row["source"])


def read_cards(path: Path, published: Path) -> Iterator[Figure]:
    items = {figure.task: figure.items for figure in read_published(published)}  # a card seldom says how many
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["model"] in FROM_CARDS:
                task = known(row["benchmark"])
                yield Figure(row["model"], task, float(row["accuracy_percent"]) / 100.0, items.get(task), row["source"])


def read_logs(items: Path, outcomes: Path) -> Iterator[Figure]:
    keys = pq.read_table(items, columns=["item_id", "dataset", "task"])
    rows = pq.read_table(outcomes, columns=["item_id", "model", "score"]).join(keys, "item_id")
    for dataset, (task, source) in LOGS.items():
        part = rows.filter(pc.field("dataset") == dataset)
        by = ["model", "task"] if not task else ["model"]
        for row in part.group_by(by).aggregate([("score", "mean"), ("score", "count")]).to_pylist():
            name, count = known(task or row["task"]), row["score_count"]
            if count >= MINIMUM_ITEMS:
                yield Figure(row["model"], name, row["score_mean"], count, source)


def known(task: str) -> str:
    entry = find_task(task)
    if entry is None or len(entry.keywords) != 5:
        raise SystemExit(f"{task!r} has no five keywords in src/modelsat/capability/data/tasks.json: add them first")
    return entry.name


def order(task: str) -> tuple[bool, str]:
    """Benchmarks first, then the subjects of MMLU-Pro, each by name."""
    return task.startswith(("ori_mmlu-", "stemez-", "scibench-", "theoremQA-")), task.casefold()


def aliases_of(model: str) -> list[str]:
    written = [logged for logged, name in SAME.items() if name == model and logged not in LEFT_OUT]
    taken = {name.casefold() for names in ALIASES.values() for name in names} - {
        name.casefold() for name in ALIASES.get(model, ())
    }
    names = [*ALIASES.get(model, ()), *(name for name in written if name.casefold() not in taken)]
    seen = {model.casefold()}
    return [name for name in names if not (name.casefold() in seen or seen.add(name.casefold()))]


def render(profiles: dict[str, list[Figure]]) -> Iterator[str]:
    yield '{"profiles": ['
    last = len(profiles) - 1
    for position, (model, figures) in enumerate(profiles.items()):
        names = f', "aliases": {dump(aliases)}' if (aliases := aliases_of(model)) else ""
        yield f' {{"model": {dump(model)}{names}, "statements": ['
        yield ",\n".join(f"  {statement(figure)}" for figure in figures)
        yield " ]}" + ("," if position < last else "")
    yield "]}\n"


def statement(figure: Figure) -> str:
    checked = CapabilityStatement(
        task=figure.task, accuracy=round(figure.accuracy, 4), items=figure.items, source=figure.source
    )
    return dump(checked.model_dump(include={"task", "accuracy", "items", "source"}))


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    main()
