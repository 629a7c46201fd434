"""Policies around another one: abstaining where nobody is known to be good enough, keeping a conversation's model."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

from typing_extensions import Self

from modelsat.errors import AbstainedError, ConfigurationError
from modelsat.policies.base import NO_REQUEST, Choice, Clock, Policy, PolicyRequest, Scored, fix, highest
from modelsat.policies.resolve import resolve_policy
from modelsat.request.exclusion import Exclusion
from modelsat.validation import number, share

_THEN = ("flag", "refuse")
_PER = ("thread", "turn")


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

    Raises:
        ConfigurationError: A parameter cannot be right.
    """

    name: ClassVar[str] = "abstain"

    inner: Policy
    least: float = 0.3
    widest: float = 0.5
    then: str = "flag"

    def __post_init__(self) -> None:
        fix(self, inner=resolve_policy(self.inner))
        if isinstance(self.inner, Abstain):
            raise ConfigurationError("abstain inside abstain: give the inner policy once")
        if self.then not in _THEN:
            raise ConfigurationError(f"then must be {' or '.join(map(repr, _THEN))}, not {self.then!r}")
        fix(self, least=share(self.least, "least", 0.3), widest=share(self.widest, "widest", 0.5))

    @property
    def needs_prices(self) -> bool:
        """Whether the inner policy weighs costs."""
        return bool(getattr(self.inner, "needs_prices", False))

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose among those that are known well enough.

        Raises:
            AbstainedError: Nobody is good enough, and ``then`` is ``"refuse"``.
        """
        known = [c for c in scored if c.interval is None or c.interval[1] - c.interval[0] <= self.widest]
        best = highest(known or scored)
        if not known:
            why = f"P(success) {best.score:.2f} of {best.name} is uncertain, {_interval(best)}"
        elif best.score < self.least:
            why = f"highest P(success) {best.score:.2f}, below {self.least:.2f}"
        else:
            choice = self.inner.choose(known, request)
            uncertain = "its P(success) is too uncertain: "
            doubtful = {c.name: Exclusion("policy", uncertain + _interval(c)) for c in scored if c not in known}
            return replace(choice, excluded={**choice.excluded, **doubtful}) if doubtful else choice
        if self.then == "refuse":
            raise AbstainedError(f"nobody is known to be good enough: {why}")
        choice = self.inner.choose(scored, request)
        return replace(choice, reason=f"not known to be good enough ({why}); {choice.reason}", abstained=True)


def _interval(candidate: Scored) -> str:
    low, high = candidate.interval or (candidate.score, candidate.score)
    return f"{low:.2f} to {high:.2f}"


class _Kept(NamedTuple):
    """What a conversation was answered by last."""

    name: str
    turn: str
    prompt_tokens: int
    at: float


@dataclass(frozen=True)
class Sticky:
    """Another policy, which switches the model of a conversation only where that is worth it.

    The candidate that answered last is charged the cached price for the part of the prompt that its provider's cache
    still holds, so a switch is weighed with what the lost cache costs. Beyond that, with ``per="thread"`` a switch must
    raise P(success) by ``min_gain``, or make the request cheaper even without the cache. With ``per="turn"`` the
    candidate stays through all calls of a user turn (an agent's tool calls), and the other policy decides again at the
    next turn. A request without a thread is decided by the other policy alone; with ``per="turn"`` the turn itself
    identifies it.

    Attributes:
        inner: The other policy; any form that :func:`~modelsat.policies.resolve_policy` reads.
        per: ``"thread"`` or ``"turn"``.
        min_gain: Rise of P(success) that a switch within a thread must bring.
        cache_s: Seconds for which a provider's prompt cache is taken to live.
        ttl_s: Seconds after which an idle conversation is forgotten.
        max_threads: Conversations remembered; the longest idle is forgotten first.
        clock: Seconds that never run backwards.

    Raises:
        ConfigurationError: A parameter cannot be right.
    """

    name: ClassVar[str] = "sticky"

    inner: Policy
    per: str = "thread"
    min_gain: float = 0.05
    cache_s: float = 300.0
    ttl_s: float = 3600.0
    max_threads: int = 10_000
    clock: Clock = field(default=time.monotonic, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _kept: OrderedDict[str, _Kept] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fix(self, inner=resolve_policy(self.inner))
        if isinstance(self.inner, Sticky):
            raise ConfigurationError("sticky inside sticky: give the inner policy once")
        if self.per not in _PER:
            raise ConfigurationError(f"per must be {' or '.join(map(repr, _PER))}, not {self.per!r}")
        count: Any = self.max_threads
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"max_threads is a whole number of 1 or more, not {count!r}")
        cache_s = number(self.cache_s, "cache_s", unit="seconds", example=300)
        ttl_s = number(self.ttl_s, "ttl_s", unit="seconds", example=3600, positive=True)
        fix(self, min_gain=share(self.min_gain, "min_gain", 0.05), cache_s=cache_s, ttl_s=ttl_s)

    @property
    def needs_prices(self) -> bool:
        """Whether the inner policy weighs costs."""
        return bool(getattr(self.inner, "needs_prices", False))

    def __deepcopy__(self, memo: Any) -> Self:
        """The policy itself: a copied router goes on with the same state."""
        return self

    def __len__(self) -> int:
        """The number of conversations remembered."""
        return len(self._kept)

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose, and remember the choice for the conversation."""
        key = request.thread or (f"turn {request.turn}" if self.per == "turn" and request.turn else None)
        if key is None:
            return self.inner.choose(scored, request)
        with self._lock:
            now = self.clock()
            while self._kept and now - next(iter(self._kept.values())).at > self.ttl_s:
                self._kept.popitem(last=False)
            kept = self._kept.get(key)
            choice = self._decide(scored, request, kept, now)
            self._kept[key] = _Kept(choice.name, request.turn, request.prompt_tokens, now)
            self._kept.move_to_end(key)
            while len(self._kept) > self.max_threads:
                self._kept.popitem(last=False)
        return choice

    def _decide(self, scored: Sequence[Scored], request: PolicyRequest, kept: _Kept | None, now: float) -> Choice:
        current = next((c for c in scored if kept is not None and c.name == kept.name), None)
        if kept is None or current is None:
            return self.inner.choose(scored, request)
        if now - kept.at <= self.cache_s:
            current = _cached(current, kept.prompt_tokens, request.prompt_tokens)
        if self.per == "turn" and kept.turn == request.turn:
            self._charge(current.cost or 0.0, 1)
            reason = f"kept for this user turn, P(success) {current.score:.2f}"
            return Choice(current.name, reason, target_met=self._meets(current))
        choice = self.inner.choose([current if c.name == current.name else c for c in scored], request)
        if choice.name == current.name or self.per == "turn" or current.name in choice.excluded:
            return choice
        other = next(c for c in scored if c.name == choice.name)
        gain = other.score - current.score
        cheaper = other.cost is not None and (current.cost is None or other.cost < current.cost)
        if gain >= self.min_gain or cheaper:
            return replace(choice, reason=f"{choice.reason}; switched from {current.name}")
        self._charge((current.cost or 0.0) - (other.cost or 0.0), 0)
        further = tuple(name for name in (choice.name, *choice.escalation) if name != current.name)
        return replace(
            choice,
            name=current.name,
            reason=f"kept in this conversation: {other.name} would gain {gain:+.2f}, less than {self.min_gain:.2f}",
            escalation=further if choice.threshold is not None else (),
            target_met=self._meets(current),
        )

    def _meets(self, candidate: Scored) -> bool | None:
        """Whether ``candidate`` reaches the target of the policy inside, if that has one."""
        meets = getattr(self.inner, "meets", None)
        return None if meets is None else bool(meets(candidate))

    def _charge(self, amount: float, requests: int) -> None:
        """Tell a budget inside what was really chosen."""
        charge = getattr(self.inner, "charge", None)
        if charge is not None:
            charge(amount, requests)


def _cached(candidate: Scored, before: int, now: int) -> Scored:
    """``candidate`` with the cached price for what it read before."""
    if candidate.cost is None or candidate.input_usd is None or candidate.cached_input_usd is None or now <= 0:
        return candidate
    saved = max(0.0, candidate.input_usd - candidate.cached_input_usd) * min(1.0, before / now)
    return replace(candidate, cost=candidate.cost - saved)
