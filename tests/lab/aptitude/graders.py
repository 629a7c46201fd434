"""A checker of one's own, as a suite names it."""

from __future__ import annotations

from typing import Any


def long_enough(said: str, question: dict[str, Any]) -> bool:
    """Whether a reply has at least a thousand characters."""
    return len(said) >= 1000
