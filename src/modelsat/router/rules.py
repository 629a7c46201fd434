"""The rules that a router decides by: policy and constraints, and those that narrow a request before it is scored."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from modelsat._logging import ThrottledLog
from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError
from modelsat.policies import Policy, resolve_policy
from modelsat.policies.resolve import GivenPolicy, PolicyFile, read_if_file, spell_policy
from modelsat.request.constraints import Constraints
from modelsat.request.context import RequestContext
from modelsat.request.envelopes import EnvelopeReader
from modelsat.request.needs import Needs, find_needs
from modelsat.request.routing_rules import PATTERN_S, RoutingRules, Told, excluded_by, names_of
from modelsat.router.plan import Planner, checked
from modelsat.validation import plain

logger = logging.getLogger("modelsat")


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy with its constraints."""

    policy: Policy
    constraints: tuple[Constraints, ...]  # who may: all of these hold
    version: str  # hash of both and of the candidates' facts, hex
    fitted_to: str | None = None  # version of the weights that a policy file was fitted to, if it names one


def resolve_rules(
    policy: GivenPolicy,
    constraints: Constraints | Mapping[str, Any] | None,
    candidates: Sequence[Candidate],
    routing: RoutingRules | None = None,
) -> Rules:
    """Read policy and constraints, and check that they fit the candidates; those of a policy file hold besides.

    Raises:
        ConfigurationError: Either cannot be read, or the policy weighs costs and a candidate has no price.
    """
    rules = [] if constraints is None else [Constraints.of(constraints)]
    file = read_if_file(policy)
    fitted_to = None
    if isinstance(file, PolicyFile):
        policy, fitted_to = file.policy, file.fitted_to
        if file.constraints is not None:
            rules.insert(0, file.constraints)
    resolved = resolve_policy(policy)
    unpriced = [candidate.name for candidate in candidates if not candidate.facts.priced]
    if unpriced and getattr(resolved, "needs_prices", False):
        raise ConfigurationError(
            f"policy {resolved.name!r} weighs costs, and no price is known for {', '.join(unpriced)}: give it, "
            f"facts={{{unpriced[0]!r}: {{'input_usd_per_mtok': 0.5, 'output_usd_per_mtok': 1.5}}}} (0 if it costs "
            "nothing; on the command line the same as JSON, --facts FILE.json), or leave the candidate out"
        )
    named = sorted(candidates, key=lambda candidate: candidate.name)
    facts = [[candidate.name, plain(candidate.facts, ["origins"])] for candidate in named]
    rows: list[Any] = [spell_policy(resolved), [plain(rule) for rule in rules], *facts]
    if routing:
        rows.append([plain(rule) for rule in routing.rules])
    return Rules(resolved, tuple(rules), _hash(rows), fitted_to)


def profiles_version(candidates: Sequence[Candidate]) -> str:
    """Hash of the candidates' names and figures, hex."""
    return _hash(sorted((candidate.name, candidate.profile.digest) for candidate in candidates))


def _hash(rows: Any) -> str:
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]


class Narrowed(NamedTuple):
    """What rules made of a request: its context, the names of those that applied, and notes."""

    context: RequestContext
    names: tuple[str, ...]
    notes: tuple[str, ...]


class Ruler:
    """Applies rules, in order; names in rules that are not candidates are warned of. Thread-safe."""

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

    def narrow(self, messages: Any, context: RequestContext | None, among: Sequence[str] | None) -> Narrowed:
        """Narrow what comes with ``messages`` by every rule that holds of them, in order.

        A rule that would leave nobody ``among`` those asked for (all, if none of them is known) is passed over with a
        note; a constraint of its own holds all the same. Messages that cannot be read have no text, and exempt nobody
        from rules on other things.

        Raises:
            ConfigurationError: The context cannot be read.
        """
        wanted = {among} if isinstance(among, str) else None if among is None else set(among)
        asked = [c for c in self._candidates if wanted is None or c.name in wanted] or self._candidates
        context, names, notes = checked(context), list[str](), list[str]()
        try:
            turns = self._reader.turns(messages)
            told = Told(turns, find_needs(turns, context))
        except Exception:  # the planner says what is wrong with them
            told = Told((), Needs(metadata=context.metadata, answer_tokens=context.answer_tokens))
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
            fewer = len(narrowed.excluded) > len(context.excluded)
            if fewer and not self._planner.exclude(asked, messages, narrowed)[1]:
                notes.append(f"{rule.name!r} would leave nobody who may answer, and was passed over")
                if rule.then.constraints is None:
                    continue
            else:
                context = narrowed
            names.append(rule.name)
        return Narrowed(context, tuple(names), tuple(notes))
