"""Choose the core tasks and their items: the manifest of the aptitude test.

    python recipes/select_core_tasks.py [--data DIR] [--output FILE]

Reads ``items.parquet``, ``outcomes.parquet`` and ``mmlu_pro_public.parquet`` (numbers of options); training items of
``mmlu_pro`` and training models only. Writes ``src/modelsat/capability/data/core_tasks.json``: item ids and fitted
numbers, no question text. Takes some seconds.

1. Items are fitted by the two-parameter logistic model with guessing (``item_response.py``).
2. In each subject 20 items are chosen that tell most about ability over the whole range from -2.5 to 3.5, far above the
   best training model (mean of log information), while their expected accuracy follows that of the whole subject at
   every ability: a core accuracy reads as the subject's accuracy.
3. 50 subjects are chosen by size, information and spread between models, with falling returns within a field.
4. Difficulty and discrimination are written in the ability units of the task catalogue as it stands: after a new fit of
   the catalogue the numbers change, the items do not.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import outcomes as oc
import pandas as pd
from item_response import ItemFit, fit_items

from modelsat.capability import CapabilityProfile
from modelsat.capability.equating import equate
from modelsat.capability.tasks import catalogue
from modelsat.lab.outcomes import OutcomeTable, question_key, read_outcomes, split_by_question

MANIFEST = Path("src/modelsat/capability/data/core_tasks.json")
TASKS, ITEMS = 50, 20
UNITS = (-0.7487882475845402, 0.523369158690445)
"""Mean and spread of the training models' abilities, which fix the unit of the range below; the best has 0.33."""
ABILITIES = np.linspace(-2.5, 3.5, 25)
FAITHFUL = 400.0
"""Weight of the squared difference between expected core and subject accuracy, against the mean log information."""
CROWDED = 0.25
"""What each task of a field already chosen takes off the score of the next."""
BANDS = 4
"""Bands of training models whose observed accuracies the choice matches too."""
FEWEST_OPTIONS = 3


@dataclass(frozen=True)
class Bank:
    """Training items of ``mmlu_pro`` with the outcomes of the training models, and their fit."""

    table: OutcomeTable
    fields: np.ndarray
    fit: ItemFit


def read_bank(data: Path) -> Bank:
    """The item bank; items with fewer than three options or of unknown subjects are left out."""
    full = read_outcomes(data / "items.parquet", data / "outcomes.parquet")
    rows = np.intersect1d(full.of_datasets("mmlu_pro"), split_by_question(full).train)
    public = pd.read_parquet(data / "mmlu_pro_public.parquet", columns=["question_id", "options", "category"])
    public = public.assign(item_id="mmlu_pro/" + public.question_id.astype(str)).set_index("item_id")
    options = public.options.map(len).reindex(full.item_ids[rows]).fillna(0).to_numpy()
    rows = rows[(options >= FEWEST_OPTIONS) & np.isin(full.tasks[rows].astype(str), list(catalogue()))]
    training = [column for column in full.answered(rows) if full.models[column] not in oc.UNSEEN_MODELS]
    table = full.take(rows, np.array(training))
    public = public.loc[table.item_ids]
    fit = fit_items(table.scores, table.tasks, 1.0 / public.options.map(len).to_numpy())
    return Bank(table, public.category.to_numpy(dtype=object), fit.rescaled(*UNITS))


def level(table: OutcomeTable, column: int) -> float:
    """A model's level on the catalogue's scale, from its accuracy on every subject."""
    scores = pd.Series(table.scores[:, column].astype(float)).groupby(table.tasks.astype(str)).agg(["mean", "count"])
    statements = [
        {"task": row.Index, "accuracy": row.mean, "items": int(row.count)}
        for row in scores[scores["count"] > 0].rename(columns=str).itertuples()
    ]
    return equate(CapabilityProfile(model=table.models[column], statements=statements)).level


