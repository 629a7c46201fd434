"""Exams and real traffic as the tables that one network trains on, and the profiles of all their models.

    python recipes/tables.py --output runs/tables

Writes ``items.parquet`` (with the column ``group``: what a split keeps together), ``outcomes.parquet`` and
``profiles.json`` for ``recipes/modelsat-nano.yaml``. Only outcomes whose licence lets weights ship take part; the
others measure (``benchmarks/traffic.py``). A model logged with a reasoning effort is a model of its own,
``"gpt-5-mini@low"``.

A model is described by the shipped registry, at its effort if it knows one. A model that the registry does not know is
described by the ability that its outcomes show beside those of models with figures (:func:`placed`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import constructed
import numpy as np
import outcomes as oc
import pandas as pd

from modelsat.capability import CapabilityProfile, Registry, save_profiles
from modelsat.capability.equating import GRID, curve, equate
from modelsat.capability.tasks import reference
from modelsat.errors import UnknownModelError
from modelsat.lab.outcomes.table import question_key

EXAMS = ("mmlu_pro", "gsm8k", "math_l5", "crux", "mmlu_routellm", "gsm8k_routellm")
"""Exam logs whose licence lets weights ship."""
UNSEEN = (
    "claude-opus-4-8",
    "claude-sonnet-4-5",
    "gemini-3.1-pro",
    "gpt-5.2",
    "gpt-4.1-mini-2025-04-14",
    "kimi-k2.6",
    "glm-5.1",
    "deepseek-v4-pro",
    "o4-mini-2025-04-16",
    "gemini-2.5-flash-preview-05-20",
    "grok-3-mini",
    "gpt-4-0613",
    "mistral-large-2411",
)
"""Models of the traffic that train nothing, beside those of ``recipes/outcomes.py``."""
_YARDSTICKS = ("MMLU-Pro", "BIG-Bench Hard", "HumanEval", "GSM8K", "ZebraLogic")
"""Tasks by which a model without figures is described."""
_YARDSTICK_ITEMS = 60
_FEWEST = 15
BEGGED = 3000
"""Requests that stand a second time with a line before or behind them that begs for another model, or is harmless."""
_LONGEST_BEGGED = 1500


def items(data: Path = oc.DATA, use: str = "train") -> pd.DataFrame:
    """Items of the traffic, with ``group`` so that one question never stands in two groups."""
    table = pd.read_parquet(data / "traffic_items.parquet")
    return table[table.use == use].reset_index(drop=True)


def outcomes(data: Path = oc.DATA) -> pd.DataFrame:
    """Outcomes of the traffic, one row an item and model; efforts are part of the model's name."""
    table = pd.read_parquet(data / "traffic_outcomes.parquet")
    effort = table.effort.replace("thinking", "high")
    named = np.where(effort == "", table.model, table.model + "@" + effort)
    table = table.assign(model=named)
    grouped = table.groupby(["item_id", "model"], as_index=False)
    return grouped.agg(score=("score", "mean"), cost_usd=("cost_usd", "mean"))


def registered(model: str) -> CapabilityProfile | None:
    """The shipped registry's profile of a model, at its effort if one is told; ``None`` if it knows none."""
    try:
        return Registry.shipped().find(model)
    except UnknownModelError:
        return None


def placed(scores: pd.DataFrame, known: Mapping[str, float], models: Iterable[str]) -> dict[str, float]:
    """Abilities of models without figures, by the data sets that they share with models that have some.

    In each data set the logit of a model's mean score is taken as ``a + b * ability``, fitted to the models of known
    ability with b drawn towards 0.7; the inverse gives an ability, and those of several data sets are averaged with
    a standard normal prior.

    Args:
        scores: Mean score: columns ``dataset``, ``model``, ``score``, ``count``.
        known: Abilities of models with figures.
        models: Models to place.
    """
    wanted, found = set(models), dict[str, list[tuple[float, float]]]()
    for _, table in scores[scores["count"] >= _FEWEST].groupby("dataset"):
        share = table.score.clip(0.02, 0.98)
        logit = np.log(share / (1.0 - share)).to_numpy()
        ability = table.model.map(known).to_numpy(dtype=float)
        fits = ~np.isnan(ability)
        if fits.sum() < 4:
            continue
        x, y = ability[fits], logit[fits]
        spread = x - x.mean()
        slope = max((spread @ (y - y.mean()) + 3.0 * 0.7) / (spread @ spread + 3.0), 0.25)
        rest = y - y.mean() - slope * spread
        noise = max(float(rest.var()), 0.05) / slope**2
        for model, value in zip(table.model, logit, strict=True):
            if model in wanted:
                found.setdefault(model, []).append((x.mean() + (value - y.mean()) / slope, 1.0 / noise))
    return {
        model: float(sum(value * weight for value, weight in pairs) / (1.0 + sum(weight for _, weight in pairs)))
        for model, pairs in found.items()
    }


