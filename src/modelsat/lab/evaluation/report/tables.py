"""The tables of a setting, once for the terminal and the report: which columns, how numbers are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelsat.lab.evaluation.results import Comparison, PolicyRow, Role, Row, SettingResult


@dataclass(frozen=True)
class Column:
    """One metric as a column.

    Attributes:
        metric: Its name in the results.
        title: What stands above it.
        style: ``"share"`` (three decimals), ``"signed"``, ``"percent"``, or ``"usd"`` (for 1,000 prompts).
        better: +1 if higher is better, -1 if lower is.
    """

    metric: str
    title: str
    style: str = "share"
    better: int = 1


QUALITY = (
    Column("accuracy", "accuracy"),
    Column("gain_over_random", "over random", "signed"),
    Column("gain_over_best_single", "over best single", "signed"),
    Column("gap_to_oracle", "to oracle", better=-1),
    Column("gap_closed", "gap closed", "percent"),
    Column("auc", "AUC"),
    Column("brier", "Brier", better=-1),
    Column("ece", "ECE", better=-1),
)
COST = (
    Column("apgr", "APGR"),
    Column("cpt_50", "CPT(50)", "percent", -1),
    Column("cpt_80", "CPT(80)", "percent", -1),
    Column("cpt_95", "CPT(95)", "percent", -1),
    Column("cost", "USD / 1,000", "usd", -1),
    Column("aiq", "AIQ"),
    Column("cost_saved_95", "saved at 95 %", "percent"),
    Column("cost_saved_99", "at 99 %", "percent"),
    Column("cost_saved_100", "at 100 %", "percent"),
    Column("pareto_distance", "to Pareto front", better=-1),
)
POLICY = (
    Column("cost", "USD / 1,000", "usd", -1),
    Column("accuracy", "accuracy"),
    Column("strong_share", "strong calls", "percent", -1),
    Column("aiq", "AIQ"),
    Column("cost_saved_95", "cost saved at 95 %", "percent"),
    Column("strong_saved_95", "strong calls saved at 95 %", "percent"),
)
GLOSSARY = {
    "accuracy": "mean outcome of the routed answers",
    "gap closed": "share of the way from best single to oracle",
    "AUC": "mean over models of the area under the ROC curve of predicted success",
    "Brier": "mean squared error of P(success)",
    "ECE": "expected calibration error, 15 equally filled bins",
    "APGR, CPT(x)": "for the strongest model with each one at least 5 points weaker: mean gap recovered over all "
    "shares of strong calls, and the smallest share that recovers x % of the gap (RouteLLM)",
    "USD / 1,000": "cost of 1,000 prompts when quality alone decides",
    "AIQ": "mean height of the cost-quality hull between the cheapest and the dearest model (RouterBench)",
    "saved at x %": "cost saved against the best single model at x % of its quality, trade-off set in hindsight; – if "
    "not reached",
    "strong calls": "prompts sent to the best single model under a policy; saved at 95 %: the share that need not be "
    "sent there for 95 % of its quality, knob set in hindsight",
    "to Pareto front": "mean distance of a router's curve to the front of all, both axes scaled to the pool's span",
    "ceiling": "was given the unseen models' outcomes, which routers never saw",
}


def cell(row: Row | PolicyRow, column: Column) -> str:
    """A number as it is printed, with its spread over the seeds; a dash where there is none."""
    value = row.metrics.get(column.metric)
    if value is None or math.isnan(value):
        return "–"
    spread = row.spread.get(column.metric, 0.0) if isinstance(row, Row) else 0.0
    if column.style == "percent":
        return f"{round(100 * value)} %"
    if column.style == "usd":
        return f"{1000 * value:.3g}"
    text = f"{value:+.3f}" if column.style == "signed" else f"{value:.3f}"
    return f"{text} ±{spread:.3f}" if spread >= 0.0005 and column.metric in ("accuracy", "auc", "brier") else text


def present(result: SettingResult, columns: Sequence[Column]) -> list[Column]:
    """The columns that at least one row fills."""
    return [column for column in columns if any(column.metric in row.metrics for row in result.rows)]


def best(result: SettingResult, column: Column) -> str | None:
    """Name of the row that is best in a column, anchors and ceilings aside."""
    rows = [row for row in result.rows if row.role in (Role.BASELINE, Role.ROUTER) and column.metric in row.metrics]
    return max(rows, key=lambda row: column.better * row.metrics[column.metric]).name if len(rows) > 1 else None


def difference(comparison: Comparison, metric: str) -> str:
    """A difference with its interval, e.g. ``+0.012 [+0.003, +0.021]``; a dash where it was not measured."""
    found = comparison.differences.get(metric)
    return "–" if found is None else f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def policy_order(result: SettingResult, row: PolicyRow) -> int:
    """Where a row stands when rows of one policy stand together, in the order in which policies were given."""
    return [other.policy for other in result.policies].index(row.policy)
