"""What all routes can do, as LangChain's model profile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from langchain_core.language_models import BaseChatModel, ModelProfile


def intersect_profiles(models: Iterable[BaseChatModel]) -> ModelProfile | None:
    """What holds whichever route is chosen: abilities that all have, and the smallest of every limit.

    A field that one route says nothing about is left out; ``None`` if nothing is left.
    """
    profiles: list[Mapping[str, Any]] = [cast("Mapping[str, Any]", model.profile or {}) for model in models]
    common = [key for key in profiles[0] if all(key in profile for profile in profiles)] if profiles else []
    merged = {key: _merge([profile[key] for profile in profiles]) for key in common}
    return cast("ModelProfile", {key: value for key, value in merged.items() if value is not None}) or None


def _merge(values: list[Any]) -> bool | float | None:
    if all(isinstance(value, bool) for value in values):
        return all(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return cast("float", min(values))
    return None
