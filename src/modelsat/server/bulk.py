"""Scores of many prompts as rows of a table: item, model, P(success)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScoringError
from modelsat.inference import Scorer
from modelsat.request import extract_instruction


def scores_schema(id_type: pa.DataType) -> pa.Schema:
    """Columns of a table of scores: ``item_id``, ``model`` and ``p`` (float32)."""
    return pa.schema([("item_id", id_type), ("model", pa.string()), ("p", pa.float32())])


def score_rows(
    scorer: Scorer,
    identifiers: Sequence[Any],
    prompts: Sequence[str],
    names: Sequence[str],
    profiles: Sequence[CapabilityProfile],
    schema: pa.Schema,
) -> pa.RecordBatch:
    """Score prompts as the router would, and return the scores as rows, prompt by prompt.

    Args:
        scorer: The network.
        identifiers: Of the prompts.
        prompts: The prompts.
        names: Of the candidates.
        profiles: Of the candidates.
        schema: From :func:`scores_schema`.

    Raises:
        InvalidRequestError: A prompt has no text.
        ScoringError: The network returned something that is not a probability.
    """
    p = scorer.score([extract_instruction(prompt)[0] for prompt in prompts], profiles).p
    if p.shape != (len(prompts), len(profiles)) or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ScoringError("the scorer returned values that are not probabilities; check the checkpoint's files")
    repeated = [identifier for identifier in identifiers for _ in names]
    columns = [repeated, list(names) * len(prompts), p.reshape(-1)]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema=schema
    )
