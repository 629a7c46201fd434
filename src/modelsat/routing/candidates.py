"""The models a router may choose from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry


@dataclass(frozen=True, slots=True)
class Candidate:
    """One model that may be chosen.

    Attributes:
        name: The name a decision carries; free to choose, e.g. a deployment's name.
        profile: What the model can do.
    """

    name: str
    profile: CapabilityProfile

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


Candidates = Sequence[str | CapabilityProfile | Candidate] | Mapping[str, str | CapabilityProfile]
"""What a router accepts: names of the registry, profiles or candidates; or {name of the choice: name or profile}."""


def resolve_candidates(candidates: Candidates, registry: Registry | None = None) -> tuple[Candidate, ...]:
    """Look up what was given and check that it makes a choice.

    Args:
        candidates: See :data:`Candidates`. Names are looked up in the registry.
        registry: Where names are looked up; the shipped one if not given, read only if a name is among the candidates.

    Raises:
        ConfigurationError: No candidates, a name twice, or an entry of an unknown kind.
        UnknownModelError: The registry has no profile under a name.
    """
    lookup = _Lookup(registry)
    resolved = tuple(_resolve(name, entry, lookup) for name, entry in _entries(candidates))
    if not resolved:
        raise ConfigurationError("a router needs at least one candidate: give model names or capability profiles")
    twice = sorted(name for name, count in Counter(c.name for c in resolved).items() if count > 1)
    if twice:
        names = ", ".join(repr(name) for name in twice)
        raise ConfigurationError(
            f"candidates must have different names, these are given more than once: {names}; "
            "pass a mapping {name of the choice: model} to use a model under several names"
        )
    return resolved


class _Lookup:
    """The registry, read at the first name."""

    def __init__(self, registry: Registry | None) -> None:
        self._registry = registry

    def __call__(self, name: str) -> CapabilityProfile:
        if not name.strip():
            raise ConfigurationError("a candidate's name is blank")
        if self._registry is None:
            from modelsat.capability.registry import Registry

            self._registry = Registry.default()
        return self._registry.find(name)


def _entries(candidates: Any) -> Iterable[tuple[str | None, Any]]:
    if isinstance(candidates, Mapping):
        return list(candidates.items())
    if isinstance(candidates, (str, bytes, CapabilityProfile, Candidate)) or not isinstance(candidates, Iterable):
        raise ConfigurationError(
            f"candidates must be a list of names or profiles, or a mapping, not a single {type(candidates).__name__}"
        )
    return [(None, entry) for entry in candidates]


def _resolve(name: str | None, entry: Any, lookup: _Lookup) -> Candidate:
    if isinstance(entry, Candidate):
        return entry if name is None else Candidate(name, entry.profile)
    if isinstance(entry, CapabilityProfile):
        return Candidate(entry.model if name is None else name, entry)
    if isinstance(entry, str):
        return Candidate(entry if name is None else name, lookup(entry))
    label = "a candidate" if name is None else f"candidate {name!r}"
    raise ConfigurationError(
        f"{label} must be a model name, a CapabilityProfile or a Candidate, not {type(entry).__name__}"
    )
