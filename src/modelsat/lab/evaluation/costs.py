"""What a call costs, expected and logged, and what a router spends for the quality it reaches."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelsat._tables import open_table
from modelsat.candidates import known_facts
from modelsat.candidates.completion import answer_kind, expected_length
from modelsat.errors import ConfigurationError
from modelsat.lab.evaluation.curves import SAVED_AT, Curve, aiq, cost_quality_curve, cost_saved
from modelsat.lab.evaluation.metrics import Floats, choose, outcomes_of
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.table import Rows
from modelsat.request.tokens import TURN_TOKENS, estimate_tokens

_COLUMNS = ("model", "input_usd_per_mtok", "output_usd_per_mtok")


@dataclass(frozen=True)
class Price:
    """USD a million tokens in and out, and the completion tokens to expect (``None``: as a router expects them)."""

    input: float
    output: float
    completion_tokens: float | None = None


@dataclass(frozen=True)
class Costs:
    """Costs of one pool in USD, NaN for models without a price.

    Attributes:
        expected: As known before the call, shape (items, models).
        actual: As logged, or else as expected, shape (items, models).
        notes: Where the figures come from and which models have none.
    """

    expected: Floats
    actual: Floats
    notes: tuple[str, ...] = field(default=())


def read_prices(path: str | os.PathLike[str]) -> dict[str, Price]:
    """Read ``model, input_usd_per_mtok, output_usd_per_mtok[, completion_tokens]`` from a CSV file.

    Raises:
        ConfigurationError: The file is missing, lacks a column, names a model twice, or holds no price in a row.
    """
    if not Path(path).is_file():
        raise ConfigurationError(f"cannot read prices from {path}: there is no such file")
    table = open_table(Path(path), _COLUMNS, suffixes=(".csv",))
    prices: dict[str, Price] = {}
    for number, row in enumerate(table.rows(), start=1):
        if row["model"] in prices:
            raise ConfigurationError(f"{path}, row {number}: {row['model']!r} appears twice")
        into, out = (_number(path, number, column, row[column]) for column in _COLUMNS[1:])
        tokens = row.get("completion_tokens")
        completion = _number(path, number, "completion_tokens", tokens) if tokens is not None else None
        prices[str(row["model"])] = Price(into, out, completion)
    return prices


def _number(path: str | os.PathLike[str], row: int, column: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0 <= number < float("inf"):
        raise ConfigurationError(
            f"{path}, row {row}, column {column}: {value or 'an empty cell'} is not a number of 0 or more"
        )
    return number


def listed_prices(models: Sequence[str]) -> dict[str, Price]:
    """Prices out of the table that comes with the package, of the models that it knows and that cost something."""
    prices = {}
    for model in models:
        facts = known_facts(model)
        if facts.input_usd_per_mtok and facts.output_usd_per_mtok:
            prices[model] = Price(facts.input_usd_per_mtok, facts.output_usd_per_mtok)
    return prices


def completion_tokens(outcomes: str | os.PathLike[str]) -> dict[str, float]:
    """Mean of the column ``completion_tokens`` by model, where the outcomes table has one; raises as its reader."""
    import pandas as pd

    from modelsat.lab.outcomes.table import OUTCOME_COLUMNS, read_table

    table = read_table(Path(outcomes), OUTCOME_COLUMNS)
    if "completion_tokens" not in table:
        return {}
    means = pd.to_numeric(table["completion_tokens"], errors="coerce").groupby(table["model"]).mean().dropna()
    return {str(model): float(value) for model, value in means.items()}


def costs(
    table: OutcomeTable,
    rows: Rows,
    columns: Rows,
    train: Rows,
    prices: Mapping[str, Price],
    tokens: Mapping[str, float],
) -> Costs:
    """Compute expected and actual costs of a pool.

    A price counts first; a model without one is planned with the mean of its logged costs on training rows.

    Args:
        table: Outcomes with logged costs.
        rows: Prompts to cost, shape (items,).
        columns: Models of the pool.
        train: Rows whose logged costs may be used for planning.
        prices: By model.
        tokens: Mean completion tokens by model, where logged.
    """
    names = [table.models[column] for column in columns]
    prompt = np.array([estimate_tokens(text) + TURN_TOKENS for text in table.prompts[rows]])
    kinds = [answer_kind(text) for text in table.prompts[rows]]
    expected = np.full((len(rows), len(names)), np.nan)
    guessed = 0
    for column, name in enumerate(names):
        if price := prices.get(name):
            measured = price.completion_tokens or tokens.get(name)
            guessed += measured is None
            answer = [expected_length(name, kind) for kind in kinds] if measured is None else measured
            expected[:, column] = (price.input * prompt + price.output * np.asarray(answer)) / 1e6
        else:
            planned = table.costs[train, columns[column]]
            if not np.isnan(planned).all():
                expected[:, column] = np.nanmean(planned)
    logged = table.costs[np.ix_(rows, columns)]
    missing = [name for name, column in zip(names, expected.T, strict=True) if np.isnan(column).any()]
    notes = []
    if missing:
        notes.append(f"no price for {', '.join(missing)}: left out of the cost figures (give --prices)")
    if guessed and len(missing) < len(names):
        notes.append(
            f"completion tokens of {guessed} of {len(names)} models are expected by kind of answer and model, prompt "
            "tokens estimated, both as a router does"
        )
    actual = np.where(np.isnan(logged) | np.isnan(expected), expected, logged)
    return Costs(expected, actual, tuple(notes))


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
        """Return the priced part of a pool; ``None`` if fewer than two models have a price.

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
        """Return the curve of a router, given its P(success) for the whole pool."""
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
