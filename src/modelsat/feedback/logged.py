"""Outcomes that were logged before there was a router, as feedback: it starts with what is known already."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, DuplicateFeedbackError
from modelsat.feedback.base import FeedbackStore
from modelsat.feedback.records import IMPORTED, DecisionRecord, check_feedback
from modelsat.inference import Scorer

SOURCE = "log"
_BATCH = 32
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import wrote.

    Attributes:
        feedback: Outcomes that are now feedback.
        prompts: Prompts with an outcome of a candidate.
        known: Outcomes that an earlier import of the same weights and profiles had written.
        others: Outcomes of models that are not candidates, which were left out.
    """

    feedback: int
    prompts: int
    known: int
    others: int


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

    They come in random order and count alike: none is older than another, and a log that is sorted by subject is no
    model that changes. Feedback belongs to the weights and profiles that it is imported for, as any other.

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
                    id=hashlib.sha256(key).hexdigest()[:_ID_DIGITS],
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
