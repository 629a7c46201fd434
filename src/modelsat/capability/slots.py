"""The slots of a registry, each a profile and its names, read when first asked for; and how a slot is found by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from modelsat.capability.naming import STAGES, canonical, forms, release
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import InvalidProfileError

Forms = tuple[str, ...]
"""A name in all of its spellings (:func:`modelsat.capability.naming.forms`)."""


class Slot:
    """One model: its names and their spellings now, its own first; its figures read when first asked for."""

    def __init__(
        self,
        names: Iterable[str],
        read: Callable[[], CapabilityProfile],
        spellings: Sequence[Forms] | None = None,
        layer: int = 0,
    ) -> None:
        self.names = tuple(dict.fromkeys(names))
        self.model = self.names[0]
        self.spellings = [forms(name) for name in self.names] if spellings is None else spellings
        self.layer = layer
        self._read = read
        self._at: dict[str, CapabilityProfile] = {}

    @classmethod
    def of(cls, profile: CapabilityProfile, layer: int = 0) -> Slot:
        """The slot of a profile at hand."""
        return cls((profile.model, *profile.aliases), lambda: profile, layer=layer)

    @cached_property
    def whole(self) -> CapabilityProfile:
        """Every figure of the model, at every effort."""
        return self._read()

    def get(self, effort: str = "") -> CapabilityProfile:
        """The profile at one effort; at the one that the model's name stands for if it is empty."""
        if (found := self._at.get(effort)) is None:
            whole = self.whole
            single = not effort and not any(statement.effort for statement in whole.statements)
            found = whole if single else whole.at_effort(effort or whole.effort)
            if found.effort != effort:
                found = found.model_copy(update={"effort": effort})
            self._at[effort] = found
        return found

    def without(self, claimed: set[str]) -> Slot:
        """This slot without the aliases that another profile has claimed."""
        kept = [0, *(n for n, spelling in enumerate(self.spellings) if n and not claimed & set(spelling[:3:2]))]
        return self if len(kept) == len(self.names) else self._renamed(kept, (), self.layer)

    def also(self, aliases: Iterable[str]) -> Slot:
        """This slot with further aliases, which win where a loose form is shared."""
        return self._renamed(range(len(self.names)), aliases, self.layer + 1)

    def _renamed(self, kept: Iterable[int], added: Iterable[str], layer: int) -> Slot:
        new = [name for name in dict.fromkeys(added) if name not in self.names]
        aliases = (*[self.names[n] for n in kept if n], *new)
        spellings = [*(self.spellings[n] for n in kept), *(forms(name) for name in new)]
        return Slot(
            (self.model, *aliases), lambda: self.whole.model_copy(update={"aliases": aliases}), spellings, layer
        )


def check_claims(slots: Iterable[Slot]) -> None:
    """Refuse a name that two profiles claim.

    Raises:
        InvalidProfileError: Naming the first of them and both profiles.
    """
    owners: dict[str, Slot] = {}
    for slot in slots:
        for name, spellings in zip(slot.names, slot.spellings, strict=True):
            other = owners.setdefault(spellings[0], slot)
            if other is not slot:
                raise InvalidProfileError(
                    f"two profiles claim the name {name!r}: {other.model!r} and {slot.model!r}; "
                    "remove one of them, or the alias from one of them"
                )


def claims_of(names: Iterable[str]) -> set[str]:
    """What a name takes hold of: itself as written, and its spelling without provider."""
    return {form for name in names for form in forms(name)[:3:2]}


class _Entry(NamedTuple):
    """One name of one slot: as written, whose it is, whether it is an alias, the slot's layer, and its spellings."""

    name: str
    owner: int
    alias: bool
    layer: int
    spellings: Forms


class NameIndex:
    """Finds slots by name in stages (:mod:`modelsat.capability.naming`); loose tables are built when first needed."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._entries = [
            _Entry(name, owner, position > 0, slot.layer, spellings)
            for owner, slot in enumerate(slots)
            for position, (name, spellings) in enumerate(zip(slot.names, slot.spellings, strict=True))
        ]
        self._exact = {entry.spellings[0]: entry.owner for entry in self._entries}

    def find(self, name: str) -> int | None:
        """The owner of ``name``, or ``None``. The first stage at which anything matches decides."""
        if (owner := self.exactly(name)) is not None:
            return owner
        for form, table in zip(forms(name), self._tables, strict=True):
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

    @cached_property
    def _tables(self) -> list[dict[str, list[_Entry]]]:
        tables: list[dict[str, list[_Entry]]] = [{} for _ in STAGES]
        for entry in self._entries:
            for table, form in zip(tables, entry.spellings, strict=True):
                table.setdefault(form, []).append(entry)
        return tables


def _rank(entry: _Entry, form: str) -> tuple[object, ...]:
    """Order among names that share a loose form: overrides, then the undated name itself, then the newest."""
    newest = tuple(-part for part in release(entry.name))
    return -entry.layer, entry.spellings[3] != form, newest, entry.alias, len(entry.name), entry.name
