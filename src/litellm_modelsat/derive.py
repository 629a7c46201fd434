"""``routing_strategy: modelsat``, as a user would write it, turned into what the stock proxy accepts."""

from __future__ import annotations

import copy
import difflib
import logging
import re
from collections.abc import Mapping
from typing import Any

from litellm_modelsat.choices import groups_with_a_choice
from litellm_modelsat.deployments import read_deployments
from litellm_modelsat.settings import ROOT, GroupSettings, Settings, validated
from modelsat.errors import ConfigurationError

STRATEGY = "modelsat"
HANDLER = "litellm_modelsat.proxy.handler"
REDACTED = "REDACTED"

logger = logging.getLogger("modelsat")

_PLAIN = "simple-shuffle"
_CLASSIFIER = "litellm_modelsat.proxy.classifier"
_GENERAL = frozenset(Settings.model_fields) - {"groups"}
_SECRET = re.compile(r"key|secret|token|password|credential|auth|database_url|redis_url|dsn", re.IGNORECASE)


def derive(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """``configuration`` in the form of a callback; one that is in this form already comes back equal.

    Groups are the entries of ``routing_groups`` with ``routing_strategy: modelsat``, and, if the router's own strategy
    is ``modelsat``, every ``model_name`` of two or more deployments that is in no routing group and has something to
    choose. What stands in their ``routing_strategy_args`` becomes the group's settings.

    Args:
        configuration: What the user's file says.

    Raises:
        ConfigurationError: Arguments are wrong, there is no group, a strategy is unknown, or nothing uses the settings.
    """
    derived = copy.deepcopy(dict(configuration))
    router = derived.get("router_settings")
    _check_strategies(router if isinstance(router, dict) else {})
    groups, general = _groups(derived, router) if isinstance(router, dict) else ({}, {})
    if not groups:
        _check_use(derived, configuration)
        return derived
    section = derived.get("litellm_settings")
    if not isinstance(section, dict):
        section = derived["litellm_settings"] = {}
    said = section.get("modelsat")
    said = dict(said) if isinstance(said, Mapping) else {}
    given_groups = said.get("groups")
    section["modelsat"] = {
        **general,
        **said,
        "groups": {**groups, **(given_groups if isinstance(given_groups, Mapping) else {})},
    }
    callbacks = section.get("callbacks") or []
    callbacks = [callbacks] if isinstance(callbacks, str) else list(callbacks)
    section["callbacks"] = callbacks if HANDLER in callbacks else [*callbacks, HANDLER]
    return derived


def redacted(value: Any, key: str = "") -> Any:
    """``value`` without secrets: strings under keys that sound like one, unless they name a variable."""
    if isinstance(value, Mapping):
        return {name: redacted(entry, str(name)) for name, entry in value.items()}
    if isinstance(value, list):
        return [redacted(entry, key) for entry in value]
    if isinstance(value, str) and _SECRET.search(key) and not value.startswith("os.environ/"):
        return REDACTED
    return value


def _check_strategies(router: Mapping[str, Any]) -> None:
    """Answer a misspelt strategy before LiteLLM does, which takes 382 lines."""
    from litellm.types.router import RoutingStrategy

    known = [STRATEGY, _PLAIN, "lar1", *(str(strategy.value) for strategy in RoutingStrategy)]
    groups = router.get("routing_groups")
    given = {"router_settings": router.get("routing_strategy")}
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        if isinstance(group, Mapping):
            given[f"router_settings.routing_groups[{index}]"] = group.get("routing_strategy")
    for where, strategy in given.items():
        if isinstance(strategy, str) and strategy not in known:
            close = difflib.get_close_matches(strategy, known, n=1)
            raise ConfigurationError(
                f"{where}.routing_strategy: {strategy!r} is unknown"
                + (f": write {close[0]}" if close else "")
                + f"; known: {', '.join(known)}"
            )


def _check_use(derived: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse settings that nothing reads."""
    section = _as_mapping(derived.get("litellm_settings"))
    callbacks = section.get("callbacks") or []
    if (
        "modelsat" not in section
        or HANDLER in callbacks
        or derived.get("router_settings") != given.get("router_settings")
    ):
        return
    for entry in derived.get("model_list") or []:
        config = _as_mapping(_as_mapping(_as_mapping(entry).get("litellm_params")).get("complexity_router_config"))
        if config.get("classifier_plugin") == _CLASSIFIER:
            return
    raise ConfigurationError(
        f"{ROOT}: nothing uses these settings: add the line 'callbacks: [{HANDLER}]' under litellm_settings, or "
        f"'routing_strategy: {STRATEGY}' under router_settings"
    )


def _groups(configuration: Mapping[str, Any], router: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings by group, and those that are for all; takes them out of ``router``."""
    groups: dict[str, Any] = {}
    general: dict[str, Any] = {}
    taken: set[str] = set()
    routing_groups = router.get("routing_groups")
    for index, group in enumerate(routing_groups if isinstance(routing_groups, list) else []):
        if not isinstance(group, dict):
            continue
        taken.update(map(str, group.get("models") or []))
        if group.get("routing_strategy") == STRATEGY:
            where = f"router_settings.routing_groups[{index}].routing_strategy_args"
            group["routing_strategy"] = _PLAIN
            groups[str(group.get("group_name"))] = _arguments(group, where)
    if router.get("routing_strategy") == STRATEGY:
        router["routing_strategy"] = _PLAIN
        given = _mapping(router.pop("routing_strategy_args", None) or {}, "router_settings.routing_strategy_args")
        general = {key: value for key, value in given.items() if key in _GENERAL}
        shared = {key: value for key, value in given.items() if key not in _GENERAL}
        unknown = str(general.get("unknown_models", "estimate"))
        groups = {**_implied(configuration, taken, shared, unknown), **groups}
    return groups, general


def _implied(
    configuration: Mapping[str, Any], taken: set[str], shared: Mapping[str, Any], unknown_models: str
) -> dict[str, Any]:
    """Settings by name, of every ``model_name`` outside ``taken`` that has something to choose."""
    entries = configuration.get("model_list")
    deployments = read_deployments(entries if isinstance(entries, list) else [])
    names = [entry.model_name for entry in deployments if entry.model_name not in taken]
    several = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    where = "router_settings.routing_strategy_args"
    found = groups_with_a_choice(several, deployments, {}, shared, unknown_models, where)
    if not several and not taken:
        raise ConfigurationError(
            "router_settings.routing_strategy: modelsat chooses among the deployments of one name, and no "
            "model_name of model_list has two: repeat a model_name, or list models under "
            "router_settings.routing_groups"
        )
    if not found and not taken:
        logger.warning(
            "router_settings.routing_strategy: no model_name has anything to choose, so nothing is routed and LiteLLM "
            "balances as %s",
            _PLAIN,
        )
    return found


def _arguments(group: dict[str, Any], where: str) -> dict[str, Any]:
    given = _mapping(group.pop("routing_strategy_args", None) or {}, where)
    if general := sorted(set(given) & _GENERAL - set(GroupSettings.model_fields)):
        raise ConfigurationError(f"{where}.{general[0]}: is for all groups: move it to {ROOT}.{general[0]}")
    validated(GroupSettings, given, where)
    return given


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{where} must be a mapping, not {type(value).__name__}")
    return dict(value)


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
