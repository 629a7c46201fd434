"""The registry as the page shows it: levels, profiles, facts, two models beside each other, figures of one's own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from modelsat.candidates import known_facts
from modelsat.capability.efforts import EFFORTS
from modelsat.capability.equating import equate, level_error
from modelsat.capability.figures import parse_benchmarks, profile_of_figures, with_figures
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.capability.store import ProfileStore
from modelsat.errors import ConfigurationError
from modelsat.server.page.charts import usd

SHOWN = 60
"""Models of a list at most."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the list.

    Attributes:
        model: Its name.
        level: Ability over all its figures, in standard deviations of the reference models.
        doubt: Standard error of the level.
        figures: How many figures there are.
        date: Date of the newest.
    """

    model: str
    level: float
    doubt: float
    figures: int
    date: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in a profile.

    Attributes:
        task: The benchmark.
        shown: Accuracy drawn towards what the other figures say, 0..1.
        given: Accuracy as published.
        low: Lower end of where ``shown`` may lie, two standard errors below.
        high: Upper end.
        items: Items behind it; ``None`` if unknown.
        source: Where it comes from.
        unlikely: Whether the rest of the profile says otherwise.
    """

    task: str
    shown: float
    given: float
    low: float
    high: float
    items: int | None
    source: str
    unlikely: bool


@dataclass(frozen=True, slots=True)
class Model:
    """One model with all that is known."""

    profile: CapabilityProfile
    level: float
    doubt: float
    figures: Sequence[Figure]
    efforts: Sequence[tuple[str, float]]
    facts: Sequence[tuple[str, str, str]]


class Catalogue:
    """Lists the registry; levels are computed once for each state of it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Registry | None = None
        self._entries: dict[str, Entry] = {}

    def search(self, query: str) -> tuple[list[Entry], int]:
        """Models whose name holds the words of ``query``, and their number; by what the level is at least."""
        registry = Registry.default()
        with self._lock:
            if registry is not self._of:
                self._of, self._entries = registry, {}
            found = [self._entry(profile, registry) for profile in registry.search(query)]
        found.sort(key=lambda entry: 1.645 * entry.doubt - entry.level)
        return found[:SHOWN], len(found)

    def _entry(self, profile: CapabilityProfile, registry: Registry) -> Entry:
        if (entry := self._entries.get(profile.model)) is None:
            placed = equate(profile, report=False)
            dates = [statement.date for statement in registry.figures(profile.model).statements]
            date = max(dates, default="") or profile.date
            entry = Entry(profile.model, placed.level, level_error(placed), len(profile.statements), date[:7])
            self._entries[profile.model] = entry
        return entry

    def model(self, name: str) -> Model:
        """Everything about one model.

        Raises:
            UnknownModelError: No profile goes by this name.
        """
        registry = Registry.default()
        profile = registry.find(name)
        placed = equate(profile, report=False)
        rows = zip(profile.statements, placed.shrunk, placed.error, placed.unlikely, strict=True)
        figures = [
            Figure(
                statement.task,
                float(shown),
                statement.accuracy,
                float(shown - 2 * error),
                float(shown + 2 * error),
                statement.items,
                " ".join(filter(None, (statement.date[:7], statement.provenance, statement.source))),
                bool(unlikely),
            )
            for statement, shown, error, unlikely in rows
        ]
        figures.sort(key=lambda figure: (-figure.shown, figure.task))
        whole = registry.figures(name)
        measured = {statement.effort for statement in whole.statements}
        efforts = [(e, equate(whole.at_effort(e), report=False).level) for e in EFFORTS if e in measured]
        facts = [
            (_label(field), _shown(field, value), origin)
            for field, (value, origin) in known_facts(profile.model).known().items()
            if field not in ("tiers", "services")
        ]
        return Model(profile, placed.level, level_error(placed), figures, efforts, facts)

    def add(self, name: str, benchmarks: str, source: str) -> CapabilityProfile:
        """Keep figures of a model in the user's store, beside those that are there.

        Raises:
            ConfigurationError: The model has no name.
            InvalidProfileError: A figure cannot be read, or is of no known benchmark.
            StoreError: The store cannot be written.
        """
        if not name.strip():
            raise ConfigurationError("give the model a name")
        store = ProfileStore.default()
        made = profile_of_figures(name.strip(), parse_benchmarks(benchmarks), source=source.strip() or "given")
        there = {profile.model.casefold(): profile for profile in store.load()}
        if (before := there.get(made.model.casefold())) is not None:
            made = with_figures(before, made)
        store.save(made)
        return made


_LABELS = {
    "input_usd_per_mtok": "Price of a million prompt tokens",
    "output_usd_per_mtok": "Price of a million tokens of the answer",
    "cached_input_usd_per_mtok": "Price of a million cached prompt tokens",
}


def _label(field: str) -> str:
    name = field.removeprefix("abilities.")
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _shown(field: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return usd(float(value)) if "usd" in field else f"{value:,}"
    return str(value)


def side_by_side(first: Model, second: Model) -> list[tuple[str, Figure | None, Figure | None]]:
    """The figures of two models by task: those that both have first, the largest difference first."""
    ours = {figure.task: figure for figure in first.figures}
    theirs = {figure.task: figure for figure in second.figures}
    rows = [(task, ours.get(task), theirs.get(task)) for task in {**ours, **theirs}]

    def order(row: tuple[str, Figure | None, Figure | None]) -> tuple[bool, float, str]:
        task, mine, other = row
        apart = abs(mine.shown - other.shown) if mine and other else 0.0
        return (mine is None or other is None, -apart, task)

    return sorted(rows, key=order)
