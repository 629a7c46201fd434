"""A training recipe: one YAML file that names the data, the starting point and the stages."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsat.capability import CapabilityProfile, load_profiles
from modelsat.errors import ConfigurationError
from modelsat.lab.outcomes import read_outcomes, split_by_question
from modelsat.lab.outcomes.names import find_profiles
from modelsat.lab.outcomes.table import circle_test, read_rotations
from modelsat.lab.training.base import BaseSettings
from modelsat.lab.training.card import CardSettings
from modelsat.lab.training.corpus import Corpus, Group, core_rows, read_teacher
from modelsat.lab.training.fields import checked_keys, fill, mapping, names, read_mapping


@dataclass(frozen=True)
class Recipe:
    """The content of a recipe file.

    Attributes:
        items: Table of items.
        outcomes: Table of outcomes.
        profiles: File of profiles made of figures. A model that it does not name, and that did not answer most of the
            core items, has the registry's.
        teacher: Table of another, usually larger network's probabilities (item_id, model, p), as ``modelsat score``
            writes it.
        unseen_models: Models left out of training.
        circle_test: Count an item as answered well only if it is in every logged rotation of its options (column
            ``rotation_of`` of the items).
        groups: Groups of data sets; one of all if there are none.
        network: What the network is built on.
        stages: Settings of each stage in turn, by the names of
            :class:`~modelsat.lab.training.arguments.CapabilityTrainingArguments`; ``groups`` in a stage names the
            groups it trains on (all by default).
        card: What the model card says and the data cannot know: names, licences.
        frozen_states: Folder that keeps the states behind the network's frozen layers, for this run and later ones.
    """

    items: Path
    outcomes: Path
    network: BaseSettings
    groups: tuple[Group, ...]
    stages: tuple[dict[str, Any], ...]
    profiles: Path | None = None
    teacher: Path | None = None
    unseen_models: tuple[str, ...] = ()
    circle_test: bool = False
    card: CardSettings = dataclasses.field(default_factory=CardSettings)
    frozen_states: Path | None = None

    def __post_init__(self) -> None:
        if self.frozen_states and not self.network.frozen_layers:
            raise ConfigurationError("frozen_states keeps what frozen layers give: set network.frozen_layers")

    def corpus(self) -> Corpus:
        """Read the data the recipe names.

        Raises:
            OutcomesError: See :func:`~modelsat.lab.outcomes.read_outcomes` and
                :meth:`~modelsat.lab.training.corpus.Corpus.check`.
        """
        table = read_outcomes(self.items, self.outcomes)
        if self.circle_test:
            table = circle_test(table, read_rotations(self.items))
        split = split_by_question(table)
        given: list[CapabilityProfile] = load_profiles(self.profiles) if self.profiles else []
        corpus = Corpus(
            table=table,
            split=split,
            core=core_rows(table, split),
            groups=self.groups or (Group("all", tuple(sorted(set(table.datasets)))),),
            profiles={profile.model: profile for profile in given},
            unseen=frozenset(self.unseen_models),
            teacher=read_teacher(table, self.teacher) if self.teacher else None,
        )
        known = find_profiles(corpus.nameless, given)
        return dataclasses.replace(corpus, profiles={**known, **corpus.profiles})


def read_recipe(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe; environment variables in paths are filled in, relative paths start at the working directory.

    With ``extends: OTHER.yaml`` a recipe takes over the keys of another
    (:func:`~modelsat.lab.training.fields.read_mapping`).

    Raises:
        ConfigurationError: The file is unreadable, or a key is missing, unknown or of the wrong kind; the message names
            it.
    """
    raw = read_mapping(path)
    known = {field.name for field in dataclasses.fields(Recipe)}
    checked_keys(path, "", raw, known, {"items", "outcomes", "network", "stages"})
    network = fill(path, "network", raw["network"], BaseSettings)
    groups = tuple(
        fill(path, f"groups.{name}", {**mapping(path, f"groups.{name}", value), "name": str(name)}, Group)
        for name, value in (mapping(path, "groups", raw["groups"]) if "groups" in raw else {}).items()
    )
    return Recipe(
        items=_path(path, "items", raw["items"]),
        outcomes=_path(path, "outcomes", raw["outcomes"]),
        network=dataclasses.replace(
            network,
            base=_expanded(path, "network.base", network.base),
            psi=None if network.psi is None else _expanded(path, "network.psi", network.psi),
            adapter_of=network.adapter_of and _expanded(path, "network.adapter_of", network.adapter_of),
        ),
        groups=groups,
        stages=_stages(path, raw["stages"], {group.name for group in groups}),
        profiles=_path(path, "profiles", raw["profiles"]) if raw.get("profiles") else None,
        teacher=_path(path, "teacher", raw["teacher"]) if raw.get("teacher") else None,
        unseen_models=names(path, "unseen_models", raw.get("unseen_models") or ()),
        circle_test=_switch(path, "circle_test", raw.get("circle_test", False)),
        card=fill(path, "card", raw["card"], CardSettings) if raw.get("card") else CardSettings(),
        frozen_states=_path(path, "frozen_states", raw["frozen_states"]) if raw.get("frozen_states") else None,
    )


def _stages(path: Any, value: Any, groups: set[str]) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or not value or not all(isinstance(stage, dict) for stage in value):
        raise ConfigurationError(f"{path}: stages must be a list of settings, one mapping a stage")
    stages = []
    for number, stage in enumerate(value, 1):
        chosen = names(path, f"groups of stage {number}", stage["groups"]) if "groups" in stage else None
        unknown = sorted(set(chosen or ()) - groups)
        if unknown or chosen == ():
            raise ConfigurationError(
                f"{path}: stage {number} trains on the group {', '.join(unknown) or '(none)'}; "
                f"the groups are {', '.join(sorted(groups))}"
            )
        stages.append({**stage, **({} if chosen is None else {"groups": chosen})})
    return tuple(stages)


def _expanded(path: Any, key: str, value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(f"{path}: {key} must be a path, not {value!r}")
    text = os.path.expandvars(os.path.expanduser(os.fspath(value)))
    unset = re.search(r"\$\{?(\w+)", text)
    if unset:
        raise ConfigurationError(f"{path}: {key} is {value}, but the environment variable {unset[1]} is not set")
    return text


def _path(path: Any, key: str, value: Any) -> Path:
    return Path(_expanded(path, key, value))


def _switch(path: Any, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{path}: {key} must be true or false, not {value!r}")
    return value
