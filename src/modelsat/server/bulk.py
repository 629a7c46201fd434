"""Scores of many prompts as rows of a table: item, model, P(success)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScoringError
from modelsat.inference import Scorer
from modelsat.request import extract_instruction


def score_prompts(scorer: Scorer, prompts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
    """P(success) of prompts as the router would score them, shape (prompts, profiles).

    Raises:
        InvalidRequestError: A prompt has no text.
        ScoringError: The network returned something that is not a probability.
    """
    scores = scorer.score([extract_instruction(prompt)[0] for prompt in prompts], profiles).p
    if scores.shape != (len(prompts), len(profiles)) or not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise ScoringError("the scorer returned values that are not probabilities; check the checkpoint's files")
    return scores


def scores_schema(id_type: pa.DataType) -> pa.Schema:
    """Columns of a table of scores: ``item_id``, ``model`` and ``p`` (float32)."""
    return pa.schema([("item_id", id_type), ("model", pa.string()), ("p", pa.float32())])


def rows_of(
    identifiers: Sequence[Any], names: Sequence[str], scores: NDArray[np.float32], schema: pa.Schema
) -> pa.RecordBatch:
    """The scores as rows, prompt by prompt.

    Args:
        identifiers: Of the prompts.
        names: Of the candidates.
        scores: Shape (prompts, candidates).
        schema: From :func:`scores_schema`.
    """
    repeated = list(chain.from_iterable(repeat(identifier, len(names)) for identifier in identifiers))
    columns = [
        pa.array(repeated, schema.field("item_id").type),
        pa.array(list(names) * len(identifiers), pa.string()),
        pa.array(scores.reshape(-1), pa.float32()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)
