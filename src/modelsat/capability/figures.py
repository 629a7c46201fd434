"""Published figures as people write them: ``"GPQA=71.2, LiveCodeBench=62"``, or a CSV of many models.

A figure above 1 is in percent, one below 1 is a share. The two may not be mixed, as 0.8 beside 71.2 can be either; a
percent sign settles it.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.tasks import catalogue, find_task
from modelsat.errors import InvalidProfileError

Unit = Literal["auto", "percent", "share"]

PUBLISHED = "published figures"
"""Provenance of profiles that nobody here has measured."""
_FIGURE = re.compile(r"(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<percent>%?)")
_EXAMPLE = "GPQA=71.2, LiveCodeBench=62"
_LARGEST_CSV = 16 << 20
_LONG_VALUES = ("accuracy", "score", "value", "figure")
_LONG_NAMES = ("benchmark", "task")


@dataclass(frozen=True, slots=True)
class Figure:
    """One published figure.

    Attributes:
        benchmark: Name of the benchmark; that of the catalogue if it is known there.
        accuracy: Share answered well, 0..1.
        items: Number of items behind it; ``None`` if unknown.
        source: Where it comes from; empty if not given.
    """

    benchmark: str
    accuracy: float
    items: int | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Written:
    """A figure as written: ``model`` may be empty, ``value`` is text."""

    model: str
    benchmark: str
    value: str
    items: str = ""
    source: str = ""


def parse_benchmarks(text: str, *, unit: Unit = "auto", allow_unknown: bool = False) -> list[Figure]:
    """Figures out of ``"NAME=VALUE, NAME=VALUE"``.

    Args:
        text: The figures, separated by commas, semicolons or line breaks.
        unit: What the numbers are in; found out by their size if ``"auto"``.
        allow_unknown: Take benchmarks that the catalogue does not know.

    Raises:
        InvalidProfileError: A figure is not an accuracy, percent and shares are mixed, a name is unknown or repeated.
    """
    written = []
    for part in re.split(r"[,;\n]", text):
        if not part.strip():
            continue
        name, equals, value = part.rpartition("=")
        if not equals or not name.strip() or not value.strip():
            comma = "write decimals with a point; " if part.strip(" %").isdecimal() else ""
            raise InvalidProfileError(
                f"cannot read {part.strip()!r}: {comma}figures are NAME=VALUE with commas in between, e.g. {_EXAMPLE}"
            )
        written.append(_Written("", name.strip(), value.strip()))
    if not written:
        raise InvalidProfileError(f"there are no figures: write e.g. {_EXAMPLE}")
    return _figures(written, _shares([(entry.benchmark, entry.value) for entry in written], unit), allow_unknown)


def _figures(written: Sequence[_Written], shares: Sequence[float], allow_unknown: bool) -> list[Figure]:
    """The figures of one model, under the names of the catalogue."""
    seen: dict[str, str] = {}
    found = []
    for entry, share in zip(written, shares, strict=True):
        name = _name(entry.benchmark, allow_unknown)
        if name in seen:
            raise InvalidProfileError(f"{name} is given twice ({seen[name]} and {entry.value}): keep one")
        seen[name] = entry.value
        found.append(Figure(name, share, _items(entry), entry.source))
    return found


def _shares(values: Sequence[tuple[str, str]], unit: Unit) -> list[float]:
    """Numbers as written, each with its name, to shares 0..1; the top of the module says how the unit is found out."""
    parsed = [(name, *_number(name, text)) for name, text in values]
    percents = [(name, number) for name, number, percent in parsed if percent or number > 1.0]
    shares = [(name, number) for name, number, percent in parsed if not percent and 0.0 < number <= 1.0]
    if unit == "share" and percents:
        name, number = percents[0]
        raise InvalidProfileError(f"{name}={number:g} is not a share: write {number / 100:g}, or say --unit percent")
    if unit == "auto" and percents and shares:
        (large, high), (small, low) = percents[0], shares[0]
        raise InvalidProfileError(
            f"percent and shares are mixed: {large}={high:g} is in percent, {small}={low:g} looks like a share. Write "
            f"{small}={low * 100:g} if it is one, {small}={low:g}% if it is in percent"
        )
    if unit == "auto" and shares and all(number == 1.0 for _, number in shares):
        raise InvalidProfileError(f"{shares[0][0]}=1 can mean 1 % or all of it: write 1% or 100%")
    in_percent = unit == "percent" or (unit == "auto" and bool(percents))
    return [round(number / 100.0, 12) if percent or in_percent else number for _, number, percent in parsed]


def read_figures(
    path: str | os.PathLike[str], *, unit: Unit = "auto", allow_unknown: bool = False
) -> dict[str, list[Figure]]:
    """Figures of many models out of a CSV file, by model.

    Two forms are understood: one row a model, with a column ``model`` and one column a benchmark (empty cells are
    unknown); or one row a figure, with the columns ``model``, ``benchmark``, ``accuracy`` and, if there are any,
    ``items`` and ``source``. Percent and shares are told apart for the whole file.

    Raises:
        InvalidProfileError: The file cannot be read, has another form, or a figure is wrong; the message names it.
    """
    try:
        if Path(path).stat().st_size > _LARGEST_CSV:
            raise InvalidProfileError(f"{path} is larger than {_LARGEST_CSV >> 20} MB: is it a table of figures?")
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidProfileError(f"cannot read {path}: {error}") from error
    try:
        return _by_model(_written(rows), unit, allow_unknown)
    except InvalidProfileError as error:
        raise InvalidProfileError(f"{path}: {error}") from error


def profile_of_figures(model: str, found: Sequence[Figure], *, source: str, **fields: Any) -> CapabilityProfile:
    """A profile of published figures, which says where they come from and when they were taken down.

    Args:
        model: The model's name.
        found: Its figures.
        source: Source of the figures that name none.
        **fields: Further fields of the profile; ``date`` is today if not given.

    Raises:
        InvalidProfileError: A field holds a value that cannot be right.
    """
    from modelsat import __version__

    statements = [
        {"task": f.benchmark, "accuracy": f.accuracy, "items": f.items, "source": f.source or source} for f in found
    ]
    told = {
        "provenance": PUBLISHED,
        "date": date.today().isoformat(),
        "version": f"modelsat {__version__}",
        **{name: value for name, value in fields.items() if value},
    }
    return CapabilityProfile(model=model, statements=statements, **told)


def with_figures(profile: CapabilityProfile, newer: CapabilityProfile) -> CapabilityProfile:
    """``newer`` with the figures of ``profile`` that it does not have itself, and its aliases."""
    tasks = {statement.task for statement in newer.statements}
    kept = tuple(statement for statement in profile.statements if statement.task not in tasks)
    aliases = tuple(dict.fromkeys((*profile.aliases, *newer.aliases)))
    return newer.model_copy(update={"statements": (*kept, *newer.statements), "aliases": aliases})


def closest_benchmarks(name: str, limit: int = 4) -> list[str]:
    """Names of the catalogue's tasks that look most like ``name``, best first."""
    owners = {_plain(known): task.name for task in catalogue().values() for known in (task.name, *task.aliases)}
    wanted = _plain(name)
    held = [owners[known] for known in owners if wanted and (wanted in known or (len(known) > 3 and known in wanted))]
    near = [owners[known] for known in difflib.get_close_matches(wanted, owners, n=2 * limit, cutoff=0.6)]
    return list(dict.fromkeys([*near, *held]))[:limit]


