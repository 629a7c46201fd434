"""From one request to what is decided about: its text, its needs, who may answer, and what that would cost."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modelsat.candidates.candidate import Candidate
from modelsat.candidates.completion import CompletionModel
from modelsat.errors import ConfigurationError, NoCandidateError
from modelsat.policies import PolicyRequest, Scored
from modelsat.request.constraints import ANSWER_TOKENS, SMALL_REQUEST, Constraints, strike, unable
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.conversation import Extractor, extract_from_turns, unwrap
from modelsat.request.costs import Cost, expected_costs
from modelsat.request.messages import Turn, parse_messages
from modelsat.request.needs import Needs, find_needs

_NAMED = 12
"""How many struck candidates an error names."""
_TURN_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to be scored.

    Attributes:
        text: What is scored.
        notes: What a reader of the decision should know.
        needs: What the request needs.
        indices: Positions of the candidates that may answer, in order.
        struck: The others, with the reason for each.
        costs: Expected cost of each of ``indices``; ``None`` where its price is unknown.
        request: What the policy is told.
    """

    text: str
    notes: tuple[str, ...]
    needs: Needs
    indices: tuple[int, ...]
    struck: dict[str, str]
    costs: Sequence[Cost | None]
    request: PolicyRequest

    def tokens(self, index: int) -> dict[str, int]:
        """Estimated tokens of the prompt and, if its price is known, of the answer of the candidate at ``index``."""
        cost = self.costs[self.indices.index(index)]
        answer = {} if cost is None else {"completion": round(cost.completion_tokens)}
        return {"prompt": self.needs.prompt_tokens, **answer}


class Planner:
    """Plans requests for a fixed set of candidates. Thread-safe.

    Args:
        candidates: All candidates of the router.
        constraints: The router's own; all of them hold.
        extractor: Chooses the part of a conversation that is scored.
        completion: Expects the length of answers.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        constraints: Sequence[Constraints],
        extractor: Extractor,
        completion: CompletionModel,
    ) -> None:
        self._candidates = tuple(candidates)
        self._constraints = tuple(constraints)
        self._extractor = extractor
        self._completion = completion
        self._room = (
            0
            if any(candidate.tokenizer for candidate in candidates)
            else min([SMALL_REQUEST, *(window for c in candidates if (window := c.facts.context_window) is not None)])
        )

    def plan(
        self, messages: Any, context: RequestContext | None, indices: Sequence[int], struck: dict[str, str]
    ) -> Plan:
        """Plan one request.

        Args:
            messages: Any accepted shape.
            context: What comes with them.
            indices: Positions of the candidates that were asked for.
            struck: The others, with the reason for each.

        Raises:
            InvalidRequestError: There is nothing to score.
            NoCandidateError: The constraints and needs leave nobody.
        """
        context = _context(context)
        turns = parse_messages(messages)
        text, notes = extract_from_turns(turns, self._extractor)
        needs = find_needs(turns, context)
        asked = [self._candidates[index] for index in indices]
        costs = expected_costs(asked, needs, self._completion.expect(text, asked))
        out = self._strike(asked, needs, costs, context)
        if out:
            left = [position for position, candidate in enumerate(asked) if candidate.name not in out]
            if not left:
                raise NoCandidateError(_nobody(out), {**struck, **out})
            indices = [indices[position] for position in left]
            costs = [costs[position] for position in left]
            asked = [asked[position] for position in left]
            struck = {**struck, **out}
        return Plan(
            text,
            (*notes, *_doubts(asked, needs)),
            needs,
            tuple(indices),
            struck,
            costs,
            PolicyRequest(context.thread, turn_key(turns), needs.prompt_tokens),
        )

    def unable(self, name: str, messages: Any, context: RequestContext | None) -> str | None:
        """Why the candidate ``name`` cannot serve a request itself; ``None`` if it can, or nothing is known."""
        candidate = next((candidate for candidate in self._candidates if candidate.name == name), None)
        if candidate is None:
            return None
        try:
            needs = find_needs(parse_messages(messages), _context(context))
        except Exception:
            return None
        costs = expected_costs([candidate], needs, self._completion.expect("", [candidate]))
        return self._strike([candidate], needs, costs, _context(context)).get(name)

    def _strike(
        self, asked: Sequence[Candidate], needs: Needs, costs: Sequence[Cost | None], context: RequestContext
    ) -> dict[str, str]:
        rules = self._constraints if context.constraints is None else (*self._constraints, context.constraints)
        free = not rules and not needs.abilities and needs.answer_tokens is None
        if free and needs.prompt_tokens + ANSWER_TOKENS <= self._room:
            return {}  # Nothing is asked for, and it fits everywhere.
        limited = any(rule.max_usd_per_request is not None for rule in rules)
        return strike(asked, needs, rules, _by_name(asked, costs) if limited else None)


def scored(plan: Plan, candidates: Sequence[Candidate], scores: Sequence[float]) -> list[Scored]:
    """What the policy is told about each candidate of ``plan``, best first, equal scores by price and name."""
    found = [
        Scored(candidate.name, score, None, candidate.facts.latency_ms)
        if cost is None
        else Scored(candidate.name, score, cost.total, candidate.facts.latency_ms, cost.input, cost.cached_input)
        for candidate, score, cost in zip(
            [candidates[index] for index in plan.indices], scores, plan.costs, strict=True
        )
    ]
    found.sort(key=_rank)
    return found


def turn_key(turns: Sequence[Turn]) -> str:
    """Identifies the user's last turn: the same through all calls of an agent on it, another for the next turn.

    What agents put into user turns (results of tools, reminders) makes no turn.
    """
    said = [text for turn in turns if turn.role == "user" and ((text := unwrap(turn.text)).strip() or turn.attachments)]
    last = said[-1] if said else ""
    key = f"{len(said)} {sum(map(len, said))} {last[:_TURN_CHARACTERS]} {last[-_TURN_CHARACTERS:]}"
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _rank(candidate: Scored) -> tuple[float, float, str]:
    return (-candidate.score, float("inf") if candidate.cost is None else candidate.cost, candidate.name)


def _context(context: Any) -> RequestContext:
    if context is None:
        return NO_CONTEXT
    if not isinstance(context, RequestContext):
        raise ConfigurationError(f"context must be a RequestContext, not {type(context).__name__}")
    return context


def _by_name(candidates: Sequence[Candidate], costs: Sequence[Cost | None]) -> dict[str, float]:
    return {candidate.name: cost.total for candidate, cost in zip(candidates, costs, strict=True) if cost is not None}


def _nobody(struck: dict[str, str]) -> str:
    named = list(struck.items())[:_NAMED]
    more = f"; and {len(struck) - len(named)} more" if len(struck) > len(named) else ""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in named)
    return f"no candidate is left to choose from. {reasons}{more}"


def _doubts(candidates: Sequence[Candidate], needs: Needs) -> tuple[str, ...]:
    """Notes where a needed ability is known of nobody who is left, and where nobody allows as long an answer."""
    notes = [
        f"it is not known whether any candidate can do {ability} ({why})"
        for ability, why in needs.abilities.items()
        if not any(ability in candidate.facts.abilities for candidate in candidates)
    ]
    if needs.answer_tokens and not any(unable(candidate, needs) is None for candidate in candidates):
        notes.append(
            f"an answer of {needs.answer_tokens:,} tokens is more than any candidate allows: chosen regardless of it"
        )
    return tuple(notes)
