"""A training recipe: one YAML file that names the data, the starting point and the stages."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modelsat.capability import CapabilityProfile, load_profiles
from modelsat.errors import ConfigurationError
from modelsat.outcomes import read_outcomes, split_by_question
from modelsat.training.base import BaseSettings
from modelsat.training.corpus import Corpus, Group, core_rows, read_teacher


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe file.

    Attributes:
        items: Table of items.
        outcomes: Table of outcomes.
        profiles: File of profiles made of figures; ``None`` if the core items say everything.
        teacher: Table of a larger network's probabilities (item_id, model, p), as ``modelsat score`` writes it.
        unseen_models: Models left out of training.
        groups: Groups of data sets.
        network: What the network is built on.
        stages: Settings of each stage in turn, by the names of
            :class:`~modelsat.training.arguments.CapabilityTrainingArguments`; ``groups`` in a stage names the groups
            it trains on (all by default).
    """

    items: Path
    outcomes: Path
    network: BaseSettings
    groups: tuple[Group, ...]
    stages: tuple[dict[str, Any], ...]
    profiles: Path | None = None
    teacher: Path | None = None
    unseen_models: tuple[str, ...] = ()

    def corpus(self) -> Corpus:
        """Read the data the recipe names.

        Raises:
            OutcomesError: See :func:`~modelsat.outcomes.read_outcomes` and
                :meth:`~modelsat.training.corpus.Corpus.check`.
        """
        table = read_outcomes(self.items, self.outcomes)
        split = split_by_question(table)
        given: list[CapabilityProfile] = load_profiles(self.profiles) if self.profiles else []
        return Corpus(
            table=table,
            split=split,
            core=core_rows(table, split),
            groups=self.groups,
            profiles={profile.model: profile for profile in given},
            unseen=frozenset(self.unseen_models),
            teacher=read_teacher(table, self.teacher) if self.teacher else None,
        )


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe; environment variables in paths are filled in, relative paths start at the working directory.

    Raises:
        ConfigurationError: The file is unreadable, or a key is missing, unknown or of the wrong kind; the message names
            it.
    """
    try:
        raw = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read the recipe {path}: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path} is no recipe: it must map keys to values")
    _keys(path, "", raw, {field.name for field in dataclasses.fields(Recipe)}, {"items", "outcomes", "network"})
    network = _build(path, "network", raw["network"], BaseSettings)
    groups = tuple(
        _build(path, f"groups.{name}", {"name": name, **_tuples(value)}, Group)
        for name, value in _mapping(path, "groups", raw.get("groups")).items()
    )
    stages = raw.get("stages")
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise ConfigurationError(f"{path}: stages must be a list of settings, one mapping a stage")
    return Recipe(
        items=_path(raw["items"]),
        outcomes=_path(raw["outcomes"]),
        network=dataclasses.replace(network, base=os.path.expandvars(os.fspath(network.base))),
        groups=groups,
        stages=tuple(stages),
        profiles=_path(raw["profiles"]) if raw.get("profiles") else None,
        teacher=_path(raw["teacher"]) if raw.get("teacher") else None,
        unseen_models=tuple(raw.get("unseen_models") or ()),
    )


def _path(value: Any) -> Path:
    return Path(os.path.expandvars(str(value))).expanduser()


def _mapping(path: Any, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise ConfigurationError(f"{path}: {key} must map names to settings")
    return value


def _tuples(value: Any) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()} if isinstance(value, dict) else {}


def _build(path: Any, key: str, value: Any, kind: Any) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    _keys(path, f"{key}.", _mapping(path, key, value), set(fields), needed)
    return kind(**value)


def _keys(path: Any, prefix: str, value: dict[str, Any], known: set[str], needed: set[str]) -> None:
    unknown, missing = sorted(set(value) - known), sorted(needed - set(value))
    if unknown:
        raise ConfigurationError(f"{path}: unknown key {prefix}{unknown[0]}; known: {', '.join(sorted(known))}")
    if missing:
        raise ConfigurationError(f"{path}: {prefix}{missing[0]} is missing")
