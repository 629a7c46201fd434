"""The rules that a router decides by: its policy and its constraints, wherever they were given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelsat.candidates.candidate import Candidate
from modelsat.errors import ConfigurationError
from modelsat.policies import Policy, resolve_policy
from modelsat.policies.resolve import GivenPolicy, PolicyFile, read_if_file, spell_policy
from modelsat.request.constraints import Constraints
from modelsat.request.routing_rules import RoutingRules
from modelsat.validation import plain


@dataclass(frozen=True, slots=True)
class Rules:
    """A policy with its constraints.

    Attributes:
        policy: Who should answer.
        constraints: Who may: all of these hold.
        version: Hash of both and of the candidates' facts, hex.
        fitted_to: Version of the weights that a policy file was fitted to, if it names one.
    """

    policy: Policy
    constraints: tuple[Constraints, ...]
    version: str
    fitted_to: str | None = None


def resolve_rules(
    policy: GivenPolicy,
    constraints: Constraints | Mapping[str, Any] | None,
    candidates: Sequence[Candidate],
    routing: RoutingRules | None = None,
) -> Rules:
    """Read policy and constraints, and check that they fit the candidates.

    A policy file may bring constraints of its own: they hold besides the given ones.

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
    if getattr(resolved, "needs_prices", False):
        _check_prices(resolved, candidates)
    return Rules(resolved, tuple(rules), _version(resolved, rules, candidates, routing), fitted_to)


def profiles_version(candidates: Sequence[Candidate]) -> str:
    """Hash of the candidates' names and figures, hex."""
    rows = sorted((candidate.name, candidate.profile.digest) for candidate in candidates)
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]


def _check_prices(policy: Policy, candidates: Sequence[Candidate]) -> None:
    unpriced = [candidate.name for candidate in candidates if not candidate.facts.priced]
    if unpriced:
        raise ConfigurationError(
            f"policy {policy.name!r} weighs costs, and no price is known for {', '.join(unpriced)}: give it, "
            f"facts={{{unpriced[0]!r}: {{'input_usd_per_mtok': 0.5, 'output_usd_per_mtok': 1.5}}}} (0 if it costs "
            "nothing; on the command line the same as JSON, --facts FILE.json), or leave the candidate out"
        )


def _version(
    policy: Policy, constraints: Sequence[Constraints], candidates: Sequence[Candidate], routing: RoutingRules | None
) -> str:
    rows: list[Any] = [spell_policy(policy), [plain(rule) for rule in constraints]]
    rows.extend(
        sorted(
            ([candidate.name, plain(candidate.facts, ["origins"])] for candidate in candidates), key=lambda row: row[0]
        )
    )
    if routing:
        rows.append(routing.plain())
    return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()[:12]
