"""Finding the owner of a model name among many names, from exact to loose."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelsat.capability.naming import STAGES, canonical, forms, release


@dataclass(frozen=True, slots=True)
class NameEntry:
    """One name of one profile.

    Attributes:
        name: The name or alias as written.
        owner: Position of the profile it belongs to.
        alias: False for the profile's own name.
        layer: 0 for the profiles at hand, 1, 2, ... for those that override them; the highest layer wins a tie.
        spellings: The name's :func:`~modelsat.capability.naming.forms`.
    """

    name: str
    owner: int
    alias: bool
    layer: int
    spellings: Sequence[str]


class NameIndex:
    """Looks names up in stages (:mod:`modelsat.capability.naming`); the loose tables are built when first needed."""

    def __init__(self, entries: Iterable[NameEntry]) -> None:
        self._entries = tuple(entries)
        self._exact = {entry.spellings[0]: entry.owner for entry in self._entries}
        self._tables: list[dict[str, list[NameEntry]]] | None = None

    def find(self, name: str) -> int | None:
        """The owner of ``name``, or ``None``. The first stage at which anything matches decides."""
        if (owner := self.exactly(name)) is not None:
            return owner
        for form, table in zip(forms(name), self._loose_tables(), strict=True):
            if form and (matches := table.get(form)):
                return min(matches, key=lambda entry: _rank(entry, form)).owner
        return None

    def exactly(self, name: str) -> int | None:
        """The owner of a name as written, or ``None``."""
        return self._exact.get(name.strip().casefold())

    def closest(self, name: str, limit: int = 4) -> list[int]:
        """Owners of the names most similar to ``name``, best first."""
        wanted = canonical(name)
        matcher = difflib.SequenceMatcher(None, b=wanted)
        scores: dict[int, float] = {}
        for entry in self._entries:
            form = entry.spellings[3]
            matcher.set_seq1(form)
            same_family = form.partition("-")[0] == wanted.partition("-")[0]
            score = matcher.ratio() + (0.3 if same_family else 0.0)
            scores[entry.owner] = max(score, scores.get(entry.owner, 0.0))
        ranked = sorted(scores, key=lambda owner: -scores[owner])
        return [owner for owner in ranked if scores[owner] >= 0.4][:limit]

    def _loose_tables(self) -> list[dict[str, list[NameEntry]]]:
        if self._tables is None:
            tables: list[dict[str, list[NameEntry]]] = [{} for _ in STAGES]
            for entry in self._entries:
                for table, form in zip(tables, entry.spellings, strict=True):
                    table.setdefault(form, []).append(entry)
            self._tables = tables
        return self._tables


def _rank(entry: NameEntry, form: str) -> tuple[object, ...]:
    """Order among names that share a loose form: overrides, then the undated name itself, then the newest."""
    newest = tuple(-part for part in release(entry.name))
    return -entry.layer, entry.spellings[3] != form, newest, entry.alias, len(entry.name), entry.name
