"""References to profiles: what a scorer elsewhere is handed in place of capability embeddings.

The process that holds the network encodes profiles; everyone else only names them, by their digest. So a profile is
sent once, and new weights on the server need nothing from its clients: it encodes the same profiles anew.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ScoringError

WIDTH = 8
"""Numbers of a reference: the bytes of a profile's digest."""


def references(profiles: Sequence[CapabilityProfile]) -> NDArray[np.float32]:
    """Rows that name ``profiles``, shape (len(profiles), 8): the bytes of their digests."""
    rows = [np.frombuffer(bytes.fromhex(profile.digest), dtype=np.uint8) for profile in profiles]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), WIDTH)


def digests(rows: NDArray[np.float32]) -> tuple[str, ...]:
    """The digests that ``rows`` name.

    Raises:
        ScoringError: The rows are no references, e.g. embeddings of a scorer in this process.
    """
    whole = rows.astype(np.uint8)
    if rows.ndim != 2 or rows.shape[1] != WIDTH or not np.array_equal(whole, rows):
        raise ScoringError(
            "these capabilities were not made by the remote scorer: take them from its own encode_profiles"
        )
    return tuple(row.tobytes().hex() for row in whole)
