"""The newest registry of known models and prices, from a data set on the Hub: pinned to a commit, checked, then kept.

The data set holds ``registry.jsonl`` (:mod:`modelsat.capability.registry_file`), ``models.json`` with prices, limits
and dates of deprecation (:mod:`modelsat.candidates.fact_table`) and ``MANIFEST.json`` with their SHA-256 sums. What is
fetched is data: bounded, read as strictly as a stranger's profile, and never run. A router takes each from then on
where it is newer than what the package brings; without a network, what is there stays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from modelsat._files import written_whole
from modelsat.candidates.fact_table import FactTable
from modelsat.capability.fetched import FACTS_FILE, ORIGIN_FILE, REGISTRY_FILE, kept_files, registry_directory
from modelsat.capability.registry import Registry
from modelsat.capability.registry_file import RegistryFile
from modelsat.capability.store import check_text, parse_profile
from modelsat.errors import HubError, ModelSATError, StoreError
from modelsat.storage.hub import HubReference, Token, download, information, reference

DATA_SET = "modelsat/registry"
"""Where the newest registry is published."""
MANIFEST = "MANIFEST.json"
LARGEST = 32 << 20
"""Bytes of a file that is fetched."""


@dataclass(frozen=True)
class Part:
    """What an update brought of one kind: profiles of models, or prices and limits of offers."""

    before: str  # date of what was used until now
    date: str  # date of what was fetched
    taken: bool  # whether it is used from now on: it is newer
    added: tuple[str, ...]  # names that were not known
    changed: tuple[str, ...]  # names of which other things are said
    removed: tuple[str, ...]  # names that are known no longer

    @classmethod
    def between(cls, dates: tuple[str, str], old: Mapping[str, object], new: Mapping[str, object]) -> Part:
        """What is new, from what is said of each name on both dates."""
        return cls(
            before=dates[0],
            date=dates[1],
            taken=dates[1] > dates[0],
            added=tuple(sorted(new.keys() - old.keys())),
            changed=tuple(sorted(name for name in new.keys() & old.keys() if new[name] != old[name])),
            removed=tuple(sorted(old.keys() - new.keys())),
        )


@dataclass(frozen=True)
class Update:
    """What an update brought from a data set at a commit; it may hold no facts."""

    source: HubReference
    models: Part
    facts: Part | None


def update_registry(repo: str = DATA_SET, *, token: Token = None) -> Update:
    """Fetch the newest registry and prices, check them, and keep what is newer than what is in use.

    Raises:
        HubError: They cannot be fetched, do not match their sums, or are not a registry; what is in use stays.
        StoreError: They cannot be kept.
    """
    wanted = reference(repo, "dataset")
    if not wanted.pinned:
        wanted = wanted.at(str(information(wanted, HubError, token).sha))
    sums = _sums(wanted, token)
    data = {name: _checked(wanted, name, sums[name], token) for name in (REGISTRY_FILE, FACTS_FILE) if name in sums}
    registry, old = _read_registry(data[REGISTRY_FILE], wanted), Registry.base()
    parts = {REGISTRY_FILE: Part.between((old.date, registry.date), _digests(old), _digests(registry))}
    if FACTS_FILE in data:
        table, before = _read_facts(data[FACTS_FILE], wanted), FactTable.default()
        parts[FACTS_FILE] = Part.between((before.date, table.date), _said(before), _said(table))
    if taken := {name: data[name] for name, part in parts.items() if part.taken}:
        _keep(taken, wanted)
    return Update(wanted, parts[REGISTRY_FILE], parts.get(FACTS_FILE))


def manifest_of(registry: bytes, facts: bytes | None = None) -> bytes:
    """The manifest to publish beside ``registry.jsonl`` and ``models.json``."""
    files = {REGISTRY_FILE: registry} if facts is None else {REGISTRY_FILE: registry, FACTS_FILE: facts}
    return json.dumps({"files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}}).encode()


def _sums(wanted: HubReference, token: Token) -> Mapping[str, str]:
    """The SHA-256 sum of each file, as the manifest says."""
    try:
        told: Any = json.loads(download(wanted, MANIFEST, HubError, token).read_bytes())
        sums = {str(name): str(told["files"][name]) for name in told["files"]}
        return {REGISTRY_FILE: sums[REGISTRY_FILE], **sums}
    except (ValueError, KeyError, TypeError) as error:
        raise HubError(f"{wanted}: {MANIFEST} does not say the SHA-256 sum of {REGISTRY_FILE}") from error


def _checked(wanted: HubReference, name: str, expected: str, token: Token) -> bytes:
    """The bytes of a file, as the manifest says they are."""
    path = download(wanted, name, HubError, token)
    if path.stat().st_size > LARGEST:
        raise HubError(f"{wanted}: {name} has more than {LARGEST >> 20} MB")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != expected:
        path.unlink(missing_ok=True)
        raise HubError(f"{wanted}: {name} does not match the sum in {MANIFEST}; it was thrown away, try again")
    return data


def _read_registry(data: bytes, wanted: HubReference) -> Registry:
    try:
        file = RegistryFile.of(data)
        date.fromisoformat(file.date)
        for position in range(len(file.names)):
            parse_profile(json.dumps(file.entry(position)).encode())
        return Registry.of_bytes(data)
    except _UNSOUND as error:
        raise HubError(f"{wanted}: {REGISTRY_FILE} is not a usable registry: {error}") from error


def _read_facts(data: bytes, wanted: HubReference) -> FactTable:
    """The table, every row of it read as facts that a user might give."""
    try:
        table = FactTable(data)
        date.fromisoformat(table.date)
        offers = list(table)
        for offer in offers:
            for text in (offer.name, offer.provider, offer.facts.successor or ""):
                check_text("model", text)
    except _UNSOUND as error:
        raise HubError(f"{wanted}: {FACTS_FILE} is not a usable table of prices: {error}") from error
    if not offers:
        raise HubError(f"{wanted}: {FACTS_FILE} is not a usable table of prices: it lists nothing")
    return table


_UNSOUND = (ModelSATError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)
"""What reading a file that is something else may raise."""


def _digests(registry: Registry) -> Mapping[str, str]:
    return {profile.model: profile.digest for profile in registry}


def _said(table: FactTable) -> Mapping[str, object]:
    return {offer.name: (offer.provider, offer.facts.model_copy(update={"origins": {}})) for offer in table}


def _keep(data: Mapping[str, bytes], wanted: HubReference) -> None:
    folder = registry_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot keep the registry in {folder}: {error.strerror or error}") from error
    files, contents = kept_files(), {}
    for name, content in data.items():
        digest = hashlib.sha256(content).hexdigest()
        stem, dot, suffix = name.partition(".")
        files[name] = {"file": f"{stem}-{digest[:16]}{dot}{suffix}", "sha256": digest, "source": str(wanted)}
        contents[files[name]["file"]] = content
    contents[ORIGIN_FILE] = json.dumps({"files": files}).encode()  # comes last: it says which files count
    for name, content in contents.items():
        with written_whole(folder / name, error=StoreError) as partial_file:
            partial_file.write_bytes(content)
