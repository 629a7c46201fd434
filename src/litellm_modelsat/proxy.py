"""What the proxy's configuration names: ``litellm_modelsat.proxy.handler`` and ``litellm_modelsat.proxy.classifier``.

Both are made when the proxy reads its configuration, so that a mistake stops it from starting, and once a process.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

_MAKERS = ("handler", "classifier")
_lock = threading.Lock()


def __getattr__(name: str) -> Any:
    """Make what the configuration asks for, out of that configuration (PEP 562)."""
    if name not in _MAKERS:
        raise AttributeError(
            f"module {__name__!r} has no attribute {name!r}; the configuration may name handler or classifier"
        )
    with _lock:
        if name not in globals():
            globals()[name] = _make_handler() if name == "handler" else _make_classifier()
        return globals()[name]


def _make_handler() -> Any:
    from litellm_modelsat.configuration import service_of
    from litellm_modelsat.handler import ModelSATHandler
    from litellm_modelsat.versions import warn_if_untested

    _show_log()
    warn_if_untested()
    service = service_of(*_configuration())
    if service.settings.feedback is not None:
        from litellm.proxy.proxy_server import app

        from litellm_modelsat.feedback import serve_feedback

        serve_feedback(app, service)
    return ModelSATHandler(service)


def _make_classifier() -> Any:
    from litellm_modelsat.classifier import classifier_of

    _show_log()
    return classifier_of(*_configuration())


def _configuration() -> tuple[Any, str | None]:
    """The proxy's configuration as it has read it, with its environment variables, and the file that the user wrote."""
    from litellm.proxy import proxy_server

    from litellm_modelsat.config_files import source_file

    return dict(proxy_server.proxy_config.get_config_state()), source_file(proxy_server.user_config_file_path)


def _show_log() -> None:
    """Send decisions to stderr as bare JSON, and all else where LiteLLM's lines go, unless set up otherwise."""
    own, decisions = logging.getLogger("modelsat"), logging.getLogger("modelsat.decisions")
    if own.level == logging.NOTSET:
        own.setLevel(logging.INFO)
    if not decisions.handlers and not own.handlers:
        from litellm_modelsat.queued_log import queued

        lines = logging.StreamHandler()
        lines.setFormatter(logging.Formatter("%(message)s"))
        decisions.addHandler(queued(lines))
        decisions.propagate = False
    if not own.handlers and not logging.getLogger().handlers:
        from litellm._logging import verbose_proxy_logger

        for handler in verbose_proxy_logger.handlers:
            own.addHandler(handler)
