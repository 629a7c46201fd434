"""The interface of all policies (scored candidates in, a choice out), and the policies that keep no state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

from modelsat.errors import ConfigurationError
from modelsat.request.exclusion import Exclusion
from modelsat.validation import number, share


@dataclass(frozen=True, slots=True)
class Scored:
    """What a policy knows about one candidate.

    Later versions may add fields with defaults; a policy reads those it needs.

    Attributes:
        name: The candidate's name.
        score: Calibrated P(success), 0..1.
        cost: Expected USD of this request; ``None`` if its price is unknown.
        latency_ms: Expected time to a whole answer in milliseconds; ``None`` if unknown.
        input_usd: The prompt's part of ``cost``.
        cached_input_usd: What the prompt would cost if the provider's cache held it; ``None`` if unknown.
        interval: 90 % interval of P(success), as far as the profile leaves the model's level open; ``None`` if unknown.
    """

    name: str
    score: float
    cost: float | None = None
    latency_ms: float | None = None
    input_usd: float | None = None
    cached_input_usd: float | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What a policy knows about the request.

    Attributes:
        thread: Identifier of the conversation; ``None`` if there is none.
        turn: Identifies the user's last turn within the conversation.
        prompt_tokens: Estimated tokens of the whole prompt.
    """

    thread: str | None = None
    turn: str = ""
    prompt_tokens: int = 0


NO_REQUEST = PolicyRequest()
"""A request nothing is known about."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a policy decided.

    Attributes:
        name: The chosen candidate.
        reason: Why, in a sentence without a full stop.
        excluded: Candidates the policy ruled out, with the reason for each.
        escalation: Candidates to ask next, in order, if the answer fails a check.
        threshold: Score of the check (0..1) below which an answer is escalated.
        target_met: Whether the chosen candidate reaches the policy's target; ``None`` without one.
        abstained: True if the policy does not know who is good enough, and named its choice all the same.
    """

    name: str
    reason: str
    excluded: Mapping[str, Exclusion] = field(default_factory=dict)
    escalation: tuple[str, ...] = ()
    threshold: float | None = None
    target_met: bool | None = None
    abstained: bool = False


@runtime_checkable
class Policy(Protocol):
    """Chooses among scored candidates.

    A policy may keep state between calls (a budget, a conversation's model); it is thread-safe. One that weighs costs
    says so with an attribute ``needs_prices = True``: a router then refuses candidates without a price.
    """

    @property
    def name(self) -> str:
        """Name of the policy, as it stands in decisions."""
        ...

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose one of ``scored``, which is never empty."""
        ...


Clock = Callable[[], float]
"""Seconds that never run backwards, e.g. :func:`time.monotonic`."""


def by_price(candidate: Scored) -> tuple[float, str]:
    """How ties are broken: the cheaper first, an unknown price last, then by name."""
    return (float("inf") if candidate.cost is None else candidate.cost, candidate.name)


def highest(scored: Sequence[Scored]) -> Scored:
    """The candidate with the highest P(success), ties by price and name."""
    top = max([candidate.score for candidate in scored])
    return min([candidate for candidate in scored if candidate.score == top], key=by_price)


def cheapest(scored: Sequence[Scored]) -> Scored:
    """The candidate of the lowest expected cost, ties by P(success) and name; unknown prices come last."""
    return min(scored, key=lambda candidate: (by_price(candidate)[0], -candidate.score, candidate.name))


def usd(amount: float | None) -> str:
    """``amount`` for a reader: ``"$0.00042"``."""
    if amount is None:
        return "unknown price"
    return "$0" if amount == 0 else f"${amount:.2g}" if amount >= 1e-4 else f"${amount:.1e}"


POLICIES: dict[str, type[Any]] = {}
"""The policies that go by a name; :mod:`modelsat.policies` fills it."""


def fix(policy: Any, **values: Any) -> None:
    """Set fields of a frozen policy while it is made."""
    for name, value in values.items():
        object.__setattr__(policy, name, value)


@dataclass(frozen=True, slots=True)
class Best:
    """The candidate with the highest P(success); equal scores go to the cheaper, then to the name that sorts first."""

    name: ClassVar[str] = "best"

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the highest score, whatever the order of ``scored``."""
        best = highest(scored)
        if len(scored) == 1:
            return Choice(best.name, f"the only candidate, P(success) {best.score:.2f}")
        return Choice(best.name, f"highest P(success) {best.score:.2f} of {len(scored)} candidates")


