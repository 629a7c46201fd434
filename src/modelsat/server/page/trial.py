"""Trying a request: the decision, what P(success) rests on, and what another setting of the policy would choose."""

from __future__ import annotations

import json
import math
import shlex
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from modelsat.candidates import Candidate
from modelsat.errors import ConfigurationError
from modelsat.policies import Scored, resolve_policy, spell_policy
from modelsat.policies.resolve import PolicyFile, read_if_file
from modelsat.request import extract_instruction
from modelsat.router import Router, RoutingDecision
from modelsat.router.config import RouterConfig
from modelsat.server.decider import Decider
from modelsat.server.schema import RouteRequest
from modelsat.storage.checkpoint import SHIPPED
from modelsat.validation import faults

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

Form = Mapping[str, Sequence[str]]
OWN = ""
"""The policy, or the weights, that the server itself decides with."""
WEIGHTS = (SHIPPED, "modelsat-pico")
"""Weights that come with the package, which a request may be tried with."""
_ROUTERS_KEPT = 32
_CONTEXT = ("tools", "response_format", "reasoning", "answer_tokens")
_GROUPS = 6
_STEPS = 60
_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}


@dataclass(frozen=True, slots=True)
class Knob:
    """The one number that a policy is set by.

    Attributes:
        field: The policy's parameter.
        says: What it means.
        at: Its value at a share of the way, 0..1.
        start: Where it stands at first, as a share of the way.
    """

    field: str
    says: str
    at: Callable[[float], float]
    start: float


KNOBS: Mapping[str, Knob] = {
    "cheapest": Knob("target", "P(success) that is good enough", lambda share: round(share, 2), 0.8),
    "near_best": Knob("margin", "P(success) that may be given up", lambda share: round(0.5 * share, 3), 0.04),
    "tradeoff": Knob(
        "value_per_success", "USD that a good answer is worth", lambda share: float(f"{10 ** (5 * share - 4):.2g}"), 0.5
    ),
}
"""Policies that a slider sets, and from where to where it goes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form asks for.

    Attributes:
        request: The request, as ``/v1/route`` takes it.
        policy: As it is written; empty for the server's own.
        knob: Where the slider stands, 0..1; ``None`` where the policy has none.
        weights: Name of shipped weights; empty for the server's own.
        against: A second policy to compare with; empty for the same.
        against_weights: Second weights to compare with; empty for the same.
        compare: Whether there is a second decision.
    """

    request: RouteRequest
    policy: str
    knob: float | None
    weights: str
    against: str
    against_weights: str
    compare: bool


def wish_of(form: Form) -> Wish:
    """What a form asks for.

    Raises:
        ConfigurationError: A field makes no sense; the message names it.
    """
    policy, knob = _policy(form)
    body: dict[str, Any] = {"messages": _messages(form)}
    if names := list(form.get("candidates", ())):
        body["candidates"] = names
    body["tools"] = _tools(form)
    if _ticked(form, "schema"):
        body["response_format"] = _SCHEMA
    if _ticked(form, "reasoning"):
        body["reasoning"] = True
    if _one(form, "answer_tokens"):
        body["answer_tokens"] = _number(form, "answer_tokens")
    body["constraints"] = _constraints(form) or None
    try:
        request = RouteRequest.model_validate(body)
    except ValidationError as error:
        raise ConfigurationError("; ".join(faults(error, RouteRequest))) from None
    weights, others = _one(form, "weights"), _one(form, "against_weights")
    if stray := [name for name in (weights, others) if name and name not in WEIGHTS]:
        raise ConfigurationError(f"weights: {stray[0]!r} is none of {', '.join(WEIGHTS)}")
    against = _one(form, "against")
    return Wish(request, policy, knob, weights, against, others, bool(against or others))


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate that was scored.

    Attributes:
        name: The candidate.
        p: Its P(success), 0..1.
        doubt: How far P moves when a sixth of the model's figures is left out (jackknife standard error); ``None`` for
            a model of one figure.
        cost: Expected USD; ``None`` if unknown.
        correction: What feedback added to P.
        figures: Number of figures in its profile.
    """

    name: str
    p: float
    doubt: float | None
    cost: float | None
    correction: float
    figures: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A decision that was only tried.

    Attributes:
        decision: The decision.
        policy: As it is written.
        rows: The scored candidates, best first.
        frontier: Those that no other beats in both P and cost, by cost.
        steps: Who is chosen as the knob moves: shares of the way at which the choice changes; empty without a knob.
    """

    decision: RoutingDecision
    policy: str
    rows: Sequence[Row]
    frontier: Sequence[str]
    steps: Sequence[tuple[float, str]]

    @property
    def best(self) -> Row:
        """The candidate with the highest P(success)."""
        return self.rows[0]

    @property
    def chosen(self) -> Row | None:
        """The candidate that answers; ``None`` after a fallback."""
        return next((row for row in self.rows if row.name == self.decision.model), None)


