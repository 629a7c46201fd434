"""Abilities and shrunk accuracies of a profile, by its older names; see :mod:`modelsat.capability.equating`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.equating import FEATURES, Equated, equate, statement_features

if TYPE_CHECKING:
    from modelsat.capability.profile import CapabilityProfile

__all__ = ["FEATURES", "abilities", "shrunk_accuracies", "statement_features"]


def abilities(profile: CapabilityProfile) -> Equated:
    """The profile on the common scales of ability."""
    return equate(profile)


def shrunk_accuracies(profile: CapabilityProfile) -> NDArray[np.float64]:
    """Accuracies of the statements after shrinkage, shape (statements,), 0..1."""
    return equate(profile).shrunk
