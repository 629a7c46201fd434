"""What a model said, and what was read out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Problem = Literal[
    "truncated", "refused", "blocked", "empty", "only reasoning", "no answer", "ambiguous", "no such option", "too long"
]
"""Why a reply holds no answer: cut off at the token limit; declined; stopped by the provider's filter; nothing said;
nothing said outside of the reasoning; no answer found; several; a letter no option has; the question does not fit."""

PROBLEMS: tuple[Problem, ...] = get_args(Problem)


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a model.

    Attributes:
        text: What it said.
        reasoning: What it thought, where that comes separately.
        finish: Why it stopped, as the provider says: ``"stop"``, ``"length"``, ``"content_filter"``, ...
        prompt_tokens: Tokens of the prompt, 0 if not told.
        completion_tokens: Tokens of reply and reasoning, 0 if not told.
        cost_usd: What it cost, ``None`` if no price is known.
        problem: Set where there is no reply to read: the provider blocked the question, or it does not fit.
    """

    text: str
    reasoning: str = ""
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read out of a reply.

    Attributes:
        answer: The answer, ``None`` if there is none.
        problem: Why there is none.
    """

    answer: str | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply is worth.

    Attributes:
        score: 0..1; 0 where no answer could be read.
        answer: The answer as read, for the record.
        problem: Why no answer could be read.
        cost_usd: What checking cost (a judge model), on top of the reply.
    """

    score: float
    answer: str | None = None
    problem: Problem | None = None
    cost_usd: float = 0.0


def finish_reason(reason: object) -> str:
    """Why a model stopped, in OpenAI's words."""
    text = str(reason).casefold().rsplit(".", 1)[-1]
    known = {"max_tokens": "length", "model_length": "length", "end_turn": "stop", "safety": "content_filter"}
    return known.get(text, text)


def plain_value(value: object) -> str | int | float | bool | None:
    """A setting as it can stand in a profile."""
    return value if value is None or isinstance(value, str | int | float | bool) else repr(value)
