"""Data models whose faults are raised as the project's own errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from modelsat._logging import field_name, one_line, shown
from modelsat.errors import ConfigurationError


class Settings(BaseModel):
    """A frozen model without unknown fields, which raises :class:`~modelsat.errors.ConfigurationError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    label: ClassVar[str] = "settings"

    def __init__(self, **data: Any) -> None:
        """Validate the fields.

        Raises:
            ConfigurationError: A field is unknown or holds a value that cannot be right.
        """
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ConfigurationError(f"invalid {self.label}: {'; '.join(faults(error, type(self)))}") from error

    @classmethod
    def of(cls, given: Self | Mapping[str, Any], label: str | None = None) -> Self:
        """``given`` itself, or the model of a mapping's fields.

        Raises:
            ConfigurationError: It is neither, or a field is faulty.
        """
        if isinstance(given, cls):
            return given
        label = label or cls.label
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise ConfigurationError(
                f"{label} must be {cls.__name__} or a mapping of its fields, not {type(given).__name__}"
            )
        try:
            return cls(**given)
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace(cls.label, label, 1)) from error


def plain(model: BaseModel, leave_out: Collection[str] = ()) -> dict[str, Any]:
    """The fields that were set, as JSON-compatible data; sets are in order, so that the same model is the same text."""
    found: dict[str, Any] = _plain(model.model_dump(exclude_defaults=True, exclude=set(leave_out)))
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return [_plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def finite(value: Any) -> float | None:
    """``value`` as a float; ``None`` for what is not a number, is not finite, or is too large for a float."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def number(
    value: Any, name: str, *, unit: str, example: float, positive: bool = False, most: float = math.inf
) -> float:
    """``value`` as a finite float of 0 or more, and of ``most`` at most.

    Raises:
        ConfigurationError: It is not a number, or out of range; the text says what to write.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(
            f"{name} is a plain number of {unit}: write {example:g}, not {shown(value)}"
            + (" (no currency sign, no text)" if isinstance(value, str) else "")
        )
    found = finite(value)
    if found is None or found < 0.0 or (positive and found == 0.0):
        least = "more than 0" if positive else "0 or more"
        raise ConfigurationError(f"{name} must be {least} {unit}, not {shown(value)}")
    if found > most:
        raise ConfigurationError(f"{name} must be {most:g} at most, not {found:g}")
    return found


def share(value: Any, name: str, example: float = 0.8) -> float:
    """``value`` as a share from 0 to 1.

    Raises:
        ConfigurationError: It is not such a number; for a percentage the message says how to write it.
    """
    found = finite(value)
    if found is None:
        raise ConfigurationError(f"{name} is a share from 0 to 1: write {example:g}, not {shown(value)}")
    if 1.0 < found <= 100.0:
        raise ConfigurationError(f"{name} is a share from 0 to 1: write {found / 100:g} for {found:g} %")
    if not 0.0 <= found <= 1.0:
        raise ConfigurationError(f"{name} must be from 0 to 1, not {found:g}")
    return found


def faults(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """What is wrong with the fields of ``model``, a line for each fault: ``field: message``, without the value."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        where = ".".join(one_line(str(part), 80) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = f"; known: {', '.join(model.model_fields)}" if model is not None and len(fault["loc"]) == 1 else ""
            named = f" {where!r}" if field_name(fault["loc"][-1]) else ""
            lines.append(f"unknown field{named}{known}")
            continue
        message = fault["msg"].removeprefix("Value error, ")
        lines.append(message if not where or message.startswith(where) else f"{where}: {message}")
    return lines
