"""Trying a request: the decision, what P(success) may be, and what another setting of the policy would choose."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from modelsat.errors import ConfigurationError
from modelsat.policies import Abstain, Policy, Scored, resolve_policy
from modelsat.policies.resolve import PolicyFile, read_if_file, spell_policy
from modelsat.router import Router, RoutingDecision
from modelsat.router.config import RouterConfig
from modelsat.server.decider import Decider
from modelsat.server.page.wish import KNOBS, Knob, Wish
from modelsat.storage.checkpoint import SHIPPED

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

_ROUTERS_KEPT = 32
_STEPS = 60


@dataclass(frozen=True, slots=True)
class Row:
    """A candidate that was scored: P(success) with its 90 % interval, expected USD, what feedback added to P."""

    name: str
    model: str  # as it is known in the registry
    p: float
    low: float
    high: float
    cost: float | None
    correction: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """The choices as a knob moves."""

    policy: str
    knob: Knob
    at: float | None  # where it stands, as a share of the way; none if the policy in use has no knob
    steps: tuple[tuple[float, str], ...]  # where the choice changes, and who is chosen from there on; the first is 0

    def words(self, share: float) -> str:
        """The knob's value at a share of the way, for a reader."""
        return self.knob.shown(self.knob.at(share))


@dataclass(frozen=True, slots=True)
class Tried:
    """A decision that was only tried."""

    decision: RoutingDecision
    policy: str  # as it is written
    rows: Sequence[Row]  # best first
    sweep: Sweep | None  # none where no knob can be turned

    @property
    def best(self) -> Row:
        """The candidate with the highest P(success)."""
        return self.rows[0]

    @property
    def chosen(self) -> Row | None:
        """The candidate that answers; ``None`` after a fallback."""
        return next((row for row in self.rows if row.name == self.decision.model), None)

    @property
    def frontier(self) -> list[str]:
        """The candidates that no other beats in both P and cost, by cost."""
        names, best = [], -1.0
        priced = [row for row in self.rows if row.cost is not None]
        for row in sorted(priced, key=lambda row: (row.cost or 0.0, -row.p)):
            if row.p > best:
                names.append(row.name)
                best = row.p
        return names


