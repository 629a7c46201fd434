"""From one request to what is decided about: its text, its needs, who may answer, and what that would cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelsat._text import one_line
from modelsat.candidates.candidate import Candidate
from modelsat.candidates.completion import AnswerKind, CompletionLengths, answer_kind, wished
from modelsat.errors import ConfigurationError, NoCandidateError, RoutingError, UnknownModelError
from modelsat.policies import PolicyRequest, Scored
from modelsat.request.constraints import ANSWER_TOKENS, SMALL_REQUEST, Constraints, strike, unable
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.conversation import Extractor, extract_from_turns
from modelsat.request.costs import Cost, Tariffs
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.request.messages import Turn
from modelsat.request.needs import Needs, find_needs
from modelsat.router.doubt import Doubts

NOT_ASKED = Exclusion("not_asked", "not asked for")
_NAMED = 12
"""How many excluded candidates an error names."""
_TURN_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidates that a call asks for.

    Attributes:
        indices: Their positions, in order.
        excluded: The others, with the reason for each.
    """

    indices: tuple[int, ...]
    excluded: Mapping[str, Exclusion]


def select(names: Sequence[str], asked: Sequence[str]) -> Selection:
    """The candidates of ``names`` that a call asks for.

    Raises:
        UnknownModelError: One of those asked for is not a candidate.
        RoutingError: None is asked for.
    """
    wanted = {asked} if isinstance(asked, str) else set(asked)
    if unknown := sorted(str(name) for name in wanted if name not in names):
        raise UnknownModelError(
            f"not among this router's candidates: {one_line(', '.join(unknown))}; it has: {', '.join(names)}"
        )
    if not wanted:
        raise RoutingError("no candidate is left to choose from: 'candidates' is empty, leave it out to allow all")
    return Selection(
        tuple(position for position, name in enumerate(names) if name in wanted),
        {name: NOT_ASKED for name in names if name not in wanted},
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to be scored.

    Attributes:
        text: What is scored.
        notes: What a reader of the decision should know.
        needs: What the request needs.
        indices: Positions of the candidates that may answer, in order.
        excluded: The others, with the reason for each.
        costs: Expected cost of each of ``indices``; ``None`` where its price is unknown.
        request: What the policy knows.
        rules: Names of the rules that applied.
    """

    text: str
    notes: tuple[str, ...]
    needs: Needs
    indices: tuple[int, ...]
    excluded: Mapping[str, Exclusion]
    costs: Sequence[Cost | None]
    request: PolicyRequest
    rules: tuple[str, ...] = ()

    def tokens(self, index: int) -> dict[str, int]:
        """Estimated tokens of the prompt and, if its price is known, of the answer of the candidate at ``index``."""
        cost = self.costs[self.indices.index(index)]
        if cost is None:
            return {"prompt": self.needs.prompt_tokens}
        return {"prompt": cost.prompt_tokens, "completion": round(cost.completion_tokens)}


class Expected:
    """Expects costs for a fixed set of candidates. Thread-safe.

    Args:
        candidates: Who could answer.
        completion: Expects the length of answers, by kind of answer.
    """

    def __init__(self, candidates: Sequence[Candidate], completion: CompletionLengths) -> None:
        self._candidates, self._completion = candidates, completion
        self._tariffs = Tariffs(candidates)
        self._lengths: dict[tuple[AnswerKind, bool], list[float]] = {}

    def costs(self, text: str, needs: Needs, indices: Sequence[int], *, visible: bool) -> list[Cost | None]:
        """Expected cost of the candidates at ``indices``, in order; ``None`` where a price is unknown.

        Args:
            text: What is scored.
            needs: What the request needs.
            indices: Positions of the candidates.
            visible: Whether the answer without hidden reasoning is looked at besides.
        """
        kind, length = answer_kind(text, tools="tools" in needs.abilities), wished(text)
        whole, seen = self._of(kind, length), self._of(kind, length, False) if visible else None
        return self._tariffs.costs(needs, whole, seen, indices)

    def _of(self, kind: AnswerKind, length: float | None, reasoning: bool = True) -> list[float]:
        if length is not None:
            return self._completion.of_kind(kind, self._candidates, reasoning=reasoning, wished=length)
        lengths = self._lengths.get((kind, reasoning))
        if lengths is None:
            lengths = self._completion.of_kind(kind, self._candidates, reasoning=reasoning)
            self._lengths[kind, reasoning] = lengths
        return lengths


class Planner:
    """Plans requests for a fixed set of candidates. Thread-safe.

    Args:
        candidates: All candidates of the router.
        constraints: The router's own; all of them hold.
        extractor: Chooses the part of a conversation that is scored.
        reader: Tells what a person wrote from what an agent put around it.
        completion: Expects the length of answers.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        constraints: Sequence[Constraints],
        extractor: Extractor,
        reader: EnvelopeReader,
        completion: CompletionLengths,
    ) -> None:
        self._candidates = tuple(candidates)
        self._constraints = tuple(constraints)
        self._extractor = extractor
        self._reader = reader
        self._completion, self._expected = completion, Expected(self._candidates, completion)
        self._guesses = {place: guess for place, entry in enumerate(self._candidates) if (guess := _guess(entry))}
        self.constrained = bool(self._constraints)
        self._room = (
            0
            if any(candidate.tokenizer for candidate in candidates)
            else min([SMALL_REQUEST, *(window for c in candidates if (window := c.facts.window) is not None)])
        )

    def plan(self, messages: Any, context: RequestContext | None, selection: Selection) -> Plan:
        """Plan one request.

        Args:
            messages: Any accepted shape.
            context: What comes with them.
            selection: The candidates that were asked for.

        Raises:
            InvalidRequestError: There is nothing to score.
            NoCandidateError: The constraints and needs leave nobody.
        """
        context = checked(context)
        turns = self._reader.turns(messages)
        text, notes = extract_from_turns(turns, self._extractor)
        needs = find_needs(turns, context)
        indices, excluded = selection.indices, selection.excluded
        asked = [self._candidates[index] for index in indices]
        costs = self._expected.costs(text, needs, indices, visible=self._limit(context) is not None)
        if out := self._strike(asked, needs, costs, context):
            excluded = {**excluded, **out}
            left = [position for position, candidate in enumerate(asked) if candidate.name not in out]
            if not left:
                raise NoCandidateError(nobody(out), excluded)
            indices = tuple([indices[position] for position in left])
            costs = [costs[position] for position in left]
            asked = [asked[position] for position in left]
        return Plan(
            text,
            (
                *notes,
                *[self._guesses[index] for index in indices if index in self._guesses],
                *_doubts(asked, needs),
                *_unchecked(asked, self._rules(context)),
                *_dearer(asked, costs, self._limit(context)),
            ),
            needs,
            indices,
            excluded,
            costs,
            PolicyRequest(context.thread, turn_key(turns), needs.prompt_tokens),
        )

    def exclude(
        self, candidates: Sequence[Candidate], messages: Any, context: RequestContext | None
    ) -> tuple[dict[str, Exclusion], list[str]]:
        """Who may not answer a request, without a score; and who may, the cheapest first, then in the order given.

        What is forbidden is forbidden whatever the messages are: those that cannot be read need nothing, and exempt
        nobody.

        Raises:
            ConfigurationError: The context cannot be read.
        """
        context = checked(context)
        try:
            turns = self._reader.turns(messages)
            needs = find_needs(turns, context)
            text = extract_from_turns(turns, self._extractor)[0]
        except Exception:
            text, needs = "", Needs(metadata=context.metadata, answer_tokens=context.answer_tokens)
        visible = self._limit(context) is not None
        costs = Expected(candidates, self._completion).costs(text, needs, range(len(candidates)), visible=visible)
        excluded = self._strike(candidates, needs, costs, context)
        usd = _by_name(candidates, costs)
        able = [candidate.name for candidate in candidates if candidate.name not in excluded]
        return excluded, sorted(able, key=lambda name: usd.get(name, float("inf")))

    def _rules(self, context: RequestContext) -> tuple[Constraints, ...]:
        own = () if context.constraints is None else (context.constraints,)
        return (*self._constraints, *own, *context.demands) if own or context.demands else self._constraints

    def _limit(self, context: RequestContext) -> float | None:
        """The lowest maximum price that holds, in USD."""
        limits = [rule.max_usd_per_request for rule in self._rules(context) if rule.max_usd_per_request is not None]
        return min(limits, default=None)

    def _strike(
        self, asked: Sequence[Candidate], needs: Needs, costs: Sequence[Cost | None], context: RequestContext
    ) -> dict[str, Exclusion]:
        rules = self._rules(context)
        free = not rules and not needs.abilities and needs.answer_tokens is None and not context.excluded
        if free and needs.most_tokens + ANSWER_TOKENS <= self._room:
            return {}  # Nothing is asked for, and it fits everywhere.
        out = {candidate.name: why for candidate in asked if (why := context.excluded.get(candidate.name))}
        least = None
        if self._limit(context) is not None:
            least = {entry.name: cost.least for entry, cost in zip(asked, costs, strict=True) if cost is not None}
        left = [candidate for candidate in asked if candidate.name not in out] if out else asked
        return {**out, **strike(left, needs, rules, least)}


