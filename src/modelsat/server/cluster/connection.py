"""Connecting to a Ray cluster, or starting one here."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from modelsat.errors import ConfigurationError, MissingDependencyError


def connect(address: str | None = None, **options: Any) -> bool:
    """Connect to the Ray cluster at ``address``, or start one in this machine.

    Args:
        address: ``"auto"``, ``"ray://host:port"`` or the address of a head node; none starts a cluster here, unless
            this process is connected already.
        **options: Further arguments of ``ray.init``.

    Returns:
        True if a cluster was started here.

    Raises:
        MissingDependencyError: Ray is not installed.
        ConfigurationError: There is no cluster, or its versions of Ray or Python differ from those here.
    """
    if find_spec("ray") is None:
        raise MissingDependencyError.for_extra("--ray", "ray")
    # Ray's own wheels are what workers should run with, not an environment built again on every node.
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    import ray

    if ray.is_initialized():
        return False
    if address is None:
        options = {"include_dashboard": False, **options}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="warning", **options)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ConfigurationError(_explain(address, error, ray.__version__)) from error
    return address is None


def _explain(address: str | None, error: Exception, version: str) -> str:
    text = " ".join(str(error).split())
    where = f"at {address!r}" if address else "on this machine"
    if "ersion mismatch" in text:
        return f"the Ray cluster {where} has other versions than Ray {version} here: install its versions. {text[:300]}"
    return f"cannot use a Ray cluster {where}: {text[:300]}"
