"""The models a router may choose from."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from modelsat.candidates.facts import ModelFacts
from modelsat.capability.efforts import split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that may be chosen.

    Attributes:
        name: The name a decision carries; free to choose, e.g. a deployment's name.
        profile: What the model can do.
        facts: Its price, limits and abilities.
        tokenizer: Counts the tokens of a text as this model does; without one they are estimated.
    """

    name: str
    profile: CapabilityProfile
    facts: ModelFacts = field(default_factory=ModelFacts)
    tokenizer: Callable[[str], int] | None = None

    def __post_init__(self) -> None:
        """Refuse names and profiles that cannot be used.

        Raises:
            ConfigurationError: The name is blank, or the profile is not a ``CapabilityProfile``.
        """
        if not isinstance(self.name, str) or not self.name.strip():
            raise ConfigurationError(f"a candidate needs a name, not {self.name!r}")
        if not isinstance(self.profile, CapabilityProfile):
            raise ConfigurationError(
                f"candidate {self.name!r} needs a CapabilityProfile, not {type(self.profile).__name__}"
            )
        object.__setattr__(self, "facts", ModelFacts.of(self.facts, f"facts of {self.name!r}"))

    @property
    def effort(self) -> str:
        """Reasoning effort to ask the model for; empty to leave it to the provider."""
        return self.profile.effort


Candidates = Sequence[str | CapabilityProfile | Candidate] | Mapping[str, str | CapabilityProfile]
"""What a router accepts: names of the registry, profiles or candidates; or {name of the choice: name or profile}."""


UnknownModels = Literal["error", "estimate"]
"""What to do with a name that nobody has measured: refuse it, or estimate it from its relatives."""

GivenFacts = Mapping[str, ModelFacts | Mapping[str, Any]]
"""Facts by candidate, or by the model's own name."""


def resolve_candidates(
    candidates: Candidates,
    registry: Registry | None = None,
    facts: GivenFacts | None = None,
    spare: str | None = None,
    unknown_models: UnknownModels = "error",
) -> tuple[Candidate, ...]:
    """Look up what was given and check that it makes a choice.

    Args:
        candidates: See :data:`Candidates`. Names are looked up in the registry.
        registry: Where names are looked up; the shipped one if not given, read only if a name is among the candidates.
        facts: What is known besides, see :data:`GivenFacts`. It goes before a candidate's own facts; what neither
            says is looked up in the table that comes with the package.
        spare: A model that ``facts`` may name besides the candidates: the fallback.
        unknown_models: ``"estimate"`` takes a model that nobody has measured for what its relatives or its price say
            (:mod:`modelsat.capability.estimate`); decisions have a note of it.

    Raises:
        ConfigurationError: No candidates, a name twice, an entry of an unknown kind, or facts that cannot be right or
            name no candidate.
        UnknownModelError: The registry has no profile under a name.
    """
    if unknown_models not in get_args(UnknownModels):
        raise ConfigurationError(f'unknown_models must be "error" or "estimate", not {unknown_models!r}')
    entries = _entries(candidates)
    if registry is None and any(isinstance(entry, str) for _, entry in entries):
        from modelsat.capability.registry import Registry

        registry = Registry.default()
    resolved = [_resolve(name, entry, registry, unknown_models == "estimate") for name, entry in entries]
    if not resolved:
        raise ConfigurationError("a router needs at least one candidate: give model names or capability profiles")
    twice = sorted(name for name, count in Counter(c.name for c in resolved).items() if count > 1)
    if twice:
        names = ", ".join(repr(name) for name in twice)
        raise ConfigurationError(
            f"candidates must have different names, these are given more than once: {names}; "
            "pass a mapping {name of the choice: model} to use a model under several names"
        )
    given = _given_facts(facts, resolved, spare)
    found = tuple(_with_facts(candidate, entry, given) for candidate, (_, entry) in zip(resolved, entries, strict=True))
    for candidate in found:
        if candidate.facts.expired():
            _warn_once(candidate.name, candidate.facts.deprecated_on, candidate.facts.successor)
    return found


@lru_cache(maxsize=1_024)
def _warn_once(name: str, day: str | None, successor: str | None) -> None:
    instead = f"; its provider names {successor} in its place" if successor else ""
    logger.warning("%s: its provider shut it down on %s%s", name, day, instead)


