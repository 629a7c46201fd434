"""What an evaluation is given: models to choose among, core items, prices, pairs, sentence embeddings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from modelsat._tables import open_table
from modelsat.candidates import known_facts
from modelsat.capability.core import core_tasks
from modelsat.errors import ConfigurationError, MissingDependencyError, OutcomesError
from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.outcomes import OutcomeTable
from modelsat.lab.outcomes.profiles import core_rows
from modelsat.lab.outcomes.table import OUTCOME_COLUMNS, Rows, read_table

_PRICE_COLUMNS = ("model", "input_usd_per_mtok", "output_usd_per_mtok")
_CHUNK = 256
Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def of_models(table: OutcomeTable, models: Sequence[str]) -> OutcomeTable:
    """Return the table of these models only, of which at least two must have outcomes."""
    columns = np.unique(table.columns(models))
    if len(columns) < 2:
        left = f"only {table.models[columns[0]]}" if len(columns) else "none"
        raise OutcomesError(f"of the models, {left} is left to choose among: routing needs at least two")
    return table.take(np.arange(len(table)), columns)


def core_items(table: OutcomeTable, path: str | os.PathLike[str] | None = None) -> list[str]:
    """Find the core items in the table: those a file names, one a line, or the shipped ones.

    Raises:
        ConfigurationError: The file cannot be read, or names an item that is not in the table.
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


@dataclass(frozen=True)
class Price:
    """USD a million tokens in and out, and the completion tokens to expect (``None``: as a router expects them)."""

    input: float
    output: float
    completion_tokens: float | None = None


@dataclass(frozen=True)
class Money:
    """What is known of costs.

    Attributes:
        prices: By model; models without one fall back to the mean of their logged costs.
        completion_tokens: Mean number by model, where logged.
        pairs: (strong, weak) models for APGR and CPT; the strongest with every clearly weaker one if not given.
    """

    prices: Mapping[str, Price] = field(default_factory=dict)
    completion_tokens: Mapping[str, float] = field(default_factory=dict)
    pairs: Sequence[tuple[str, str]] = ()


def money(
    table: OutcomeTable,
    outcomes: str | os.PathLike[str],
    prices: str | os.PathLike[str] | None = None,
    pairs: Sequence[str] = (),
) -> Money:
    """Prices of the file, or of the package's table; completion tokens of the outcomes file; ``STRONG,WEAK`` pairs."""
    known = read_prices(prices) if prices is not None else listed_prices(table.models)
    found = []
    for text in pairs:
        names = [name.strip() for name in text.split(",")]
        if len(names) != 2 or not all(names):
            raise ConfigurationError(f"--pair {text!r}: write STRONG,WEAK")
        table.columns(names)
        found.append((names[0], names[1]))
    return Money(known, completion_tokens(outcomes), found)


def read_prices(path: str | os.PathLike[str]) -> dict[str, Price]:
    """Read ``model, input_usd_per_mtok, output_usd_per_mtok[, completion_tokens]`` from a CSV file."""
    if not Path(path).is_file():
        raise ConfigurationError(f"cannot read prices from {path}: there is no such file")
    prices: dict[str, Price] = {}
    for number, row in enumerate(open_table(Path(path), _PRICE_COLUMNS, suffixes=(".csv",)).rows(), start=1):
        if row["model"] in prices:
            raise ConfigurationError(f"{path}, row {number}: {row['model']!r} appears twice")
        into, out = (_number(path, number, column, row[column]) for column in _PRICE_COLUMNS[1:])
        tokens = row.get("completion_tokens")
        completion = None if tokens is None else _number(path, number, "completion_tokens", tokens)
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
    listed = {model: known_facts(model) for model in models}
    return {
        model: Price(facts.input_usd_per_mtok, facts.output_usd_per_mtok)
        for model, facts in listed.items()
        if facts.input_usd_per_mtok and facts.output_usd_per_mtok
    }


def completion_tokens(outcomes: str | os.PathLike[str]) -> dict[str, float]:
    """Mean of the column ``completion_tokens`` by model, where the outcomes table has one; raises as its reader."""
    import pandas as pd

    table = read_table(Path(outcomes), OUTCOME_COLUMNS)
    if "completion_tokens" not in table:
        return {}
    means = pd.to_numeric(table["completion_tokens"], errors="coerce").groupby(table["model"]).mean().dropna()
    return {str(model): float(value) for model, value in means.items()}


def load_embeddings(
    source: str | os.PathLike[str],
    prompts: Sequence[str],
    rows: Rows,
    report: Report = lambda what, done, total: None,
) -> Floats:
    """Normalised embeddings in the order of the prompts, float32, shape (prompts, width).

    Args:
        source: A ``.npy`` file with one row for each item of the items table, in its order; or the folder of a
            sentence-transformers model.
        prompts: Text of every item.
        rows: Items that are needed; an encoder leaves the others at zero.
        report: Told about the progress of an encoder.

    Raises:
        ConfigurationError: There is no such file or folder, the array does not fit the items, is not finite, or is zero
            for an item that is needed.
        MissingDependencyError: The folder needs sentence-transformers, which is not installed.
    """
    path = Path(source)
    if path.suffix == ".npy":
        array = _stored(path, len(prompts), rows)
    elif path.is_dir():
        array = _encoded(path, prompts, rows, report)
    else:
        raise ConfigurationError(
            f"no embeddings at {source}: give the folder of a sentence-transformers model such as all-MiniLM-L6-v2, a "
            ".npy file with one row for each item, or --no-embedding-baselines"
        )
    scaled: Floats = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return scaled


def _stored(path: Path, items: int, rows: Rows) -> Floats:
    try:
        array: Floats = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read embeddings from {path}: {error}") from error
    if array.ndim != 2 or len(array) != items:
        raise ConfigurationError(
            f"{path} holds an array of shape {array.shape}: it needs one row for each of the {items} items, in the "
            "order of the items table"
        )
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise ConfigurationError(f"{path} holds values that are not finite numbers")
    blank = np.sort(rows[~array[rows].any(axis=1)])
    if len(blank):
        raise ConfigurationError(
            f"{path} has no embedding of {len(blank)} of the {len(rows)} items that are needed (rows of zeros, the "
            f"first is row {blank[0]}): embed them too, or measure other data sets with --datasets"
        )
    return array.astype(np.float32)


def _encoded(path: Path, prompts: Sequence[str], rows: Rows, report: Report) -> Floats:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError.for_extra("embedding prompts with a sentence encoder", "bench") from error
    encoder = SentenceTransformer(str(path), device="cpu")
    order = rows[np.argsort([len(prompts[row]) for row in rows])]
    parts = []
    for start in range(0, len(order), _CHUNK):
        chosen = [prompts[row] for row in order[start : start + _CHUNK]]
        parts.append(np.asarray(encoder.encode(chosen, show_progress_bar=False), np.float32))
        report("embedding prompts", min(start + _CHUNK, len(order)), len(order))
    if not parts:
        raise ConfigurationError("there are no prompts to embed")
    result = np.zeros((len(prompts), parts[0].shape[1]), np.float32)
    result[order] = np.concatenate(parts)
    return result
