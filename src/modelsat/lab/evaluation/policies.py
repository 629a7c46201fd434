"""Routers and baselines under the policies of :mod:`modelsat.policies`: what each costs and gets.

A fixed policy is asked prompt by prompt, as a router asks it. The policies with a knob are swept over its range; their
curves are compared by area, over the same costs for all rows (:func:`~modelsat.lab.evaluation.metrics.aiq`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from modelsat.errors import ConfigurationError
from modelsat.lab.evaluation.costs import Spending
from modelsat.lab.evaluation.curves import Curve, aiq, cost_saved
from modelsat.lab.evaluation.metrics import Floats, outcomes_of
from modelsat.lab.evaluation.predictions import Prediction
from modelsat.lab.evaluation.results import PolicyRow, Role
from modelsat.lab.tuning.sweep import Family, Pool
from modelsat.policies import PolicyRequest, Scored, resolve_policy
from modelsat.policies.resolve import PolicyFile, spell_policy

SWEPT: tuple[Family, ...] = ("tradeoff", "cheapest")
KEPT = 0.95
"""Share of the best single model's quality at which saved cost and saved strong calls are reported."""


@dataclass(frozen=True)
class NamedPolicy:
    """A policy as it was given.

    Attributes:
        name: Name in the tables.
        given: Anything :func:`~modelsat.policies.resolve_policy` takes; every run asks a fresh one, with no memory.
    """

    name: str
    given: object = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> NamedPolicy:
        """Read a policy file, or text such as ``cheapest(target=0.8)``; raises what ``resolve_policy`` raises.

        Raises:
            ConfigurationError: The file has constraints, which logged outcomes cannot honour.
        """
        normalised = spell_policy(resolve_policy(text))
        if text.strip().casefold().endswith(".json"):
            if PolicyFile.load(text).constraints is not None:
                raise ConfigurationError(
                    f"{text} has constraints: `modelsat evaluate` measures policies alone; leave the constraints out"
                )
            return cls(text.strip(), normalised)
        return cls(text.strip(), text)


def choose_with(policy: NamedPolicy, pool: Pool) -> np.ndarray:
    """Return the column that the policy itself chooses for every prompt, in order."""
    chooser = resolve_policy(policy.given)
    columns = {name: column for column, name in enumerate(pool.names)}
    chosen = np.empty(len(pool.p), dtype=np.intp)
    for row, (p, cost) in enumerate(zip(pool.p.tolist(), pool.cost.tolist(), strict=True)):
        scored = [
            Scored(name, score, price)
            for name, score, price in zip(pool.names, p, cost, strict=True)
            if not math.isnan(score)  # else it was struck
        ]
        scored.sort(key=lambda entry: (-entry.score, entry.cost, entry.name))
        chosen[row] = columns[chooser.choose(scored, PolicyRequest(turn=str(row))).name]
    return chosen


def policy_rows(
    predictions: Sequence[Prediction], spending: Spending, names: Sequence[str], policies: Sequence[NamedPolicy]
) -> list[PolicyRow]:
    """Every router and every baseline under every policy.

    Args:
        predictions: Of all rows; the oracle and whatever is not a probability is left out.
        spending: Costs and outcomes of the priced models.
        names: Models of the whole pool.
        policies: Fixed policies; the swept ones are measured too.
    """
    found = []
    for prediction in predictions:
        runs = [run[np.ix_(spending.rows, spending.columns)] for run in prediction.runs]
        blind = any(np.isnan(run[~np.isnan(spending.y)]).any() for run in runs)
        if blind or not prediction.probable or prediction.role is Role.ANCHOR:
            continue
        found += [_fixed(prediction, policy, runs, spending, names) for policy in policies]
        found += [_swept(prediction, family, runs, spending, names) for family in SWEPT]
    return found


def pool_of(p: Floats, spending: Spending, names: Sequence[str]) -> Pool:
    """As a policy sees it: a model without an outcome on a prompt cannot be chosen for it."""
    priced = tuple(names[column] for column in spending.columns)
    return Pool(priced, np.where(np.isnan(spending.y), np.nan, p).astype(float), spending.expected)


def _fixed(
    prediction: Prediction, policy: NamedPolicy, runs: Sequence[Floats], spending: Spending, names: Sequence[str]
) -> PolicyRow:
    chosen = [choose_with(policy, pool_of(run, spending, names)) for run in runs]
    return PolicyRow(
        router=prediction.name,
        role=prediction.role,
        policy=policy.name,
        metrics={
            "cost": float(np.mean([outcomes_of(columns, spending.actual).mean() for columns in chosen])),
            "accuracy": float(np.mean([outcomes_of(columns, spending.y).mean() for columns in chosen])),
            "strong_share": float(np.mean([(columns == spending.single).mean() for columns in chosen])),
        },
    )


def _swept(
    prediction: Prediction, family: Family, runs: Sequence[Floats], spending: Spending, names: Sequence[str]
) -> PolicyRow:
    values = [swept_metrics(pool_of(run, spending, names), family, spending) for run in runs]
    metrics = {name: float(np.mean([value[name] for value in values])) for name in values[0]}
    return PolicyRow(prediction.name, prediction.role, f"{family}, swept", metrics)


def swept_metrics(pool: Pool, family: Family, spending: Spending) -> dict[str, float]:
    """``aiq``, ``cost_saved_95`` and ``strong_saved_95`` of a policy over its whole range.

    The saved share of strong calls is that of the best single model, at 95 % of its quality; NaN if never reached.
    """
    chosen = pool.sweep(family, pool.knobs(family))
    rows = np.arange(chosen.shape[1])
    curve = Curve(spending.actual[rows, chosen].mean(axis=1), spending.y[rows, chosen].mean(axis=1))
    singles = spending.singles()
    cost, quality = float(singles.cost[spending.single]), float(singles.quality[spending.single])
    enough = curve.quality >= KEPT * quality - 1e-9
    strong = (chosen == spending.single).mean(axis=1)
    return {
        "aiq": aiq(curve, float(singles.cost.min()), float(singles.cost.max())),
        "cost_saved_95": cost_saved(curve, cost, quality, KEPT),
        "strong_saved_95": float(1 - strong[enough].min()) if enough.any() else float("nan"),
    }