class Trials:
    """Decides without leaving a trace: nothing is kept in the feedback store, and no budget is spent.

    Args:
        decider: What the server decides with.
    """

    def __init__(self, decider: Decider) -> None:
        self._decider = decider
        self._routers: dict[tuple[str, str], Router] = {}
        self._scorers: dict[str, Scorer] = {}
        self._lock = threading.Lock()

    def decide(self, wish: Wish, second: bool = False) -> Tried:
        """The decision on a request.

        Args:
            wish: What was asked for.
            second: Decide with the policy and weights to compare with.

        Raises:
            ModelSATError: As :meth:`modelsat.Router.route`.
        """
        policy = (wish.against if second else "") or wish.policy
        weights = (wish.against_weights if second else "") or wish.weights
        router = self.router(policy, weights)
        messages = plain_messages(wish.request)
        decision = router.route(messages, candidates=wish.request.candidates, context=wish.request.context())
        doubts = {} if weights else self._doubts(messages, router.candidates)
        figures = {candidate.name: len(candidate.profile.statements) for candidate in router.candidates}
        rows = [
            Row(name, p, doubts.get(name), decision.costs.get(name), decision.corrections.get(name, 0.0), figures[name])
            for name, p in decision.scores.items()
        ]
        steps = sweep(decision, router.policy.name) if not second else []
        return Tried(decision, written(router), rows, frontier(rows), steps)

    def router(self, policy: str, weights: str) -> Router:
        """A router like the server's, of another policy or other weights."""
        with self._lock:
            router = self._routers.pop((policy, weights), None) or self._made(policy, weights)
            self._routers[policy, weights] = router
            while len(self._routers) > _ROUTERS_KEPT:
                self._routers.pop(next(iter(self._routers)))
        return router

    def _made(self, policy: str, weights: str) -> Router:
        own = self._decider.router
        loop = own.config.feedback
        options: dict[str, Any] = {"shadow": None, "canary": None, "experiment": None}
        options["feedback"] = None if loop is None else loop.unrecorded()
        given = read_if_file(own.config.policy)
        chosen = spell_policy(resolve_policy(policy) if policy else own.policy)
        if "class" not in chosen:  # one of the user's own cannot be spelt, and is used as it is
            options["policy"] = given.model_copy(update={"policy": chosen}) if isinstance(given, PolicyFile) else chosen
        if weights:
            if weights not in self._scorers:
                from modelsat.inference import load_scorer

                self._scorers[weights] = load_scorer(weights)
            options |= {"weights": weights, "scorer": self._scorers[weights]}
        return Router(own.candidates, RouterConfig.merged(own.config, options))

    def _doubts(self, messages: Any, candidates: Sequence[Candidate]) -> dict[str, float]:
        """Jackknife standard errors: each candidate is scored with one group of its figures left out, in turn."""
        variants = [(candidate.name, part) for candidate in candidates for part in _parts(candidate)]
        if not variants:
            return {}
        text = extract_instruction(messages)[0]
        profiles = [part for _, part in variants]
        found = self._decider.service.score([text], [part.digest for part in profiles], profiles).p[0]
        by_name: dict[str, list[float]] = {}
        for (name, _), p in zip(variants, found.tolist(), strict=True):
            by_name.setdefault(name, []).append(p)
        return {name: _jackknife(values) for name, values in by_name.items()}


def sweep(decision: RoutingDecision, policy: str) -> list[tuple[float, str]]:
    """Where the choice changes as the knob of ``policy`` goes its way, and who is chosen from there on."""
    knob = KNOBS.get(policy)
    ranked = [Scored(name, p, decision.costs.get(name)) for name, p in decision.scores.items()]
    if knob is None or not ranked:
        return []
    found: list[tuple[float, str]] = []
    for step in range(_STEPS + 1):
        share = step / _STEPS
        name = resolve_policy({"name": policy, knob.field: knob.at(share)}).choose(ranked).name
        if not found or found[-1][1] != name:
            found.append((share, name))
    return found


def frontier(rows: Sequence[Row]) -> list[str]:
    """The candidates that no other beats in both P and cost, by cost."""
    names, best = [], -1.0
    for row in sorted((row for row in rows if row.cost is not None), key=lambda row: (row.cost or 0.0, -row.p)):
        if row.p > best:
            names.append(row.name)
            best = row.p
    return names


def written(router: Router) -> str:
    """The policy of ``router`` as one would write it."""
    return _spelt(spell_policy(router.policy))


