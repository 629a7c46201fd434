"""Kept feedback as the tables that ``modelsat train`` and ``modelsat evaluate`` read."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsat._files import written_whole
from modelsat._tables import pyarrow_parquet
from modelsat.errors import ConfigurationError
from modelsat.feedback.base import FeedbackStore
from modelsat.feedback.records import Observation

DATASET = "feedback"
_ID_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        outcomes: Rows of the outcomes table.
        items: Rows of the items table; 0 if no prompts are kept.
        merged: Feedbacks that joined another on the same prompt and model: the outcome is their mean.
        without_prompt: Feedbacks whose prompt is not kept.
    """

    outcomes: int
    items: int
    merged: int
    without_prompt: int


def export_outcomes(
    store: FeedbackStore,
    outcomes: str | os.PathLike[str],
    items: str | os.PathLike[str] | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Exported:
    """Write the outcomes and, if ``items`` is given, the items they belong to.

    An item is a prompt: its ``item_id`` is a hash of the text, so that the same prompt put to several models is one
    item. Where the prompt was not kept, the decision's identifier stands in, and the row is left out if ``items`` is
    given, as an outcome without its item cannot be read.

    Args:
        store: Where feedback is kept.
        outcomes: Parquet file to write: ``item_id``, ``model``, ``score``, and of the latest feedback ``source``,
            ``time``, ``decision_id``, ``p`` (P(success) as decided), ``explored``.
        items: Parquet file to write: ``item_id``, ``dataset`` (``feedback``), ``task`` (the prompt's main field),
            ``prompt``.
        advance: Called with the number of feedbacks after each part.

    Raises:
        FeedbackStoreError: The store cannot be read.
        ConfigurationError: There is no feedback, none with a prompt though ``items`` is given, or a file cannot be
            written.
    """
    for path in (outcomes, items):
        if path is not None and Path(path).suffix.casefold() != ".parquet":
            raise ConfigurationError(f"the output is a Parquet file: {path} must end in .parquet")
    observations = store.observations()
    if not observations:
        raise ConfigurationError(f"{store.name} holds no feedback yet: nothing was written")
    kept = [entry for entry in observations if items is None or entry.decision.prompt is not None]
    if not kept:
        raise ConfigurationError(
            f"{store.name} holds no prompts, so there is no items table: keep them from now on with "
            "Feedback(store, keep_prompts=True), or export without --items; nothing was written"
        )
    groups: dict[tuple[str, str], list[Observation]] = defaultdict(list)
    for entry in kept:
        groups[_item(entry), entry.decision.model].append(entry)
        advance(1)
    prompts = {_item(entry): entry for entry in kept if entry.decision.prompt is not None}
    _write([_outcome(item, found) for (item, _), found in groups.items()], Path(outcomes))
    if items is not None:
        _write([_row(item, entry) for item, entry in prompts.items()], Path(items))
    return Exported(
        outcomes=len(groups),
        items=len(prompts) if items is not None else 0,
        merged=len(kept) - len(groups),
        without_prompt=sum(entry.decision.prompt is None for entry in observations),
    )


def _item(entry: Observation) -> str:
    if entry.decision.prompt is None:
        return entry.decision.id
    return hashlib.sha256(entry.decision.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_DIGITS]


def _outcome(item: str, found: Sequence[Observation]) -> dict[str, Any]:
    last = found[-1]
    return {
        "item_id": item,
        "model": last.decision.model,
        "score": sum(entry.feedback.score for entry in found) / len(found),
        "source": last.feedback.source,
        "time": last.feedback.time,
        "decision_id": last.decision.id,
        "p": last.decision.probability,
        "explored": last.decision.explored,
    }


def _row(item: str, entry: Observation) -> dict[str, Any]:
    shares = entry.decision.field
    task = max(shares, key=lambda name: shares[name]) if shares else DATASET
    return {"item_id": item, "dataset": DATASET, "task": task, "prompt": entry.decision.prompt}


def _write(rows: list[dict[str, Any]], path: Path) -> None:
    pq = pyarrow_parquet()
    import pyarrow as pa

    with written_whole(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows), partial)
