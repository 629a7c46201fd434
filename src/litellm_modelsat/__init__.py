"""Model-SAT for LiteLLM: a routing strategy for the SDK, and a ranking callback for the proxy.

Names are loaded at first use: importing the package loads neither LiteLLM nor a network.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelsat.errors import MissingDependencyError

if TYPE_CHECKING:
    from litellm_modelsat.handler import ModelSATHandler
    from litellm_modelsat.strategy import ModelSATRoutingStrategy, attach

# LiteLLM asks for a list of prices when it is imported, unless this is set before.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

_EXPORTS = {
    "ModelSATHandler": "litellm_modelsat.handler",
    "ModelSATRoutingStrategy": "litellm_modelsat.strategy",
    "attach": "litellm_modelsat.strategy",
}

__all__ = ["ModelSATHandler", "ModelSATRoutingStrategy", "attach"]


def __getattr__(name: str) -> Any:
    """Load an export at its first use (PEP 562).

    Raises:
        MissingDependencyError: LiteLLM is not installed.
    """
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(_EXPORTS[name]), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "litellm":
            raise
        raise MissingDependencyError.for_extra("litellm_modelsat", "litellm") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
