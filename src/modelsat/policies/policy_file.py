"""Policy files: a policy, its constraints and what it was fitted to, in JSON; read alike by every way in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from modelsat._files import read_json, write_json
from modelsat.errors import ConfigurationError
from modelsat.request.constraints import Constraints
from modelsat.storage.checkpoint import SHIPPED, shipped_name
from modelsat.validation import Settings, plain

FORMAT = 1
"""The version of policy files that is written and read."""


class PolicyFile(Settings):
    """A policy as it is kept in a file.

    Attributes:
        format: Version of the format.
        policy: The policy as plain data, e.g. ``{"name": "cheapest", "target": 0.8}``; text such as
            ``"cheapest(target=0.8)"`` is read too.
        constraints: What no policy may overrule.
        fitted: What the policy was fitted to: aim, digest of the data, version of the weights, ...
    """

    label: ClassVar[str] = "policy file"

    format: int = FORMAT
    policy: dict[str, Any]
    constraints: Constraints | None = None
    fitted: dict[str, Any] = Field(default_factory=dict)

    @field_validator("policy", mode="before")
    @classmethod
    def _is_a_policy(cls, value: Any) -> Any:
        from modelsat.policies import resolve_policy, spell_policy

        if not isinstance(value, (str, Mapping)):
            raise ConfigurationError(f'policy must be plain data such as {{"name": "best"}}, not {value!r}')
        if isinstance(value, str) and value.strip().casefold().endswith(".json"):
            raise ConfigurationError("a policy file must hold a policy, not the name of another file")
        return spell_policy(resolve_policy(value))

    @property
    def fitted_to(self) -> str | None:
        """Version of the weights that it was fitted to, if it names one."""
        version = self.fitted.get("weights")
        return version if isinstance(version, str) else None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PolicyFile:
        """Read a policy file.

        Raises:
            ConfigurationError: It is missing, no JSON, of another version, or holds something that cannot be right.
        """
        raw = read_json(path, "the policy file")
        if not isinstance(raw, dict) or "format" not in raw:
            raise ConfigurationError(
                f'{path} is no policy file: it lacks "format": {FORMAT}; `modelsat tune` writes one'
            )
        if raw["format"] != FORMAT:
            raise ConfigurationError(
                f"the policy file {path} has format {raw['format']!r}, and this version of modelsat reads {FORMAT}: "
                "install the version that wrote it, or write it again with `modelsat tune`"
            )
        try:
            return cls(**raw)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file; it appears when it is complete.

        Raises:
            ConfigurationError: It cannot be written.
        """
        write_json(path, {"format": self.format, **plain(self)})


def is_policy_file(policy: object) -> bool:
    """Whether ``policy`` names a policy file."""
    return isinstance(policy, Path) or (isinstance(policy, str) and policy.strip().casefold().endswith(".json"))


def read_if_file(policy: Any) -> Any:
    """The content of a policy file if ``policy`` names one, else ``policy`` itself.

    Raises:
        ConfigurationError: As :meth:`PolicyFile.load`.
    """
    return PolicyFile.load(policy) if is_policy_file(policy) else policy


def weights_for(
    weights: str | os.PathLike[str] | None, *policies: object, default: str = SHIPPED
) -> str | os.PathLike[str]:
    """Name or folder of the weights that score, so that a policy file decides alike on every way in.

    Args:
        weights: What was given.
        *policies: Policies in use; those that are policy files may name the weights they were fitted to.
        default: Where nothing is given, and the files name no shipped weights, or different ones.
    """
    if weights is not None:
        return weights
    fitted = {name for policy in policies if (name := shipped_name(_fitted_to(policy) or ""))}
    return fitted.pop() if len(fitted) == 1 else default


def _fitted_to(policy: object) -> str | None:
    """A file that cannot be read is told of where the policy is resolved."""
    try:
        file = read_if_file(policy)
    except ConfigurationError:
        return None
    return file.fitted_to if isinstance(file, PolicyFile) else None
