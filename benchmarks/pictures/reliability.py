"""Reliability by kind of request: P(success) against what happened, on prompts that never trained."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections import defaultdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "recipes"))
import outcomes as oc
import traffic

from modelsat.inference import load_scorer

from .style import Theme

BINS = 6
TITLES = {"agent_code": "agents on a repository", "tools": "tool calls", "sql": "SQL", "multi_turn": "conversations"}

Kinds = dict[str, tuple[np.ndarray, np.ndarray, int]]


def measure(given: Namespace) -> Kinds:
    """P and outcomes of all prompts and known models, and the number of prompts, by kind."""
    scorer = load_scorer(given.weights)
    found: dict[str, list[tuple[np.ndarray, np.ndarray, int]]] = defaultdict(list)
    for case in traffic.cases(oc.DATA, given.limit, None, traffic.registered):
        profiles = [profile for name in case.models if (profile := traffic.registered(name, case.dataset))]
        p, known = np.asarray(scorer.score(case.prompts, profiles).p, float), ~np.isnan(case.scores)
        found[case.kind].append((p[known], case.scores[known], len(case.prompts)))
    return {kind: _joined(parts) for kind, parts in sorted(found.items())}


def _joined(parts: list[tuple[np.ndarray, np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray, int]:
    p, y, prompts = zip(*parts, strict=True)
    return np.concatenate(p), np.concatenate(y), sum(prompts)


def draw(kinds: Kinds, theme: Theme) -> Figure:
    """One small diagram a kind: bins of equal size; the diagonal is a P that keeps its word."""
    columns = 4
    figure = Figure(figsize=(8.2, 2.15 * -(-len(kinds) // columns)), layout="constrained")
    grid = figure.subplots(-(-len(kinds) // columns), columns, sharex=True, sharey=True).ravel()
    for axes, (kind, (p, y, prompts)) in zip(grid, kinds.items(), strict=False):
        axes.plot([0, 1], [0, 1], color=theme.faint, linestyle=":", linewidth=1.2)
        parts = [part for part in np.array_split(np.argsort(p), BINS) if len(part)]
        said, happened = (np.array([values[part].mean() for part in parts]) for values in (p, y))
        axes.plot(said, happened, color=theme.blue, marker="o", markersize=4, linewidth=1.6)
        axes.set_title(f"{TITLES.get(kind, kind)} ({prompts})", fontsize=8.5)
        axes.text(0.95, 0.06, f"mean P {p.mean():.2f}\nhappened {y.mean():.2f}", fontsize=7, ha="right")
        axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
        axes.set_yticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=7)
        axes.grid(alpha=0.2)
    for axes in grid[len(kinds) :]:
        axes.set_visible(False)
    figure.supxlabel("P(success)", fontsize=8.5)
    figure.supylabel("answered well", fontsize=8.5)
    return figure
