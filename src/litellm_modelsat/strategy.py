"""The SDK: ``attach(router, groups=...)`` makes a ``litellm.Router`` route by Model-SAT, sync and async.

The strategy asks LiteLLM's own selection, with its health, cooldowns, tags and checks, and only says who is the best of
those that a request has not tried. In asynchronous calls it does so from the hook that LiteLLM has for this, as in the
proxy; synchronous selection has no hook, so there it is asked for one step of the ranking after the other.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import litellm
from litellm.types.router import CustomRoutingStrategyBase

from litellm_modelsat.configuration import load_scorer
from litellm_modelsat.deployments import entries_of, id_of, read_deployments, real_id, with_effort
from litellm_modelsat.handler import RankingCallback, refused
from litellm_modelsat.membership import groups_with_a_choice
from litellm_modelsat.reach import TARGET
from litellm_modelsat.records import attempt_of, served_by
from litellm_modelsat.service import ForbiddenError, RoutingService
from litellm_modelsat.settings import Settings, validated
from litellm_modelsat.versions import warn_if_untested
from modelsat._logging import ThrottledLog
from modelsat.capability.efforts import effort_of
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections import Counter

    from modelsat.inference.base import Scorer
    from modelsat.router.config import GivenFeedback

_WHERE = "attach(...)"
_active: ContextVar[ModelSATRoutingStrategy | None] = ContextVar("modelsat_active", default=None)
_EXCLUDED = "_excluded_deployment_ids"
_DETACHED = (
    "%r is not routed by modelsat any more: LiteLLM drops a strategy when routing_strategy changes, as by "
    "router.update_settings(routing_strategy=...); attach it again: attach(router, ...)"
)
_log = ThrottledLog(logging.getLogger("modelsat"))


class ModelSATRoutingStrategy(CustomRoutingStrategyBase):
    """LiteLLM's selection, in the order that Model-SAT says. Made by :func:`attach`."""

    def __init__(self, router: litellm.Router, service: RoutingService) -> None:
        self.service = service
        self.router = router
        self._select_async, self._select = _own_selection(router)
        _strategies.add(self)
        _listen()

    def __deepcopy__(self, memo: Any) -> ModelSATRoutingStrategy:
        """Copies share the network."""
        return self

    @property
    def fallbacks(self) -> Counter[str]:
        """How many requests were handed on without a score, by cause; a copy."""
        return self.service.metrics.fallbacks.copy()

    @property
    def attached(self) -> bool:
        """Whether the router still has a strategy of its user's; it drops it when ``routing_strategy`` changes."""
        return "get_available_deployment" in vars(getattr(self.router, "_core", self.router))

    async def async_get_available_deployment(self, model: str, **arguments: Any) -> Any:
        """The deployment that answers: LiteLLM's choice among those that come first.

        Args:
            model: The name that was called.
            arguments: What LiteLLM passes on: messages, input, specific_deployment, request_kwargs.

        Raises:
            BadRequestError: Constraints leave no deployment that may answer.
        """
        _listen()
        kwargs = _request(arguments)
        if model in self.service.groups:
            kwargs.pop(TARGET, None)  # The ranking is walked, whatever order the deployments declare.
        token = _active.set(self)
        try:
            return await self._select_async(model=model, request_kwargs=kwargs, **arguments)
        finally:
            _active.reset(token)

    def get_available_deployment(self, model: str, **arguments: Any) -> Any:
        """:meth:`async_get_available_deployment` for synchronous calls."""
        _listen()
        kwargs = _request(arguments)
        if arguments.get("specific_deployment") or model not in self.service.groups:
            return self._select(model=model, request_kwargs=kwargs, **arguments)
        entries = self._entries(model)
        kwargs.pop(TARGET, None)
        excluded = set(kwargs.pop(_EXCLUDED, None) or ())
        try:
            steps = self.service.rank_sync(model, entries, arguments.get("messages"), kwargs)
        except ForbiddenError as error:
            raise refused(model, error) from None
        everyone = {id_of(entry) for entry in entries}
        for step in _by_order(steps):
            others = [*excluded, *(everyone - _ids(step))]
            wanted = {**kwargs, _EXCLUDED: others}
            if (order := step[0]["litellm_params"].get("order")) is not None:
                wanted[TARGET] = order
            try:
                chosen = self._select(model=model, request_kwargs=wanted, **arguments)
            except Exception:  # noqa: S112 - nobody there: in cooldown, or left out by LiteLLM's checks
                continue
            self.service.returned(model, kwargs, step)
            return _with_its_effort(chosen, kwargs)
        left_out = everyone.difference(*map(_ids, steps))
        return self._select(model=model, request_kwargs={**kwargs, _EXCLUDED: [*excluded, *left_out]}, **arguments)

    def _entries(self, model: str) -> list[Any]:
        members = (model, *_routing_groups(self.router).get(model, ()))
        return [entry for entry in entries_of(self.router) if entry.get("model_name") in members]


