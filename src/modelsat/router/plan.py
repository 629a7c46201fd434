"""From one request to what is decided about: its text, its needs, who may answer, and what that would cost."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelsat._logging import names as listed
from modelsat.candidates.candidate import Candidate
from modelsat.candidates.completion import AnswerKind, answer_kind, expected_lengths, wished
from modelsat.errors import OTHERS_RAISE, ConfigurationError, NoCandidateError, RoutingError, UnknownModelError
from modelsat.policies import PolicyRequest, Scored
from modelsat.request.constraints import ANSWER_TOKENS, SMALL_REQUEST, Constraints, strike, unable
from modelsat.request.context import NO_CONTEXT, RequestContext
from modelsat.request.conversation import Extractor, extract_from_turns
from modelsat.request.costs import Cost, Tariff
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.exclusion import Exclusion
from modelsat.request.messages import Turn
from modelsat.request.needs import Needs, find_needs
from modelsat.router.scoring import Doubts

NOT_ASKED = Exclusion("not_asked", "not asked for")
NAMED = 12
"""How many excluded candidates an error names."""
_TURN_CHARACTERS = 2_000
_Among = tuple[tuple[int, ...], Mapping[str, Exclusion]]
"""Positions of the candidates that a call asks for, in order; the others, with the reason for each."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One request, ready to be scored."""

    text: str  # what is scored
    notes: tuple[str, ...]  # what a reader of the decision should know
    needs: Needs  # what the request needs
    indices: tuple[int, ...]  # positions of the candidates that may answer, in order
    excluded: Mapping[str, Exclusion]  # the others, with the reason for each
    costs: Sequence[Cost | None]  # expected cost of each of `indices`; `None` where its price is unknown
    request: PolicyRequest  # what the policy knows

    def tokens(self, index: int) -> dict[str, int]:
        """Estimated tokens of the prompt and, if its price is known, of the answer of the candidate at ``index``."""
        cost = self.costs[self.indices.index(index)]
        if cost is None:
            return {"prompt": self.needs.prompt_tokens}
        return {"prompt": cost.prompt_tokens, "completion": round(cost.completion_tokens)}


