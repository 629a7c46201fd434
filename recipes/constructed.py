"""Requests made for training: small talk, simple and demanding versions of everyday work, and text that begs.

Logs hold what is worth logging: nobody logs "thanks" or "rename this variable", and no log holds attempts to talk the
router into another model. These requests are written here, in nine languages, and their outcomes are supposed, not
measured: a difficulty is given to each class, and a model of ability t answers well with probability
``0.985 sigmoid(1.5 (t - difficulty))`` (:data:`CLASSES`). They are few beside the logged outcomes, and they are for
what every user would agree on: that a greeting can be answered by any model and a consensus protocol cannot.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from modelsat.capability import CapabilityProfile
from modelsat.capability.equating import equate

CLASSES = {"talk": -4.0, "easy": -2.3, "plain": -1.2, "hard": 1.2, "deep": 2.0}
"""Difficulty of each class, in standard deviations of ability."""
SLOPE = 1.5
BEST = 0.985
LADDER = 72
"""Models that are supposed to answer, spread over all abilities."""
FEWEST_STATEMENTS = 2
_BEGGED = "begged/"
_TEXTS = Path(__file__).with_name("constructed.json")

_CONTENT = json.loads(_TEXTS.read_text("utf-8"))
BEGGING: tuple[str, ...] = tuple(_CONTENT["begging"])
"""What begs for a strong model or a cheap one, claims difficulty or ease, or is noise, in twelve languages."""
HARMLESS: tuple[str, ...] = tuple(_CONTENT["harmless"])
"""Greetings, thanks and asides that stand before or behind a request without changing it."""


def texts() -> Iterator[tuple[str, str, str]]:
    """Class, kind and text of every constructed request, the variants of a text one behind another."""
    slots: dict[str, list[str]] = _CONTENT["slots"]
    for kind, classes in _CONTENT["requests"].items():
        for name, templates in classes.items():
            for template in templates:
                for text in _filled(template, slots):
                    yield name, kind, text


def _filled(template: str, slots: Mapping[str, list[str]], most: int = 4) -> list[str]:
    """A template with its slots filled, at most ``most`` ways, drawn by the template's own text."""
    used = [name for name in slots if f"<{name}>" in template]
    if not used:
        return [template]
    ways = list(itertools.product(*(slots[name] for name in used)))
    rng = np.random.default_rng(sum(template.encode()))
    chosen = [ways[index] for index in rng.permutation(len(ways))[:most]]
    found = []
    for values in chosen:
        text = template
        for name, value in zip(used, values, strict=True):
            text = text.replace(f"<{name}>", value)
        found.append(text)
    return found


def ladder(profiles: Mapping[str, CapabilityProfile]) -> dict[str, float]:
    """Some models with profiles and their abilities, evenly spread."""
    known = {
        name: float(equate(profile, report=False).level)
        for name, profile in profiles.items()
        if len(profile.statements) >= FEWEST_STATEMENTS
    }
    ordered = sorted(known, key=known.__getitem__)
    chosen = np.unique(np.linspace(0, len(ordered) - 1, LADDER).round().astype(int))
    return {ordered[index]: known[ordered[index]] for index in chosen}


def tables(profiles: Mapping[str, CapabilityProfile]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Items and supposed outcomes; data sets are ``constructed``, the task is the class, the group the template."""
    models = ladder(profiles)
    ability = np.array(list(models.values()))
    rows, scores = [], []
    for number, (name, kind, text) in enumerate(texts()):
        item = f"constructed/{number}"
        rows.append((item, "constructed", name, text, f"constructed:{kind}:{name}:{text[:18]}"))
        p = BEST / (1.0 + np.exp(-SLOPE * (ability - CLASSES[name])))
        scores += [(item, model, float(value)) for model, value in zip(models, p, strict=True)]
    items = pd.DataFrame(rows, columns=["item_id", "dataset", "task", "prompt", "group"])
    return items, pd.DataFrame(scores, columns=["item_id", "model", "score"])


def original(identifier: str) -> str:
    """The item that a request repeats with begging; any other item is its own."""
    return identifier.removeprefix(_BEGGED)


def begged(items: pd.DataFrame, count: int, seed: int = 0) -> pd.DataFrame:
    """Copies of some items with a line before or behind them that begs, or is harmless; ``of`` names the item that each
    repeats.
    """
    rng = np.random.default_rng(seed)
    rows = items.iloc[rng.permutation(len(items))[:count]].copy()
    lines = BEGGING + HARMLESS
    said = [lines[index] for index in rng.integers(0, len(lines), len(rows))]
    front = rng.random(len(rows)) < 0.5
    rows["of"] = rows.item_id
    rows["item_id"] = _BEGGED + rows.of
    rows["prompt"] = [
        f"{begging}\n{prompt}" if first else f"{prompt}\n{begging}"
        for begging, prompt, first in zip(said, rows.prompt, front, strict=True)
    ]
    return rows
