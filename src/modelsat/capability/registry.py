"""The registry of known models: capability profiles, found under any of the names a model goes by."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache, lru_cache, partial
from importlib import resources
from pathlib import Path

from modelsat.capability.efforts import split_effort
from modelsat.capability.fetched import REGISTRY_FILE, fetched
from modelsat.capability.naming import forms
from modelsat.capability.profile import CapabilityProfile, load_profiles
from modelsat.capability.registry_file import RegistryFile
from modelsat.capability.slots import NameIndex, Slot, check_claims, claims_of
from modelsat.capability.store import Fingerprint, ProfileStore
from modelsat.errors import UnknownModelError

OLD_DAYS = 90
"""Age from which a registry is said to be old."""
logger = logging.getLogger("modelsat")
_DOTS = re.compile(r"[._:]")


class Registry:
    """Capability profiles by model name. A registry never changes: ``with_...`` returns a new one.

    Attributes:
        date: ISO date of the newest table that the shipped figures are from; empty for a registry of one's own.

    Example:
        >>> Registry.default().find("openai/gpt-5").model
        'gpt-5'
    """

    date = ""

    def __init__(self, profiles: Iterable[CapabilityProfile]) -> None:
        """Make a registry of ``profiles``.

        Raises:
            InvalidProfileError: Two profiles claim the same name or alias.
        """
        self._fill([Slot.of(profile) for profile in profiles])

    @classmethod
    def default(cls) -> Registry:
        """The registry that comes with the package, with the profiles of the user's own store before it.

        The shipped part is read once per process; the store (:class:`~modelsat.capability.store.ProfileStore`) is read
        again when its files have changed.
        """
        global _merged
        store, base = ProfileStore.default(), cls.base()
        state = (store.folder, store.fingerprint(), base)
        if not state[1]:
            return base
        if (known := _merged) is None or known[0] != state:
            profiles = store.load()
            known = _merged = state, base.with_profiles(profiles) if profiles else base
        return known[1]

    @staticmethod
    @cache
    def shipped() -> Registry:
        """The registry that comes with the package alone, read once per process; every figure names its source."""
        data = resources.files("modelsat.capability").joinpath("data", REGISTRY_FILE).read_bytes()
        return Registry.of_bytes(data)

    @staticmethod
    def base() -> Registry:
        """What :meth:`default` builds on: the shipped registry, or a newer and whole one that was fetched."""
        newer, found = fetched(REGISTRY_FILE, Registry.of_bytes), Registry.shipped()
        if newer is not None and newer.date > found.date:
            found = newer
        _say_old(found.date, date.today().isoformat())
        return found

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Registry:
        """A registry of the profiles in a JSON file (see :func:`modelsat.capability.load_profiles`).

        Raises:
            InvalidProfileError: The file is missing, is no JSON, holds an invalid profile, or names one model twice.
        """
        return cls(load_profiles(path))

    def find(self, name: str) -> CapabilityProfile:
        """The profile of ``name``: its exact name or alias, or else the closest spelling that is surely the same model.

        Provider prefixes, quantisation, dates and punctuation may differ; size and variant may not. Where several dated
        snapshots fit an undated name, the newest is taken. ``"gpt-5.6@low"`` is the model at a reasoning effort
        (:data:`~modelsat.capability.efforts.EFFORTS`); without one, figures stand for a model that thinks (``high``),
        or for what its name means.

        Raises:
            UnknownModelError: No profile goes by this name; the message names similar ones and the ways out.
        """
        owner, effort = self._place(name)
        return self._slots[owner].get(effort)

    def figures(self, name: str) -> CapabilityProfile:
        """Everything that is known of ``name``: its figures at every effort, a task as often as it was measured.

        Raises:
            UnknownModelError: No profile goes by this name.
        """
        return self._slots[self._place(name)[0]].whole

    def search(self, query: str) -> list[CapabilityProfile]:
        """All profiles with a name or alias that holds every word of ``query``; all profiles if it is empty."""
        words = _words(query)
        exact = self._index.find(query) if words else None
        found = [
            position
            for position, slot in enumerate(self._slots)
            if position == exact or any(all(word in _plain(name) for word in words) for name in slot.names)
        ]
        found.sort(key=lambda position: (position != exact, self._slots[position].model.casefold()))
        return [self._slots[position].get() for position in found]

    def names(self) -> list[str]:
        """The models' own names, in the order of the registry."""
        return [slot.model for slot in self._slots]

    def spellings(self) -> Iterator[list[str]]:
        """For each model its name, then all its names in one spelling (:func:`.naming.canonical`)."""
        return ([slot.model, *(spelling[3] for spelling in slot.spellings)] for slot in self._slots)

    def with_profiles(self, extra: Iterable[CapabilityProfile]) -> Registry:
        """A registry in which ``extra`` come first: a model of the same name is replaced, a claimed alias passes over.

        Raises:
            InvalidProfileError: Two of ``extra`` claim the same name or alias.
        """
        profiles = list(extra)
        layer = 1 + max((slot.layer for slot in self._slots), default=0)
        slots = [Slot.of(profile, layer) for profile in profiles]
        check_claims(slots)
        claimed = claims_of(name for slot in slots for name in slot.names)
        kept = [slot.without(claimed) for slot in self._slots if not claimed & claims_of([slot.model])]
        return self._of([*kept, *slots])

    def with_aliases(self, aliases: Mapping[str, str]) -> Registry:
        """A registry that also knows each key, e.g. a deployment's name, as the model given as its value.

        Raises:
            UnknownModelError: One of the models is not in this registry.
            InvalidProfileError: An alias is another model's own name.
        """
        added: dict[int, list[str]] = {}
        for alias, model in aliases.items():
            added.setdefault(self._place(model)[0], []).append(alias)
        claimed = claims_of(aliases)
        return self._of(
            [
                slot.without(claimed).also(added[owner]) if owner in added else slot.without(claimed)
                for owner, slot in enumerate(self._slots)
            ]
        )

    def __iter__(self) -> Iterator[CapabilityProfile]:
        return (slot.get() for slot in self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._find(name) is not None

    def __repr__(self) -> str:
        return f"Registry({len(self)} models)"

    @classmethod
    def _of(cls, slots: Sequence[Slot]) -> Registry:
        registry = cls.__new__(cls)
        registry._fill(slots)
        return registry

    @classmethod
    def of_bytes(cls, data: bytes) -> Registry:
        """A registry out of the bytes of a :mod:`.registry_file`; a model is read when it is asked for.

        Raises:
            InvalidProfileError: They are something else.
        """
        file = RegistryFile.of(data)
        slots = [
            Slot(names, partial(file.profile, position), file.spellings[position])
            for position, names in enumerate(file.names)
        ]
        registry = cls._of(slots)
        registry.date = file.date
        return registry

    def _fill(self, slots: Sequence[Slot]) -> None:
        check_claims(slots)
        self._slots = tuple(slots)
        self._index = NameIndex(self._slots)

    def _find(self, name: str) -> tuple[int, str] | None:
        """Position and effort."""
        model, effort = split_effort(name)
        owner = self._index.find(name) if not effort else self._index.exactly(name)
        if owner is not None:
            return owner, ""
        owner = self._index.find(model) if effort else None
        return None if owner is None else (owner, effort)

    def _place(self, name: str) -> tuple[int, str]:
        if (found := self._find(name)) is None:
            raise UnknownModelError(self._explain(name))
        return found

    def _explain(self, name: str) -> str:
        similar = [self._slots[owner].model for owner in self._index.closest(name)]
        near = similar[0] if similar else "gpt-5"
        return (
            f"no capability profile is known for {name!r}"
            + (f"; the closest names are {', '.join(similar)}" if similar else "")
            + f".\nIf it is like one of them: --like {name}={near} on the command line, "
            f"profiles={{{name!r}: {near!r}}} in LangChain, model_info: {{modelsat: {{profile: {near}}}}} in LiteLLM; "
            f"unknown_models: estimate guesses from its relatives.\n"
            f"Or give its figures, `modelsat profile add {name} --benchmarks 'GPQA=71, LiveCodeBench=62'`; "
            f"or measure it with the aptitude test, `modelsat test {name}`."
        )


@lru_cache(maxsize=4)
def _say_old(known: str, today: str) -> None:
    days = (date.fromisoformat(today) - date.fromisoformat(known)).days
    if days > OLD_DAYS:
        logger.warning(
            "the registry of known models is %d days old (%s): `modelsat models update` fetches the newest",
            days,
            known,
        )


_merged: tuple[tuple[Path, Fingerprint, Registry], Registry] | None = None
"""The last merge of shipped and stored profiles, and the state of the store it was made of."""


def _plain(name: str) -> str:
    return f"{_DOTS.sub('-', name.casefold())} {forms(name)[2]}"


def _words(query: str) -> list[str]:
    return _DOTS.sub("-", query.casefold()).replace("/", " ").split()
