"""The server, its client and Ray: one network for many processes (extras ``serve`` and ``ray``).

Names are loaded at first use; the client needs neither extra.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelsat.inference.client import RemoteScorer
    from modelsat.server.app import create_app
    from modelsat.server.settings import ServerSettings

_EXPORTS = {
    "RemoteScorer": "modelsat.inference.client",
    "ServerSettings": "modelsat.server.settings",
    "create_app": "modelsat.server.app",
}

__all__ = ["RemoteScorer", "ServerSettings", "create_app"]


def __getattr__(name: str) -> Any:
    """Load an export at its first use (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)
