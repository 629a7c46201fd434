"""The one interface between the router and the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile

Floats = NDArray[np.float32]


class TextScores(NamedTuple):
    """What a scorer says of one text.

    Attributes:
        p: P(success) for each profile.
        fields: Shares of the fields, by name.
        version: Version of the weights.
    """

    p: Sequence[float]
    fields: Mapping[str, float]
    version: str


def _no_shares() -> Floats:
    return np.empty((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Scores:
    """What a scorer says of some texts.

    Attributes:
        p: Calibrated P(success), shape (texts, profiles).
        version: Version of the weights that gave them.
        fields: Names of the fields that the weights tell apart, e.g. ``"mathematics"``; none if they know none.
        shares: Share of each field in each text, shape (texts, fields); not looked at without fields.
    """

    p: Floats
    version: str
    fields: tuple[str, ...] = ()
    shares: Floats = field(default_factory=_no_shares)

    def part(self, start: int, end: int) -> Scores:
        """The scores of the texts from ``start`` up to ``end``."""
        return Scores(self.p[start:end], self.version, self.fields, self.shares[start:end])

    @classmethod
    def joined(cls, parts: Sequence[Scores]) -> Scores:
        """The scores of one call that was cut in parts; their fields are left out where weights of others answered.

        Args:
            parts: At least one.
        """
        last = parts[-1]
        if len(parts) == 1:
            return last
        p = np.concatenate([part.p for part in parts])
        if not last.fields or any(part.fields != last.fields for part in parts):
            return cls(p, last.version)
        return cls(p, last.version, last.fields, np.concatenate([part.shares for part in parts]))

    def by_field(self, least: float = 0.02) -> list[dict[str, float]]:
        """The shares of each text by name, rounded to a thousandth; those below ``least`` are left out."""
        if not self.fields:
            return [{}] * len(self.p)
        return [
            {name: round(share, 3) for name, share in zip(self.fields, row, strict=True) if share >= least}
            for row in self.shares.tolist()
        ]


@runtime_checkable
class Scorer(Protocol):
    """Turns texts and capability profiles into probabilities of success.

    Implementations are thread-safe: several threads may call :meth:`score` at once. What they derive from a profile
    they keep to themselves, by its :attr:`~modelsat.capability.CapabilityProfile.digest`.
    """

    @property
    def version(self) -> str:
        """Name and content hash of the weights, e.g. ``"modelsat-nano@1a2b3c4d5e6f"``."""
        ...

    def score(self, texts: Sequence[str], profiles: Sequence[CapabilityProfile]) -> Scores:
        """P(success) of each text for each profile, and the fields of each text.

        Args:
            texts: Not empty; long ones are cut to head and tail within the checkpoint's token budget.
            profiles: Of the candidates; at least one.

        Raises:
            ScoringError: The network returned something that is not a probability.
        """
        ...
