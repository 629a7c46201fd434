"""Another policy, and what happens where nobody is known to be good enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelsat.errors import AbstainedError, ConfigurationError
from modelsat.policies.base import NO_REQUEST, Choice, Policy, PolicyRequest, Scored, highest
from modelsat.policies.resolve import resolve_policy
from modelsat.request.exclusion import Exclusion
from modelsat.validation import share

_THEN = ("flag", "refuse")


@dataclass(frozen=True, slots=True)
class Abstain:
    """Another policy, which says so where the router does not know who can answer.

    Candidates whose P(success) is too uncertain are left out while another is known better. Where nobody is left, or
    the highest P(success) of those that are is too low, the router abstains: with ``then="flag"`` the other policy
    chooses all the same and the decision is marked (``abstained``); with ``"refuse"`` the decision fails with
    :class:`~modelsat.errors.AbstainedError`, so that the fallback answers, or the error is raised where there is none.

    Attributes:
        inner: The other policy; any form that :func:`~modelsat.policies.resolve_policy` reads.
        least: P(success) that the best candidate must reach, 0..1.
        widest: Width of the 90 % interval of P(success) up to which a candidate counts as known, 0..1.
        then: ``"flag"`` or ``"refuse"``.
    """

    inner: Policy
    least: float = 0.3
    widest: float = 0.5
    then: str = "flag"

    def __post_init__(self) -> None:
        """Check the parameters and read ``inner``.

        Raises:
            ConfigurationError: A parameter cannot be right.
        """
        object.__setattr__(self, "inner", resolve_policy(self.inner))
        if isinstance(self.inner, Abstain):
            raise ConfigurationError("abstain inside abstain: give the inner policy once")
        if self.then not in _THEN:
            raise ConfigurationError(f"then must be {' or '.join(map(repr, _THEN))}, not {self.then!r}")
        object.__setattr__(self, "least", share(self.least, "least", 0.3))
        object.__setattr__(self, "widest", share(self.widest, "widest", 0.5))

    @property
    def name(self) -> str:
        """``"abstain"``."""
        return "abstain"

    @property
    def needs_prices(self) -> bool:
        """Whether the inner policy weighs costs."""
        return bool(getattr(self.inner, "needs_prices", False))

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose among those that are known well enough.

        Raises:
            AbstainedError: Nobody is good enough, and ``then`` is ``"refuse"``.
        """
        known = [candidate for candidate in scored if _width(candidate) <= self.widest]
        why = self._unknown(scored, known)
        if why is None:
            choice = self.inner.choose(known, request)
            doubtful = {c.name: _doubt(c) for c in scored if c not in known}
            return replace(choice, excluded={**choice.excluded, **doubtful}) if doubtful else choice
        if self.then == "refuse":
            raise AbstainedError(f"nobody is known to be good enough: {why}")
        choice = self.inner.choose(scored, request)
        return replace(choice, reason=f"not known to be good enough ({why}); {choice.reason}", abstained=True)

    def _unknown(self, scored: Sequence[Scored], known: Sequence[Scored]) -> str | None:
        """Why the router does not know who can answer; ``None`` if it does."""
        if not known:
            best = highest(scored)
            return f"P(success) {best.score:.2f} of {best.name} is uncertain, {_interval(best)}"
        best = highest(known)
        return None if best.score >= self.least else f"highest P(success) {best.score:.2f}, below {self.least:.2f}"


def _width(candidate: Scored) -> float:
    return 0.0 if candidate.interval is None else candidate.interval[1] - candidate.interval[0]


def _interval(candidate: Scored) -> str:
    low, high = candidate.interval or (candidate.score, candidate.score)
    return f"{low:.2f} to {high:.2f}"


def _doubt(candidate: Scored) -> Exclusion:
    return Exclusion("policy", f"its P(success) is too uncertain: {_interval(candidate)}")
