"""Data models whose faults are raised as the project's own errors."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

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


def number(
    value: Any, name: str, *, unit: str, example: float, positive: bool = False, most: float = math.inf
) -> float:
    """``value`` as a finite float of 0 or more, and of ``most`` at most.

    Raises:
        ConfigurationError: It is not a number, or out of range; the text says what to write.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigurationError(
            f"{name} is a plain number of {unit}: write {example:g}, not {value!r}"
            + (" (no currency sign, no text)" if isinstance(value, str) else "")
        )
    if not math.isfinite(value) or value < 0.0 or (positive and value == 0.0):
        raise ConfigurationError(f"{name} must be {'more than 0' if positive else '0 or more'} {unit}, not {value:g}")
    if value > most:
        raise ConfigurationError(f"{name} must be {most:g} at most, not {value:g}")
    return float(value)


def share(value: Any, name: str, example: float = 0.8) -> float:
    """``value`` as a share from 0 to 1.

    Raises:
        ConfigurationError: It is not such a number; for a percentage the message says how to write it.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigurationError(f"{name} is a share from 0 to 1: write {example:g}, not {value!r}")
    if 1.0 < value <= 100.0:
        raise ConfigurationError(f"{name} is a share from 0 to 1: write {value / 100:g} for {value:g} %")
    if not 0.0 <= value <= 1.0:
        raise ConfigurationError(f"{name} must be from 0 to 1, not {value:g}")
    return float(value)


def faults(error: ValidationError, model: type[BaseModel] | None = None) -> list[str]:
    """What is wrong with the fields of ``model``, a line for each fault: ``field: message``, without the value."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = f"; known: {', '.join(model.model_fields)}" if model is not None and len(fault["loc"]) == 1 else ""
            lines.append(f"unknown field {where!r}{known}")
            continue
        message = fault["msg"].removeprefix("Value error, ")
        lines.append(message if not where or message.startswith(where) else f"{where}: {message}")
    return lines
