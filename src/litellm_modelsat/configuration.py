"""From the proxy's configuration to a service, with messages that name key and line."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from litellm_modelsat.config_files import with_lines
from litellm_modelsat.deployments import entries_of, read_deployments
from litellm_modelsat.service import RoutingService
from litellm_modelsat.settings import ROOT, Settings, validated
from modelsat.errors import ConfigurationError

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

EXAMPLE = "litellm_settings: {modelsat: {groups: {smart: {policy: best}}}}"


def service_of(configuration: Mapping[str, Any], file: str | None, *, load: bool = True) -> RoutingService:
    """The service that ``litellm_settings.modelsat`` describes.

    Args:
        configuration: The proxy's whole configuration.
        file: Its file, for the lines in messages and the folder of modules that it names.
        load: Load the weights; otherwise the settings are checked alone.

    Raises:
        ConfigurationError: A key or a value is wrong, or the weights cannot be used.
    """
    try:
        settings = settings_of(configuration)
        deployments = read_deployments(_list(configuration.get("model_list")))
        if file is not None and (folder := os.path.abspath(Path(file).parent)) not in sys.path:
            sys.path.append(folder)  # A scorer or a function of the user's own may lie beside the configuration.
        scorer = load_scorer(settings) if load else None
        service = RoutingService(
            settings, deployments, routing_groups_of(configuration), scorer=scorer, listed=_listed if load else None
        )
        if load:
            service.warmup()
        return service
    except ConfigurationError as error:
        raise ConfigurationError(with_lines(str(error), file)) from error


def settings_of(configuration: Mapping[str, Any]) -> Settings:
    """The settings under ``litellm_settings.modelsat``.

    Raises:
        ConfigurationError: They are missing or wrong.
    """
    section = configuration.get("litellm_settings")
    given = section.get("modelsat") if isinstance(section, Mapping) else None
    if given is None:
        raise ConfigurationError(f"{ROOT} is missing: say which groups to route, e.g. {EXAMPLE}")
    return validated(Settings, given, ROOT)


def routing_groups_of(configuration: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of models by name of the routing group, out of ``router_settings.routing_groups``."""
    section = configuration.get("router_settings")
    groups = _list(section.get("routing_groups")) if isinstance(section, Mapping) else []
    return {
        str(group.get("group_name")): [str(name) for name in _list(group.get("models"))]
        for group in groups
        if isinstance(group, Mapping)
    }


def load_scorer(settings: Settings) -> Scorer:
    """The scorer that all groups share: the weights, the address of a scorer server, or an object by its dotted path.

    Raises:
        ConfigurationError: It cannot be loaded.
    """
    given = settings.scorer
    if given is None:
        from modelsat.errors import ModelSATError
        from modelsat.inference import load_scorer as load

        try:
            # Each worker shares its cores with LiteLLM and with other workers: on busy cores, a second thread of so
            # small a network waits awake for the first, and takes twice the CPU time for the same pass.
            return load(settings.network, threads=1)
        except ModelSATError as error:
            raise ConfigurationError(f"{ROOT}.weights: {error}") from error
    if given.startswith(("http://", "https://")):
        from modelsat.inference.client import RemoteScorer

        # A call that nobody waits for any more must not hold up those behind it.
        return RemoteScorer(given, timeout_s=settings.timeout_ms / 1000.0, attempts=2)
    module, _, name = given.rpartition(".")
    try:
        scorer: Scorer = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise ConfigurationError(
            f"{ROOT}.scorer: cannot load {given!r} ({type(error).__name__}: {error}): give the address of a scorer "
            "server, http://host:port, or the dotted path of a scorer object"
        ) from error
    return scorer


def _listed() -> Sequence[Mapping[str, Any]]:
    """The proxy's deployments as they are now."""
    from litellm.proxy import proxy_server

    router = proxy_server.llm_router
    return [] if router is None else entries_of(router)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else []