class Expected:
    """Expects costs for a fixed set of candidates. Thread-safe."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._candidates = candidates
        self._tariffs = [Tariff.of(candidate) for candidate in candidates]
        self._lengths: dict[tuple[AnswerKind, bool], list[float]] = {}

    def costs(self, text: str, needs: Needs, indices: Sequence[int], *, visible: bool) -> list[Cost | None]:
        """Expected cost of the candidates at ``indices``, in order; ``None`` where a price is unknown.

        With ``visible``, the answer without hidden reasoning is looked at besides.
        """
        kind, length = answer_kind(text, tools="tools" in needs.abilities), wished(text)
        whole = self._of(kind, length)
        seen = self._of(kind, length, False) if visible else whole
        return [self._tariffs[index].cost(needs, whole[index], seen[index]) for index in indices]

    def _of(self, kind: AnswerKind, length: float | None, reasoning: bool = True) -> list[float]:
        lengths = self._lengths.get((kind, reasoning)) if length is None else None
        if lengths is None:
            lengths = expected_lengths(self._candidates, kind, reasoning=reasoning, wish=length)
            if length is None:
                self._lengths[kind, reasoning] = lengths
        return lengths


class Planner:
    """Plans requests for a fixed set of candidates; all constraints hold. Thread-safe."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        constraints: Sequence[Constraints],
        extractor: Extractor,
        reader: EnvelopeReader,
    ) -> None:
        self._candidates = tuple(candidates)
        self._everyone: _Among = tuple(range(len(self._candidates))), {}
        self._constraints = tuple(constraints)
        self._extractor, self._reader = extractor, reader
        self._expected = Expected(self._candidates)
        self._guesses = {
            place: f"estimated, as nobody has measured it: {candidate.name} (from {', '.join(sources)})"
            for place, candidate in enumerate(self._candidates)
            if (sources := candidate.profile.estimated_from)
        }
        self.constrained = bool(self._constraints)
        windows = [window for candidate in candidates if (window := candidate.facts.window) is not None]
        counted = any(candidate.tokenizer for candidate in candidates)
        self._room = 0 if counted else min([SMALL_REQUEST, *windows])

    def plan(self, messages: Any, context: RequestContext | None, among: Sequence[str] | None) -> Plan:
        """Plan one request; ``among`` names the candidates to choose from, all if not given.

        Raises:
            UnknownModelError: One of those asked for is not a candidate.
            RoutingError: None is asked for.
            InvalidRequestError: There is nothing to score.
            NoCandidateError: The constraints and needs leave nobody.
        """
        indices, excluded = self._everyone if among is None else self._among(among)
        context = checked(context)
        turns = self._reader.turns(messages)
        text, notes = extract_from_turns(turns, self._extractor)
        needs = find_needs(turns, context)
        rules, limit = self._bounds(context)
        asked = [self._candidates[index] for index in indices]
        costs = self._expected.costs(text, needs, indices, visible=limit is not None)
        if out := self._strike(asked, needs, costs, context, rules, limit):
            excluded = {**excluded, **out}
            left = [position for position, candidate in enumerate(asked) if candidate.name not in out]
            if not left:
                raise NoCandidateError(nobody(out), excluded)
            indices = tuple([indices[position] for position in left])
            costs = [costs[position] for position in left]
            asked = [asked[position] for position in left]
        guesses = [self._guesses[index] for index in indices if index in self._guesses] if self._guesses else ()
        about = (*notes, *guesses, *_notes(asked, needs, costs, rules, limit))
        request = PolicyRequest(context.thread, turn_key(turns), needs.prompt_tokens)
        return Plan(text, about, needs, indices, excluded, costs, request)

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
        except OTHERS_RAISE:
            text, needs = "", Needs(metadata=context.metadata, answer_tokens=context.answer_tokens)
        rules, limit = self._bounds(context)
        costs = Expected(candidates).costs(text, needs, range(len(candidates)), visible=limit is not None)
        excluded = self._strike(candidates, needs, costs, context, rules, limit)
        usd = {entry.name: cost.total for entry, cost in zip(candidates, costs, strict=True) if cost is not None}
        able = [candidate.name for candidate in candidates if candidate.name not in excluded]
        return excluded, sorted(able, key=lambda name: usd.get(name, float("inf")))

    def _among(self, asked: Sequence[str]) -> _Among:
        names = [candidate.name for candidate in self._candidates]
        wanted = asked_for(asked)
        if unknown := wanted.difference(names):
            raise UnknownModelError(
                f"not among this router's candidates: {listed(unknown)}; it has: {', '.join(names)}"
            )
        if not wanted:
            raise RoutingError("no candidate is left to choose from: 'candidates' is empty, leave it out to allow all")
        indices = tuple(position for position, name in enumerate(names) if name in wanted)
        return indices, {name: NOT_ASKED for name in names if name not in wanted}

    def _bounds(self, context: RequestContext) -> tuple[tuple[Constraints, ...], float | None]:
        """The constraints that hold, and the lowest maximum price among them, in USD."""
        own = () if context.constraints is None else (context.constraints,)
        rules = (*self._constraints, *own, *context.demands)
        return rules, min([r.max_usd_per_request for r in rules if r.max_usd_per_request is not None], default=None)

    def _strike(
        self,
        asked: Sequence[Candidate],
        needs: Needs,
        costs: Sequence[Cost | None],
        context: RequestContext,
        rules: Sequence[Constraints],
        limit: float | None,
    ) -> dict[str, Exclusion]:
        free = not rules and not needs.abilities and needs.answer_tokens is None and not context.excluded
        if free and needs.most_tokens + ANSWER_TOKENS <= self._room:
            return {}  # Nothing is asked for, and it fits everywhere.
        out = {candidate.name: why for candidate in asked if (why := context.excluded.get(candidate.name))}
        least = None
        if limit is not None:
            least = {entry.name: cost.least for entry, cost in zip(asked, costs, strict=True) if cost is not None}
        left = [candidate for candidate in asked if candidate.name not in out] if out else asked
        return {**out, **strike(left, needs, rules, least)}


