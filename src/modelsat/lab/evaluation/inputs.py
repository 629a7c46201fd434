"""Preparing what an evaluation is given: models to choose among, core items, prices, pairs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsat.capability.core import core_tasks
from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.lab.evaluation.costs import completion_tokens, listed_prices, read_prices
from modelsat.lab.evaluation.evaluate import Money
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.profiles import core_rows


def of_models(table: OutcomeTable, models: Sequence[str]) -> OutcomeTable:
    """Return the table of these models only.

    Raises:
        OutcomesError: One of them has no outcomes, or fewer than two are left.
    """
    columns = np.unique(table.columns(models))
    if len(columns) < 2:
        left = f"only {table.models[columns[0]]}" if len(columns) else "none"
        raise OutcomesError(f"of the models, {left} is left to choose among: routing needs at least two")
    return table.take(np.arange(len(table)), columns)


def core_items(table: OutcomeTable, path: str | os.PathLike[str] | None = None) -> list[str]:
    """Find the core items in the table: those a file names, one a line, or the shipped ones.

    Raises:
        ConfigurationError: The file cannot be read, or names an item that is not in the table.
        OutcomesError: A shipped core item stands in the table twice.
    """
    if path is None:
        found = core_rows(table, core_tasks()).values()
        return [str(table.item_ids[row]) for rows in found for row in rows]
    try:
        names = [line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read core items from {path}: {error}") from error
    unknown = sorted(set(names) - set(map(str, table.item_ids)))
    if unknown or not names:
        which = f"{', '.join(unknown[:5])} {'is' if len(unknown) == 1 else 'are'} not in the items table"
        raise ConfigurationError(f"{path}: {which if unknown else 'it is empty; write one item_id a line'}")
    return names


def money(
    table: OutcomeTable,
    outcomes: str | os.PathLike[str],
    prices: str | os.PathLike[str] | None = None,
    pairs: Sequence[str] = (),
) -> Money:
    """Prices of the file, or of the package's table; completion tokens of the outcomes file; ``STRONG,WEAK`` pairs.

    Raises:
        ConfigurationError: A price file or a pair is malformed.
        OutcomesError: A pair names a model without outcomes.
    """
    known = read_prices(prices) if prices is not None else listed_prices(table.models)
    return Money(known, completion_tokens(outcomes), [_pair(table, text) for text in pairs])


def _pair(table: OutcomeTable, text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise ConfigurationError(f"--pair {text!r}: write STRONG,WEAK")
    table.columns(names)
    return names[0], names[1]
