"""What is known about a model's abilities, in words and numbers (the capability representation c_m)."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from typing_extensions import Self

from modelsat._logging import shown
from modelsat.capability.efforts import EFFORTS, READ_AS, distance, project
from modelsat.capability.tasks import find_task
from modelsat.errors import InvalidProfileError
from modelsat.validation import faults

MOST_ITEMS = 1_000_000_000
"""More items than any benchmark has."""


class CapabilityStatement(BaseModel):
    """One sentence about a model: its accuracy on one task.

    Attributes:
        task: Name of the task or benchmark; a name from the catalogue brings reference statistics with it.
        description: Five keywords that say what the task is about. Filled in for tasks of the catalogue.
        accuracy: Share of items answered well, 0..1.
        items: Number of items behind the figure; ``None`` if it was not published.
        source: Where the figure comes from.
        interval: Where the accuracy lies with 95 % certainty, as measured; ``None`` if that was not measured.
        effort: Reasoning effort at which it was measured (:data:`~modelsat.capability.efforts.EFFORTS`); empty if the
            source does not say.
        provenance: Who measured: ``"vendor"``, ``"other vendor"`` or ``"independent"``; empty if unknown.
        date: ISO date of publication or measurement; empty if unknown.
        others: What other sources say, by source, where they differ from ``accuracy`` by more than three points.
        doubt: Standard deviation of the figure beyond the noise of its items, 0..1: sources that contradict each other,
            a step from another effort, an estimate.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = Field(min_length=1)
    description: str = ""
    accuracy: float
    items: int | None = Field(default=None, ge=1, le=MOST_ITEMS)
    source: str = ""
    interval: tuple[float, float] | None = None
    effort: str = ""
    provenance: str = ""
    date: str = ""
    others: Mapping[str, float] = Field(default_factory=dict)
    doubt: float = Field(default=0.0, ge=0.0, le=1.0)

    @field_validator("effort")
    @classmethod
    def _effort_is_known(cls, value: str) -> str:
        if value and value not in EFFORTS:
            raise ValueError(f"effort must be one of {', '.join(EFFORTS)}, not {shown(value)}")
        return value

    @field_validator("accuracy")
    @classmethod
    def _accuracy_is_a_share(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError(f"accuracy must be a number from 0 to 1, not {value}")
        if 1.0 < value <= 100.0:
            raise ValueError(f"accuracy is a share from 0 to 1: write {value / 100:g} for {value:g} %")
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"accuracy must be from 0 to 1, not {value:g}")
        return float(value)

    @field_validator("interval")
    @classmethod
    def _interval_is_ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0.0 <= value[0] <= value[1] <= 1.0:
            raise ValueError("interval must be two accuracies from 0 to 1, the lower one first")
        return value

    @property
    def origin(self) -> str:
        """Month, who measured, and source, as far as they are known."""
        return " ".join(filter(None, (self.date[:7], self.provenance, self.source)))

    def effective_items(self, default: int) -> float:
        """Items that would leave as much doubt by themselves as ``items`` (``default`` if unknown) and ``doubt`` do."""
        items = self.items or default
        if not self.doubt:
            return float(items)
        inner = min(max(self.accuracy, 0.05), 0.95)
        return 1.0 / (1.0 / items + self.doubt**2 / (inner * (1.0 - inner)))

    def model_post_init(self, context: Any, /) -> None:
        """Fill the description in from the catalogue where none was given."""
        if not self.description:
            task = find_task(self.task)
            object.__setattr__(self, "description", task.description if task else self.task)


