"""The SDK: ``attach(router, groups=...)`` makes a ``litellm.Router`` route by Model-SAT, sync and async.

The strategy asks LiteLLM's own selection, with its health, cooldowns, tags and checks, and only says in which order the
deployments come. In asynchronous calls it does so from the hook that LiteLLM has for this; synchronous selection has no
hook, so there it is asked for one level of the ranking after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import litellm
from litellm.types.router import CustomRoutingStrategyBase

from litellm_modelsat.choices import groups_with_a_choice
from litellm_modelsat.deployments import entries_of, read_deployments
from litellm_modelsat.handler import EndOfRequest, refused
from litellm_modelsat.ranking import id_of
from litellm_modelsat.service import ForbiddenError, RoutingService
from litellm_modelsat.settings import Settings, validated
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from collections import Counter

    from modelsat.inference.base import Scorer

_WHERE = "attach(...)"
_active: ContextVar[RoutingService | None] = ContextVar("modelsat_active", default=None)


class ModelSATRoutingStrategy(CustomRoutingStrategyBase):
    """LiteLLM's selection, in the order that Model-SAT says. Made by :func:`attach`.

    Args:
        router: The router whose selection is asked.
        service: What ranks.
    """

    def __init__(self, router: litellm.Router, service: RoutingService) -> None:
        self.service = service
        self._router = router
        # LiteLLM 1.109 keeps the selection in the router's core, under a name of its own.
        core = getattr(router, "_core_async_get_available_deployment", None)
        self._select_async: Callable[..., Any] = core or router.async_get_available_deployment
        self._select: Callable[..., Any] = router.get_available_deployment

    def __deepcopy__(self, memo: Any) -> ModelSATRoutingStrategy:
        """Copies share the network."""
        return self

    @property
    def fallbacks(self) -> Counter[str]:
        """How many requests were handed on without a score, by cause; a copy."""
        return self.service.metrics.fallbacks.copy()

    async def async_get_available_deployment(self, model: str, **arguments: Any) -> Any:
        """The deployment that answers: LiteLLM's choice among those that come first.

        Args:
            model: The name that was called.
            arguments: What LiteLLM passes on: messages, input, specific_deployment, request_kwargs.

        Raises:
            BadRequestError: Constraints leave no deployment that may answer.
        """
        if _RANKER not in litellm.callbacks:
            litellm.callbacks.append(_RANKER)
        arguments["request_kwargs"] = _or_empty(arguments.get("request_kwargs"))
        token = _active.set(self.service)
        try:
            return await self._select_async(model=model, **arguments)
        finally:
            _active.reset(token)

    def get_available_deployment(self, model: str, **arguments: Any) -> Any:
        """:meth:`async_get_available_deployment` for synchronous calls."""
        kwargs = _or_empty(arguments.get("request_kwargs"))
        if arguments.get("specific_deployment") or model not in self.service.groups:
            return self._select(model=model, **arguments)
        entries = self._entries(model)
        try:
            ordered = self.service.rank_sync(model, entries, arguments.get("messages"), kwargs)
        except ForbiddenError as error:
            raise refused(model, error) from None
        everyone = {id_of(entry) for entry in entries}
        kwargs.pop("_target_order", None)
        excluded = {*(kwargs.pop("_excluded_deployment_ids", None) or ()), *(everyone - {id_of(e) for e in ordered})}
        for order, identifiers in _levels(ordered, entries):
            wanted = {**kwargs, "_excluded_deployment_ids": list(excluded | (everyone - identifiers))}
            if order is not None:
                wanted["_target_order"] = order
            try:
                return self._select(model=model, **{**arguments, "request_kwargs": wanted})
            except Exception:  # noqa: S112 - nobody there: in cooldown, or left out by LiteLLM's checks
                continue
        left = {**kwargs, "_excluded_deployment_ids": list(excluded)} if excluded else kwargs
        return self._select(model=model, **{**arguments, "request_kwargs": left})

    def _entries(self, model: str) -> list[Any]:
        members = (model, *_routing_groups(self._router).get(model, ()))
        return [entry for entry in entries_of(self._router) if entry.get("model_name") in members]


class _Ranker(EndOfRequest):
    """The hook through which a strategy says its order; does nothing outside a strategy's call."""

    def __deepcopy__(self, memo: Any) -> _Ranker:
        return self

    async def async_filter_deployments(
        self,
        model: str,
        healthy_deployments: list[Any],
        messages: list[Any] | None,
        request_kwargs: dict[str, Any] | None = None,
        parent_otel_span: Any = None,
    ) -> list[dict[str, Any]]:
        service = _active.get()
        if service is None:
            return healthy_deployments
        try:
            return await service.rank(model, healthy_deployments, messages, _or_empty(request_kwargs))
        except ForbiddenError as error:
            raise refused(model, error) from None


_RANKER = _Ranker()


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
    unknown_models: str = "error",
    log_decisions: bool = True,
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
            policy files were fitted to, or modelsat-pico.
        scorer: A scorer, or the address of one, in place of the weights.
        timeout_ms: Longest wait for a decision.
        unknown_models: ``"error"``, or ``"mean"``: rank a deployment without a profile by the mean of its group.
        log_decisions: Write one line a decision to the logger ``modelsat``.

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
        **({"scorer": scorer} if isinstance(scorer, str) else {}),
    }
    settings = validated(Settings, given, _WHERE)
    if scorer is None or isinstance(scorer, str):
        from litellm_modelsat.configuration import load_scorer

        scorer = load_scorer(settings, None)
    service = RoutingService(
        settings, deployments, routing_groups, where=_WHERE, scorer=scorer, listed=lambda: entries_of(router)
    )
    service.warmup()
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


def _levels(
    ordered: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, Any]]
) -> list[tuple[int | None, frozenset[str]]]:
    """Ids level by level, best first, with the ``order`` that was declared; none if nothing was ranked."""
    declared = {id_of(entry): entry["litellm_params"].get("order") for entry in entries}
    found: dict[tuple[int, int | None], set[str]] = {}
    ranked = {id(entry) for entry in entries}
    for entry in ordered:
        if id(entry) in ranked:
            return []
        key = (entry["litellm_params"]["order"], declared.get(id_of(entry)))
        found.setdefault(key, set()).add(id_of(entry))
    return [(order, frozenset(found[level, order])) for level, order in sorted(found, key=lambda key: key[0])]


def _or_empty(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    return {} if kwargs is None else kwargs
