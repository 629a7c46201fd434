"""Who answers when nothing could be scored: never one that constraints forbid."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from modelsat._logging import ThrottledLog, one_line, text_of
from modelsat.candidates.candidate import Candidate, GivenFacts, unscored_candidate
from modelsat.errors import OTHERS_RAISE, ConfigurationError, ModelSATError, NoCandidateError, RoutingError
from modelsat.request.context import RequestContext
from modelsat.request.exclusion import Exclusion
from modelsat.router.decision import Failure, foreign
from modelsat.router.plan import NOT_ASKED, Planner, asked_for, nobody

logger = logging.getLogger("modelsat")

_MESSAGE_LENGTH = 500


class FellBack(NamedTuple):
    """The part of a decision that is known when nothing was scored."""

    model: str
    excluded: Mapping[str, Exclusion]
    notes: tuple[str, ...]
    failure: Failure


class Fallback:
    """Finds who answers in place of a decision; counts and logs fallbacks. Thread-safe.

    Of each cause the first is logged at once, then at most one a minute. The fallback may be any model; ``facts`` are
    those given to the router, for one that is not a candidate.
    """

    def __init__(
        self, name: str | None, planner: Planner, candidates: Sequence[Candidate], facts: GivenFacts | None
    ) -> None:
        self._name, self._planner, self._candidates, self._facts = name, planner, candidates, facts
        self._counts: Counter[str] = Counter()
        self._log = ThrottledLog(logger)
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counter[str]:
        """How often the fallback was taken, by :attr:`Failure.kind`; a copy."""
        with self._lock:
            return self._counts.copy()

    def answer(
        self, messages: Any, context: RequestContext | None, asked: Sequence[str] | None, error: ModelSATError
    ) -> FellBack | ModelSATError:
        """Who answers after ``error``; an error where nobody is left who may.

        The fallback answers if it may. Where constraints forbid it, or it cannot take the request, the cheapest
        candidate that may answers in its place; a fallback that is only unable still goes before an error.
        """
        model, notes = str(self._name), tuple[str, ...]()
        try:
            excluded, able = self.able(messages, context, asked)
            own = self._planner.exclude([self._spare], messages, context)[0]
        except OTHERS_RAISE as unchecked:
            if self._planner.constrained or getattr(context, "constraints", None) is not None:
                return as_own(unchecked)
            excluded, able, own = {}, [], {}
        if why := own.get(model):
            if not able and why.forbidden:
                return _refused(error, {**excluded, **own})
            notes = (f"the fallback {model} " + (f"was passed over: {why}" if able else f"is itself unable: {why}"),)
            model = able[0] if able else model
        out = {name: why for name, why in {**excluded, **own}.items() if name != model}
        return FellBack(model, out, notes, self.record(model, error))

    def able(
        self, messages: Any, context: RequestContext | None, asked: Sequence[str] | None
    ) -> tuple[dict[str, Exclusion], list[str]]:
        """Who may not answer, and who may, cheapest first; of those asked for, or of all if none of them is known."""
        names = [candidate.name for candidate in self._candidates]
        try:
            wanted = set(names) if asked is None else asked_for(asked)
        except ConfigurationError:
            wanted = set(names)
        among = [candidate for candidate in self._candidates if candidate.name in wanted] or self._candidates
        excluded, able = self._planner.exclude(among, messages, context)
        return {**{name: NOT_ASKED for name in names if name not in wanted}, **excluded}, able

    def record(self, model: str, error: ModelSATError) -> Failure:
        """Count one fallback to ``model`` and log it at WARNING.

        The message of a foreign exception may quote the prompt: it stands in the decision, never in the log.
        """
        failure = Failure.of(error)
        with self._lock:
            self._counts[failure.kind] += 1
        what = failure.kind if foreign(error) else f"{failure.kind}: {failure.message}"
        self._log.log(logging.WARNING, failure.kind, "routing fell back to %s: %s", model, what)
        return failure

    @cached_property
    def _spare(self) -> Candidate:
        """The fallback, if need be as a candidate that is never scored: only its name and facts are looked at."""
        name = str(self._name)
        known = {candidate.name: candidate for candidate in self._candidates}
        return known.get(name) or unscored_candidate(name, self._facts)


def as_own(error: BaseException) -> ModelSATError:
    """``error`` as one of our own: itself, or a :class:`~modelsat.errors.RoutingError` with it as the cause."""
    if isinstance(error, ModelSATError):
        return error
    wrapped = RoutingError(one_line(f"routing failed: {type(error).__name__}: {text_of(error)}", _MESSAGE_LENGTH))
    wrapped.__cause__ = error
    return wrapped


def _refused(error: ModelSATError, excluded: Mapping[str, Exclusion]) -> ModelSATError:
    if isinstance(error, NoCandidateError):
        return error
    refused = NoCandidateError(f"{error}; and nobody may answer instead. {nobody(excluded)}", excluded)
    refused.__cause__ = error
    return refused
