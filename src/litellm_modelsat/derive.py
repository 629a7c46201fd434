"""``routing_strategy: modelsat``, as a user would write it, turned into what the stock proxy accepts."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litellm_modelsat.deployments import read_deployments
from litellm_modelsat.service import members_of
from litellm_modelsat.settings import ROOT, GroupSettings, Settings, validated
from modelsat.errors import ConfigurationError

STRATEGY = "modelsat"
HANDLER = "litellm_modelsat.proxy.handler"
REDACTED = "REDACTED"

_PLAIN = "simple-shuffle"
_GENERAL = frozenset(Settings.model_fields) - {"groups"}
_SECRET = re.compile(r"key|secret|token|password|credential|auth|database_url|redis_url|dsn", re.IGNORECASE)


def derive(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """``configuration`` in the form of a callback; one that is in this form already comes back equal.

    Groups are the entries of ``routing_groups`` with ``routing_strategy: modelsat``, and, if the router's own strategy
    is ``modelsat``, every ``model_name`` of two or more deployments that is in no routing group. What stands in their
    ``routing_strategy_args`` becomes the group's settings.

    Args:
        configuration: What the user's file says.

    Raises:
        ConfigurationError: Arguments are wrong, or there is no group.
    """
    derived = copy.deepcopy(dict(configuration))
    router = derived.get("router_settings")
    if not isinstance(router, dict):
        return derived
    groups, general = _groups(derived, router)
    if not groups:
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


def with_absolute_includes(configuration: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``configuration`` with the files of ``include`` named from ``folder``, so that it may stand elsewhere."""
    includes = configuration.get("include")
    if not isinstance(includes, list):
        return configuration
    return {**configuration, "include": [str(folder / str(name)) for name in includes]}


def with_includes(configuration: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``configuration`` with the files of ``include`` read in, as the proxy does it: lists grow, the rest is replaced.

    Raises:
        ConfigurationError: A file is missing.
    """
    import yaml

    merged = dict(configuration)
    for name in configuration.get("include") or []:
        try:
            part = yaml.safe_load((folder / str(name)).read_text("utf-8")) or {}
        except OSError as error:
            raise ConfigurationError(f"include: cannot read {name}: {error.strerror or error}") from error
        for key, value in part.items():
            there = merged.get(key)
            merged[key] = [*there, *value] if isinstance(value, list) and isinstance(there, list) else value
    return merged


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
        validated(GroupSettings, shared, "router_settings.routing_strategy_args")
        groups = {**{name: dict(shared) for name in _implied(configuration, taken)}, **groups}
        if not groups:
            raise ConfigurationError(
                "router_settings.routing_strategy: modelsat chooses among the deployments of one name, and no "
                "model_name of model_list has two: repeat a model_name, or list models under "
                "router_settings.routing_groups"
            )
    return groups, general


def _implied(configuration: Mapping[str, Any], taken: set[str]) -> list[str]:
    entries = configuration.get("model_list")
    deployments = read_deployments(entries if isinstance(entries, list) else [])
    names = dict.fromkeys(entry.model_name for entry in deployments if entry.model_name not in taken)
    return [
        name
        for name in names
        for members in [members_of(name, deployments, {})]
        if len(members) > 1 and all(entry.generates for entry in members)
    ]


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