def scored(plan: Plan, candidates: Sequence[Candidate], scores: Sequence[float], doubts: Doubts) -> list[Scored]:
    """What the policy knows about each candidate of ``plan``, best first, equal scores by price and name."""
    found = [
        Scored(
            candidate.name,
            score,
            None if cost is None else cost.total,
            candidate.facts.latency_ms,
            None if cost is None else cost.input,
            None if cost is None else cost.cached_input,
            doubts.interval(candidate.name, score),
        )
        for candidate, score, cost in zip(
            [candidates[index] for index in plan.indices], scores, plan.costs, strict=True
        )
    ]
    found.sort(key=_rank)
    return found


def turn_key(turns: Sequence[Turn]) -> str:
    """Identifies the user's last turn: the same through all calls of an agent on it, another for the next turn.

    What agents put into user turns (results of tools, reminders) makes no turn.

    Args:
        turns: As :meth:`~modelsat.request.envelopes.EnvelopeReader.turns` returns them.
    """
    said = [turn.text for turn in turns if turn.role == "user" and (turn.text.strip() or turn.attachments)]
    last = said[-1] if said else ""
    key = f"{len(said)} {sum(map(len, said))} {last[:_TURN_CHARACTERS]} {last[-_TURN_CHARACTERS:]}"
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _rank(candidate: Scored) -> tuple[float, float, str]:
    return (-candidate.score, float("inf") if candidate.cost is None else candidate.cost, candidate.name)


