"""The file of a registry: a head with every name and source, then one model a line, read when it is asked for.

The head is JSON: ``date``, ``sources`` (text, provenance, date) and ``names`` (for each model the forms of each name,
:func:`modelsat.capability.naming.forms`, null where a form repeats the one before). Each further line is one model: its
name, what its name stands for, and its figures as ``[task, accuracy, items, source, effort, doubt, others]``, cut after
the last one that says anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelsat.capability.naming import forms
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import InvalidProfileError

_NOTHING: tuple[Any, ...] = (None, None, None, None, "", 0.0, {})
"""What the end of a figure is when it says nothing."""


@dataclass(frozen=True)
class RegistryFile:
    """A registry as its file has it.

    Attributes:
        date: ISO date of the newest table it was built from.
        spellings: For each model the forms of each of its names, its own first.
    """

    date: str
    spellings: list[list[tuple[str, ...]]]
    names: list[list[str]]
    _sources: list[tuple[str, str, str]]
    _lines: list[bytes]

    @classmethod
    def of(cls, data: bytes) -> RegistryFile:
        """Read the head.

        Raises:
            InvalidProfileError: It is not the file of a registry, or a newer form of one.
        """
        head, *lines = data.rstrip(b"\n").split(b"\n")
        try:
            raw = json.loads(head)
            names = [[name for name, *_ in of_model] for of_model in raw["names"]]
            spellings = [[_filled(row) for row in of_model] for of_model in raw["names"]]
            found = cls(raw["date"], spellings, names, [tuple(source) for source in raw["sources"]], lines)
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidProfileError(f"it is not the file of a registry: {error!r}") from error
        if len(found.names) != len(lines):
            raise InvalidProfileError(f"it names {len(found.names)} models and holds {len(lines)}")
        return found

    def profile(self, position: int) -> CapabilityProfile:
        """The model at a position, with every figure at every effort."""
        return CapabilityProfile(**self.entry(position))

    def entry(self, position: int) -> dict[str, Any]:
        """The same as plain fields."""
        raw = json.loads(self._lines[position])
        statements = []
        for figure in raw["figures"]:
            task, accuracy, items, source, effort, doubt, others = list(figure) + list(_NOTHING[len(figure) :])
            text, provenance, date = self._sources[source]
            statements.append(
                {
                    "task": task, "accuracy": accuracy, "items": items, "source": text, "effort": effort,
                    "provenance": provenance, "date": date, "others": others, "doubt": doubt,
                }
            )  # fmt: skip
        fields = {key: raw[key] for key in ("effort", "date") if key in raw}
        return {"model": raw["model"], "aliases": self.names[position][1:], "statements": statements, **fields}


def render(date: str, entries: Iterable[Mapping[str, Any]]) -> str:
    """The text of a file of ``entries``: plain fields of profiles, as :meth:`RegistryFile.entry` gives them."""
    models = list(entries)
    sources: dict[tuple[str, str, str], int] = {}
    lines = []
    for model in models:
        figures = []
        for s in model["statements"]:
            source = sources.setdefault((s["source"], s["provenance"], s["date"]), len(sources))
            figures.append([s["task"], s["accuracy"], s["items"], source, s["effort"], s["doubt"], s["others"]])
            while figures[-1][-1] == _NOTHING[len(figures[-1]) - 1] and len(figures[-1]) > 4:
                figures[-1].pop()
        told = {key: model[key] for key in ("effort", "date") if model.get(key)}
        lines.append(_dump({"model": model["model"], **told, "figures": figures}))
    names = [[list(_told((name, *forms(name)[1:]))) for name in (m["model"], *m["aliases"])] for m in models]
    head = {"date": date, "sources": [list(source) for source in sources], "names": names}
    return "\n".join([_dump(head), *lines]) + "\n"


def _filled(row: list[str | None]) -> tuple[str, ...]:
    name = str(row[0])
    found = [name.strip().casefold()]
    for form in row[1:]:
        found.append(found[-1] if form is None else form)
    return tuple(found)


def _told(row: tuple[str, ...]) -> Iterator[str | None]:
    yield row[0]
    before = row[0].strip().casefold()
    for form in row[1:]:
        yield None if form == before else form
        before = form


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