def _by_model(written: Iterable[_Written], unit: Unit, allow_unknown: bool) -> dict[str, list[Figure]]:
    models: dict[str, list[_Written]] = {}
    for entry in written:
        models.setdefault(entry.model, []).append(entry)
    entries = [entry for of_model in models.values() for entry in of_model]
    if not entries:
        raise InvalidProfileError("it holds no figures")
    shares = iter(_shares([(f"{entry.model}: {entry.benchmark}", entry.value) for entry in entries], unit))
    found = {}
    for model, of_model in models.items():
        try:
            found[model] = _figures(of_model, list(islice(shares, len(of_model))), allow_unknown)
        except InvalidProfileError as error:
            raise InvalidProfileError(f"{model}: {error}") from error
    return found


def _written(rows: Sequence[Mapping[str | None, str | list[str] | None]]) -> list[_Written]:
    if not rows:
        raise InvalidProfileError("it has no rows; the first line names the columns: model, then the benchmarks")
    columns = {str(name).strip().casefold(): name for name in rows[0] if name is not None}
    if "model" not in columns:
        raise InvalidProfileError(f"it has no column 'model'; its columns are {', '.join(map(repr, columns))}")
    value = next((columns[name] for name in _LONG_VALUES if name in columns), None)
    benchmark = next((columns[name] for name in _LONG_NAMES if name in columns), None)
    written = []
    for number, row in enumerate(rows, 2):
        if None in row:
            raise InvalidProfileError(f"line {number} has more cells than the first line has columns")
        cells = {name: str(cell or "").strip() for name, cell in row.items() if name is not None}
        model = cells[columns["model"]]
        if not model:
            raise InvalidProfileError(f"line {number} names no model")
        if value is not None and benchmark is not None:
            extra = {key: cells[columns[key]] for key in ("items", "source") if key in columns}
            written.append(_Written(model, cells[benchmark], cells[value], **extra))
        else:
            written += [_Written(model, k.strip(), v) for k, v in cells.items() if k != columns["model"] and v]
    return written


def _name(given: str, allow_unknown: bool) -> str:
    if task := find_task(given):
        return task.name
    if allow_unknown:
        return given
    near = closest_benchmarks(given)
    hint = f"the closest are {', '.join(near)}" if near else "`modelsat profile benchmarks` lists the known ones"
    raise InvalidProfileError(
        f"no benchmark is known as {given!r}: {hint}. If it is one of your own, say --allow-unknown: it then "
        "counts little, as nobody knows how hard it is"
    )


def _number(name: str, text: str) -> tuple[float, bool]:
    match = _FIGURE.fullmatch(text.strip())
    if match is None:
        hint = f": write {text.replace(',', '.')}" if re.fullmatch(r"\d+,\d+\s*%?", text.strip()) else ""
        raise InvalidProfileError(f"{name}={text} is not a number{hint}")
    number = float(match["number"])
    if not 0.0 <= number <= 100.0:
        why = "an accuracy is at most 100 percent; ratings (Elo) cannot be used" if number > 100 else "it is negative"
        raise InvalidProfileError(f"{name}={text}: {why}")
    return number, bool(match["percent"])


def _items(entry: _Written) -> int | None:
    if not entry.items:
        return None
    if not entry.items.isdecimal() or int(entry.items) < 1:
        raise InvalidProfileError(f"items of {entry.benchmark} must be a whole number from 1, not {entry.items!r}")
    return int(entry.items)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "", name.casefold())
