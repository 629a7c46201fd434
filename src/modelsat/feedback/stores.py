"""How a feedback store is named."""

from __future__ import annotations

import os
from typing import Any

from modelsat.errors import ConfigurationError
from modelsat.feedback.base import FeedbackStore
from modelsat.feedback.sqlite import SQLiteStore


def open_store(target: Any, *, create: bool = True) -> FeedbackStore:
    """A store by what it is called.

    Args:
        target: A store; the path of an SQLite file; or a URL ``redis://host:port/db`` (``rediss://``, ``unix://``).
        create: Make an SQLite file that is not there.

    Raises:
        ConfigurationError: It is none of these.
        MissingDependencyError: The client of Redis is not installed.
    """
    if isinstance(target, str) and target.startswith(("redis://", "rediss://", "unix://")):
        from modelsat.feedback.redis import RedisStore

        return RedisStore(target)
    if isinstance(target, str) and "://" in target:
        scheme = target.partition("://")[0]
        raise ConfigurationError(f"no feedback store is reached by {scheme}://: give a file, or redis://host:port")
    if isinstance(target, (str, os.PathLike)) and str(target).strip():
        return SQLiteStore(target, create=create)
    if isinstance(target, FeedbackStore) and not isinstance(target, type):
        return target
    raise ConfigurationError(f"a feedback store is a file, redis://host:port or a FeedbackStore, not {target!r}")
