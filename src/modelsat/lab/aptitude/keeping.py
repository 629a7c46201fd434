"""Putting a profile into the user's store, where every router and command finds it."""

from __future__ import annotations

from pathlib import Path

from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.capability.store import ProfileStore


def keep(
    profile: CapabilityProfile, *, merge: bool = False, store: ProfileStore | None = None
) -> tuple[CapabilityProfile, Path]:
    """Save a profile in the user's store.

    Args:
        profile: The profile.
        merge: Keep the statements that an earlier profile of the model has on other tasks, from the store or the
        shipped
            registry: a suite of one's own stands beside the core tasks.
        store: The store; the user's if left out.

    Returns:
        The profile as saved, and its file.

    Raises:
        StoreError: It cannot be written.
    """
    target = store or ProfileStore.default()
    if merge:
        profile = _merged(profile, target)
    return profile, target.save(profile)


def _merged(profile: CapabilityProfile, store: ProfileStore) -> CapabilityProfile:
    earlier = next((known for known in store.load() if known.model == profile.model), None)
    if earlier is None and profile.model in (registry := Registry.default()):
        earlier = registry.find(profile.model)
    if earlier is None:
        return profile
    new = {statement.task for statement in profile.statements}
    kept = tuple(statement for statement in earlier.statements if statement.task not in new)
    return profile.model_copy(
        update={"statements": (*profile.statements, *kept), "aliases": earlier.aliases, "notes": earlier.notes}
    )
