"""What becomes of a failure: our own error, data in the decision, a log line without the prompt, and a count."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass

from modelsat._logging import ThrottledLog
from modelsat._text import one_line, text_of
from modelsat.errors import ModelSATError, RoutingError

logger = logging.getLogger("modelsat")

_MESSAGE_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Failure:
    """Why nothing was scored.

    Attributes:
        kind: Name of the class of the error, e.g. ``"ScorerUnavailableError"``; for an error that is not ours, its own.
        message: The error's text; that of a foreign error may quote the prompt.
    """

    kind: str
    message: str

    @classmethod
    def of(cls, error: ModelSATError) -> Failure:
        """The failure that ``error`` stands for."""
        return cls(type(_foreign(error) or error).__name__, str(error))


def as_own(error: Exception) -> ModelSATError:
    """``error`` as one of our own: itself, or a :class:`~modelsat.errors.RoutingError` with it as the cause."""
    if isinstance(error, ModelSATError):
        return error
    wrapped = RoutingError(one_line(f"routing failed: {type(error).__name__}: {text_of(error)}", _MESSAGE_LENGTH))
    wrapped.__cause__ = error
    return wrapped


class FallbackCounter:
    """Counts fallbacks, and logs them: of each cause the first at once, then at most one a minute. Thread-safe."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._log = ThrottledLog(logger)
        self._lock = threading.Lock()

    @property
    def counts(self) -> Counter[str]:
        """Fallbacks by :attr:`Failure.kind`; a copy."""
        with self._lock:
            return self._counts.copy()

    def record(self, model: str, error: ModelSATError) -> Failure:
        """Count one fallback to ``model`` and log it at WARNING, unless one of that cause was logged a moment ago.

        The message of a foreign exception may quote the prompt: it stands in the decision, never in the log.
        """
        failure = Failure.of(error)
        with self._lock:
            self._counts[failure.kind] += 1
        what = failure.kind if _foreign(error) else f"{failure.kind}: {failure.message}"
        self._log.log(logging.WARNING, failure.kind, "routing fell back to %s: %s", model, what)
        return failure


def _foreign(error: ModelSATError) -> BaseException | None:
    return error.__cause__ if isinstance(error, RoutingError) and type(error) is RoutingError else None
