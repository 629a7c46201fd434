"""The newest registry of known models, fetched from a data set on the Hub: pinned to a commit, checked, then kept.

The data set holds ``registry.jsonl`` (:mod:`modelsat.capability.registry_file`) and ``MANIFEST.json`` with its SHA-256
sum. What is fetched is data: bounded, read as strictly as a stranger's profile, and never run. A router takes it from
then on, wherever it is newer than what the package brings; without a network, what is there stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from modelsat._files import written_whole
from modelsat.capability.registry import ORIGIN_FILE, Registry, registry_directory
from modelsat.capability.registry_file import RegistryFile
from modelsat.capability.strict import parse_profile
from modelsat.errors import HubError, InvalidProfileError, StoreError
from modelsat.storage.hub import HubReference, Token, api, download, reference
from modelsat.storage.hub_errors import ask

DATA_SET = "modelsat/registry"
"""Where the newest registry is published."""
MANIFEST, REGISTRY_FILE = "MANIFEST.json", "registry.jsonl"
LARGEST = 32 << 20
"""Bytes of a registry that is fetched."""


@dataclass(frozen=True)
class Update:
    """What an update brought.

    Attributes:
        source: The data set, at the commit that was read.
        before: Date of the registry that was used until now.
        date: Date of the one fetched.
        taken: Whether it is used from now on: it is newer.
        added: Models that were not known.
        changed: Models with other figures.
        removed: Models that are known no longer.
    """

    source: HubReference
    before: str
    date: str
    taken: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]


def update_registry(repo: str = DATA_SET, *, token: Token = None) -> Update:
    """Fetch the newest registry, check it and keep it if it is newer than the one in use.

    Args:
        repo: ``"org/name"`` or ``"org/name@revision"``.
        token: Token for the Hub.

    Raises:
        HubError: It cannot be had, does not match its sum, or is not a registry; what is in use stays.
        StoreError: It cannot be kept.
    """
    wanted = reference(repo, "dataset")
    if not wanted.pinned:
        asked = partial(api(token).repo_info, wanted.repo, repo_type="dataset", revision=wanted.revision)
        wanted = wanted.at(str(ask(str(wanted), HubError, asked).sha))
    data = _checked(wanted, token)
    registry = _read(data, wanted)
    before = Registry.base()
    old, new = _digests(before), _digests(registry)
    taken = registry.date > before.date
    if taken:
        _keep(data, wanted)
    return Update(
        source=wanted,
        before=before.date,
        date=registry.date,
        taken=taken,
        added=tuple(sorted(new.keys() - old.keys())),
        changed=tuple(sorted(model for model in new.keys() & old.keys() if new[model] != old[model])),
        removed=tuple(sorted(old.keys() - new.keys())),
    )


def manifest_of(data: bytes) -> bytes:
    """The manifest to publish beside a registry's file."""
    return json.dumps({"files": {REGISTRY_FILE: hashlib.sha256(data).hexdigest()}}, indent=1).encode()


def _checked(wanted: HubReference, token: Token) -> bytes:
    """The bytes of the registry, as the manifest says they are."""
    told: Any
    try:
        told = json.loads(download(wanted, MANIFEST, HubError, token).read_bytes())
        expected = told["files"][REGISTRY_FILE]
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(f"{wanted}: {MANIFEST} does not say the SHA-256 sum of {REGISTRY_FILE}") from error
    path = download(wanted, REGISTRY_FILE, HubError, token)
    if path.stat().st_size > LARGEST:
        raise HubError(f"{wanted}: {REGISTRY_FILE} has more than {LARGEST >> 20} MB")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != expected:
        path.unlink(missing_ok=True)
        raise HubError(f"{wanted}: {REGISTRY_FILE} does not match the sum in {MANIFEST}; it was thrown away, try again")
    return data


def _read(data: bytes, wanted: HubReference) -> Registry:
    try:
        file = RegistryFile.of(data)
        for position in range(len(file.names)):
            parse_profile(json.dumps(file.entry(position)).encode())
        return Registry.of_bytes(data)
    except (InvalidProfileError, ValueError, KeyError, IndexError, TypeError) as error:
        raise HubError(f"{wanted}: {REGISTRY_FILE} is not a usable registry: {error}") from error


def _digests(registry: Registry) -> Mapping[str, str]:
    return {profile.model: profile.digest for profile in registry}


def _keep(data: bytes, wanted: HubReference) -> None:
    folder = registry_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot keep the registry in {folder}: {error.strerror or error}") from error
    digest = hashlib.sha256(data).hexdigest()
    name = f"registry-{digest[:16]}.jsonl"
    origin = {"source": str(wanted), "file": name, "sha256": digest}
    for path, content in ((folder / name, data), (folder / ORIGIN_FILE, json.dumps(origin).encode())):
        with written_whole(path, error=StoreError) as partial_file:  # the origin comes last: it says which file counts
            partial_file.write_bytes(content)
