"""Capability profiles as a data set on the Hub: one JSON file a model under ``profiles/``, and a card.

What is pulled is data: bounded in number and size before it is downloaded, read strictly, never run.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelsat.capability.figures import PUBLISHED
from modelsat.capability.profile import CapabilityProfile
from modelsat.capability.registry import Registry
from modelsat.capability.store import (
    LARGEST_FILE,
    parse_profile,
    profile_file_name,
    profile_json,
    read_profile,
    settle_names,
)
from modelsat.errors import HubError, InvalidProfileError
from modelsat.storage.hub import (
    HubReference,
    Token,
    api,
    ask,
    information,
    make_repository,
    offline,
    reference,
    snapshot,
    unreachable,
)

__all__ = ["registry_of"]

logger = logging.getLogger("modelsat")

FOLDER = "profiles"
MOST_FILES, MOST_BYTES = 5000, 100 << 20
_FILE = re.compile(rf"{FOLDER}/[A-Za-z0-9_][A-Za-z0-9_.-]{{0,150}}\.json")
_CARD = """---
pretty_name: Capability profiles
tags: [modelsat-profiles, llm-routing]
---

# Capability profiles

What language models can do, measured or published, one JSON file a model under `profiles/`. Each says who tested, when,
with what version and settings. Read with [modelsat](https://pypi.org/project/modelsat):

```python
from modelsat import Registry, Router
from modelsat.storage.profiles import registry_of

shared = registry_of("{repo}")
router = Router(["some-model", "gpt-5"], registry=Registry.default().with_profiles(shared))
```
"""


@dataclass(frozen=True, slots=True)
class Pulled:
    """What a data set of profiles held."""

    source: HubReference  # the data set, at the commit that was read
    profiles: list[CapabilityProfile]  # its profiles, by name; `origin` says where each comes from
    refused: dict[str, str] = field(default_factory=dict)  # files that were left out, and why


def pull(repo: str, *, token: Token = None) -> Pulled:
    """Download and check the profiles of a data set. Nothing is saved: see ``ProfileStore.save``.

    Raises:
        HubError: The data set cannot be fetched, is too large, or holds no usable profile.
    """
    wanted = reference(repo, "dataset")
    names, refused = _listed(wanted, token)
    folder = snapshot(wanted, names, HubError, token)
    source = wanted.at(folder.name)
    found: dict[str, CapabilityProfile] = {}
    for path in sorted((folder / FOLDER).glob("*.json")):
        name = f"{FOLDER}/{path.name}"
        if name in refused:
            continue
        try:
            profile = read_profile(path).model_copy(update={"origin": str(source)})
        except (InvalidProfileError, FileNotFoundError) as error:
            refused[name] = " ".join(str(error).replace(str(path), path.name).split())
            continue
        first = found.setdefault(profile.model.strip().casefold(), profile)
        if first is not profile:
            refused[name] = f"{profile.model} has another file already"
    for name, reason in refused.items():
        logger.warning("%s: %s is left out: %s", source, name, reason)
    if not found:
        raise HubError(f"{source} holds no usable profile; profiles are JSON files in the folder {FOLDER}/")
    return Pulled(source, settle_names(found.values(), str(source)), refused)


def registry_of(repo: str, *, token: Token = None) -> Registry:
    """A registry of the profiles in a data set on the Hub; ``Registry.default().with_profiles(it)`` puts them first.

    Files that are not profiles are left out and named in the log (:func:`pull`).

    Args:
        repo: ``"org/profiles@revision"``; a commit never changes, ``main`` is followed if there is no revision.
        token: Token for the Hub; the one logged in with if not given.

    Raises:
        HubError: The data set cannot be downloaded, or holds no usable profile.
    """
    return Registry(pull(repo, token=token).profiles)


def push(
    profiles: Iterable[CapabilityProfile],
    repo: str,
    *,
    tested_by: str = "",
    force: bool = False,
    private: bool | None = None,
    message: str | None = None,
    token: Token = None,
) -> HubReference:
    """Upload profiles to a data set as one commit; the data set is made if need be.

    Args:
        profiles: At least one.
        repo: ``"org/profiles"`` or ``"org/profiles@branch"``.
        tested_by: Who tested, for profiles that do not say; the account's name if not given. Published figures stay
            unsigned.
        force: Replace profiles of the same models that differ.
        private: Whether a new data set is private; the account's default if not given.
        message: Message of the commit.
        token: Token with the right to write.

    Returns:
        The data set at the new commit.

    Raises:
        HubError: The Hub refuses, or another profile of a model is there already and ``force`` is not set.
        InvalidProfileError: A profile breaks a bound of :func:`~modelsat.capability.store.read_profile`.
    """
    from huggingface_hub import CommitOperationAdd

    target, client = reference(repo, "dataset"), api(token)
    what = f"pushing to {target}"
    if target.pinned:
        raise HubError(f"{repo} is a commit, which cannot be changed: push to a branch, org/profiles@branch")
    given = list(profiles)
    if not given:
        raise HubError("there are no profiles to push: `modelsat profile list` shows the store's")
    if not tested_by and any(_unsigned(profile) for profile in given):
        tested_by = str(ask(what, HubError, client.whoami, token=token)["name"])
    files = {f"{FOLDER}/{profile_file_name(p.model)}": _signed(p, tested_by) for p in given}
    make_repository(target, HubError, private, token)
    there = information(target, HubError, token)
    taken = {entry.rfilename for entry in there.siblings or ()}
    if not force:
        _refuse_to_replace(target.at(there.sha), files, taken, token)
    if "README.md" not in taken:
        files["README.md"] = _CARD.format(repo=target.repo).encode("utf-8")
    made = ask(
        what,
        HubError,
        client.create_commit,
        target.repo,
        [CommitOperationAdd(name, data) for name, data in files.items()],
        commit_message=message or f"Add {len(given)} profiles",
        repo_type="dataset",
        revision=target.revision,
        parent_commit=there.sha,
    )
    return target.at(str(made.oid))


def _listed(wanted: HubReference, token: Token) -> tuple[list[str], dict[str, str]]:
    """Files to download, and those that are refused for their name or size; what is cached if the Hub cannot be asked.

    Raises:
        HubError: There are too many files, or too many bytes.
    """
    everything = [f"{FOLDER}/*.json"]
    if offline():
        return everything, {}
    try:
        info = information(wanted, HubError, token, files_metadata=True)
    except HubError as problem:
        if not (problem.__cause__ and unreachable(problem.__cause__)):
            raise
        logger.warning("%s; looking for what is cached", problem)
        return everything, {}
    names: list[str] = []
    refused: dict[str, str] = {}
    total = 0
    for entry in info.siblings or ():
        name, size = str(entry.rfilename), int(entry.size or 0)
        if not name.startswith(f"{FOLDER}/"):
            continue
        if not _FILE.fullmatch(name):
            refused[name[:200].encode("unicode_escape").decode()] = (
                f"files are named {FOLDER}/NAME.json, with letters, digits, '.', '_' and '-'"
            )
        elif size > LARGEST_FILE:
            refused[name] = f"it has {size:,} bytes, a profile at most {LARGEST_FILE:,}"
        else:
            names.append(name)
            total += size
    if len(names) + len(refused) > MOST_FILES or total > MOST_BYTES:
        raise HubError(
            f"{wanted} holds {len(names) + len(refused):,} files of {total / 1e6:,.0f} MB: more than {MOST_FILES:,} "
            f"files or {MOST_BYTES >> 20} MB of profiles are not downloaded"
        )
    if not names:
        reasons = "".join(f"; {name}: {reason}" for name, reason in list(refused.items())[:3])
        raise HubError(f"{wanted} holds no profiles: they are JSON files in the folder {FOLDER}/{reasons}")
    return names, refused


def _unsigned(profile: CapabilityProfile) -> bool:
    """Whether a profile was measured and does not say by whom."""
    return not profile.tested_by and profile.provenance != PUBLISHED


def _signed(profile: CapabilityProfile, tested_by: str) -> bytes:
    signed = profile.model_copy(update={"tested_by": tested_by}) if _unsigned(profile) else profile
    data = profile_json(signed).encode("utf-8")
    parse_profile(data)
    return data


def _refuse_to_replace(there: HubReference, files: Mapping[str, bytes], taken: Iterable[str], token: Token) -> None:
    clash = sorted(set(files).intersection(taken))
    if not clash:
        return
    folder = snapshot(there, clash, HubError, token)
    differing = [parse_profile(files[name]).model for name in clash if _differs(folder / name, files[name])]
    if differing:
        raise HubError(
            f"{there.repo} holds other profiles of {', '.join(differing)} already: --force replaces them, or leave "
            "them out (--models)"
        )


def _differs(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size > LARGEST_FILE or path.read_bytes() != data
    except OSError:
        return True
