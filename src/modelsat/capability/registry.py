"""The registry of known models: capability profiles, found under any of the names a model goes by."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelsat.capability.index import NameEntry, NameIndex
from modelsat.capability.naming import forms
from modelsat.capability.profile import CapabilityProfile, load_profiles
from modelsat.errors import InvalidProfileError, UnknownModelError

if TYPE_CHECKING:
    from modelsat.capability.store import Fingerprint, ProfileStore

_DOTS = re.compile(r"[._:]")


class Registry:
    """Capability profiles by model name. A registry never changes: ``with_...`` returns a new one.

    Example:
        >>> Registry.default().find("openai/gpt-5").model
        'gpt-5'
    """

    def __init__(self, profiles: Iterable[CapabilityProfile]) -> None:
        """Make a registry of ``profiles``.

        Raises:
            InvalidProfileError: Two profiles claim the same name or alias.
        """
        self._fill([_Slot(profile.model, profile.aliases, profile=profile) for profile in profiles])

    @classmethod
    def default(cls) -> Registry:
        """The registry that comes with the package, with the profiles of the user's own store before it.

        The shipped part is read once per process; the store (:class:`~modelsat.capability.store.ProfileStore`) is read
        again when its files have changed.
        """
        from modelsat.capability.store import ProfileStore

        return _with_store(ProfileStore.default())

    @classmethod
    def shipped(cls) -> Registry:
        """The registry that comes with the package alone, read once per process; every figure names its source."""
        return _shipped()

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Registry:
        """A registry of the profiles in a JSON file (see :func:`modelsat.capability.load_profiles`).

        Raises:
            InvalidProfileError: The file is missing, is no JSON, holds an invalid profile, or names one model twice.
        """
        return cls(load_profiles(path))

    @classmethod
    def from_hub(cls, repo: str, *, token: str | bool | None = None) -> Registry:
        """A registry of the profiles in a data set on the Hub; ``default().with_profiles(it)`` puts them before others.

        Files that are no profiles are left out and named in the log (:func:`modelsat.storage.profiles.pull`).

        Args:
            repo: ``"org/profiles@revision"``; a commit never changes, ``main`` is followed if there is no revision.
            token: Token for the Hub; the one logged in with if not given.

        Raises:
            HubError: The data set cannot be had, or holds no usable profile.
        """
        from modelsat.storage.profiles import pull

        return cls(pull(repo, token=token).profiles)

    def find(self, name: str) -> CapabilityProfile:
        """The profile of ``name``: its exact name or alias, or else the closest spelling that is surely the same model.

        Provider prefixes, quantisation, dates and punctuation may differ; size and variant may not. Where several dated
        snapshots fit an undated name, the newest is taken.

        Raises:
            UnknownModelError: No profile goes by this name; the message names similar ones and the ways out.
        """
        return self._slots[self._owner(name)].get()

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

    def with_profiles(self, extra: Iterable[CapabilityProfile]) -> Registry:
        """A registry in which ``extra`` come first: a model of the same name is replaced, a claimed alias passes over.

        Raises:
            InvalidProfileError: Two of ``extra`` claim the same name or alias.
        """
        profiles = list(extra)
        layer = 1 + max((slot.layer for slot in self._slots), default=0)
        slots = [_Slot(profile.model, profile.aliases, profile=profile, layer=layer) for profile in profiles]
        _check_claims(slots)
        claimed = _claims(name for slot in slots for name in slot.names)
        kept = [slot.without(claimed) for slot in self._slots if not claimed & _claims([slot.model])]
        return self._of([*kept, *slots])

    def with_aliases(self, aliases: Mapping[str, str]) -> Registry:
        """A registry that also knows each key, e.g. a deployment's name, as the model given as its value.

        Raises:
            UnknownModelError: One of the models is not in this registry.
            InvalidProfileError: An alias is another model's own name.
        """
        added: dict[int, list[str]] = {}
        for alias, model in aliases.items():
            added.setdefault(self._owner(model), []).append(alias)
        claimed = _claims(aliases)
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
        return isinstance(name, str) and self._index.find(name) is not None

    def __repr__(self) -> str:
        return f"Registry({len(self)} models)"

    @classmethod
    def _of(cls, slots: Sequence[_Slot]) -> Registry:
        registry = cls.__new__(cls)
        registry._fill(slots)
        return registry

    def _fill(self, slots: Sequence[_Slot]) -> None:
        _check_claims(slots)
        self._slots = tuple(slots)
        self._index = NameIndex(
            NameEntry(name, owner, alias=position > 0, layer=slot.layer)
            for owner, slot in enumerate(self._slots)
            for position, name in enumerate(slot.names)
        )

    def _owner(self, name: str) -> int:
        owner = self._index.find(name)
        if owner is None:
            raise UnknownModelError(self._explain(name))
        return owner

    def _explain(self, name: str) -> str:
        similar = [self._slots[owner].model for owner in self._index.closest(name)]
        return (
            f"no capability profile is known for {name!r}"
            + (f"; the closest names are {', '.join(similar)}" if similar else "")
            + ". Three ways out: give its benchmark figures, "
            f'CapabilityProfile.from_benchmarks({name!r}, {{"MMLU": 0.86, "GSM8K": 0.95}}), or keep them with '
            f"`modelsat profile add {name} --benchmarks 'MMLU=86, GSM8K=95'`; "
            f"run the aptitude test on it, `modelsat test {name}`; or, if it is a known model under another name, "
            f'add that name, Registry.default().with_aliases({{{name!r}: "known-model"}}).'
        )


class _Slot:
    """One model: its names now, its profile validated when first asked for."""

    __slots__ = ("_profile", "_raw", "layer", "model", "names")

    def __init__(
        self,
        model: str,
        aliases: Iterable[str] = (),
        *,
        profile: CapabilityProfile | None = None,
        raw: dict[str, Any] | None = None,
        layer: int = 0,
    ) -> None:
        self.model = model
        self.names = tuple(dict.fromkeys((model, *aliases)))
        self.layer = layer
        self._profile = profile
        self._raw = raw

    def get(self) -> CapabilityProfile:
        if self._profile is None:
            self._profile = CapabilityProfile(**(self._raw or {"model": self.model}))
        return self._profile

    def without(self, claimed: set[str]) -> _Slot:
        """This slot without the aliases that another profile has claimed."""
        names = tuple(name for name in self.names[1:] if not claimed & _claims([name]))
        return self if len(names) == len(self.names) - 1 else self._renamed(names, self.layer)

    def also(self, aliases: Iterable[str]) -> _Slot:
        """This slot with further aliases, which win where a loose form is shared."""
        return self._renamed((*self.names[1:], *aliases), self.layer + 1)

    def _renamed(self, aliases: tuple[str, ...], layer: int) -> _Slot:
        profile = self.get().model_copy(update={"aliases": aliases})
        return _Slot(self.model, aliases, profile=profile, layer=layer)


@lru_cache(maxsize=1)
def _shipped() -> Registry:
    raw = json.loads(resources.files("modelsat.capability").joinpath("data/registry.json").read_text("utf-8"))
    return Registry._of([_Slot(entry["model"], entry.get("aliases", ()), raw=entry) for entry in raw["profiles"]])


_merged: tuple[tuple[Path, Fingerprint], Registry] | None = None
"""The last merge of shipped and stored profiles, and the state of the store it was made of."""


def _with_store(store: ProfileStore) -> Registry:
    global _merged
    state = (store.folder, store.fingerprint())
    if not state[1]:
        return _shipped()
    if (known := _merged) is not None and known[0] == state:
        return known[1]
    profiles = store.load()
    registry = _shipped().with_profiles(profiles) if profiles else _shipped()
    _merged = (state, registry)
    return registry


def _check_claims(slots: Iterable[_Slot]) -> None:
    owners: dict[str, _Slot] = {}
    for slot in slots:
        for name in slot.names:
            other = owners.setdefault(name.strip().casefold(), slot)
            if other is not slot:
                raise InvalidProfileError(
                    f"two profiles claim the name {name!r}: {other.model!r} and {slot.model!r}; "
                    "remove one of them, or the alias from one of them"
                )


def _claims(names: Iterable[str]) -> set[str]:
    """What a name takes hold of: itself as written, and its spelling without provider."""
    return {form for name in names for form in forms(name)[:3:2]}


def _plain(name: str) -> str:
    return f"{_DOTS.sub('-', name.casefold())} {forms(name)[2]}"


def _words(query: str) -> list[str]:
    return _DOTS.sub("-", query.casefold()).replace("/", " ").split()