@dataclass(frozen=True, slots=True)
class Cheapest:
    """The cheapest candidate whose P(success) reaches a target; if none does, the one with the highest P(success).

    Attributes:
        target: P(success) that is good enough, 0..1.

    Raises:
        ConfigurationError: The target is not a share from 0 to 1.
    """

    name: ClassVar[str] = "cheapest"
    needs_prices: ClassVar[bool] = True

    target: float = 0.8

    def __post_init__(self) -> None:
        fix(self, target=share(self.target, "target"))

    def meets(self, candidate: Scored) -> bool:
        """Whether ``candidate`` reaches the target."""
        return candidate.score >= self.target

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost among those that reach the target."""
        enough = [candidate for candidate in scored if self.meets(candidate)]
        if not enough:
            best = highest(scored)
            reason = f"none reaches P(success) {self.target:.2f}; highest is {best.score:.2f}, {usd(best.cost)}"
            return Choice(best.name, reason, target_met=False)
        chosen = cheapest(enough)
        reason = f"cheapest ({usd(chosen.cost)}) of {len(enough)} with P(success) of at least {self.target:.2f}"
        return Choice(chosen.name, f"{reason}: {chosen.score:.2f}", target_met=True)


@dataclass(frozen=True, slots=True)
class NearBest:
    """The cheapest candidate whose P(success) lies at most a margin below the highest of this request.

    Unlike a fixed target, the band moves with the request: where all candidates are unlikely to answer well, the best
    of them are still told apart from the rest.

    Attributes:
        margin: How much P(success) may be given up, 0..1; 0.02 is two points.

    Raises:
        ConfigurationError: The margin is not a share from 0 to 1.
    """

    name: ClassVar[str] = "near_best"
    needs_prices: ClassVar[bool] = True

    margin: float = 0.02

    def __post_init__(self) -> None:
        fix(self, margin=share(self.margin, "margin"))

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost within the margin."""
        best = highest(scored)
        near = [candidate for candidate in scored if candidate.score >= best.score - self.margin]
        chosen = cheapest(near)
        reason = f"cheapest ({usd(chosen.cost)}) of {len(near)} within {self.margin:.2f} of the highest P(success)"
        return Choice(chosen.name, f"{reason} {best.score:.2f}: {chosen.score:.2f}")


