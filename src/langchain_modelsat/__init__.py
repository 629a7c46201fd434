"""Model-SAT for LangChain: a selector, a chat model that routes, agent middleware and a decision model.

Names are loaded at first use: ``import langchain_modelsat`` brings in neither LangChain nor a network.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_modelsat.chat_model import ModelSATRouter
    from langchain_modelsat.decision_model import ModelSATDecisionModel as ModelSATDecisionModel
    from langchain_modelsat.middleware import ModelSATMiddleware
    from langchain_modelsat.selector import ROUTE_KEY, ModelSATSelector

_EXPORTS = {
    "ROUTE_KEY": "langchain_modelsat.selector",
    "ModelSATDecisionModel": "langchain_modelsat.decision_model",
    "ModelSATMiddleware": "langchain_modelsat.middleware",
    "ModelSATRouter": "langchain_modelsat.chat_model",
    "ModelSATSelector": "langchain_modelsat.selector",
}

# Without ModelSATDecisionModel: "import *" must not fail where langchain-core is older than 1.8.
__all__ = [
    "ROUTE_KEY",
    "ModelSATMiddleware",
    "ModelSATRouter",
    "ModelSATSelector",
]


def __getattr__(name: str) -> Any:
    """Load an export at its first use (PEP 562).

    Raises:
        MissingDependencyError: LangChain, or the part of it that ``name`` needs, is not installed.
    """
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(_EXPORTS[name]), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("langchain", "langchain_core", "langgraph"):
            raise
        from modelsat.errors import MissingDependencyError

        raise MissingDependencyError.for_extra(name, "langchain") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
