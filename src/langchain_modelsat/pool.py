"""One selector per set of options: a router that is configured at run time loads its weights once."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

from langchain_modelsat.endings import Endings
from langchain_modelsat.selector import ModelSATSelector
from modelsat.candidates.candidate import Candidate
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError
from modelsat.inference.base import Scorer
from modelsat.policies.resolve import weights_for
from modelsat.router.config import RouterConfig
from modelsat.router.router import Router

_KEPT = 64

Profiles = Mapping[str, CapabilityProfile]
Facts = Mapping[str, ModelFacts]


class SelectorPool:
    """Keeps selectors, the weights that they share, and which routes say why an answer ended. Thread-safe.

    LangChain makes a configurable model for every call; the pool is a field of it and is handed on.
    """

    def __init__(self) -> None:
        self._selectors: dict[tuple[Any, ...], tuple[object, ModelSATSelector]] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()
        self.endings = Endings()

    def get(self, profiles: Profiles, facts: Facts, options: Mapping[str, Any]) -> ModelSATSelector:
        """The selector for these candidates and options, made at its first use.

        Args:
            profiles: Capability profiles by route.
            facts: Prices, limits and abilities by route.
            options: The other fields of a :class:`~modelsat.RouterConfig`.

        Raises:
            ConfigurationError: The options contradict each other.
        """
        key = (*_identities(profiles), *_identities(facts), *map(_identity, options.values()))
        kept = self._selectors.get(key)
        if kept is None:
            with self._lock:
                if len(self._selectors) >= _KEPT:
                    self._selectors.clear()
                # What was given is kept too: the key holds identities of what must not be collected meanwhile.
                given = (dict(profiles), dict(facts), dict(options))
                kept = self._selectors.setdefault(key, (given, self._make(*given)))
        return kept[1]

    def __deepcopy__(self, memo: Any) -> SelectorPool:
        """A copied router shares the weights with the original."""
        return self

    def _make(self, profiles: Profiles, facts: Facts, options: Mapping[str, Any]) -> ModelSATSelector:
        weights = weights_for(options["weights"], options["policy"])
        scorer = (
            options["scorer"] if options["scorer"] is not None else self._shared_scorer(weights, options["cache_dir"])
        )
        candidates = [Candidate(name, profile, facts.get(name, ModelFacts())) for name, profile in profiles.items()]
        return ModelSATSelector(
            router=Router(candidates, RouterConfig(**{**options, "weights": weights, "scorer": scorer}))
        )

    def _shared_scorer(
        self, weights: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None
    ) -> Scorer | None:
        """Weights for every router after the first, which loads its own when it is first used."""
        if not self._selectors:
            return None
        name = str(weights)
        if name not in self._scorers:
            from modelsat.inference import load_scorer

            try:
                self._scorers[name] = load_scorer(weights, cache_dir=cache_dir)
            except ModelSATError:
                return None  # The router will meet the same error and treat it as its options say.
        return self._scorers[name]


def _identities(given: Mapping[str, object]) -> tuple[tuple[str, int], ...]:
    return tuple((name, id(entry)) for name, entry in given.items())


def _identity(value: object) -> object:
    """Equal for options that make the same router; objects count by identity, which is quick to compare."""
    return value if isinstance(value, (str, bool, type(None))) else id(value)
