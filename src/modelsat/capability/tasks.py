"""The catalogue of known tasks: core-task subjects and public benchmarks.

Each task carries five keywords in our own words (what the capability statement says) and its reference statistics:
chance level, the ability it reads, difficulty, discrimination and scatter (:mod:`modelsat.capability.equating`). The
statistics are fitted by ``recipes/fit_references.py``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache

from modelsat._files import shipped_json

UNKNOWN_SCATTER = 0.5
"""Scatter of a task without reference statistics: its difficulty may be anything, so its figures say little."""

_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Task:
    """One task a model can be measured on.

    Attributes:
        name: Name under which figures are published or logged, e.g. ``"GPQA"``.
        keywords: Five keywords that describe the task.
        chance: Accuracy of guessing, 0..1.
        factor: The ability it reads.
        family: The benchmark it is a subject of, or ``"benchmark"``.
        difficulty: Minus the logit, at ability 0, of the share of the way from chance to perfect.
        discrimination: Slope of that logit (per ability unit), positive.
        scatter: Variance of accuracies that ability and item noise leave, as a share of p (1 - p).
        aliases: Other spellings.
        known: Whether the statistics were fitted; otherwise they are cautious defaults.
        placed: Whether they were fitted to figures of model cards while those of the reference fit were held
            (``recipes/place_references.py``): the network looks nothing up on such a task.
    """

    name: str
    keywords: tuple[str, ...]
    chance: float = 0.0
    factor: str = "general"
    family: str = "benchmark"
    difficulty: float = 0.0
    discrimination: float = 1.0
    scatter: float = UNKNOWN_SCATTER
    aliases: tuple[str, ...] = ()
    known: bool = True
    placed: bool = False

    @property
    def fitted(self) -> bool:
        """Whether the task took part in the reference fit."""
        return self.known and not self.placed

    @property
    def description(self) -> str:
        """The keywords as one phrase, as it stands in a capability statement."""
        return ", ".join(self.keywords)


def _key(name: str) -> str:
    return _NOT_ALPHANUMERIC.sub("", name.casefold().replace("+", "plus"))


def correlations() -> dict[str, float]:
    """Correlation of every group ability with the general one, 0..1 (reference fit)."""
    found: dict[str, float] = shipped_json("capability", "tasks.json")["factors"]
    return found


@cache
def catalogue() -> dict[str, Task]:
    """All known tasks by name, in the order of the shipped file."""
    found = {}
    for entry in shipped_json("capability", "tasks.json")["tasks"]:
        fields = {**entry, "keywords": tuple(entry["keywords"]), "aliases": tuple(entry["aliases"])}
        fields |= {"known": "difficulty" in entry, "placed": bool(entry.get("placed"))}
        found[entry["name"]] = Task(**fields)
    return found


@cache
def catalogue_digest() -> str:
    """Hash of the catalogue: what capability embeddings depend on besides the weights and the profile, hex."""
    return hashlib.sha256(repr((list(catalogue().values()), correlations())).encode()).hexdigest()[:16]


@cache
def _by_key() -> dict[str, Task]:
    return {_key(name): task for task in catalogue().values() for name in (task.name, *task.aliases)}


def find_task(name: str) -> Task | None:
    """Look a task up by name or alias; case and punctuation do not matter. ``None`` if unknown."""
    return _by_key().get(_key(name))


def reference(name: str) -> Task:
    """The reference statistics for ``name``; cautious defaults (``known=False``) outside the catalogue."""
    return find_task(name) or Task(name=name, keywords=(name,), known=False)
