"""modelsat: a learned router for LLMs.

Names are loaded at first use: ``import modelsat`` brings in neither numpy nor a network or a framework.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile, CapabilityStatement
    from modelsat.capability.registry import Registry
    from modelsat.capability.store import ProfileStore
    from modelsat.errors import ModelSATError
    from modelsat.router.config import RouterConfig
    from modelsat.router.decision import RoutingDecision
    from modelsat.router.router import Router

    __version__: str

_EXPORTS = {
    "CapabilityProfile": "modelsat.capability.profile",
    "CapabilityStatement": "modelsat.capability.profile",
    "ModelSATError": "modelsat.errors",
    "ProfileStore": "modelsat.capability.store",
    "Registry": "modelsat.capability.registry",
    "Router": "modelsat.router.router",
    "RouterConfig": "modelsat.router.config",
    "RoutingDecision": "modelsat.router.decision",
}

__all__ = [
    "CapabilityProfile",
    "CapabilityStatement",
    "ModelSATError",
    "ProfileStore",
    "Registry",
    "Router",
    "RouterConfig",
    "RoutingDecision",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Load an export at its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("modelsat")
    elif name in _EXPORTS:
        value = getattr(import_module(_EXPORTS[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