def scored(plan: Plan, candidates: Sequence[Candidate], scores: Sequence[float], doubts: Doubts) -> list[Scored]:
    """What the policy knows about each candidate of ``plan``, best first, equal scores by price and name."""
    chosen = [candidates[index] for index in plan.indices]
    intervals = doubts.intervals(dict(zip([candidate.name for candidate in chosen], scores, strict=True)))
    found = [
        Scored(
            candidate.name,
            score,
            None if cost is None else cost.total,
            candidate.facts.latency_ms,
            None if cost is None else cost.input,
            None if cost is None else cost.cached_input,
            intervals[candidate.name],
        )
        for candidate, score, cost in zip(chosen, scores, plan.costs, strict=True)
    ]
    found.sort(key=lambda entry: (-entry.score, float("inf") if entry.cost is None else entry.cost, entry.name))
    return found


def asked_for(among: Any) -> set[str]:
    """The names that a call chooses among.

    Raises:
        ConfigurationError: It gives something else.
    """
    if isinstance(among, str):
        return {among}
    if isinstance(among, bytes) or not isinstance(among, Iterable):
        raise ConfigurationError(f"candidates must be a list of names, not {type(among).__name__}")
    return set(map(str, among))


def turn_key(turns: Sequence[Turn]) -> str:
    """Identifies the user's last turn: the same through all calls of an agent on it, another for the next turn.

    What agents put into user turns (results of tools, reminders) makes no turn.
    """
    said = [turn.text for turn in turns if turn.role == "user" and (turn.text.strip() or turn.attachments)]
    last = said[-1] if said else ""
    key = f"{len(said)} {sum(map(len, said))} {last[:_TURN_CHARACTERS]} {last[-_TURN_CHARACTERS:]}"
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def checked(context: Any) -> RequestContext:
    """``context`` itself, or an empty one; raises :class:`ConfigurationError` for another kind of object."""
    if context is None:
        return NO_CONTEXT
    if not isinstance(context, RequestContext):
        raise ConfigurationError(f"context must be a RequestContext, not {type(context).__name__}")
    return context


def nobody(excluded: Mapping[str, Exclusion]) -> str:
    """The text of an error that says why no candidate is left."""
    named = list(excluded.items())[:NAMED]
    more = f"; and {len(excluded) - len(named)} more" if len(excluded) > len(named) else ""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in named)
    return f"no candidate is left to choose from. {reasons}{more}"


def _notes(
    candidates: Sequence[Candidate],
    needs: Needs,
    costs: Sequence[Cost | None],
    rules: Sequence[Constraints],
    limit: float | None,
) -> list[str]:
    """What a reader should know of those who may answer: what is unknown, cannot be kept or rests on an assumption."""
    notes = [
        f"it is not known whether any candidate can do {ability} ({why})"
        for ability, why in needs.abilities.items()
        if not any(ability in candidate.facts.abilities for candidate in candidates)
    ]
    if needs.answer_tokens and not any(unable(candidate, needs) is None for candidate in candidates):
        notes.append(
            f"an answer of {needs.answer_tokens:,} tokens is more than any candidate allows: chosen regardless of it"
        )
    if any(rule.deny_providers for rule in rules):
        unknown = [candidate.name for candidate in candidates if candidate.facts.provider is None]
        if unknown:
            notes.append(f"deny_providers could not be checked, provider unknown: {', '.join(unknown[:NAMED])}")
    if limit is not None:
        dearer = [
            f"{candidate.name} ({cost.total:.2g} USD)"
            for candidate, cost in zip(candidates, costs, strict=True)
            if cost is not None and cost.total > limit
        ]
        if dearer:
            named = ", ".join(dearer[:NAMED])
            notes.append(f"more than {limit:g} USD with the hidden reasoning that is assumed: {named}")
    return notes
