"""The tab Models: the registry, two models beside each other, figures of one's own, and the aptitude test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from fastapi import Request
from fastapi.responses import Response

from modelsat.candidates import known_facts
from modelsat.capability.equating import equate, level_error, levels_by_effort
from modelsat.capability.figures import parse_benchmarks, profile_of_figures, with_figures
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.capability.store import ProfileStore
from modelsat.errors import ConfigurationError
from modelsat.server.page.access import Fields, number, one
from modelsat.server.page.charts import usd

if TYPE_CHECKING:
    from modelsat.server.page.page import Page

_SHOWN = 60
"""Models of a list at most."""
_LABELS = {
    "input_usd_per_mtok": "Price of a million prompt tokens",
    "output_usd_per_mtok": "Price of a million tokens of the answer",
    "cached_input_usd_per_mtok": "Price of a million cached prompt tokens",
}


async def models(page: Page, request: Request, fields: Fields) -> Response:
    """The registry with search, one model, or two beside each other."""
    query, name, other = one(fields, "q"), one(fields, "model"), one(fields, "with")
    entries, count = await asyncio.to_thread(_search, query)
    model = await asyncio.to_thread(_model, name) if name else None
    second = await asyncio.to_thread(_model, other) if name and other else None
    return page.render(
        request,
        "models.html.j2",
        query=query,
        entries=entries,
        count=count,
        model=model,
        second=second,
        rows=_side_by_side(model, second) if model and second else [],
        only_list=request.headers.get("hx-target") == "list",
        added=one(fields, "added"),
        allowed=page.examiner.allowed,
        test=page.examiner.progress,
    )


async def add(page: Page, request: Request, fields: Fields) -> Response:
    """Keep figures of a model."""
    name, benchmarks, source = (one(fields, key) for key in ("name", "benchmarks", "source"))
    made = await asyncio.to_thread(_keep, name, benchmarks, source or "given")
    return await models(page, request, {"model": [made.model], "added": [made.model]})


async def examine(page: Page, request: Request, fields: Fields) -> Response:
    """Begin an aptitude test, and show how it stands."""
    budget = number(fields, "budget")
    await asyncio.to_thread(
        page.examiner.start,
        one(fields, "test_model"),
        api_base=one(fields, "api_base"),
        api_key=one(fields, "api_key"),
        name=one(fields, "test_name"),
        tasks=[task.strip() for task in one(fields, "tasks").split(",") if task.strip()],
        budget_usd=budget,
    )
    return await examination(page, request, fields)


async def examination(page: Page, request: Request, _fields: Fields) -> Response:
    """Show how the test stands."""
    return page.render(request, "examination.html.j2", test=page.examiner.progress)


async def stop(page: Page, request: Request, fields: Fields) -> Response:
    """End the test."""
    await asyncio.to_thread(page.examiner.stop)
    return await examination(page, request, fields)


@dataclass(frozen=True, slots=True)
class Entry:
    """A model in the list: ability over all its figures and its standard error, number of figures, newest date."""

    model: str
    level: float
    doubt: float
    figures: int
    date: str


def _search(query: str) -> tuple[list[Entry], int]:
    """Models whose name holds the words of ``query``, and their number; by what the level is at least."""
    registry = Registry.default()
    entries = _entries(registry)
    found = [entries[profile.model] for profile in registry.search(query)]
    found.sort(key=lambda entry: 1.645 * entry.doubt - entry.level)
    return found[:_SHOWN], len(found)


@lru_cache(maxsize=1)
def _entries(registry: Registry) -> dict[str, Entry]:
    found = {}
    for profile in registry:
        placed = equate(profile, report=False)
        dates = [statement.date for statement in registry.figures(profile.model).statements]
        date = max(dates, default="") or profile.date
        entry = Entry(profile.model, placed.level, level_error(placed), len(profile.statements), date[:7])
        found[profile.model] = entry
    return found


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in a profile; accuracies are 0..1."""

    task: str
    shown: float  # drawn towards what the other figures say
    given: float  # as published
    low: float  # two standard errors below ``shown``
    high: float
    source: str
    unlikely: bool  # the rest of the profile says otherwise


@dataclass(frozen=True, slots=True)
class Model:
    """One model with all that is known."""

    profile: CapabilityProfile
    level: float
    doubt: float
    figures: Sequence[Figure]
    efforts: Sequence[tuple[str, float]]
    facts: Sequence[tuple[str, str, str]]


def _model(name: str) -> Model:
    """Everything about one model.

    Raises:
        UnknownModelError: No profile goes by this name.
    """
    registry = Registry.default()
    profile = registry.find(name)
    placed = equate(profile, report=False)
    rows = zip(profile.statements, placed.shrunk.tolist(), placed.error.tolist(), placed.unlikely, strict=True)
    figures = [
        Figure(
            statement.task,
            shown,
            statement.accuracy,
            shown - 2 * error,
            shown + 2 * error,
            statement.origin,
            bool(unlikely),
        )
        for statement, shown, error, unlikely in rows
    ]
    figures.sort(key=lambda figure: (-figure.shown, figure.task))
    efforts = list(levels_by_effort(registry.figures(name)).items())
    facts = [
        (_label(field), _value(field, value), origin)
        for field, (value, origin) in known_facts(profile.model).known().items()
        if field not in ("tiers", "services")
    ]
    return Model(profile, placed.level, level_error(placed), figures, efforts, facts)


def _label(field: str) -> str:
    name = field.removeprefix("abilities.")
    return _LABELS.get(name, name.replace("_", " ").capitalize())


def _value(field: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return usd(float(value)) if "usd" in field else f"{value:,}"
    return str(value)


def _side_by_side(first: Model, second: Model) -> list[tuple[str, Figure | None, Figure | None]]:
    """The figures of two models by task: those that both have first, the largest difference first."""
    ours = {figure.task: figure for figure in first.figures}
    theirs = {figure.task: figure for figure in second.figures}

    def order(task: str) -> tuple[bool, float, str]:
        both = task in ours and task in theirs
        return not both, -abs(ours[task].shown - theirs[task].shown) if both else 0.0, task

    return [(task, ours.get(task), theirs.get(task)) for task in sorted(ours | theirs, key=order)]


def _keep(name: str, benchmarks: str, source: str) -> CapabilityProfile:
    """Keep figures of a model in the user's store, beside those that are there.

    Raises:
        ConfigurationError: The model has no name.
        InvalidProfileError: A figure cannot be read, or is of no known benchmark.
        StoreError: The store cannot be written.
    """
    if not name:
        raise ConfigurationError("give the model a name")
    store = ProfileStore.default()
    made = profile_of_figures(name, parse_benchmarks(benchmarks), source=source)
    there = {profile.model.casefold(): profile for profile in store.load()}
    if (before := there.get(made.model.casefold())) is not None:
        made = with_figures(before, made)
    store.save(made)
    return made
