"""What becomes of a failure: our own error, a log line without the prompt, and a count."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from modelsat.errors import ModelSATError, RoutingError
from modelsat.rarely import RareLog

logger = logging.getLogger("modelsat")

T = TypeVar("T")
_MESSAGE_LENGTH = 500


def attempt(function: Callable[[], T]) -> T | ModelSATError:
    """Call ``function``; return its result, or what went wrong as one of our own errors."""
    try:
        return function()
    except ModelSATError as error:
        return error
    except Exception as error:
        wrapped = RoutingError(f"routing failed: {type(error).__name__}: {error}"[:_MESSAGE_LENGTH])
        wrapped.__cause__ = error
        return wrapped


class FallbackCounter:
    """Counts fallbacks, and logs them: of each cause the first at once, then at most one a minute. Thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._log = RareLog(logger)
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counter[str]:
        """Fallbacks by class of error; for an error that is not ours, its own class. A copy."""
        with self._lock:
            return self._counts.copy()

    def record(self, model: str, error: ModelSATError) -> None:
        """Count one fallback to ``model`` and log it at WARNING, unless one of that cause was logged a moment ago.

        The message of a foreign exception may quote the prompt: it stands in the decision, never in the log.
        """
        cause = error.__cause__ if isinstance(error, RoutingError) else None
        name = type(cause or error).__name__
        with self._lock:
            self._counts[name] += 1
        what = name if cause else f"{name}: {error}"
        self._log.log(logging.WARNING, name, "routing fell back to %s: %s", model, what)
