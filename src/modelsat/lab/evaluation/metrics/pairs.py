"""Strong/weak pairs: how few calls of the strong model recover how much of its lead (RouteLLM, arXiv 2406.18665)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelsat.lab.evaluation.metrics.choice import Floats

CPT = (0.5, 0.8, 0.95)
_SMALL = 0.01


@dataclass(frozen=True)
class PairCurve:
    """Performance gap recovered by share of calls sent to the strong model.

    Attributes:
        share: Share of prompts sent to the strong model, rising from 0 to 1.
        recovered: PGR = (quality - weak) / (strong - weak) at each share.
    """

    share: Floats
    recovered: Floats

    @property
    def apgr(self) -> float:
        """Average PGR: the area under the curve. A coin reaches .5."""
        from sklearn.metrics import auc

        return float(auc(self.share, self.recovered))

    def cpt(self, target: float) -> float:
        """Call-performance threshold: the smallest share of strong calls that recovers ``target`` of the gap, 0..1."""
        at = int(np.argmax(self.recovered >= target - 1e-12))
        if at == 0:
            return float(self.share[0])
        (left, right), (low, high) = self.share[at - 1 : at + 1], self.recovered[at - 1 : at + 1]
        return float(left + (right - left) * (target - low) / (high - low))


def pair_curve(preference: Floats, strong: Floats, weak: Floats) -> PairCurve | None:
    """Send the prompts with the highest ``preference`` to the strong model, from none to all.

    Prompts of equal preference are taken in random order, in expectation. Prompts that one of the two did not answer
    are left out.

    Args:
        preference: P(strong succeeds) - P(weak succeeds), shape (items,).
        strong: Outcomes of the strong model, shape (items,).
        weak: Outcomes of the weak model, shape (items,).

    Returns:
        ``None`` where the strong model is not at least one point better on these prompts: there is no gap to recover.
    """
    both = ~np.isnan(strong) & ~np.isnan(weak)
    preference, strong, weak = preference[both], strong[both].astype(float), weak[both].astype(float)
    if not len(strong) or strong.mean() - weak.mean() < _SMALL:
        return None
    order = np.argsort(-preference, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(preference[order]) != 0, True))
    gained = np.cumsum((strong - weak)[order])[ends] / (strong - weak).sum()
    return PairCurve(np.concatenate([[0.0], (ends + 1) / len(strong)]), np.concatenate([[0.0], gained]))


def pair_metrics(p: Floats, y: Floats, pairs: list[tuple[int, int]]) -> dict[str, float]:
    """``apgr``, ``cpt_50``, ``cpt_80`` and ``cpt_95``, each a mean over the (strong, weak) pairs of columns."""
    curves = [pair_curve(p[:, strong] - p[:, weak], y[:, strong], y[:, weak]) for strong, weak in pairs]
    found = [curve for curve in curves if curve is not None]
    if not found:
        return {}
    result = {"apgr": float(np.mean([curve.apgr for curve in found]))}
    for target in CPT:
        result[f"cpt_{round(target * 100)}"] = float(np.mean([curve.cpt(target) for curve in found]))
    return result
