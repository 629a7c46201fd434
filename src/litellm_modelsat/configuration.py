"""The user's configuration: its files with the lines where keys stand, and the service that it describes."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from litellm_modelsat.deployments import entries_of, read_deployments
from litellm_modelsat.service import RoutingService
from litellm_modelsat.settings import ROOT, Settings, validated
from modelsat.errors import ConfigurationError, ModelSATError

if TYPE_CHECKING:
    from modelsat.inference.base import Scorer

HANDLER = "litellm_modelsat.proxy.handler"
CLASSIFIER = "litellm_modelsat.proxy.classifier"
SOURCE = "MODELSAT_LITELLM_CONFIG"
"""Environment variable of a proxy that runs on a derived file: the file that the user wrote."""

_PATH = re.compile(r"^((?:litellm_settings|router_settings|model_list|general_settings)(?:[.\[][^:\s]*)?)(?=[: ])")
_ARGUMENTS = "routing_strategy_args"


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
        given = mapping_at(configuration, "litellm_settings").get("modelsat")
        if given is None:
            raise ConfigurationError(
                f"{ROOT} is missing: say which groups to route, e.g. "
                "litellm_settings: {modelsat: {groups: {smart: {policy: best}}}}"
            )
        settings = validated(Settings, given, ROOT)
        deployments = read_deployments(_list(configuration.get("model_list")))
        routing_groups = {
            str(group.get("group_name")): [str(name) for name in _list(group.get("models"))]
            for group in _list(mapping_at(configuration, "router_settings").get("routing_groups"))
            if isinstance(group, Mapping)
        }
        if file is not None and (folder := os.path.abspath(Path(file).parent)) not in sys.path:
            sys.path.append(folder)  # A scorer or a function of the user's own may lie beside the configuration.
        scorer = load_scorer(settings) if load else None
        listed = _listed if load else None
        service = RoutingService(settings, deployments, routing_groups, scorer=scorer, listed=listed)
        if load:
            service.warmup()
        return service
    except ConfigurationError as error:
        raise ConfigurationError(with_lines(str(error), file)) from error


def load_scorer(settings: Settings) -> Scorer:
    """The scorer that all groups share: the weights, the address of a scorer server, or an object by its dotted path.

    Raises:
        ConfigurationError: It cannot be loaded.
    """
    given = settings.scorer
    if given is None:
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


def _read(file: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} is not YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"{file} must hold a mapping, with model_list and so on, not {type(found).__name__}")
    return found


def read_whole(file: Path) -> dict[str, Any]:
    """The mapping that ``file`` and the files of its ``include`` make together, as the proxy reads them.

    Lists grow, everything else is replaced; ``include`` itself is left out.

    Raises:
        ConfigurationError: A file cannot be read, or holds something else.
    """
    whole: dict[str, Any] = {}
    for _, part in _parts(file):
        for key, value in part.items():
            there = whole.get(key)
            whole[key] = [*there, *value] if isinstance(value, list) and isinstance(there, list) else value
    whole.pop("include", None)
    return whole


def with_lines(message: str, file: str | None) -> str:
    """``message`` with file and line before every line that starts with the path of a key.

    A path that stands only in the derived configuration becomes the one that the user wrote.
    """
    if file is None or _PATH.search(message) is None:
        return message
    try:
        parts = [(path, part, yaml.compose(path.read_text("utf-8"), yaml.SafeLoader)) for path, part in _parts(file)]
        whole = read_whole(Path(file))
    except Exception:
        return message  # The file is remote, or has changed: the path alone has to do.
    lines = []
    for line in message.split("\n"):
        if (found := _PATH.match(line)) is not None:
            path = _as_written(found[1], whole)
            part, number = _place(parts, path)
            line = f"{part}:{number}: {path}{line[found.end() :]}"
        lines.append(line)
    return "\n".join(lines)


def _parts(file: str | Path) -> list[tuple[Path, dict[str, Any]]]:
    """The file, and those that it and they include, in the order in which the proxy merges them."""
    root = Path(file)
    found: dict[Path, dict[str, Any]] = {}
    waiting = [root]
    while waiting:
        place = waiting.pop(0)
        if place.absolute() in {known.absolute() for known in found}:
            continue
        found[place] = part = _read(place)
        names = part.get("include") or []
        if not isinstance(names, list):
            raise ConfigurationError(f"{place}: include must be a list of files")
        for name in map(str, names):
            beside = place.parent / name
            waiting.append(beside if beside.exists() or not (root.parent / name).exists() else root.parent / name)
    return list(found.items())


def _as_written(path: str, whole: Mapping[str, Any]) -> str:
    """``path``, or where the user wrote what derived it: the arguments of a routing strategy."""
    said, router = mapping_at(whole, "litellm_settings", "modelsat"), mapping_at(whole, "router_settings")
    if not path.startswith(f"{ROOT}."):
        return path
    rest = path.removeprefix(f"{ROOT}.")
    if not rest.startswith("groups."):
        written = any(_starts(rest, key) for key in said)
        return path if written else _argument("router_settings", router, f".{rest}") or path
    rest = rest.removeprefix("groups.")
    if any(_starts(rest, name) for name in mapping_at(said, "groups")):
        return path
    for index, group in enumerate(map(mapping_at, _list(router.get("routing_groups")))):
        name = str(group.get("group_name"))
        if _starts(rest, name):
            return _argument(f"router_settings.routing_groups[{index}]", group, rest.removeprefix(name)) or path
    names = sorted({str(mapping_at(entry).get("model_name")) for entry in whole.get("model_list") or []}, key=len)
    name = next((name for name in reversed(names) if _starts(rest, name)), "")
    return _argument("router_settings", router, rest.removeprefix(name)) or path


def _argument(where: str, owner: Mapping[str, Any], rest: str) -> str | None:
    if owner.get("routing_strategy") != "modelsat":
        return None
    return f"{where}.{_ARGUMENTS}{rest}" if owner.get(_ARGUMENTS) else f"{where}.routing_strategy"


def _place(parts: Sequence[tuple[Path, Mapping[str, Any], Any]], path: str) -> tuple[Path, int]:
    """File and line of ``path``: lists of several files follow each other, of other keys the last one holds."""
    key = re.split(r"[.\[]", path, maxsplit=1)[0]
    holding = [(file, part[key], root) for file, part, root in parts if key in part]
    index = re.match(rf"{key}\[(\d+)\]", path)
    if index is not None:
        position = int(index[1])
        for file, value, root in holding:
            count = len(value) if isinstance(value, list) else 0
            if position < count:
                return file, _line_of(root, f"{key}[{position}]{path[index.end() :]}")
            position -= count
    file, _, root = holding[-1] if holding else parts[0]
    return file, _line_of(root, path)


def _line_of(node: Any, path: str) -> int:
    """The line (from 1) of the deepest part of ``path`` that exists under ``node``; names may hold dots."""
    line = 1
    while path:
        kind = getattr(node, "id", None)
        if kind == "sequence":
            found = re.match(r"\[(\d+)\]", path)
            if found is None or int(found[1]) >= len(node.value):
                break
            node, path = node.value[int(found[1])], path[found.end() :]
            line = node.start_mark.line + 1
        elif kind == "mapping":
            path = path.removeprefix(".")
            keys = sorted(node.value, key=lambda pair: -len(str(pair[0].value)))
            entry = next((pair for pair in keys if _starts(path, str(pair[0].value))), None)
            if entry is None:
                break
            line, path = entry[0].start_mark.line + 1, path[len(str(entry[0].value)) :]
            node = entry[1]
        else:
            break
    return line


def _starts(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


def mapping_at(value: Any, *keys: str) -> Mapping[str, Any]:
    """The mapping under ``keys`` of ``value``; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def source_file(file: str | None) -> str | None:
    """The file that the user wrote, where the proxy runs on a derived one."""
    return os.environ.get(SOURCE) or file


def _listed() -> Sequence[Mapping[str, Any]]:
    """The proxy's deployments as they are now."""
    from litellm.proxy import proxy_server

    router = proxy_server.llm_router
    return [] if router is None else entries_of(router)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, (list, tuple)) else []
