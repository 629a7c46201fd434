"""The cost side of one setting: curves over the models that have a price, and what they save."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from modelsat.lab.evaluation.metrics import Curve, Floats, aiq, choose, cost_quality_curve, cost_saved, outcomes_of
from modelsat.lab.evaluation.metrics.cost import SAVED_AT
from modelsat.lab.evaluation.prices import Costs
from modelsat.lab.outcomes.table import Rows


@dataclass(frozen=True)
class Spending:
    """Costs and outcomes of the priced part of a pool, on the prompts one of its models answered.

    Attributes:
        rows: Prompts, as positions among the test prompts.
        columns: Priced models, as positions in the pool.
        y: Outcomes, shape (rows, columns).
        expected: USD known before the call, shape (rows, columns).
        actual: USD that is accounted, shape (rows, columns).
        single: The best single model, as a position in ``columns``.
    """

    rows: Rows
    columns: Rows
    y: Floats
    expected: Floats
    actual: Floats
    single: int

    @classmethod
    def of(cls, y: Floats, costs: Costs, level: Floats) -> Spending | None:
        """The priced part of a pool; ``None`` if fewer than two models have a price.

        Args:
            y: Outcomes of the whole pool, shape (items, models).
            costs: Its costs.
            level: Accuracy of each model on training prompts, shape (models,).
        """
        columns = np.flatnonzero(~np.isnan(costs.expected).any(axis=0))
        if len(columns) < 2 or np.ptp(costs.expected[:, columns]) == 0:
            return None
        rows = np.flatnonzero(~np.isnan(y[:, columns]).all(axis=1))
        part = np.ix_(rows, columns)
        best = int(np.nanargmax(level[columns]))
        return cls(rows, columns, y[part], costs.expected[part], costs.actual[part], best)

    def singles(self) -> Curve:
        """Mean cost and accuracy of each priced model alone, on the prompts it answered."""
        paid = np.where(np.isnan(self.y), np.nan, self.actual)
        return Curve(np.nanmean(paid, axis=0), np.nanmean(self.y, axis=0))

    @property
    def random_cost(self) -> float:
        """Expected cost of a model drawn at random, USD a prompt."""
        return float(np.nanmean(np.where(np.isnan(self.y), np.nan, self.actual), axis=1).mean())

    def curve(self, p: Floats) -> Curve:
        """The curve of a router, given its P(success) for the whole pool."""
        return cost_quality_curve(p[np.ix_(self.rows, self.columns)], self.y, self.expected, self.actual)

    def metrics(self, p: Floats) -> dict[str, float]:
        """``cost`` (USD a prompt when quality alone decides), ``aiq`` and ``cost_saved_95``, ``_99``, ``_100``."""
        part, curve, singles = p[np.ix_(self.rows, self.columns)], self.curve(p), self.singles()
        result = {
            "cost": float(outcomes_of(choose(part, self.y), self.actual).mean()),
            "aiq": aiq(curve, float(singles.cost.min()), float(singles.cost.max())),
        }
        for share in SAVED_AT:
            saved = cost_saved(curve, float(singles.cost[self.single]), float(singles.quality[self.single]), share)
            result[f"cost_saved_{round(share * 100)}"] = saved
        return result