def observed(scores: np.ndarray, ability: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Mean score of bands of models on each item, from weak to the strongest model by itself: (items, BANDS)."""
    order = np.argsort(ability)
    filled = np.where(np.isnan(scores), expected, scores)
    bands = [*np.array_split(order[:-1], BANDS - 1), order[-1:]]
    return np.stack([filled[:, band].mean(axis=1) for band in bands], axis=1)


def choose_items(curves: np.ndarray, informations: np.ndarray, seen: np.ndarray, size: int = ITEMS) -> np.ndarray:
    """Rows of the items of one subject that tell most while reading as the whole subject.

    What was observed is matched beside what is expected: an item looks telling where weak models had bad luck on it,
    and choosing for information alone would choose that luck. Greedy additions, then exchanges as long as one helps.

    Args:
        curves: Probability of each item at each ability, shape (items, abilities).
        informations: Information likewise.
        seen: Mean scores of bands of models, shape (items, bands).
        size: Number of items to choose.
    """
    whole, mean = curves.mean(axis=0), seen.mean(axis=0)
    curves = np.concatenate([curves - whole, seen - mean], axis=1)
    weight = np.repeat([FAITHFUL / len(whole), FAITHFUL / len(mean)], [len(whole), len(mean)])

    def value(curve: np.ndarray, information: np.ndarray, number: int) -> np.ndarray:
        return np.log(information + 1e-3).mean(axis=-1) - ((curve / number) ** 2 * weight).sum(axis=-1)

    chosen: list[int] = []
    for number in range(1, size + 1):
        gain = value(curves[chosen].sum(axis=0) + curves, informations[chosen].sum(axis=0) + informations, number)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    for _ in range(20):
        before = list(chosen)
        for place in range(size):
            rest = chosen[:place] + chosen[place + 1 :]
            gain = value(curves[rest].sum(axis=0) + curves, informations[rest].sum(axis=0) + informations, size)
            gain[rest] = -np.inf
            if gain.max() > gain[chosen[place]] + 1e-9:
                chosen[place] = int(gain.argmax())
        if chosen == before:
            break
    return np.array(sorted(chosen))


def choose_tasks(bank: Bank, chosen: dict[str, np.ndarray]) -> list[str]:
    """50 subjects: large, informative, telling models apart beyond their level; falling returns within a field."""
    expected = bank.fit.curves(bank.fit.ability)
    rows = {task: np.flatnonzero(bank.table.tasks == task) for task in chosen}
    score, field_of = {}, {}
    for task, items in chosen.items():
        scores, model = bank.table.scores[rows[task]], expected[rows[task]]
        known = ~np.isnan(scores)
        count = np.maximum(known.sum(axis=0), 1)
        residual = np.where(known, scores - model, 0).sum(axis=0) / count
        noise = np.where(known, model * (1 - model), 0).sum(axis=0) / count**2
        beyond = np.sqrt(max(float((residual**2 - noise).mean()), 0.0))
        told = np.log(bank.fit.informations(ABILITIES)[items].sum(axis=0)).mean()
        score[task] = 0.5 * np.log(len(rows[task])) + 0.5 * told + 5.0 * beyond
        field_of[task] = bank.fields[items[0]]
    taken: list[str] = []
    while len(taken) < TASKS:
        crowd = {field: sum(field_of[task] == field for task in taken) for field in set(field_of.values())}
        left = [task for task in score if task not in taken]
        taken.append(max(left, key=lambda task: (score[task] - CROWDED * crowd[field_of[task]], task)))
    return sorted(taken)


def candidates(bank: Bank, size: int = ITEMS) -> dict[str, np.ndarray]:
    """Rows of the items that may be chosen, by subject: answered by nearly all training models, no question twice."""
    enough = bank.table.known.sum(axis=1) >= len(bank.table.models) - 1
    enough &= ~pd.Series([question_key(prompt) for prompt in bank.table.prompts]).duplicated().to_numpy()
    rows = {task: np.flatnonzero((bank.table.tasks == task) & enough) for task in sorted(set(bank.table.tasks))}
    return {task: found for task, found in rows.items() if len(found) >= size}


def select(bank: Bank, size: int = ITEMS) -> dict[str, np.ndarray]:
    """Rows of the core items by core task."""
    curves, told = bank.fit.curves(ABILITIES), bank.fit.informations(ABILITIES)
    seen = observed(bank.table.scores, bank.fit.ability, bank.fit.curves(bank.fit.ability))
    chosen = {
        task: rows[choose_items(curves[rows], told[rows], seen[rows], size)] for task, rows in candidates(bank).items()
    }
    return {task: chosen[task] for task in choose_tasks(bank, chosen)}


def in_catalogue_units(bank: Bank) -> Bank:
    """The same bank with abilities as the catalogue gives them."""
    levels = [level(bank.table, column) for column in range(len(bank.table.models))]
    return replace(bank, fit=bank.fit.rescaled(float(np.mean(levels)), float(np.std(levels))))


def item(bank: Bank, row: int) -> dict[str, float]:
    """An item's entry of the manifest."""
    return {
        "id": int(str(bank.table.item_ids[row]).rpartition("/")[2]),
        "difficulty": round(float(bank.fit.difficulty[row]), 3),
        "discrimination": round(float(bank.fit.discrimination[row]), 3),
        "chance": round(float(bank.fit.chance[row]), 3),
    }


def manifest(bank: Bank, chosen: dict[str, np.ndarray]) -> str:
    """The manifest as JSON text, one task a line."""
    lines = []
    for task, rows in chosen.items():
        items = sorted((item(bank, row) for row in rows), key=lambda entry: entry["id"])
        keywords = list(catalogue()[task].keywords)
        entry = {"name": task, "field": str(bank.fields[rows[0]]), "keywords": keywords, "items": items}
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    head = '{"version":1,"dataset":"TIGER-Lab/MMLU-Pro","tasks":[\n'
    return head + ",\n".join(lines) + "\n]}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path, default=MANIFEST)
    arguments = parser.parse_args()
    bank = read_bank(arguments.data)
    chosen = select(bank)
    arguments.output.write_text(manifest(in_catalogue_units(bank), chosen), "utf-8")
    for task, rows in chosen.items():
        told = bank.fit.informations(ABILITIES[[0, 8, 16, 24]])[rows].sum(axis=0)
        print(f"{bank.fields[rows[0]]:18} {task:42} {len(candidates(bank)[task]):4} items; information {told.round(2)}")
    print(f"{sum(map(len, chosen.values()))} items of {len(chosen)} tasks; {len(bank.table.models)} training models")


if __name__ == "__main__":
    main()
