"""Routers and baselines under the policies of :mod:`modelsat.policies`: what each costs and gets.

A fixed policy is asked prompt by prompt, as a router asks it. The policies with a knob are swept over its range; their
curves are compared by area, over the same costs for all rows (:func:`~modelsat.lab.evaluation.costs.aiq`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from modelsat.errors import ConfigurationError
from modelsat.lab.evaluation.costs import Curve, Spending
from modelsat.lab.evaluation.metrics import outcomes_of
from modelsat.lab.evaluation.predictions import Prediction
from modelsat.lab.evaluation.results import PolicyRow, Role
from modelsat.lab.tuning.sweep import Family, Pool
from modelsat.policies import PolicyRequest, Scored, resolve_policy
from modelsat.policies.resolve import PolicyFile, is_policy_file

SWEPT: tuple[Family, ...] = ("tradeoff", "cheapest")
KEPT = 0.95
"""Share of the best single model's quality at which saved cost and saved strong calls are reported."""


def check_policy(text: str) -> str:
    """Check a policy file or text such as ``cheapest(target=0.8)``: outcomes of a log cannot honour constraints."""
    text = text.strip()
    resolve_policy(text)
    if is_policy_file(text) and PolicyFile.load(text).constraints is not None:
        raise ConfigurationError(
            f"{text} has constraints: `modelsat evaluate` measures policies alone; leave the constraints out"
        )
    return text


def choose_with(policy: str | Mapping[str, object], pool: Pool) -> np.ndarray:
    """Return the column that the policy itself, without memory of other runs, chooses for every prompt, in order."""
    chooser = resolve_policy(policy)
    chosen = np.empty(len(pool.p), dtype=np.intp)
    for row, (p, cost) in enumerate(zip(pool.p.tolist(), pool.cost.tolist(), strict=True)):
        scored = [
            Scored(name, score, price)
            for name, score, price in zip(pool.names, p, cost, strict=True)
            if not math.isnan(score)  # else it was struck
        ]
        scored.sort(key=lambda entry: (-entry.score, entry.cost, entry.name))
        chosen[row] = pool.names.index(chooser.choose(scored, PolicyRequest(turn=str(row))).name)
    return chosen


def policy_rows(
    predictions: Sequence[Prediction], spending: Spending, names: Sequence[str], policies: Sequence[str]
) -> list[PolicyRow]:
    """Every router and baseline under every policy and those that are swept; anchors and rows with gaps aside."""
    found = []
    priced = tuple(names[column] for column in spending.columns)
    for prediction in predictions:
        runs = [spending.part(run) for run in prediction.runs]
        blind = any(np.isnan(run[~np.isnan(spending.y)]).any() for run in runs)
        if blind or not prediction.probable or prediction.role is Role.ANCHOR:
            continue
        # a model without an outcome on a prompt cannot be chosen for it
        pools = [Pool(priced, np.where(np.isnan(spending.y), np.nan, p).astype(float), spending.expected) for p in runs]
        values = {policy: [fixed_metrics(pool, policy, spending) for pool in pools] for policy in policies}
        values |= {f"{family}, swept": [swept_metrics(pool, family, spending) for pool in pools] for family in SWEPT}
        for policy, measured in values.items():
            means = {metric: float(np.mean([run[metric] for run in measured])) for metric in measured[0]}
            found.append(PolicyRow(prediction.name, prediction.role, policy, means))
    return found


def fixed_metrics(pool: Pool, policy: str, spending: Spending) -> dict[str, float]:
    """``cost``, ``accuracy`` and ``strong_share`` of a policy as it is."""
    chosen = choose_with(policy, pool)
    return {
        "cost": float(outcomes_of(chosen, spending.actual).mean()),
        "accuracy": float(outcomes_of(chosen, spending.y).mean()),
        "strong_share": float((chosen == spending.single).mean()),
    }


def swept_metrics(pool: Pool, family: Family, spending: Spending) -> dict[str, float]:
    """``aiq``, ``cost_saved_95`` and ``strong_saved_95`` of a policy over its whole range.

    The saved share of strong calls is that of the best single model, at 95 % of its quality; NaN if never reached.
    """
    chosen = pool.sweep(family, pool.knobs(family))
    rows = np.arange(chosen.shape[1])
    curve = Curve(spending.actual[rows, chosen].mean(axis=1), spending.y[rows, chosen].mean(axis=1))
    enough = curve.quality >= KEPT * float(spending.singles().quality[spending.single]) - 1e-9
    strong = (chosen == spending.single).mean(axis=1)
    return {
        **spending.curve_metrics(curve, (KEPT,)),
        "strong_saved_95": float(1 - strong[enough].min()) if enough.any() else float("nan"),
    }
