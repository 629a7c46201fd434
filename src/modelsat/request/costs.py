"""What a request is expected to cost with each candidate."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from modelsat.candidates.candidate import Candidate
from modelsat.candidates.facts import ModelFacts, Rate
from modelsat.request.needs import Needs


class Cost(NamedTuple):
    """Expected cost of one request with one candidate, in USD.

    Attributes:
        total: Prompt and answer.
        input: The prompt's part of it.
        cached_input: The prompt's part if the provider's cache held all of it; ``None`` if that price is unknown.
        completion_tokens: Expected tokens of the answer.
        prompt_tokens: Estimated tokens of the prompt, as the candidate counts them.
        least: What a maximum price is held to: prompt and visible answer, without hidden reasoning, whose length is an
            assumption.
    """

    total: float
    input: float
    cached_input: float | None
    completion_tokens: float
    prompt_tokens: int = 0
    least: float = 0.0


class Tariff(NamedTuple):
    """What the costs of one candidate depend on.

    Attributes:
        tokenizer: The candidate's own.
        model: Its model.
        facts: Its prices.
        flat: What it charges, where that does not depend on the prompt's length.
        limit: Tokens of its longest answer.
        request: USD for each request.
        image: USD for each image.
    """

    tokenizer: Callable[[str], int] | None
    model: str
    facts: ModelFacts
    flat: Rate | None
    limit: float
    request: float
    image: float

    @classmethod
    def of(cls, candidate: Candidate) -> Tariff:
        """The tariff of ``candidate``."""
        facts = candidate.facts
        return cls(
            candidate.tokenizer,
            candidate.profile.model,
            facts,
            None if facts.tiered else facts.rate(0),
            facts.max_output_tokens or math.inf,
            facts.usd_per_request or 0.0,
            facts.usd_per_image or 0.0,
        )

    def cost(self, needs: Needs, completion: float, visible: float | None = None) -> Cost | None:
        """The expected cost of a request; ``None`` where a price is unknown.

        The expected answer is no longer than what the request and the candidate allow.

        Args:
            needs: Prompt tokens and the limit on the answer.
            completion: Expected completion tokens.
            visible: Those without hidden reasoning; all of them if not given.
        """
        tokenizer, model, facts, rate, limit, besides, image = self
        prompt = needs.tokens_for(tokenizer, model)
        rate = rate or facts.rate(prompt)
        if rate is None:
            return None
        if needs.answer_tokens is not None and completion > needs.answer_tokens:
            completion = needs.answer_tokens
        completion = min(completion, limit)
        if image:
            besides += image * len(needs.pictures)
        spent = prompt * rate.input_usd_per_mtok / 1e6 + besides
        cached = rate.cached_input_usd_per_mtok
        return Cost(
            spent + completion * rate.output_usd_per_mtok / 1e6,
            spent,
            None if cached is None else prompt * cached / 1e6 + besides,
            completion,
            prompt,
            spent + (completion if visible is None else min(visible, completion)) * rate.output_usd_per_mtok / 1e6,
        )


def usage_usd(
    facts: ModelFacts,
    *,
    prompt: int,
    completion: int,
    cached: int = 0,
    cache_writes: int = 0,
    reasoning: int = 0,
    images: int = 0,
) -> float | None:
    """What a request costs whose tokens are known, in USD; ``None`` without prices.

    The length of the whole prompt, cached tokens included, decides on the rate, and the whole request is charged at it.
    Without a price of their own, cached tokens and cache writes cost what other prompt tokens do.

    Args:
        facts: Prices, and the service tier that the request was sent with.
        prompt: Tokens of the whole prompt.
        completion: Tokens of the answer, hidden reasoning included.
        cached: Those of ``prompt`` that were read from the provider's cache.
        cache_writes: Those of ``prompt`` that were written to it.
        reasoning: Those of ``completion`` that were hidden reasoning.
        images: Images in the prompt.
    """
    rate = facts.rate(prompt)
    if rate is None:
        return None
    into, out = rate.input_usd_per_mtok, rate.output_usd_per_mtok
    read = into if rate.cached_input_usd_per_mtok is None else rate.cached_input_usd_per_mtok
    write = into if rate.cache_write_usd_per_mtok is None else rate.cache_write_usd_per_mtok
    thought = out if facts.reasoning_usd_per_mtok is None else facts.reasoning_usd_per_mtok
    tokens = (
        (prompt - cached - cache_writes) * into
        + cached * read
        + cache_writes * write
        + (completion - reasoning) * out
        + reasoning * thought
    )
    return tokens / 1e6 + (facts.usd_per_request or 0.0) + images * (facts.usd_per_image or 0.0)
