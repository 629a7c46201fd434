"""What a test will cost, before it starts."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import read_listing
from modelsat.errors import ConfigurationError
from modelsat.lab.aptitude.prompts import messages
from modelsat.lab.aptitude.questions import Question
from modelsat.request.costs import usage_usd

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
    """Expected tokens of a reply, as long as the model was not asked."""
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