def described(model: str, ability: float) -> CapabilityProfile:
    """A profile that says no more than an ability."""
    position = int(np.abs(GRID - np.clip(ability, -4.0, 4.0)).argmin())
    rows = [oc.statement(task, curve(reference(task))[position], _YARDSTICK_ITEMS) for task in _YARDSTICKS]
    return CapabilityProfile(model=model, statements=rows)


def profiles(table: pd.DataFrame, given: Mapping[str, CapabilityProfile]) -> dict[str, CapabilityProfile]:
    """Profiles of every model of the traffic.

    Args:
        table: Training outcomes with ``dataset``, ``model``, ``score``.
        given: Profiles known already (of the exams' models).
    """
    found: dict[str, CapabilityProfile] = {}
    for model in sorted(table.model.unique()):
        profile = given.get(model) or registered(model)
        if profile is not None:
            found[model] = profile
    abilities = {model: equate(profile, report=False).level for model, profile in found.items()}
    means = table.groupby(["dataset", "model"], as_index=False).agg(score=("score", "mean"), count=("score", "size"))
    nameless = set(table.model) - set(found)
    found |= {model: described(model, ability) for model, ability in placed(means, abilities, nameless).items()}
    return found


def build(data: Path = oc.DATA) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, CapabilityProfile]]:
    """Items, outcomes and profiles of exams, traffic and constructed requests together."""
    exams = oc.load(data)
    bank = oc.ProfileBank(exams, data)
    kept = exams.items[exams.items.dataset.isin(EXAMS)]
    spelling = {model.lower(): model for model in exams.models}
    left = kept[["item_id", "dataset", "task", "prompt"]].assign(group="")
    log = pd.read_parquet(data / "outcomes.parquet", columns=["item_id", "model", "score"])
    log = log[log.item_id.isin(set(kept.item_id))]

    real = items(data)
    real = real.assign(task=real.dataset, key=real.prompt.map(question_key))
    together = joined(real)
    asked = set(kept.question)
    real["group"] = np.where(real.key.isin(asked), "", together)
    traffic = outcomes(data)
    traffic = traffic[traffic.item_id.isin(set(real.item_id))]
    traffic["model"] = traffic.model.map(lambda name: spelling.get(name, name))

    given = {m: CapabilityProfile(model=m, statements=rows) for m in exams.models if (rows := bank.benchmarks(m))}
    dataset = real.set_index("item_id").dataset
    known = profiles(traffic.assign(dataset=traffic.item_id.map(dataset)), given)
    known = {**given, **known}
    traffic = traffic[traffic.model.isin(set(known))]
    made, made_outcomes = constructed.tables(known)
    columns = ["item_id", "dataset", "task", "prompt", "group"]
    everything = pd.concat([left[columns], real[columns], made[columns]], ignore_index=True)
    scores = pd.concat([log, traffic[["item_id", "model", "score"]], made_outcomes], ignore_index=True)
    return *_begged(everything, scores), known


def _begged(table: pd.DataFrame, scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables with copies of some requests that beg, each in the group of its original and with its outcomes."""
    short = table[table.prompt.str.len() < _LONGEST_BEGGED]
    copies = constructed.begged(short, BEGGED)
    copies["group"] = [
        group or question_key(prompt)
        for group, prompt in zip(copies.group, short.set_index("item_id").prompt[copies.of], strict=True)
    ]
    copies["dataset"] = "begged"
    again = copies[["item_id", "of"]].merge(scores, left_on="of", right_on="item_id", suffixes=("", "_of"))
    again = again[["item_id", "model", "score"]]
    return pd.concat([table, copies.drop(columns="of")], ignore_index=True), pd.concat(
        [scores, again], ignore_index=True
    )


def joined(table: pd.DataFrame) -> np.ndarray:
    """One group for all groups that share a question."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for group, key in zip(table.group, table.key, strict=True):
        parent[root(f"q:{key}")] = root(group)
    return np.array([root(group) for group in table.group], dtype=object)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=oc.DATA)
    parser.add_argument("--output", type=Path, default=Path("runs/tables"))
    arguments = parser.parse_args()
    table, scores, known = build(arguments.data)
    arguments.output.mkdir(parents=True, exist_ok=True)
    table.to_parquet(arguments.output / "items.parquet", index=False)
    scores.to_parquet(arguments.output / "outcomes.parquet", index=False)
    named = (profile.model_copy(update={"model": model, "aliases": ()}) for model, profile in known.items())
    save_profiles(named, arguments.output / "profiles.json")
    print(f"{len(table):,} prompts, {len(scores):,} outcomes, {len(known)} profiles in {arguments.output}")


if __name__ == "__main__":
    main()
