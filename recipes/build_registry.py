"""Build the shipped registry of known models from published figures and logged outcomes.

    python recipes/build_registry.py --data ../shared/data
    python recipes/build_registry.py --names            # after a change of modelsat.capability.naming: no data needed

Reads ``published_benchmarks.csv``, ``items.parquet``, ``outcomes.parquet`` and ``figures_2026.csv``, and beside this
file ``further_figures.csv``; writes the package's ``registry.jsonl``: a head with the sources and every name in all of
its spellings, then one model a line. Only accuracies, counts and sources are taken over, never a prompt or an answer.

One figure a benchmark and effort: what was there before the figures of 2026 stays; of several, the one in the middle;
of two, the independent one. What differs from it by more than three points stands beside it, and counts as doubt.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import figures_2026 as table
import pyarrow.compute as pc
import pyarrow.parquet as pq
from model_names import ALIASES, DATES, EFFORTS, FROM_CARDS, LEFT_OUT, NEVER_THINK, NOT_ALIASES, SAME

from modelsat.capability import find_task
from modelsat.capability.naming import forms
from modelsat.capability.registry_file import RegistryFile, render

MINIMUM_ITEMS = 10
"""Subjects with fewer items say too little to be worth a line."""
DIFFERENT = 0.03
"""Accuracies further apart contradict each other."""
CARDS = Path(__file__).with_name("further_figures.csv")
"""Figures of model cards."""
OUTPUT = Path("src/modelsat/capability/data/registry.jsonl")
DATE = "2026-11-30"
"""When the tables were gathered."""
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
    effort: str = ""
    provenance: str = ""
    date: str = ""
    others: tuple[tuple[str, float], ...] = ()
    doubt: float = 0.0


Figures = dict[str, dict[tuple[str, str], list[Figure]]]
"""Figures by registry name, and by task and effort."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MODELSAT_DATA", "../shared/data")))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--names", action="store_true", help="only spell the names again, from the file that is there")
    arguments = parser.parse_args()
    text = respell(arguments.output.read_text("utf-8")) if arguments.names else build(arguments.data)
    arguments.output.write_text(text, "utf-8")
    print(f"{arguments.output}: {text.count(chr(10)) - 1} models, {len(text.encode()) / 1024:.0f} KiB")


def build(data: Path) -> str:
    """The registry as the text of its file."""
    published = group(read_published(data / "published_benchmarks.csv"))
    logged = group(read_logs(data / "items.parquet", data / "outcomes.parquet"))
    cards = group(read_cards(CARDS, data / "published_benchmarks.csv"))
    if known_already := sorted(cards.keys() & (published.keys() | logged.keys())):
        raise SystemExit(f"FROM_CARDS names models that have other figures: {', '.join(known_already)}")
    before = {
        model: {  # a published figure wins over a logged one
            key: settle(figures)
            for key, figures in {**logged.get(model, {}), **published.get(model, {}), **cards.get(model, {})}.items()
        }
        for model in published.keys() | logged.keys() | cards.keys()
    }
    owners = owners_of(before)
    newer = group(read_2026(data, owners), {})
    models = sorted(before.keys() | newer.keys(), key=str.casefold)
    if unused := sorted({*ALIASES, *DATES, *EFFORTS} - set(models)):
        raise SystemExit(f"names are given for models without figures: {', '.join(unused)}")
    aliases = aliases_of(models, data, owners)
    entries = [
        {
            "model": model,
            "aliases": aliases[model],
            "effort": EFFORTS.get(model, "none" if never_thinks(model) else ""),
            "date": DATES.get(model, ""),
            "statements": [plain(figure) for figure in merge(before.get(model, {}), newer.get(model, {}))],
        }
        for model in models
    ]
    return render(DATE, entries)


def group(figures: Iterable[Figure], same: Mapping[str, str] = SAME) -> Figures:
    """Figures by registry name and by task and effort; ``same`` has the names that mean another."""
    groups: Figures = defaultdict(lambda: defaultdict(list))
    for figure in figures:
        if figure.model not in LEFT_OUT:
            model = same.get(figure.model, figure.model)
            silent = EFFORTS.get(model, "") * (not figure.provenance)
            effort = figure.effort or ("none" if never_thinks(model) else silent)
            groups[model][figure.task, effort].append(replace(figure, effort=effort))
    return groups


def never_thinks(model: str) -> bool:
    """Whether a model only answers."""
    return model.startswith(NEVER_THINK) and "reasoning" not in model and "R1" not in model


def settle(figures: list[Figure]) -> Figure:
    """One figure out of several on one task: that with the most items; the mean of repeated runs."""
    most = max((figure.items for figure in figures if figure.items), default=None)
    runs = [figure for figure in figures if figure.items == most]
    first = runs[0]
    accuracy = sum(figure.accuracy for figure in runs) / len(runs)
    sources = list(dict.fromkeys(figure.source for figure in runs))
    source = "; ".join(sources) + (f" (mean of {len(runs)} runs)" if len(runs) > 1 else "")
    return replace(first, accuracy=accuracy, source=source)


