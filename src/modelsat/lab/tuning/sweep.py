"""A policy over the whole range of its knob, on many prompts at once: what it costs and what it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Columns = NDArray[np.intp]

Family = Literal["tradeoff", "cheapest"]
"""Policies with a knob: ``tradeoff(value_per_success=...)`` and ``cheapest(target=...)``."""
KNOB: dict[Family, str] = {"tradeoff": "value_per_success", "cheapest": "target"}
POINTS = 300
"""Most values of a knob that are tried."""


def _preference(names: Sequence[str], cost: Floats) -> Columns:
    """Rank of every candidate in every row by price and then by name, as ties are broken; shape (prompts, models)."""
    by_name = np.argsort(names, kind="stable").argsort()
    rank: Columns = np.lexsort((np.broadcast_to(by_name, cost.shape), cost), axis=1).argsort(axis=1)
    return rank


@dataclass(frozen=True)
class Pool:
    """Prompts with what a policy sees of them.

    Attributes:
        names: Candidates.
        p: P(success), NaN for a candidate that was struck, shape (prompts, models).
        cost: Expected USD of each request, shape (prompts, models).
    """

    names: tuple[str, ...]
    p: Floats
    cost: Floats

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Pool:
        """Select some of the prompts."""
        return Pool(self.names, self.p[rows], self.cost[rows])

    def choose(self, family: Family, knob: float) -> Columns:
        """Return the chosen column of every prompt; the same as the policy itself chooses, one prompt at a time."""
        chosen: Columns = self.sweep(family, np.array([knob]))[0]
        return chosen

    def knobs(self, family: Family, points: int = POINTS) -> Floats:
        """Values between which decisions change, rising, from all that is cheap to all that is good."""
        if family == "cheapest":
            values = self.p[np.isfinite(self.p)]
            return np.unique(np.concatenate([[0.0], np.quantile(values, np.linspace(0, 1, points - 2)), [1.0]]))
        crossings = _crossings(self.p, self.cost)
        if not len(crossings):
            return np.array([1.0])
        inner = np.quantile(crossings, np.linspace(0, 1, points - 2))
        return np.unique(np.concatenate([[crossings[0] * 0.5], inner, [crossings[-1] * 2]]))

    def sweep(self, family: Family, knobs: Floats) -> Columns:
        """Return the chosen column by knob and prompt, shape (knobs, prompts)."""
        rank, p = _preference(self.names, self.cost), np.nan_to_num(self.p, nan=-1.0)
        return np.stack([_choose(family, float(knob), p, self.cost, rank) for knob in knobs])


def _choose(family: Family, knob: float, p: Floats, cost: Floats, rank: Columns) -> Columns:
    if family == "tradeoff":
        return _best(np.where(p < 0, -np.inf, p * knob - cost), rank)
    enough = p >= knob
    # Among those that reach the target: the lowest cost, then the highest P(success), then the name.
    spent = np.where(enough, cost, np.inf)
    lowest = enough & (spent == spent.min(axis=1, keepdims=True))
    return np.where(enough.any(axis=1), _best(np.where(lowest, p, -np.inf), rank), _best(p, rank))


def _best(value: Floats, rank: Columns) -> Columns:
    highest = value == value.max(axis=1, keepdims=True)
    chosen: Columns = np.where(highest, rank, value.shape[1]).argmin(axis=1)
    return chosen


def _crossings(p: Floats, cost: Floats) -> Floats:
    """Values of a success at which a dearer, likelier candidate overtakes a cheaper one, sorted."""
    found = []
    for a in range(p.shape[1]):
        for b in range(a + 1, p.shape[1]):
            better, dearer = p[:, a] - p[:, b], cost[:, a] - cost[:, b]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = dearer / better
            found.append(ratio[np.isfinite(ratio) & (ratio > 0)])
    merged: Floats = np.sort(np.concatenate(found)) if found else np.array([])
    return merged
