"""``litellm-modelsat``: the stock LiteLLM proxy, with ``routing_strategy: modelsat`` understood."""

from __future__ import annotations

import argparse
import copy
import difflib
import hashlib
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import yaml

from litellm_modelsat.configuration import CLASSIFIER, HANDLER, SOURCE, mapping_at, read_whole, service_of, with_lines
from litellm_modelsat.deployments import read_deployments
from litellm_modelsat.membership import groups_with_a_choice
from litellm_modelsat.settings import ROOT, GroupSettings, Settings, validated
from modelsat._files import user_folder
from modelsat.errors import ConfigurationError, ModelSATError
from modelsat.storage.checkpoint import open_checkpoint

logger = logging.getLogger("modelsat")

STRATEGY = "modelsat"
_USAGE = "litellm-modelsat --config config.yaml [--print-config] [any option of litellm]"
_PLAIN = "simple-shuffle"
_GENERAL = frozenset(Settings.model_fields) - {"groups"}
_SECRET = re.compile(r"key|secret|token|password|credential|auth|database_url|redis_url|dsn", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check the configuration, derive the callback form, and become the stock proxy.

    Args:
        arguments: The command line; that of the process if not given.
    """
    parser = argparse.ArgumentParser("litellm-modelsat", usage=_USAGE, description=__doc__, allow_abbrev=False)
    parser.add_argument("--config", "-c", help="the proxy's configuration file")
    parser.add_argument("--print-config", action="store_true", help="print the derived configuration and stop")
    known, others = parser.parse_known_args(arguments)
    if known.config is None:
        parser.error("--config is missing: give the proxy's configuration file")
    _show_log()
    environment = dict(os.environ)  # As it was before litellm was imported for the check.
    try:
        derived = check(Path(known.config))
    except ModelSATError as error:
        sys.stderr.write(f"litellm-modelsat: {error}\n")
        raise SystemExit(2) from None
    if known.print_config:
        sys.stdout.write(_as_yaml(_redacted(derived)))
        return
    _become_proxy(write(derived, Path(known.config)), Path(known.config), others, environment)


def check(file: Path) -> dict[str, Any]:
    """The derived configuration of ``file``, all settings checked, the weights opened.

    Raises:
        ConfigurationError: The file cannot be read, or a setting is wrong; the message names file, line and path.
    """
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # For this check alone: nothing is downloaded.
    given = read_whole(file)
    try:
        derived = derive(given)
    except ConfigurationError as error:
        raise ConfigurationError(with_lines(str(error), str(file))) from error
    if HANDLER in (mapping_at(derived, "litellm_settings").get("callbacks") or []):
        service = service_of(derived, str(file), load=False)
        if service.settings.scorer is None:
            try:
                open_checkpoint(service.settings.network, without=("model.safetensors",))
            except ModelSATError as error:
                raise ConfigurationError(with_lines(f"{ROOT}.weights: {error}", str(file))) from error
    return derived


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
    said = mapping_at(section, "modelsat")
    section["modelsat"] = {**general, **said, "groups": {**groups, **mapping_at(said, "groups")}}
    callbacks = section.get("callbacks") or []
    callbacks = [callbacks] if isinstance(callbacks, str) else list(callbacks)
    section["callbacks"] = callbacks if HANDLER in callbacks else [*callbacks, HANDLER]
    return derived


def write(derived: dict[str, Any], file: Path) -> Path:
    """Write ``derived`` where only the user can read it, always at the same place for the same ``file``."""
    name = f"{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:16]}.yaml"
    text = _as_yaml(derived)
    try:
        place = user_folder("cache") / "litellm"
        place.mkdir(parents=True, exist_ok=True)
        return _write_private(place / name, text)
    except OSError:
        return _write_private(Path(tempfile.mkdtemp(prefix="litellm-modelsat-")) / name, text)


def _write_private(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def _become_proxy(config: Path, original: Path, others: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process by the stock proxy; modules beside the original file can be imported as ever."""
    beside = Path(sys.executable).with_name("litellm")
    program = str(beside) if beside.exists() else shutil.which("litellm")
    if program is None:
        sys.stderr.write('litellm-modelsat: the litellm command is missing: pip install "modelsat[litellm]"\n')
        raise SystemExit(2)
    folders = [str(original.resolve().parent), *filter(None, [environment.get("PYTHONPATH")])]
    environment = {**environment, "PYTHONPATH": os.pathsep.join(folders), SOURCE: str(original.resolve())}
    sys.stderr.write(f"litellm-modelsat: starting litellm with the derived configuration {config}\n")
    sys.stderr.flush()
    os.execve(program, [program, "--config", str(config), *others], environment)  # noqa: S606


def _show_log() -> None:
    """Let what the check has to say be read: groups that are left alone, what a deployment is taken for."""
    own = logging.getLogger("modelsat")
    if not own.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("litellm-modelsat: %(message)s"))
        own.addHandler(handler)
        own.setLevel(logging.INFO)


def _redacted(value: Any, key: str = "") -> Any:
    """``value`` without secrets: strings under keys that sound like one, unless they name a variable."""
    if isinstance(value, Mapping):
        return {name: _redacted(entry, str(name)) for name, entry in value.items()}
    if isinstance(value, list):
        return [_redacted(entry, key) for entry in value]
    if isinstance(value, str) and _SECRET.search(key) and not value.startswith("os.environ/"):
        return "REDACTED"
    return value


def _as_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text


def _check_strategies(router: Mapping[str, Any]) -> None:
    """Reject a misspelled strategy before LiteLLM does, which takes it 382 lines."""
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
    section = mapping_at(derived, "litellm_settings")
    callbacks = section.get("callbacks") or []
    if (
        "modelsat" not in section
        or HANDLER in callbacks
        or derived.get("router_settings") != given.get("router_settings")
    ):
        return
    for entry in derived.get("model_list") or []:
        config = mapping_at(entry, "litellm_params", "complexity_router_config")
        if config.get("classifier_plugin") == CLASSIFIER:
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