def merge(before: dict[tuple[str, str], Figure], newer: dict[tuple[str, str], list[Figure]]) -> list[Figure]:
    """What was known, then the figures of 2026 on other tasks and efforts; each beside what contradicts it."""
    most: dict[str, str] = {}
    for task, effort in newer:
        most[task] = max(most.get(task, ""), effort, key=lambda name: table.ORDER.index(name))
    found = []
    for key in sorted({*before, *newer}, key=lambda key: (key not in before, order(key[0]), key[1])):
        task, effort = key
        rivals = list(newer.get(key, ()))
        if key in before:
            if not effort and most.get(task):  # a card that names no effort thought as long as it could
                rivals += newer.get((task, most[task]), [])
            found.append(beside(before[key], rivals))
        else:
            chosen = choose(rivals)
            found.append(beside(chosen, [rival for rival in rivals if rival is not chosen]))
    return found


def choose(figures: list[Figure]) -> Figure:
    """The figure in the middle; of two equally far, the independent one, then the newest."""
    middle = statistics.median(figure.accuracy for figure in figures)
    newest = sorted(figures, key=lambda figure: figure.date, reverse=True)
    return min(newest, key=lambda f: (round(abs(f.accuracy - middle), 6), f.provenance != "independent"))


def beside(figure: Figure, rivals: list[Figure]) -> Figure:
    different = {rival.source: rival.accuracy for rival in rivals if abs(rival.accuracy - figure.accuracy) > DIFFERENT}
    if not different:
        return figure
    doubt = statistics.stdev([figure.accuracy, *different.values()])
    return replace(figure, others=tuple(different.items()), doubt=doubt)


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


def read_2026(data: Path, owners: dict[str, str]) -> Iterator[Figure]:
    """The figures that may ship, on benchmarks that the catalogue knows how hard they are."""
    for row in table.read(data):
        task = find_task(row.benchmark)
        if row.ships and task is not None and task.known:
            model = table.SAME.get(row.model) or owners.get(forms(row.model)[2], row.model)
            yield Figure(model, task.name, row.accuracy, row.items, row.source, row.effort, row.provenance, row.date)


def owners_of(models: Iterable[str]) -> dict[str, str]:
    """Models that are known already by the spelling of their names."""
    return {forms(name)[2]: model for model in models for name in (model, *ALIASES.get(model, ()))}


def aliases_of(models: list[str], data: Path, owners: dict[str, str]) -> dict[str, list[str]]:
    """Names that people use for each model: those decided by hand, those in the logs, then those of the table."""
    given = {model: list(ALIASES.get(model, ())) for model in models}
    claimed = {forms(name)[2]: model for model in models for name in (model, *given[model])}
    logged = [(model, name) for name, model in SAME.items() if name not in LEFT_OUT and model in given]
    listed = []
    for row in table.read(data):
        model = table.SAME.get(row.model) or owners.get(forms(row.model)[2], row.model)
        listed += [(model, name) for name in (row.model, *row.aliases) if model in given]
    for model, name in [*logged, *listed]:
        spelling, loose = forms(name)[2], forms(name)[3]
        if name in NOT_ALIASES or claimed.setdefault(spelling, model) != model:
            continue
        if all(name.casefold() != other.casefold() for other in (model, *given[model])) and (
            (model, name) in logged or loose not in {forms(other)[3] for other in (model, *given[model])}
        ):
            given[model].append(name)
    return given


def known(task: str) -> str:
    entry = find_task(task)
    if entry is None or len(entry.keywords) != 5:
        raise SystemExit(f"{task!r} has no five keywords in src/modelsat/capability/data/tasks.json: add them first")
    return entry.name


def order(task: str) -> tuple[bool, str]:
    """Benchmarks first, then the subjects of MMLU-Pro, each by name."""
    return task.startswith(("ori_mmlu-", "stemez-", "scibench-", "theoremQA-")), task.casefold()


def plain(figure: Figure) -> dict[str, object]:
    """The fields of a statement, without those that say nothing."""
    return {
        "task": figure.task,
        "accuracy": round(figure.accuracy, 4),
        "items": figure.items,
        "source": figure.source,
        "effort": figure.effort,
        "provenance": figure.provenance,
        "date": figure.date,
        "others": {source: round(accuracy, 4) for source, accuracy in figure.others},
        "doubt": round(figure.doubt, 4),
    }


def respell(text: str) -> str:
    """The file with its names spelt by today's rules."""
    file = RegistryFile.of(text.encode())
    return render(file.date, [file.entry(position) for position in range(len(file.names))])


if __name__ == "__main__":
    main()
