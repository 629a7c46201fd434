"""A mean price per request, kept over a sliding window."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from typing_extensions import Self

from modelsat.policies.base import NO_REQUEST, Choice, Clock, PolicyRequest, Scored, by_price, cheapest, fix, usd
from modelsat.request.exclusion import Exclusion
from modelsat.validation import number

_SLOTS = 120
"""Parts of the window that are forgotten as a whole: memory does not grow with the number of requests."""
_STEP = 0.02
_PACE = 0.97
"""Share of the budget that is aimed at, so that something is saved for requests that are worth more."""


@dataclass(frozen=True)
class Budget:
    """The highest P(success) that a budget allows.

    A candidate is chosen only if the mean expected cost of the requests in the window stays within the budget: cheap
    requests save up for dear ones, and where nothing fits the cheapest answers. So that the budget is spent where it
    helps most, a price is put on money: the choice is the highest P(success) - price x cost, and the price follows the
    spending (online dual ascent). The state is that of one process; give each of N workers the whole budget, it is a
    mean.

    Attributes:
        usd_per_1k: Budget for a thousand requests, in USD.
        window_s: Length of the window in seconds.
        clock: Seconds that never run backwards.

    Raises:
        ConfigurationError: The budget or the window is not a number above 0.
    """

    name: ClassVar[str] = "budget"
    needs_prices: ClassVar[bool] = True

    usd_per_1k: float
    window_s: float = 3600.0
    clock: Clock = field(default=time.monotonic, repr=False, compare=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    _ledger: _Ledger = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        limit = number(self.usd_per_1k, "usd_per_1k", unit="USD", example=2.5, positive=True)
        window = number(self.window_s, "window_s", unit="seconds", example=3600, positive=True)
        fix(self, usd_per_1k=limit, window_s=window, _ledger=_Ledger(window))

    def __deepcopy__(self, memo: Any) -> Self:
        """The policy itself: a copied router goes on with the same state."""
        return self

    @property
    def spent(self) -> tuple[int, float]:
        """Requests in the window, and what they were expected to cost in USD."""
        with self._lock:
            return self._ledger.totals(self.clock())

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose within the budget, and book what the choice is expected to cost."""
        limit = self.usd_per_1k / 1000.0
        with self._lock:
            now = self.clock()
            count, spent = self._ledger.totals(now)
            room = (limit * (count + 1) - spent) * (1.0 + 1e-9)
            within = [candidate for candidate in scored if candidate.cost is not None and candidate.cost <= room]
            price = self._ledger.price / limit
            if within:
                chosen = min(within, key=lambda c: (price * (c.cost or 0.0) - c.score, *by_price(c)))
            else:
                chosen = cheapest(scored)
            self._book(now, chosen.cost or 0.0, 1)
        mean = (spent + (chosen.cost or 0.0)) / (count + 1) * 1000.0
        after = f"{usd(mean)} of {usd(self.usd_per_1k)} per 1,000 requests"
        if not within:
            return Choice(chosen.name, f"cheapest ({usd(chosen.cost)}), nothing fits into the budget: {after}")
        allowed = {candidate.name for candidate in within}
        over = {c.name: Exclusion("budget", f"over the budget: {usd(c.cost)}") for c in scored if c.name not in allowed}
        reason = f"P(success) {chosen.score:.2f} for {usd(chosen.cost)}, within budget: {after}"
        return Choice(chosen.name, reason, over)

    def charge(self, amount: float, requests: int = 0) -> None:
        """Book ``amount`` USD for ``requests`` more requests: what another policy chose instead, or a correction."""
        with self._lock:
            self._book(self.clock(), amount, requests)

    def _book(self, now: float, amount: float, requests: int) -> None:
        self._ledger.book(now, amount, requests)
        ratio = amount / (self.usd_per_1k / 1000.0)
        self._ledger.price = max(0.0, self._ledger.price + _STEP * (ratio - _PACE * requests))


class _Ledger:
    """Requests and spending in a sliding window, and the price of money (1 / budget of a request). Not thread-safe."""

    def __init__(self, window_s: float) -> None:
        self.price = 0.0
        self._width = window_s / _SLOTS
        self._slots: deque[list[float]] = deque()
        self._count = 0
        self._spent = 0.0

    def totals(self, now: float) -> tuple[int, float]:
        """Requests and USD in the window that ends at ``now``."""
        oldest = int(now / self._width) - _SLOTS
        while self._slots and self._slots[0][0] <= oldest:
            _, count, spent = self._slots.popleft()
            self._count -= int(count)
            self._spent -= spent
        if not self._slots:
            self._count, self._spent = 0, 0.0
        return self._count, self._spent

    def book(self, now: float, amount: float, requests: int) -> None:
        """Add to the slot of ``now``."""
        slot = int(now / self._width)
        if not self._slots or self._slots[-1][0] < slot:
            self._slots.append([slot, 0, 0.0])
        self._slots[-1][1] += requests
        self._slots[-1][2] += amount
        self._count += requests
        self._spent += amount
