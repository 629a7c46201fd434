"""The same model through a conversation, unless another is worth the switch."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from typing_extensions import Self

from modelsat.errors import ConfigurationError
from modelsat.policies.base import NO_REQUEST, Choice, Clock, Policy, PolicyRequest, Scored
from modelsat.policies.resolve import resolve_policy
from modelsat.validation import number, share

_PER = ("thread", "turn")


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
    """

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
        """Check the parameters and read ``inner``.

        Raises:
            ConfigurationError: A parameter cannot be right.
        """
        object.__setattr__(self, "inner", resolve_policy(self.inner))
        if isinstance(self.inner, Sticky):
            raise ConfigurationError("sticky inside sticky: give the inner policy once")
        if self.per not in _PER:
            raise ConfigurationError(f"per must be {' or '.join(map(repr, _PER))}, not {self.per!r}")
        count: Any = self.max_threads
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigurationError(f"max_threads is a whole number of 1 or more, not {count!r}")
        object.__setattr__(self, "min_gain", share(self.min_gain, "min_gain", 0.05))
        object.__setattr__(self, "cache_s", number(self.cache_s, "cache_s", unit="seconds", example=300))
        object.__setattr__(self, "ttl_s", number(self.ttl_s, "ttl_s", unit="seconds", example=3600, positive=True))

    @property
    def name(self) -> str:
        """``"sticky"``."""
        return "sticky"

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
            self._forget(now)
            kept = self._kept.get(key)
            choice = self._decide(scored, request, kept, now)
            self._kept[key] = _Kept(choice.name, request.turn, request.prompt_tokens, now)
            self._kept.move_to_end(key)
            while len(self._kept) > self.max_threads:
                self._kept.popitem(last=False)
        return choice

    def _forget(self, now: float) -> None:
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if now - oldest.at <= self.ttl_s:
                return
            self._kept.popitem(last=False)

    def _decide(self, scored: Sequence[Scored], request: PolicyRequest, kept: _Kept | None, now: float) -> Choice:
        current = next((c for c in scored if c.name == kept.name), None) if kept is not None else None
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
        if gain >= self.min_gain or _cheaper(other, current):
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


def _cheaper(other: Scored, current: Scored) -> bool:
    return other.cost is not None and (current.cost is None or other.cost < current.cost)


def _cached(candidate: Scored, before: int, now: int) -> Scored:
    """``candidate`` with the cached price for what it read before."""
    if candidate.cost is None or candidate.input_usd is None or candidate.cached_input_usd is None or now <= 0:
        return candidate
    saved = max(0.0, candidate.input_usd - candidate.cached_input_usd) * min(1.0, before / now)
    return replace(candidate, cost=candidate.cost - saved)
