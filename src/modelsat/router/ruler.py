"""Rules applied to one request: they narrow what comes with it, before it is planned and scored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from modelsat._logging import ThrottledLog
from modelsat.candidates.candidate import Candidate
from modelsat.request.context import RequestContext
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.messages import Turn
from modelsat.request.needs import Needs, find_needs
from modelsat.request.routing_rules import PATTERN_S, RoutingRules, Told, excluded_by, names_of
from modelsat.router.batch import Request
from modelsat.router.plan import Planner, checked

logger = logging.getLogger("modelsat")


class Ruled(NamedTuple):
    """What rules made of a request: its context, the names of those that applied, and notes."""

    context: RequestContext
    names: tuple[str, ...]
    notes: tuple[str, ...]


class Ruler:
    """Applies rules. Thread-safe.

    Args:
        rules: The rules, in order.
        candidates: All candidates of the router; names in rules that are none of them are warned of.
        reader: Tells what a person wrote from what an agent put around it.
        planner: Knows the constraints.
    """

    def __init__(
        self, rules: RoutingRules, candidates: Sequence[Candidate], reader: EnvelopeReader, planner: Planner
    ) -> None:
        self._rules, self._reader, self._planner = rules, reader, planner
        self._candidates = tuple(candidates)
        self._log = ThrottledLog(logger)
        known = {name for candidate in candidates for name in names_of(candidate)}
        for rule in rules.rules:
            named = (*rule.then.use, *rule.then.exclude)
            if strangers := [p for p in named if not any(fnmatchcase(name, p.casefold()) for name in known)]:
                logger.warning("%s names %s, which is not a candidate here", rule.name, ", ".join(strangers))

    def narrow(self, request: Request, asked: Sequence[str] | None) -> tuple[str, ...]:
        """Put what rules made of ``request`` into it; returns notes.

        Args:
            request: The request.
            asked: Names to choose from; all if not given, or if none of them is known.

        Raises:
            ConfigurationError: What comes with the request cannot be read.
        """
        wanted = {asked} if isinstance(asked, str) else None if asked is None else set(asked)
        among = [c for c in self._candidates if wanted is None or c.name in wanted] or self._candidates
        found = self.apply(request.messages, request.context, among)
        request.context, request.rules = found.context, found.names
        return found.notes

    def apply(self, messages: Any, context: RequestContext | None, asked: Sequence[Candidate]) -> Ruled:
        """Narrow what comes with ``messages`` by every rule that holds of them, in order.

        A rule that would leave nobody is passed over with a note; a constraint of its own holds all the same. Messages
        that cannot be read have no text, and exempt nobody from rules on other things.

        Args:
            messages: As the router takes them.
            context: What comes with them.
            asked: The candidates that were asked for.

        Raises:
            ConfigurationError: The context cannot be read.
        """
        context, names, notes = checked(context), list[str](), list[str]()
        told = Told(*self._read(messages, context))
        for rule in self._rules.rules:
            late = len(told.late)
            if not rule.when.holds(told):
                continue
            if len(told.late) > late:
                note = f"the pattern of {rule.name!r} took longer than {1000 * PATTERN_S:g} ms and counts as found"
                notes.append(note)
                self._log.log(logging.WARNING, rule.name, "%s", note)
            if rule.then.constraints is not None:
                context = replace(context, demands=(*context.demands, rule.then.constraints))
            narrowed = replace(context, excluded={**excluded_by(rule, asked), **context.excluded})
            if (
                len(narrowed.excluded) > len(context.excluded)
                and not self._planner.exclude(asked, messages, narrowed)[1]
            ):
                notes.append(f"{rule.name!r} would leave nobody who may answer, and was passed over")
                if rule.then.constraints is None:
                    continue
            else:
                context = narrowed
            names.append(rule.name)
        return Ruled(context, tuple(names), tuple(notes))

    def _read(self, messages: Any, context: RequestContext) -> tuple[Sequence[Turn], Needs]:
        try:
            turns = self._reader.turns(messages)
            return turns, find_needs(turns, context)
        except Exception:  # the planner says what is wrong with them
            return (), Needs(metadata=context.metadata, answer_tokens=context.answer_tokens)