_strategies: WeakSet[ModelSATRoutingStrategy] = WeakSet()


class _Ranker(RankingCallback):
    """The hook through which a strategy says its order; does nothing outside a strategy's call."""

    def routing(self) -> tuple[RoutingService, Any] | None:
        strategy = _active.get()
        return None if strategy is None else (strategy.service, strategy.router)

    def log_success_event(self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any) -> None:
        """Record who answered this request, not a later one that shares its caller's metadata."""
        attempt = attempt_of(kwargs)
        if attempt is not None and attempt.trace in (None, kwargs.get("litellm_trace_id")):
            super().log_success_event(kwargs, response_obj, start_time, end_time)
        elif (served := served_by(kwargs)) is not None:
            for strategy in list(_strategies):
                _notice_detached(strategy, served)


_RANKER = _Ranker()


def _listen() -> None:
    if _RANKER not in litellm.callbacks:
        litellm.callbacks.append(_RANKER)


def _notice_detached(strategy: ModelSATRoutingStrategy, served: str) -> None:
    """Count, and say, that ``served`` has answered without its strategy having been asked, if LiteLLM dropped that."""
    groups = [] if strategy.attached else strategy.service.groups.values()
    for group in groups:
        if group.has(served):
            strategy.service.metrics.fallback(group.name, "detached")
            _log.log(logging.ERROR, f"detached {group.name}", _DETACHED, group.name)
            return


def attach(
    router: litellm.Router,
    groups: Sequence[str] | Mapping[str, Any] | None = None,
    *,
    policy: Any = "best",
    constraints: Any = None,
    fallback: str | None = None,
    models: Mapping[str, Any] | None = None,
    weights: str | None = None,
    scorer: Scorer | str | None = None,
    timeout_ms: float = 250.0,
    unknown_models: str = "estimate",
    log_decisions: bool = True,
    feedback: GivenFeedback = None,
    cache: bool = True,
) -> ModelSATRoutingStrategy:
    """Route groups of ``router`` by Model-SAT; everything else it does stays as it was.

    Args:
        router: A LiteLLM router.
        groups: Names of its groups; or a mapping of names to settings of their own (``{"policy": ...}``). Every name
            with two or more deployments if not given.
        policy: A policy of modelsat, for groups without one of their own.
        constraints: What no policy may overrule.
        fallback: Candidate that comes first when routing itself fails.
        models: What is said about deployments, by name: a known model's name, ``{benchmark: accuracy}``, or a mapping.
        weights: Name or folder of a checkpoint, loaded here, so that no request waits for it. If not given: what the
            policy files were fitted to, or modelsat-nano.
        scorer: A scorer, or the address of one, in place of the weights.
        timeout_ms: Longest wait for a decision.
        unknown_models: ``"estimate"``, ``"mean"`` or ``"error"``, as in :class:`.settings.GroupSettings`.
        log_decisions: Write one line a decision to the logger ``modelsat``.
        feedback: Where decisions and the feedback on them are kept, see :class:`~modelsat.RouterConfig`;
            ``strategy.service.feedback(decision_id, score)`` takes it.
        cache: Whether the scores of a text are kept for ten minutes.

    Returns:
        The strategy; ``strategy.service.groups[name].router`` is the router of modelsat that decides.

    Raises:
        ConfigurationError: A group does not exist or has one deployment, a profile is missing, or a setting is wrong.
    """
    deployments = read_deployments(entries_of(router))
    routing_groups = _routing_groups(router)
    shared = {"policy": policy, "constraints": constraints, "fallback": fallback, "models": models or {}}
    if groups is None:
        names = list(dict.fromkeys([*(entry.model_name for entry in deployments), *routing_groups]))
        own = groups_with_a_choice(names, deployments, routing_groups, shared, unknown_models, _WHERE)
    else:
        named = [groups] if isinstance(groups, str) else groups
        each = named if isinstance(named, Mapping) else {name: {} for name in named}
        own = {name: {**shared, **(settings or {})} for name, settings in each.items()}
    if not own:
        raise ConfigurationError(
            "the router has no group to route: give two or more deployments the same model_name, of different models; "
            "the log names the groups that were left alone"
        )
    given = {
        "groups": own,
        "weights": weights,
        "timeout_ms": timeout_ms,
        "unknown_models": unknown_models,
        "log_decisions": log_decisions,
        "feedback": feedback,
        "cache": cache,
        **({"scorer": scorer} if isinstance(scorer, str) else {}),
    }
    settings = validated(Settings, given, _WHERE)
    if scorer is None or isinstance(scorer, str):
        scorer = load_scorer(settings)
    service = RoutingService(
        settings, deployments, routing_groups, where=_WHERE, scorer=scorer, listed=lambda: entries_of(router)
    )
    service.warmup()
    warn_if_untested()
    strategy = ModelSATRoutingStrategy(router, service)
    if hasattr(type(router), "register_plugin"):
        router.register_plugin(strategy)
    else:
        router.set_custom_routing_strategy(strategy)
    return strategy


