"""What a test is going to ask, and what that costs."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import read_listing
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.questions import Question, messages
from modelsat.request.costs import usage_usd

if TYPE_CHECKING:
    from modelsat.lab.aptitude.runner import Ledger

ANSWER_TOKENS = 300
"""Tokens of a reply that is worked out aloud, as long as nothing is known about the model."""
REASONING_TOKENS = 1500
"""The same for models that are known to reason first."""
_CHARACTERS_A_TOKEN = 3.5


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of a model.

    Attributes:
        input: USD for a million prompt tokens.
        output: USD for a million completion tokens.
        origin: Where they come from.
        facts: All that is known of the price, where it depends on the length of the prompt.
    """

    input: float
    output: float
    origin: str
    facts: ModelFacts | None = None

    def __post_init__(self) -> None:
        """Check that they are prices.

        Raises:
            ConfigurationError: A price is negative or no number.
        """
        if not all(math.isfinite(price) and price >= 0 for price in (self.input, self.output)):
            raise ConfigurationError("prices are in USD for a million tokens and cannot be negative")

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Cost in USD of one request."""
        if self.facts is not None and self.facts.tiers:
            usd = usage_usd(self.facts, prompt=round(prompt_tokens), completion=round(completion_tokens))
            return usd or 0.0
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


def find_prices(name: str) -> Prices | None:
    """Prices of a model: from the table of LiteLLM where that is loaded, else from modelsat's own."""
    return _from_litellm(name) or _from_facts(name)


def _from_litellm(name: str) -> Prices | None:
    litellm = sys.modules.get("litellm")  # importing it for a price alone would take seconds
    table: Mapping[str, Mapping[str, Any]] = getattr(litellm, "model_cost", {})
    return _prices(read_listing(table.get(name) or table.get(name.partition("/")[2]) or {}, "LiteLLM's price table"))


def _from_facts(name: str) -> Prices | None:
    from modelsat.candidates import known_facts

    return _prices(known_facts(name))


def _prices(facts: ModelFacts) -> Prices | None:
    if facts.input_usd_per_mtok is None or facts.output_usd_per_mtok is None:
        return None
    origin = facts.origins.get("input_usd_per_mtok", "price table")
    return Prices(facts.input_usd_per_mtok, facts.output_usd_per_mtok, origin, facts)


def answer_tokens(name: str, limit: int | None) -> int:
    """Estimate the tokens of a reply, as long as the model was not asked."""
    from modelsat.candidates import known_facts

    expected = REASONING_TOKENS if known_facts(name).abilities.get("reasoning") else ANSWER_TOKENS
    return expected if limit is None else min(expected, limit)


def prompt_tokens(questions: Iterable[Question]) -> int:
    """Estimated prompt tokens of all ``questions`` together."""
    return sum(
        math.ceil(len(message["content"]) / _CHARACTERS_A_TOKEN) + 8
        for question in questions
        for message in messages(question)
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What a test is going to do.

    Attributes:
        model: The model.
        mode: ``"adaptive"``, ``"full"``, or ``"suite"`` if no core task is asked.
        questions: Questions the test has.
        calls: Calls still to make, at most (without retries; the circle test's rotations of half of the hard items).
        known: Answers that earlier runs have left.
        prompt_tokens: Estimated tokens of the prompts still to send.
        completion_tokens: Estimated tokens of the replies still to come.
        usd: Estimated cost of them; ``None`` if no price is known.
        prices: The prices that were assumed.
        functions: Python functions of one's own suite that will run.
        judges: Judge models that will be called on top.
    """

    model: str
    mode: str
    questions: int
    calls: int
    known: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    prices: Prices | None
    functions: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()


def estimate(
    model: str,
    limit: int | None,
    jobs: Sequence[tuple[Question, int]],
    most: int | None,
    ledger: Ledger,
    prices: Prices | None,
) -> tuple[int, int, int, float | None]:
    """Estimate calls, prompt tokens, completion tokens and USD of the jobs that have no answer yet.

    Args:
        model: Name of the model.
        limit: Limit of a reply's length.
        jobs: Every question that may be asked, with its rotation.
        most: How many of them are asked at most, answered ones included; ``None`` for all.
        ledger: What has been answered.
        prices: Prices, if known.
    """
    missing = [question for question, rotation in jobs if (question.id, rotation) not in ledger.answers]
    calls = len(missing) if most is None else max(0, min(len(missing), most - len(ledger.answers)))
    mean_prompt = prompt_tokens(missing) / len(missing) if missing else 0.0
    seen = [answer.completion_tokens for answer in ledger.answers.values() if answer.completion_tokens]
    mean_reply = sum(seen) / len(seen) if seen else answer_tokens(model, limit)
    sent, received = round(calls * mean_prompt), round(calls * mean_reply)
    return calls, sent, received, None if prices is None else prices.cost(sent, received)
