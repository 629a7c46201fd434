"""Trials on live traffic: a shadow decides beside the model that answers, a canary answers some conversations.

An experiment sets policies against each other. A conversation stays in its arm, chosen by the hash of its identifier.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelsat.errors import ConfigurationError
from modelsat.policies import Choice, Policy, Scored, resolve_policy
from modelsat.validation import share

if TYPE_CHECKING:
    from modelsat.router.config import RouterConfig

SHADOW, CANARY = "shadow", "canary"
ELSEWHERE = "(elsewhere)"
"""As ``shadow``: who answers is not ours to choose, and is reported once it is known (:meth:`Learning.answered`)."""
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,49}")


@dataclass(frozen=True, slots=True)
class Arms:
    """How conversations are assigned."""

    # the candidate that answers where the router only decides, or `ELSEWHERE`; `None` without a shadow
    shadow: str | None = None
    canary: float = 0.0  # share of conversations in which the router's choice answers all the same, 0..1
    policies: Mapping[str, Policy] | None = None  # policy of every arm of an experiment

    @classmethod
    def of(cls, config: RouterConfig, names: Sequence[str]) -> Arms | None:
        """From a router's options; ``None`` without a trial.

        Raises:
            ConfigurationError: Options contradict each other, or a policy cannot be read.
        """
        if config.experiment is not None:
            if config.shadow is not None or config.canary is not None:
                raise ConfigurationError("experiment: give either an experiment, or a shadow with or without a canary")
            return cls(policies=_experiment(config.experiment))
        if config.shadow is None:
            if config.canary is not None:
                raise ConfigurationError("canary needs shadow=, the candidate that answers all other conversations")
            return None
        if config.shadow not in (*names, ELSEWHERE):
            raise ConfigurationError(f"shadow: {config.shadow!r} is none of the candidates: {', '.join(names)}")
        return cls(config.shadow, 0.0 if config.canary is None else share(config.canary, "canary", 0.05))

    def arm(self, key: str) -> str:
        """The arm of a conversation, by its identifier, or of a request without one, by its turn."""
        digest = hashlib.blake2b(f"arm {key}".encode("utf-8", "replace"), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        if self.policies is not None:
            names = sorted(self.policies)
            return names[int(place * len(names))]
        return CANARY if place < self.canary else SHADOW

    def policy(self, arm: str, default: Policy) -> Policy:
        """The policy that decides in an arm."""
        return default if self.policies is None else self.policies[arm]

    def elsewhere(self, arm: str) -> bool:
        """Whether who answers in an arm is chosen elsewhere."""
        return arm == SHADOW and self.shadow == ELSEWHERE

    def answerer(self, arm: str, choice: Choice, ranked: Sequence[Scored]) -> tuple[str, str]:
        """Who answers, and a note where the shadow's model may not."""
        if arm != SHADOW or self.shadow in (None, ELSEWHERE, choice.name):
            return choice.name, ""
        if all(candidate.name != self.shadow for candidate in ranked):
            return choice.name, f"the shadow's model {self.shadow} may not answer this request: routed"
        return str(self.shadow), ""


def _experiment(given: Any) -> Mapping[str, Policy]:
    if not isinstance(given, Mapping) or len(given) < 2:
        raise ConfigurationError(
            'experiment: name two policies or more, e.g. {"a": "best", "b": "cheapest(target=0.8)"}'
        )
    if strangers := [name for name in given if not isinstance(name, str) or not _NAME.fullmatch(name)]:
        raise ConfigurationError(f"experiment: {strangers[0]!r} cannot name an arm: use letters, digits, '-', '_'")
    if taken := sorted({SHADOW, CANARY} & set(given)):
        raise ConfigurationError(f"experiment: an arm cannot be called {taken[0]!r}")
    found = {}
    for name, policy in given.items():
        try:
            found[name] = resolve_policy(policy)
        except ConfigurationError as error:
            raise ConfigurationError(f"experiment, arm {name!r}: {error}") from error
    return found
