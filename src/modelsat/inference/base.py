"""The one interface between the router and the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile


@runtime_checkable
class Scorer(Protocol):
    """Turns instructions and capability profiles into probabilities of success.

    Implementations are thread-safe: several threads may call :meth:`score` at once.
    """

    @property
    def version(self) -> str:
        """Name and content hash of the weights, e.g. ``"modelsat-nano@1a2b3c4d5e6f"``."""
        ...

    def encode_profiles(self, profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
        """Capability embeddings e_c = W psi(c), shape (len(profiles), width)."""
        ...

    def score(self, instructions: Sequence[str], capabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrated P(success), shape (len(instructions), len(capabilities)), from one forward pass.

        Args:
            instructions: Non-empty texts; long ones are cut to head and tail within the checkpoint's token budget.
            capabilities: Capability embeddings, shape (candidates, width), from :meth:`encode_profiles`.

        Raises:
            ScoringError: The network returned something that is not a probability.
        """
        ...


@runtime_checkable
class FieldScorer(Scorer, Protocol):
    """A scorer that also knows the field of an instruction, at no further pass of the network."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields, e.g. ``"mathematics"``; none if the weights know none."""
        ...

    def score_with_fields(
        self, instructions: Sequence[str], capabilities: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """As :meth:`Scorer.score`, and the share of each field in each instruction, shape (instructions, fields)."""
        ...
