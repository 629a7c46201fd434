"""Scoring a table of prompts in parts, into a file that appears only when it is complete."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from modelsat.candidates import Candidate
from modelsat.cli.tables import Items, rows
from modelsat.errors import ConfigurationError
from modelsat.server.bulk import rows_of, score_prompts, scores_schema

_ROW_GROUP = 1 << 18


def check_output(path: Path, items: Path, *, force: bool) -> None:
    """Refuse an output that cannot be written, before any work is done.

    Raises:
        ConfigurationError: The name is not that of a Parquet file, its folder is missing, it is the input, or it exists
            and ``force`` is not set.
    """
    if path.suffix.casefold() != ".parquet":
        raise ConfigurationError(f"the output is a Parquet file: {path} must end in .parquet")
    if path.is_dir():
        raise ConfigurationError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    if path.exists() and items.exists() and path.samefile(items):
        raise ConfigurationError(f"the output {path} is the input: choose another name")
    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists: choose another name, or overwrite it with --force")


def score_table(
    items: Items,
    candidates: Sequence[Candidate],
    destination: Path,
    *,
    weights: str,
    batch_size: int,
    advance: Callable[[int], None],
) -> None:
    """Score every prompt for every candidate and write ``item_id``, ``model`` and ``p`` (float32), prompt by prompt.

    Args:
        items: The prompts, checked before by :func:`~modelsat.cli.tables.check_items`.
        candidates: The models to score for.
        destination: Parquet file to write.
        weights: Name or folder of a checkpoint.
        batch_size: Prompts handed to the scorer at a time.
        advance: Called with the number of prompts after each of these batches.

    Raises:
        CheckpointError: The weights cannot be used.
        ScoringError: The network returned something that is not a probability.
        ConfigurationError: The input is damaged, or the output cannot be written.
    """
    from modelsat.inference import load_scorer

    scorer = load_scorer(weights)
    capabilities = scorer.encode_profiles([candidate.profile for candidate in candidates])
    names = [candidate.name for candidate in candidates]
    schema = scores_schema(items.id_type)
    with _written_whole(destination, schema) as writer:
        held: list[pa.RecordBatch] = []
        for identifiers, prompts in _passes(items, batch_size):
            scores = score_prompts(scorer, prompts, capabilities)
            held.append(rows_of(identifiers, names, scores, schema))
            if sum(batch.num_rows for batch in held) >= _ROW_GROUP:
                writer.write_table(pa.Table.from_batches(held))
                held = []
            advance(len(prompts))
        if held:
            writer.write_table(pa.Table.from_batches(held))


def _passes(items: Items, size: int) -> Iterator[tuple[list[Any], list[str]]]:
    for identifiers, prompts in rows(items):
        for start in range(0, len(prompts), size):
            yield identifiers[start : start + size], prompts[start : start + size]


@contextmanager
def _written_whole(destination: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """A writer under a temporary name beside ``destination``, renamed on success and removed otherwise."""
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        with pq.ParquetWriter(partial, schema) as writer:
            yield writer
        os.replace(partial, destination)
    except OSError as error:
        raise ConfigurationError(f"cannot write {destination}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