def _routing_groups(router: litellm.Router) -> dict[str, list[str]]:
    registry = getattr(router, "registry", None)
    if callable(registry):
        found = registry().routing_groups()
    else:  # private before LiteLLM 1.106
        found = getattr(router, "routing_groups", None) or getattr(router, "_routing_groups", None)
    return {name: list(group.models) for name, group in (found or {}).items()}


def _by_order(steps: Sequence[Sequence[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """``steps``, each divided by the order that its deployments declare: LiteLLM takes those of one order only."""
    divided: list[list[dict[str, Any]]] = []
    for step in steps:
        own: dict[Any, list[dict[str, Any]]] = {}
        for entry in step:
            own.setdefault(entry["litellm_params"].get("order"), []).append(entry)
        divided += own.values()
    return divided


def _ids(step: Sequence[dict[str, Any]]) -> set[str]:
    return {real_id(id_of(entry)) for entry in step}


def _with_its_effort(chosen: Any, kwargs: dict[str, Any]) -> Any:
    """The deployment that LiteLLM chose, asking for the effort that was decided, unless the request asks for one."""
    attempt, identifier = attempt_of(kwargs), id_of(chosen)
    effort = attempt.effort_for(identifier) if attempt is not None else ""
    if attempt is None or not effort:
        return chosen
    attempt.asked(identifier)
    return chosen if effort_of(kwargs) else with_effort(chosen, effort)


def _own_selection(router: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """LiteLLM's own choice, asynchronous and synchronous, as it is without a strategy."""
    core = getattr(router, "_core", None)
    if not hasattr(core, "_custom_strategy"):  # Up to LiteLLM 1.109 a strategy is put in the place of these.
        own = getattr(router, "_core_async_get_available_deployment", None) or router.async_get_available_deployment
        return own, router.get_available_deployment

    def without_strategy() -> Any:
        """From 1.110 the choice asks the strategy again, but for a core that has none; the copy shares all state."""
        plain = copy.copy(router._core)
        plain.__dict__["_custom_strategy"] = None
        plain.__dict__.pop("get_available_deployment", None)
        return plain

    async def select_async(model: str, request_kwargs: dict[str, Any], **arguments: Any) -> Any:
        return await without_strategy().select(model, request_kwargs, kind="pick", **arguments)

    def select(**arguments: Any) -> Any:
        return without_strategy().get_available_deployment(**arguments)

    return select_async, select


def _request(arguments: dict[str, Any]) -> dict[str, Any]:
    """The request among what LiteLLM passes on, which is taken out; it is LiteLLM's own mapping, if there is one."""
    kwargs: dict[str, Any] | None = arguments.pop("request_kwargs", None)
    return {} if kwargs is None else kwargs
