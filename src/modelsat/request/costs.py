"""What a request is expected to cost with each candidate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modelsat.candidates.candidate import Candidate
from modelsat.request.needs import Needs


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost of one request with one candidate, in USD.

    Attributes:
        total: Prompt and answer.
        input: The prompt's part of it.
        cached_input: The prompt's part if the provider's cache held all of it; ``None`` if that price is unknown.
        completion_tokens: Expected tokens of the answer.
    """

    total: float
    input: float
    cached_input: float | None
    completion_tokens: float


def expected_costs(candidates: Sequence[Candidate], needs: Needs, completions: Sequence[float]) -> list[Cost | None]:
    """The expected cost of every candidate, in order; ``None`` where a price is unknown.

    The expected answer is no longer than what the request and the candidate allow.

    Args:
        candidates: Who could answer.
        needs: Prompt tokens and the limit on the answer.
        completions: Expected completion tokens of each.
    """
    return [_cost(candidate, needs, tokens) for candidate, tokens in zip(candidates, completions, strict=True)]


def _cost(candidate: Candidate, needs: Needs, completion: float) -> Cost | None:
    facts = candidate.facts
    into, out, cached = facts.input_usd_per_mtok, facts.output_usd_per_mtok, facts.cached_input_usd_per_mtok
    if into is None or out is None:
        return None
    prompt = needs.tokens_for(candidate.tokenizer)
    for limit in (needs.answer_tokens, facts.max_output_tokens):
        if limit is not None and completion > limit:
            completion = limit
    spent = prompt * into / 1e6
    return Cost(spent + completion * out / 1e6, spent, None if cached is None else prompt * cached / 1e6, completion)
