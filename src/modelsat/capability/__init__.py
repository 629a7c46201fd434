"""What a model can do: capability statements, profiles, their text, and the registry of known models."""

from modelsat.capability.profile import CapabilityProfile, CapabilityStatement, load_profiles, save_profiles
from modelsat.capability.registry import Registry
from modelsat.capability.store import ProfileStore
from modelsat.capability.tasks import Task, catalogue, find_task

__all__ = [
    "CapabilityProfile",
    "CapabilityStatement",
    "ProfileStore",
    "Registry",
    "Task",
    "catalogue",
    "find_task",
    "load_profiles",
    "save_profiles",
]