def checked(context: Any) -> RequestContext:
    """``context`` itself, or an empty one; raises :class:`ConfigurationError` for another kind of object."""
    if context is None:
        return NO_CONTEXT
    if not isinstance(context, RequestContext):
        raise ConfigurationError(f"context must be a RequestContext, not {type(context).__name__}")
    return context


def _by_name(candidates: Sequence[Candidate], costs: Sequence[Cost | None]) -> dict[str, float]:
    return {candidate.name: cost.total for candidate, cost in zip(candidates, costs, strict=True) if cost is not None}


def nobody(excluded: Mapping[str, Exclusion]) -> str:
    """The text of an error that says why no candidate is left."""
    named = list(excluded.items())[:_NAMED]
    more = f"; and {len(excluded) - len(named)} more" if len(excluded) > len(named) else ""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in named)
    return f"no candidate is left to choose from. {reasons}{more}"


def _guess(candidate: Candidate) -> str:
    """A note on a model that nobody has measured; empty for any other."""
    profile = candidate.profile
    if not profile.estimated_from:
        return ""
    return f"estimated, as nobody has measured it: {candidate.name} (from {', '.join(profile.estimated_from)})"


def _doubts(candidates: Sequence[Candidate], needs: Needs) -> tuple[str, ...]:
    """Notes on a needed ability that nobody is known to have, and on a long answer."""
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


def _dearer(candidates: Sequence[Candidate], costs: Sequence[Cost | None], limit: float | None) -> tuple[str, ...]:
    """A note on who keeps to a maximum price only if it reasons less than is assumed."""
    if limit is None:
        return ()
    found = [
        f"{candidate.name} ({cost.total:.2g} USD)"
        for candidate, cost in zip(candidates, costs, strict=True)
        if cost is not None and cost.total > limit
    ]
    named = ", ".join(found[:_NAMED])
    return (f"more than {limit:g} USD with the hidden reasoning that is assumed: {named}",) if found else ()


def _unchecked(candidates: Sequence[Candidate], rules: Sequence[Constraints]) -> tuple[str, ...]:
    """A note where providers are denied and it is not known who serves a candidate."""
    if not any(rule.deny_providers for rule in rules):
        return ()
    unknown = [candidate.name for candidate in candidates if candidate.facts.provider is None]
    named = ", ".join(unknown[:_NAMED])
    return (f"deny_providers could not be checked, provider unknown: {named}",) if unknown else ()
