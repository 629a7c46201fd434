"""Names of models as logs spell them, matched to the candidates that they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from modelsat.candidates import Candidate
from modelsat.capability.efforts import split_effort
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.errors import ConfigurationError, UnknownModelError

_LISTED = 8


class NameMatcher:
    """Finds the candidates that a logged name means: the one of this name, or else all that are this model.

    Spellings are matched as everywhere (:meth:`Registry.find <modelsat.capability.registry.Registry.find>`): providers,
    dates, case and punctuation may differ.

    Args:
        candidates: The router's.
        registry: Where names are looked up; the shipped registry if not given. The candidates' profiles come first.

    Attributes:
        unmatched: How often each name was met that means no candidate.
        matched: How many outcomes were matched.
    """

    def __init__(self, candidates: Iterable[Candidate], registry: Registry | None = None) -> None:
        self._candidates = {candidate.name: candidate for candidate in candidates}
        profiles = {candidate.profile.model: candidate.profile for candidate in self._candidates.values()}
        self._registry = (registry or Registry.default()).with_profiles(profiles.values())
        self._known: dict[str, tuple[str, ...]] = {name: (name,) for name in self._candidates}
        self.unmatched: Counter[str] = Counter()
        self.matched = 0

    def candidates_of(self, name: str) -> tuple[str, ...]:
        """Names of the candidates that are the model; none if there is none."""
        if name not in self._known:
            self._known[name] = self._find(name)
        return self._known[name]

    def outcomes(self, logged: Mapping[str, float]) -> dict[str, float]:
        """Outcomes by candidate; a candidate's own name counts before other spellings, the rest are counted."""
        found: dict[str, float] = {}
        for name, score in sorted(logged.items(), key=lambda entry: entry[0] in self._candidates):
            owners = self.candidates_of(name)
            found.update(dict.fromkeys(owners, score))
            self.matched += bool(owners)
            if not owners:
                self.unmatched[name] += 1
        return found

    def check(self) -> None:
        """Refuse outcomes none of which is one of a candidate.

        Raises:
            ConfigurationError: The message lists the names, and the candidates.
        """
        if self.unmatched and not self.matched:
            raise ConfigurationError(
                f"no outcome belongs to a candidate: the outcomes are of {self.listed()}; the candidates are "
                f"{', '.join(self._candidates)}"
            )

    def listed(self) -> str:
        """The unmatched names with their counts, most frequent first."""
        names = [f"{name} ({count:,})" for name, count in self.unmatched.most_common(_LISTED)]
        more = len(self.unmatched) - len(names)
        return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")

    def _find(self, name: str) -> tuple[str, ...]:
        try:
            profile = self._registry.find(name)
        except UnknownModelError:
            return ()
        same = [candidate for candidate in self._candidates.values() if candidate.profile.model == profile.model]
        exact = [candidate.name for candidate in same if candidate.profile.effort == profile.effort]
        return tuple(exact if exact or split_effort(name)[1] else (candidate.name for candidate in same))


def find_profiles(models: Sequence[str], given: Sequence[CapabilityProfile]) -> dict[str, CapabilityProfile]:
    """Profiles by the models' names as logged: given ones first, then the registry's; others are absent."""
    registry = Registry.default().with_profiles(given)
    found = {}
    for model in models:
        with suppress(UnknownModelError):
            found[model] = registry.find(model)
    return found
