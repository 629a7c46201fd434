"""Which statements of a profile mattered for a prompt: leave one out, encode and score again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
from modelsat.inference.base import Scorer

_PART = 8


@dataclass(frozen=True, slots=True)
class Influence:
    """What one statement did."""

    statement: CapabilityStatement
    # P(success) with the whole profile less P(success) without this statement: positive speaks for the model
    effect: float


def influences(
    scorer: Scorer, profile: CapabilityProfile, text: str, advance: Callable[[int], None] = lambda done: None
) -> list[Influence]:
    """The effect of every statement on P(success) for ``text``, largest first, whatever its sign.

    A profile of a single statement has nothing to leave out. ``advance`` is called with the statements done since.

    Raises:
        ScoringError: The network returned something that is not a probability.
    """
    statements = profile.statements
    if len(statements) < 2:
        return []
    shortened = [
        profile.model_copy(update={"statements": statements[:index] + statements[index + 1 :]})
        for index in range(len(statements))
    ]
    whole = float(scorer.score([text], [profile]).p[0, 0])
    effects: list[float] = []
    for start in range(0, len(shortened), _PART):
        part = shortened[start : start + _PART]
        effects += [whole - float(without) for without in scorer.score([text], part).p[0]]
        advance(len(part))
    found = [Influence(statement, effect) for statement, effect in zip(statements, effects, strict=True)]
    return sorted(found, key=lambda entry: (-abs(entry.effect), entry.statement.task))