def unscored_candidate(name: str, facts: GivenFacts | None = None) -> Candidate:
    """A candidate by its name and facts alone, for checks that look at nothing else; it must never be scored."""
    profile = CapabilityProfile.from_benchmarks(name, {"unknown": 0.0})
    given = {name: ModelFacts.of(facts[name], f"facts of {name!r}")} if facts and name in facts else {}
    return _with_facts(Candidate(name, profile), name, given)


def _given_facts(facts: Any, candidates: Sequence[Candidate], spare: str | None) -> dict[str, ModelFacts]:
    if facts is None:
        return {}
    if not isinstance(facts, Mapping):
        raise ConfigurationError(f"facts must be a mapping {{candidate: facts}}, not {type(facts).__name__}")
    known = {spare, *(name for candidate in candidates for name in (candidate.name, candidate.profile.model))}
    if strangers := sorted(str(name) for name in facts if name not in known):
        raise ConfigurationError(
            f"facts names no candidate: {', '.join(strangers)}; the candidates are "
            f"{', '.join(candidate.name for candidate in candidates)}"
        )
    return {name: ModelFacts.of(entry, f"facts of {name!r}") for name, entry in facts.items()}


def _with_facts(candidate: Candidate, entry: Any, given: Mapping[str, ModelFacts]) -> Candidate:
    """``candidate`` with all that is known: given, its own, and the shipped table's under the names it goes by."""
    facts = candidate.facts
    for name in (candidate.profile.model, candidate.name):  # the candidate's own name counts last, so most
        if name in given:
            facts = given[name].over(facts)
    written = [entry] if isinstance(entry, str) else []
    names = dict.fromkeys(split_effort(name)[0] for name in (*written, candidate.profile.model, candidate.name))
    served = [f"{facts.provider}/{name}" for name in names] if facts.provider else []
    for name in (*served, *names):
        listed = known_facts(name)
        if listed.origins:
            facts = facts.over(listed)
            break
    return candidate if facts is candidate.facts else replace(candidate, facts=facts)


def estimated(model: str, registry: Registry) -> CapabilityProfile | None:
    """What relatives, or else the price in the shipped table, say of a model that nobody has measured."""
    from modelsat.capability.estimate import estimate

    return estimate(model, registry, price=known_facts(model).output_usd_per_mtok)


def _entries(candidates: Any) -> list[tuple[str | None, Any]]:
    if isinstance(candidates, Mapping):
        return list(candidates.items())
    if isinstance(candidates, (str, bytes, CapabilityProfile, Candidate)) or not isinstance(candidates, Iterable):
        raise ConfigurationError(
            f"candidates must be a list of names or profiles, or a mapping, not a single {type(candidates).__name__}"
        )
    return [(None, entry) for entry in candidates]


def _resolve(name: str | None, entry: Any, registry: Registry | None, estimates: bool) -> Candidate:
    if isinstance(entry, Candidate):
        return entry if name is None else replace(entry, name=name)
    if isinstance(entry, CapabilityProfile):
        return Candidate(entry.model if name is None else name, entry)
    if isinstance(entry, str) and registry is not None:
        return Candidate(entry if name is None else name, _profile(entry, registry, estimates))
    label = "a candidate" if name is None else f"candidate {name!r}"
    raise ConfigurationError(
        f"{label} must be a model name, a CapabilityProfile or a Candidate, not {type(entry).__name__}"
    )


def _profile(name: str, registry: Registry, estimates: bool) -> CapabilityProfile:
    if not name.strip():
        raise ConfigurationError("a candidate's name is blank")
    if estimates and name not in registry:
        model, effort = split_effort(name)
        if (found := estimated(model, registry)) is not None:
            return found.at_effort(effort)
    return registry.find(name)


def known_facts(name: str) -> ModelFacts:
    """What the table of prices in use says about ``name``; empty facts if it says nothing.

    Found by the naming stages of the registry. A name with a provider finds that provider's offer; a bare name the
    vendor's own, or else the median over the providers that serve the model. The table is derived from LiteLLM's
    (``recipes/build_prices.py``) and read at first use.
    """
    from modelsat.candidates.fact_table import FactTable

    return FactTable.default().find(name)
