"""``litellm-modelsat``: the stock LiteLLM proxy, with ``routing_strategy: modelsat`` understood."""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from modelsat._files import user_folder
from modelsat.errors import ConfigurationError, ModelSATError

_USAGE = "litellm-modelsat --config config.yaml [--print-config] [any option of litellm]"


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
    from litellm_modelsat.config_files import read_whole, with_lines
    from litellm_modelsat.configuration import service_of
    from litellm_modelsat.derive import HANDLER, derive

    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # For this check alone: nothing is downloaded.
    given = read_whole(file)
    try:
        derived = derive(given)
    except ConfigurationError as error:
        raise ConfigurationError(with_lines(str(error), str(file))) from error
    section = derived.get("litellm_settings")
    callbacks = (section if isinstance(section, dict) else {}).get("callbacks") or []
    if HANDLER in callbacks:
        service = service_of(derived, str(file), load=False)
        if service.settings.scorer is None:
            _open_weights(service.settings.network, file)
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
        import tempfile

        return _write_private(Path(tempfile.mkdtemp(prefix="litellm-modelsat-")) / name, text)


def _write_private(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    return path


def _open_weights(weights: str, file: Path) -> None:
    from litellm_modelsat.config_files import with_lines
    from litellm_modelsat.settings import ROOT
    from modelsat.storage.checkpoint import open_checkpoint

    try:
        open_checkpoint(weights, without=("model.safetensors",))
    except ModelSATError as error:
        raise ConfigurationError(with_lines(f"{ROOT}.weights: {error}", str(file))) from error


def _become_proxy(config: Path, original: Path, others: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Replace this process by the stock proxy; modules beside the original file can be imported as ever."""
    beside = Path(sys.executable).with_name("litellm")
    program = str(beside) if beside.exists() else shutil.which("litellm")
    if program is None:
        sys.stderr.write('litellm-modelsat: the litellm command is missing: pip install "modelsat[litellm]"\n')
        raise SystemExit(2)
    from litellm_modelsat.config_files import SOURCE

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


def _redacted(derived: dict[str, Any]) -> Any:
    from litellm_modelsat.derive import redacted

    return redacted(derived)


def _as_yaml(value: Any) -> str:
    import yaml

    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text
