"""The slots of a registry: a profile and its names, read when first asked for; no name is claimed twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from modelsat.capability.naming import forms
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import InvalidProfileError

Forms = tuple[str, ...]
"""A name in all of its spellings (:func:`modelsat.capability.naming.forms`)."""


class Slot:
    """One model: its names and their spellings now, its figures read when first asked for."""

    __slots__ = ("_at", "_profile", "_read", "_spellings", "layer", "model", "names")

    def __init__(
        self,
        model: str,
        aliases: Iterable[str] = (),
        *,
        read: Callable[[], CapabilityProfile],
        spellings: Sequence[Forms] | None = None,
        layer: int = 0,
    ) -> None:
        self.model = model
        self.names = tuple(dict.fromkeys((model, *aliases)))
        self.layer = layer
        self._profile: CapabilityProfile | None = None
        self._read = read
        self._spellings = spellings
        self._at: dict[str, CapabilityProfile] = {}

    @classmethod
    def of(cls, profile: CapabilityProfile, layer: int = 0) -> Slot:
        """The slot of a profile at hand."""
        return cls(profile.model, profile.aliases, read=lambda: profile, layer=layer)

    @property
    def spellings(self) -> Sequence[Forms]:
        """:func:`~modelsat.capability.naming.forms` of every name."""
        if self._spellings is None:
            self._spellings = [forms(name) for name in self.names]
        return self._spellings

    def whole(self) -> CapabilityProfile:
        """Every figure of the model, at every effort."""
        if self._profile is None:
            self._profile = self._read()
        return self._profile

    def get(self, effort: str = "") -> CapabilityProfile:
        """The profile at one effort; at the one that the model's name stands for if it is empty."""
        if (found := self._at.get(effort)) is None:
            whole = self.whole()
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
            self.model,
            aliases,
            read=lambda: self.whole().model_copy(update={"aliases": aliases}),
            spellings=spellings,
            layer=layer,
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