@dataclass(frozen=True, slots=True)
class Knob:
    """How much quality counts against price, from 0 (the cheapest answers) to 10 (the best does).

    The candidate is the cheapest whose P(success) lies within (1 - position / 10)^3 of the highest of the request: at 5
    twelve points are given up at most, at 7 three, at 8 one. Turning it up never lowers the P(success) of a choice, and
    turning it down never raises the expected cost.

    Attributes:
        position: 0..10.

    Raises:
        ConfigurationError: The position is not a number from 0 to 10.
    """

    name: ClassVar[str] = "knob"
    needs_prices: ClassVar[bool] = True

    position: float = 7.0

    def __post_init__(self) -> None:
        fix(self, position=number(self.position, "position", unit="steps", example=7, most=10.0))

    @property
    def margin(self) -> float:
        """How much P(success) may be given up, 0..1."""
        return float((1.0 - self.position / 10.0) ** 3)

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the lowest expected cost within the margin."""
        return NearBest(self.margin).choose(scored, request)


@dataclass(frozen=True, slots=True)
class Tradeoff:
    """The candidate with the highest P(success) x value - expected cost - latency x its price.

    Attributes:
        value_per_success: What a good answer is worth, in USD.
        latency_usd_per_s: What a second of waiting costs, in USD; candidates of unknown latency wait for the longest
            known one.

    Raises:
        ConfigurationError: An amount is not a number of USD, or the value is not above 0.
    """

    name: ClassVar[str] = "tradeoff"
    needs_prices: ClassVar[bool] = True

    value_per_success: float
    latency_usd_per_s: float = 0.0

    def __post_init__(self) -> None:
        value = number(self.value_per_success, "value_per_success", unit="USD", example=0.05, positive=True)
        latency = number(self.latency_usd_per_s, "latency_usd_per_s", unit="USD per second", example=0.001)
        fix(self, value_per_success=value, latency_usd_per_s=latency)

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the highest net value; candidates without a price only if none has one."""
        priced = [candidate for candidate in scored if candidate.cost is not None] or scored
        longest = max((candidate.latency_ms or 0.0 for candidate in priced), default=0.0)

        def net(candidate: Scored) -> float:
            latency_ms = longest if candidate.latency_ms is None else candidate.latency_ms
            waiting = latency_ms / 1000.0 * self.latency_usd_per_s
            return candidate.score * self.value_per_success - (candidate.cost or 0.0) - waiting

        chosen = min(priced, key=lambda candidate: (-net(candidate), *by_price(candidate)))
        reason = f"highest net value of {len(scored)}: P(success) {chosen.score:.2f} x {usd(self.value_per_success)}"
        return Choice(chosen.name, f"{reason} for {usd(chosen.cost)}")


@dataclass(frozen=True, slots=True)
class Cascade:
    """The cheapest candidate that has a fair chance, then dearer and better ones while the answer fails a check.

    The decision names the first candidate, the escalation order, and the score below which the caller's own check of an
    answer (a judge, a test, a verifier; 0..1) sends the request on to the next.

    Attributes:
        start: P(success) that the first candidate must reach.
        threshold: Score of the check below which an answer is escalated.
        steps: Candidates in all, with the first; the last is the best of all that qualify.
        min_gain: Rise of P(success) that each further candidate must bring.

    Raises:
        ConfigurationError: A parameter cannot be right.
    """

    name: ClassVar[str] = "cascade"
    needs_prices: ClassVar[bool] = True

    start: float = 0.5
    threshold: float = 0.5
    steps: int = 3
    min_gain: float = 0.05

    def __post_init__(self) -> None:
        for name, example in (("start", 0.5), ("threshold", 0.5), ("min_gain", 0.05)):
            fix(self, **{name: share(getattr(self, name), name, example)})
        steps: Any = self.steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise ConfigurationError(f"steps is a whole number of 2 or more, not {steps!r}")

    def choose(self, scored: Sequence[Scored], request: PolicyRequest = NO_REQUEST) -> Choice:
        """Choose the first candidate and say who comes after it."""
        best = highest(scored)
        ladder: list[Scored] = []
        for candidate in sorted(scored, key=lambda c: (by_price(c)[0], -c.score, c.name)):
            least = ladder[-1].score + self.min_gain if ladder else self.start
            if candidate.score >= least:
                ladder.append(candidate)
        if not ladder:
            reason = f"none reaches P(success) {self.start:.2f}; highest is {best.score:.2f}"
            return Choice(best.name, reason, threshold=self.threshold)
        ladder = [*ladder[: self.steps - 1], ladder[-1]] if len(ladder) > self.steps else ladder
        first, further = ladder[0], tuple(candidate.name for candidate in ladder[1:])
        reason = f"cheapest ({usd(first.cost)}) with P(success) of at least {self.start:.2f}: {first.score:.2f}"
        if further:
            reason += f"; answers below {self.threshold:.2f} go on to {', '.join(further)}"
        return Choice(first.name, reason, escalation=further, threshold=self.threshold)
