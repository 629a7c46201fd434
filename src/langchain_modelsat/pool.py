"""One selector per set of options: a router that is configured at run time loads its weights once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_modelsat.selector import ModelSATSelector
from modelsat.candidates.candidate import Candidate
from modelsat.candidates.facts import ModelFacts
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError
from modelsat.inference.base import Scorer
from modelsat.policies import GivenPolicy
from modelsat.policies.policy_file import weights_for
from modelsat.request.constraints import Constraints
from modelsat.request.conversation import last_user_turn_with_tail
from modelsat.router.router import Router

_KEPT = 64


@dataclass(frozen=True)
class Options:
    """What a router is made of.

    Attributes:
        profiles: Capability profiles by route.
        policy: Name of the policy, or the policy.
        fallback: Route that is taken when routing fails.
        strict: Raise on failures even if there is a fallback.
        weights: As :class:`~modelsat.Router` takes them.
        scorer: A scorer in place of the one loaded from ``weights``.
        extractor: Chooses the part of a conversation that is scored.
        constraints: What no policy may overrule.
        facts: Prices, limits and abilities by route.
    """

    profiles: Mapping[str, CapabilityProfile]
    policy: GivenPolicy = "best"
    fallback: str | None = None
    strict: bool = False
    weights: str | os.PathLike[str] | None = None
    scorer: Scorer | None = None
    extractor: Callable[[Sequence[Any]], str] | None = None
    constraints: Constraints | Mapping[str, Any] | None = None
    facts: Mapping[str, ModelFacts] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for options that make the same router; objects count by identity, which is quick to compare."""
        policy = self.policy if isinstance(self.policy, str) else id(self.policy)
        profiles = tuple((name, id(profile)) for name, profile in self.profiles.items())
        parts = (policy, self.fallback, self.strict, str(self.weights), id(self.scorer), id(self.extractor))
        facts = tuple((name, id(entry)) for name, entry in self.facts.items())
        return (profiles, facts, id(self.constraints), *parts)


class SelectorPool:
    """Keeps selectors, and the weights that they share. Thread-safe.

    LangChain makes a configurable model anew for every call; the pool is a field of it and is handed on.
    """

    def __init__(self) -> None:
        self._selectors: dict[tuple[Any, ...], tuple[Options, ModelSATSelector]] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()

    def get(self, options: Options) -> ModelSATSelector:
        """The selector for ``options``, made at its first use.

        Raises:
            ConfigurationError: The options contradict each other.
        """
        key = options.key
        kept = self._selectors.get(key)
        if kept is None:
            with self._lock:
                if len(self._selectors) >= _KEPT:
                    self._selectors.clear()
                # The options are kept too: their key holds identities of what must not be collected meanwhile.
                kept = self._selectors.setdefault(key, (options, self._make(options)))
        return kept[1]

    def __deepcopy__(self, memo: Any) -> SelectorPool:
        """A copied router shares the weights with the original."""
        return self

    def _make(self, options: Options) -> ModelSATSelector:
        weights = weights_for(options.weights, options.policy)
        router = Router(
            [
                Candidate(name, profile, options.facts.get(name, ModelFacts()))
                for name, profile in options.profiles.items()
            ],
            weights=weights,
            policy=options.policy,
            constraints=options.constraints,
            fallback=options.fallback,
            strict=options.strict,
            scorer=options.scorer if options.scorer is not None else self._shared_scorer(weights),
            extractor=options.extractor or last_user_turn_with_tail,
        )
        return ModelSATSelector(router=router)

    def _shared_scorer(self, weights: str | os.PathLike[str]) -> Scorer | None:
        """Weights for every router after the first, which loads its own when it is first used."""
        if not self._selectors:
            return None
        name = str(weights)
        if name not in self._scorers:
            from modelsat.inference import load_scorer

            try:
                self._scorers[name] = load_scorer(weights)
            except ModelSATError:
                return None  # The router will meet the same error and treat it as its options say.
        return self._scorers[name]