class Trials:
    """Decides without leaving a trace: nothing is kept in the feedback store, and no budget is spent.

    Args:
        decider: What the server decides with.

    Attributes:
        weights: Weights that a request may be tried with, besides the server's own.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._routers: dict[tuple[str, str, tuple[float, float] | None], Router] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()
        own = decider.settings.network
        self.weights = tuple(name for name in dict.fromkeys((SHIPPED, *decider.settings.ui_weights)) if name != own)

    def decide(self, wish: Wish, policy: str, weights: str) -> Tried:
        """The decision on the request of ``wish``, by a policy and weights as :meth:`router` takes them.

        Raises:
            ModelSATError: As :meth:`modelsat.Router.route`.
        """
        router = self.router(policy, weights, wish.abstain)
        request = wish.request
        decision = router.route(request.plain(), candidates=request.candidates, context=request.context())
        known_as = {candidate.name: candidate.profile.model for candidate in router.candidates}
        costs, corrections = decision.costs, decision.corrections
        rows = [
            Row(name, known_as[name], p, *decision.intervals[name], costs.get(name), corrections.get(name, 0.0))
            for name, p in decision.scores.items()
        ]
        return Tried(decision, written(router), rows, _sweep(decision, router.policy))

    def router(self, policy: str, weights: str, abstain: tuple[float, float] | None = None) -> Router:
        """A router like the server's, of another policy or other weights.

        Args:
            policy: As it is written; empty for the server's own.
            weights: One of :attr:`weights`; empty for the server's own.
            abstain: ``least`` and ``widest`` of :class:`~modelsat.policies.Abstain` around the policy.

        Raises:
            ConfigurationError: The policy cannot be read, or the weights may not be tried.
        """
        key = (policy, weights, abstain)
        with self._lock:
            router = self._routers.pop(key, None) or self._made(*key)
            self._routers[key] = router
            while len(self._routers) > _ROUTERS_KEPT:
                self._routers.pop(next(iter(self._routers)))
        return router

    def _made(self, policy: str, weights: str, abstain: tuple[float, float] | None) -> Router:
        own = self._decider.router
        loop = own.config.feedback
        options: dict[str, Any] = {"shadow": None, "canary": None, "experiment": None}
        options["feedback"] = None if loop is None else loop.unrecorded()
        given = read_if_file(own.config.policy)
        inner: Policy = resolve_policy(policy) if policy else own.policy
        if abstain is not None:
            inner = Abstain(inner.inner if isinstance(inner, Abstain) else inner, *abstain)
        chosen = spell_policy(inner)
        if not _own_class(chosen):  # one of the user's own cannot be written as text, and is used as it is
            options["policy"] = given.model_copy(update={"policy": chosen}) if isinstance(given, PolicyFile) else chosen
        elif abstain is not None:
            raise ConfigurationError("this server's policy is one of its own: choose another to see who is uncertain")
        if weights:
            options |= {"weights": weights, "scorer": self._scorer(weights)}
        return Router(own.candidates, RouterConfig.merged(own.config, options))

    def _scorer(self, weights: str) -> Scorer:
        if weights not in self.weights:
            raise ConfigurationError(f"weights: {weights!r} is none of {', '.join(self.weights) or 'this server'}")
        if weights not in self._scorers:
            from modelsat.inference import load_scorer

            self._scorers[weights] = load_scorer(weights)
        return self._scorers[weights]


def _sweep(decision: RoutingDecision, policy: Policy) -> Sweep | None:
    """Find who is chosen from the scores of ``decision`` as the knob of ``policy`` moves.

    Of a policy around another the inner one's knob; of one without any, that of the policy ``knob``. ``None`` after a
    fallback, or where a price is missing.
    """
    around = policy if isinstance(policy, Abstain) else None
    while policy.name not in KNOBS and (inner := getattr(policy, "inner", None)) is not None:
        policy = inner
    name = policy.name if policy.name in KNOBS else "knob"
    knob = KNOBS[name]
    if not decision.scores or len(decision.costs) < len(decision.scores):
        return None
    at = 1.0 if policy.name == "best" else None
    if policy.name == name:
        at = min(1.0, max(0.0, knob.where(float(getattr(policy, knob.field)))))
    ranked = [
        Scored(model, p, decision.costs.get(model), interval=decision.intervals.get(model))
        for model, p in decision.scores.items()
    ]
    steps: list[tuple[float, str]] = []
    for step in range(_STEPS + 1):
        share = step / _STEPS
        turned = resolve_policy({"name": name, knob.field: knob.at(share)})
        chosen = (replace(around, inner=turned, then="flag") if around is not None else turned).choose(ranked).name
        if not steps or steps[-1][1] != chosen:
            steps.append((share, chosen))
    return Sweep(name, knob, at, tuple(steps))


def written(router: Router) -> str:
    """The policy of ``router`` as one would write it, with its number where it has one."""
    form = spell_policy(router.policy)
    if (knob := KNOBS.get(router.policy.name)) is not None and "class" not in form:
        form.setdefault(knob.field, getattr(router.policy, knob.field))
    return _as_text(form)


def _own_class(form: Mapping[str, Any]) -> bool:
    return "class" in form or any(_own_class(value) for value in form.values() if isinstance(value, Mapping))


def _as_text(form: Mapping[str, Any]) -> str:
    inner = [f"{name}={_as_text(value) if isinstance(value, Mapping) else repr(value)}" for name, value in form.items()]
    parameters = [text for text in inner if not text.startswith(("name=", "class="))]
    return f"{form['name']}({', '.join(parameters)})" if parameters else str(form["name"])