class CapabilityProfile(BaseModel):
    """Everything the router knows about one model.

    A profile is data: it is validated, saved as JSON, and never runs code.

    Attributes:
        model: The model's name.
        aliases: Other names it goes by.
        statements: Accuracies on tasks; their order never matters.
        notes: Optional free text, e.g. languages or modality.
        provenance: Where the figures come from, in a sentence.
        date: ISO date of the measurement.
        tested_by: Who measured: a person, an organisation, an account.
        version: The software that measured, e.g. ``"modelsat 0.2.0"``.
        settings: With what settings, by name: questions and their revision, temperature, mode, counts.
        origin: Where the profile was copied from, e.g. ``"org/profiles@<commit>"``; empty for one's own.
        effort: Reasoning effort that the model is to be asked for, which the figures describe; empty to leave it to the
            provider: the figures then are those of a model that thinks, if this one does.
        estimated_from: The models that it was estimated from, as nobody has measured it; empty for a measured model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    statements: tuple[CapabilityStatement, ...]
    notes: str = ""
    provenance: str = ""
    date: str = ""
    tested_by: str = ""
    version: str = ""
    settings: Mapping[str, str | bool | int | float | None] = Field(default_factory=dict)
    origin: str = ""
    effort: str = ""
    estimated_from: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash((self.model, self.digest))

    @field_validator("statements")
    @classmethod
    def _needs_statements(cls, value: tuple[CapabilityStatement, ...]) -> tuple[CapabilityStatement, ...]:
        if not value:
            raise ValueError("a profile needs at least one capability statement")
        return value

    def __init__(self, /, **data: Any) -> None:
        """Validate the fields.

        Raises:
            InvalidProfileError: A field is missing or holds a value that cannot be right.
        """
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise InvalidProfileError(_explain(data.get("model"), error)) from error

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields replaced, whose :attr:`digest` is its own."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    @classmethod
    def from_benchmarks(
        cls,
        model: str,
        benchmarks: Mapping[str, float],
        *,
        descriptions: Mapping[str, str] | None = None,
        items: Mapping[str, int] | None = None,
        source: str = "given",
        **fields: Any,
    ) -> CapabilityProfile:
        """Make a profile from benchmark figures.

        Args:
            model: The model's name.
            benchmarks: Accuracy (0..1) by benchmark name. Known benchmarks bring their own task description.
            descriptions: Keywords for benchmarks outside the catalogue.
            items: Number of items by benchmark, where known.
            source: Where the figures come from.
            **fields: Further fields of the profile (``aliases``, ``date``, ...).

        Raises:
            InvalidProfileError: No figures, or a figure outside 0..1.
        """
        statements = [
            {
                "task": task.name if (task := find_task(name)) else name,
                "description": (descriptions or {}).get(name, ""),
                "accuracy": accuracy,
                "items": (items or {}).get(name),
                "source": source,
            }
            for name, accuracy in benchmarks.items()
        ]
        return cls(model=model, statements=statements, **fields)

    @cached_property
    def digest(self) -> str:
        """Hash of what the network sees of this profile, hex; names, notes and order do not change it."""
        rows = sorted(
            (s.task, s.description, repr(s.accuracy), s.items or 0, *([s.doubt] if s.doubt else []))
            for s in self.statements
        )
        return hashlib.sha256(json.dumps(rows, ensure_ascii=True).encode()).hexdigest()[:16]

    def at_effort(self, effort: str = "") -> CapabilityProfile:
        """The profile at one reasoning effort: each task once, by its figure at the nearest effort.

        A figure at another effort is moved by the usual step on its task, with more doubt
        (:func:`modelsat.capability.efforts.project`).

        Args:
            effort: The effort to ask for. Without one, figures at ``"high"``, or at ``"none"`` where nothing was
                measured with thinking.

        Raises:
            InvalidProfileError: There is no such effort.
        """
        if effort and effort not in EFFORTS:
            raise InvalidProfileError(f"{effort!r} is not a reasoning effort; write one of {', '.join(EFFORTS)}")
        measured = {statement.effort for statement in self.statements}
        wanted = effort or ("" if measured <= {""} else "none" if measured == {"none"} else READ_AS)
        nearest: dict[str, CapabilityStatement] = {}
        for statement in self.statements:
            held = nearest.get(statement.task)
            if held is None or distance(statement.effort, wanted) < distance(held.effort, wanted):
                nearest[statement.task] = statement
        statements = tuple(_moved(statement, wanted) for statement in nearest.values())
        return self.model_copy(update={"statements": statements, "effort": effort})

    def lent_to(self, model: str) -> CapabilityProfile:
        """This profile for ``model``, which nobody has measured and somebody says is as good; names are not lent."""
        provenance = f"borrowed from {self.model}" + (f"; {self.provenance}" if self.provenance else "")
        return self.model_copy(update={"model": model, "aliases": (), "provenance": provenance})

    def history(self) -> str:
        """Who tested, when, with what and how, and where the profile comes from, in one line; empty if unknown."""
        told = (
            f"tested by {self.tested_by}" * bool(self.tested_by),
            self.date,
            f"with {self.version}" * bool(self.version),
            self.provenance,
            ", ".join(f"{name} {value}" for name, value in self.settings.items()),
            f"copied from {self.origin}" * bool(self.origin),
        )
        return "; ".join(part for part in told if part)

    def text(self) -> str:
        """The capability representation in words: the paper's sentence, with the number of items behind each figure.

        Accuracies on few items are drawn towards what the rest of the profile says
        (:mod:`modelsat.capability.equating`).
        """
        from modelsat.capability.equating import equate

        parts = [
            f'accuracy {accuracy:.1%} ({_items(statement.items)}) on the task of "{statement.description}"'
            for statement, accuracy in zip(self.statements, equate(self).shrunk, strict=True)
        ]
        sentence = "The model achieves " + ", ".join(parts) + "."
        return f"{sentence} {self.notes}".strip()


def _moved(statement: CapabilityStatement, effort: str) -> CapabilityStatement:
    accuracy, doubt = project(statement.accuracy, statement.task, statement.effort, effort)
    if not doubt:
        return statement
    doubt = round(math.hypot(doubt, statement.doubt), 4)
    return statement.model_copy(update={"accuracy": round(accuracy, 4), "doubt": doubt})


def load_profiles(path: str | os.PathLike[str]) -> list[CapabilityProfile]:
    """Read profiles from JSON.

    Accepted: one profile; a list of profiles; ``{"profiles": [...]}``; or ``{model name: {benchmark: accuracy}}``.

    Raises:
        InvalidProfileError: The file is missing, is not JSON, or holds an invalid profile.
    """
    try:
        raw = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidProfileError(f"cannot read profiles from {path}: {error}") from error
    if isinstance(raw, dict) and isinstance(raw.get("profiles"), list):
        raw = raw["profiles"]
    if isinstance(raw, dict) and "statements" in raw:
        raw = [raw]
    if isinstance(raw, dict) and raw and all(isinstance(value, dict) for value in raw.values()):
        return [_from_mapping(name, value) for name, value in raw.items()]
    if not isinstance(raw, list) or not raw or not all(isinstance(entry, dict) for entry in raw):
        raise InvalidProfileError(
            f"{path} holds no profiles: expected a list of profiles or {{model name: {{benchmark: accuracy}}}}"
        )
    return [CapabilityProfile(**entry) for entry in raw]


def save_profiles(profiles: Iterable[CapabilityProfile], path: str | os.PathLike[str]) -> None:
    """Write profiles as JSON, readable by :func:`load_profiles`."""
    rows = [profile.model_dump(exclude_defaults=True) for profile in profiles]
    Path(path).write_text(json.dumps({"profiles": rows}, indent=1, ensure_ascii=False) + "\n", "utf-8")


def _from_mapping(name: str, value: dict[str, Any]) -> CapabilityProfile:
    if "statements" in value:
        return CapabilityProfile(**{"model": name, **value})
    return CapabilityProfile.from_benchmarks(name, value)


def _items(items: int | None) -> str:
    return "number of items unknown" if items is None else f"{items} item{'s' if items != 1 else ''}"


def _explain(model: object, error: ValidationError) -> str:
    return f"invalid capability profile for {shown(model)}: {'; '.join(faults(error, CapabilityProfile))}"


__all__: Sequence[str] = ["CapabilityProfile", "CapabilityStatement", "load_profiles", "save_profiles"]