def snippets(wish: Wish, router: Router, address: str, keyed: bool) -> dict[str, str]:
    """The request and its settings as Python, as YAML for ``modelsat serve`` and as a call of curl."""
    request = wish.request
    names = request.candidates or list(router.names)
    body = request.model_dump(exclude_defaults=True, exclude_none=True)
    policy, constraints = written(router), body.get("constraints") or {}
    options = [f"    {names!r},", f"    policy={policy!r},"]
    options += [f"    constraints={constraints!r},"] if constraints else []
    context = {name: value for name, value in body.items() if name in _CONTEXT}
    call = f"{body['messages']!r}" + (f", context=RequestContext(**{context!r})" if context else "")
    imported = "from modelsat import Router\n" + ("from modelsat.request import RequestContext\n" if context else "")
    python = "\n".join([imported, "router = Router(", *options, ")", f"decision = router.route({call})"])
    yaml = "\n".join(
        [
            f"candidates: {json.dumps(names)}",
            f"policy: {policy}",
            *([f"constraints: {json.dumps(constraints)}"] if constraints else []),
        ]
    )
    key = ' -H "Authorization: Bearer $MODELSAT_API_KEY"' if keyed else ""
    sent = shlex.quote(json.dumps(body, ensure_ascii=False))
    curl = f"curl -s {address}/v1/route -H 'content-type: application/json'{key} \\\n  -d {sent}"
    return {
        "Python": python + "\nprint(decision.explain())",
        "YAML": yaml,
        "curl": curl,
    }


def plain_messages(request: RouteRequest) -> Any:
    """The messages of a request as the router takes them."""
    messages = request.messages
    return messages if isinstance(messages, str) else [message.model_dump() for message in messages]


def _parts(candidate: Candidate) -> list[Any]:
    """The profile of ``candidate`` without one group of its figures, for each group."""
    statements = sorted(candidate.profile.statements, key=lambda statement: statement.task)
    groups = min(_GROUPS, len(statements))
    if groups < 2:
        return []
    return [
        candidate.profile.model_copy(
            update={"statements": tuple(s for place, s in enumerate(statements) if place % groups != group)}
        )
        for group in range(groups)
    ]


def _jackknife(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.sqrt((len(values) - 1) / len(values) * sum((value - mean) ** 2 for value in values))


def _spelt(spelt: Mapping[str, Any]) -> str:
    inner = [f"{name}={_spelt(value) if isinstance(value, Mapping) else repr(value)}" for name, value in spelt.items()]
    parameters = [text for text in inner if not text.startswith(("name=", "class="))]
    return f"{spelt['name']}({', '.join(parameters)})" if parameters else str(spelt["name"])


def _policy(form: Form) -> tuple[str, float | None]:
    """The policy as it is written, and where its slider stands."""
    name = _one(form, "policy")
    if name == "other":
        return _one(form, "policy_text"), None
    if (knob := KNOBS.get(name)) is None:
        return name, None
    share = min(1.0, max(0.0, float(_number(form, f"knob_{name}", knob.start * 100)) / 100))
    return f"{name}({knob.field}={knob.at(share)})", share


def _messages(form: Form) -> Any:
    text = _one(form, "messages")
    messages: Any = text
    if text.startswith(("[", "{")):
        try:
            messages = json.loads(text)
        except ValueError:
            messages = text  # a text may begin with a bracket
        if isinstance(messages, dict):
            messages = [messages]
        if not (isinstance(messages, list) and all(isinstance(m, dict) and "role" in m for m in messages)):
            messages = text
    if not _ticked(form, "image"):
        return messages
    if isinstance(messages, str):
        return [{"role": "user", "content": [{"type": "text", "text": messages}, _IMAGE]}]
    return [*messages, {"role": "user", "content": [_IMAGE]}]


def _tools(form: Form) -> Any:
    if text := _one(form, "tools_json"):
        try:
            return json.loads(text)
        except ValueError as error:
            raise ConfigurationError(f"tools: this is no JSON ({error}); paste a list of tool definitions") from None
    return [_TOOL] if _ticked(form, "tools") else []


def _constraints(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("deny_providers", "allow_regions", "deny_models"):
        if names := [part.strip() for part in _one(form, name).split(",") if part.strip()]:
            found[name] = names
    if _one(form, "max_usd_per_request"):
        found["max_usd_per_request"] = _number(form, "max_usd_per_request")
    return found


def _one(form: Form, name: str) -> str:
    values = form.get(name) or [""]
    return values[0].strip()


def _ticked(form: Form, name: str) -> bool:
    return bool(_one(form, name))


def _number(form: Form, name: str, default: float | None = None) -> float:
    text = _one(form, name)
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"{name.replace('_', ' ')}: {text[:40]!r} is no number") from None
    return int(value) if value.is_integer() else value
