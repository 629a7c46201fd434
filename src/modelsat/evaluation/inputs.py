"""Preparing what an evaluation is given: models to choose among, core items, prices, pairs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from modelsat.errors import ConfigurationError, OutcomesError
from modelsat.evaluation.evaluate import Money
from modelsat.evaluation.prices import completion_tokens, litellm_prices, read_prices
from modelsat.outcomes import OutcomeTable

CORE_DATASET = "mmlu_pro"
"""Data set that holds the shipped core items; an item is called by its public id, alone or after this name."""


def of_models(table: OutcomeTable, models: Sequence[str]) -> OutcomeTable:
    """The table of these models only.

    Raises:
        OutcomesError: One of them has no outcomes, or fewer than two are left.
    """
    columns = np.unique(table.columns(models))
    if len(columns) < 2:
        left = f"only {table.models[columns[0]]}" if len(columns) else "none"
        raise OutcomesError(f"of the models, {left} is left to choose among: routing needs at least two")
    return table.take(np.arange(len(table)), columns)


def core_item_ids(path: str | os.PathLike[str] | None = None) -> list[str]:
    """Identifiers of the core items: one a line in a file, or the shipped ones.

    Raises:
        ConfigurationError: The file cannot be read or is empty.
    """
    if path is None:
        from modelsat.capability.core import core_item_ids as shipped

        return [name for number in sorted(shipped()) for name in (str(number), f"{CORE_DATASET}/{number}")]
    try:
        names = [line.strip() for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read core items from {path}: {error}") from error
    if not names:
        raise ConfigurationError(f"{path} holds no core items: write one item_id a line")
    return names


def money(
    table: OutcomeTable,
    outcomes: str | os.PathLike[str],
    prices: str | os.PathLike[str] | None = None,
    pairs: Sequence[str] = (),
) -> Money:
    """Prices of the file, or of LiteLLM's table; completion tokens of the outcomes file; ``STRONG,WEAK`` pairs.

    Raises:
        ConfigurationError: A price file or a pair is malformed.
        OutcomesError: A pair names a model without outcomes.
    """
    known = read_prices(prices) if prices is not None else litellm_prices(table.models)
    return Money(known, completion_tokens(outcomes), [_pair(table, text) for text in pairs])


def _pair(table: OutcomeTable, text: str) -> tuple[str, str]:
    names = [name.strip() for name in text.split(",")]
    if len(names) != 2 or not all(names):
        raise ConfigurationError(f"--pair {text!r}: write STRONG,WEAK")
    table.columns(names)
    return names[0], names[1]
