"""Outcomes in and out of a store: logged ones as feedback, and feedback as tables to train and evaluate on."""

from __future__ import annotations

import hashlib
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelsat._files import written_whole
from modelsat._tables import pyarrow_parquet
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, DuplicateFeedbackError
from modelsat.feedback.base import IMPORTED, DecisionRecord, FeedbackStore, Observation, check_feedback
from modelsat.inference import Scorer

DATASET = "feedback"
SOURCE = "log"
_BATCH = 32


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    outcomes: int  # rows of the outcomes table
    items: int  # rows of the items table; 0 if no prompts are kept
    merged: int  # feedbacks that joined another on the same prompt and model: the outcome is their mean
    without_prompt: int  # feedbacks whose prompt is not kept


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
    return hashlib.sha256(entry.decision.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


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


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import wrote."""

    feedback: int  # outcomes that are now feedback
    prompts: int  # prompts with an outcome of a candidate
    known: int  # outcomes that an earlier import of the same weights and profiles had written
    others: int  # outcomes of models that are not candidates, which were left out


def import_outcomes(
    store: FeedbackStore,
    scorer: Scorer,
    profiles: Mapping[str, CapabilityProfile],
    answered: Sequence[tuple[str, Mapping[str, float]]],
    *,
    source: str = SOURCE,
    keep_prompts: bool = False,
    seed: int = 0,
    advance: Callable[[int], None] = lambda done: None,
) -> Imported:
    """Score prompts and keep their outcomes as feedback on what the network says of each candidate.

    They come in random order and count alike: none is older than another, and a log that is sorted by subject is
    not a model that changes. Feedback belongs to the weights and profiles that it is imported for, as any other.

    Args:
        store: Where feedback is kept.
        scorer: The router's.
        profiles: Profile of each candidate, by the name that it has in the router.
        answered: The text that is scored, and outcomes 0..1 by candidate.
        source: Who says so.
        keep_prompts: Keep the texts, so that an export can train.
        seed: Of the order.
        advance: Called with the number of prompts after each part.

    Raises:
        ConfigurationError: No outcome belongs to a candidate.
        InvalidFeedbackError: An outcome is not a number from 0 to 1.
        FeedbackStoreError: The store cannot be used; what was written until then stays, and is known the next time.
    """
    own = [(text, {name: outcomes[name] for name in profiles if name in outcomes}) for text, outcomes in answered]
    rows = [row for row in own if row[1]]
    if not rows:
        raise ConfigurationError(
            f"no outcome belongs to a candidate ({', '.join(profiles)}): outcomes name models as the router does"
        )
    for _, outcomes in rows:
        for score in outcomes.values():
            check_feedback("outcome", score, source)
    order = np.random.default_rng(seed).permutation(len(rows))
    written = known = 0
    for start in range(0, len(rows), _BATCH):
        part = [rows[index] for index in order[start : start + _BATCH]]
        records = list(_records(scorer, profiles, part, keep_prompts))
        store.add_decisions([record for record, _ in records])
        for record, score in records:
            try:
                store.add_feedback(check_feedback(record.id, score, source))
                written += 1
            except DuplicateFeedbackError:
                known += 1
        advance(len(part))
    others = sum(len(outcomes) for _, outcomes in answered) - written - known
    return Imported(written, len(rows), known, others)


def _records(
    scorer: Scorer,
    profiles: Mapping[str, CapabilityProfile],
    rows: Sequence[tuple[str, Mapping[str, float]]],
    keep_prompts: bool,
) -> Iterator[tuple[DecisionRecord, float]]:
    """A decision for every outcome, as if the router had chosen the model that was asked."""
    texts, names = [text for text, _ in rows], list(profiles)
    scores = scorer.score(texts, list(profiles.values()))
    now = time.time()
    for (text, outcomes), row, fields in zip(rows, scores.p, scores.by_field(), strict=True):
        for name, outcome in outcomes.items():
            p, profile = round(float(row[names.index(name)]), 6), profiles[name].digest
            key = "\0".join((name, scores.version, profile, text)).encode("utf-8", "surrogatepass")
            yield (
                DecisionRecord(
                    id=hashlib.sha256(key).hexdigest()[:32],
                    time=now,
                    model=name,
                    probability=p,
                    network={name: p},
                    field=fields,
                    policy=IMPORTED,
                    weights=scores.version,
                    profile=profile,
                    prompt=text if keep_prompts else None,
                ),
                outcome,
            )
