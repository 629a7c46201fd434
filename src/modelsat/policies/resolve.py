"""Policies by name, as text, as plain data, or out of a policy file: what fitting writes and every way in takes."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field as Setting
from pydantic import field_validator

from modelsat._files import read_json, write_json
from modelsat.errors import ConfigurationError
from modelsat.policies.base import POLICIES, Policy
from modelsat.request.constraints import Constraints
from modelsat.storage.checkpoint import SHIPPED, shipped_name
from modelsat.validation import Settings, plain

_LONGEST = 1_000
_DEEPEST = 8

GivenPolicy = Any
"""A :class:`Policy`; ``"best"``; ``"cheapest(target=0.8)"``; ``{"name": "cheapest", "target": 0.8}``; a policy file."""


def resolve_policy(policy: GivenPolicy) -> Policy:
    """A policy, out of any form it may be given in.

    Args:
        policy: An object with ``name`` and ``choose``; a name; a name with parameters, as it would be written in
            Python; a mapping with ``name`` and the parameters; or a policy file (a path, or text that ends in
            ``.json``), whose constraints are left aside here.

    Raises:
        ConfigurationError: The name or a parameter is unknown, a value cannot be right, or the object is not a policy.
    """
    return _resolve(policy, 0)


def spell_policy(policy: Policy) -> dict[str, Any]:
    """``policy`` as plain data that :func:`resolve_policy` reads back; of one of the user's own, name and class."""
    kind = type(policy)
    if POLICIES.get(policy.name) is not kind:
        return {"name": policy.name, "class": f"{kind.__module__}.{kind.__qualname__}"}
    spelt: dict[str, Any] = {"name": policy.name}
    for field in _parameters(kind):
        value = getattr(policy, field.name)
        if field.default is MISSING or value != field.default:
            spelt[field.name] = value if isinstance(value, (str, int, float, type(None))) else spell_policy(value)
    return spelt


def _resolve(given: Any, depth: int) -> Policy:
    if depth > _DEEPEST:
        raise ConfigurationError(f"policies are nested more than {_DEEPEST} deep")
    given = read_if_file(given)
    if isinstance(given, PolicyFile):
        given = given.policy
    if isinstance(given, str):
        given = _read(given)
    if isinstance(given, Mapping):
        return _build(given, depth)
    if isinstance(given, type) or not isinstance(given, Policy):
        raise ConfigurationError(f"a policy needs a name and choose(scored, request), {given!r} has not")
    return given


def _build(given: Mapping[Any, Any], depth: int) -> Policy:
    parameters = {str(key): value for key, value in given.items()}
    name = parameters.pop("name", None)
    if not isinstance(name, str):
        raise ConfigurationError('a policy needs a name, e.g. {"name": "cheapest", "target": 0.8}')
    if name not in POLICIES:
        raise ConfigurationError(f"unknown policy {name!r}; known policies: {_known()}")
    kind = POLICIES[name]
    known_fields = {field.name: field for field in _parameters(kind)}
    takes = ", ".join(known_fields) or "no parameters"
    if unknown := sorted(set(parameters) - set(known_fields)):
        raise ConfigurationError(f"policy {name!r} has no parameter {', '.join(map(repr, unknown))}; it takes: {takes}")
    required = [key for key, field in known_fields.items() if field.default is field.default_factory is MISSING]
    if missing := [key for key in required if key not in parameters]:
        raise ConfigurationError(
            f"policy {name!r} needs {', '.join(missing)}: write {name}({', '.join(f'{key}=...' for key in missing)})"
        )
    if "inner" in parameters:
        parameters["inner"] = _resolve(parameters["inner"], depth + 1)
    made: Policy = kind(**parameters)
    return made


def _parameters(kind: type[Any]) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.init and field.repr]


def _read(text: str) -> Mapping[str, Any]:
    """``"cheapest(target=0.8)"`` as a mapping; only names, calls with keywords, numbers, strings and None are read."""
    if len(text) > _LONGEST:
        raise ConfigurationError(f"a policy is at most {_LONGEST} characters long; use a mapping or a policy file")
    try:
        return _policy_of(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ConfigurationError(
            f"cannot read the policy {text!r}: write a name, or a name with parameters such as "
            "cheapest(target=0.8) or sticky(cheapest(target=0.8), per='turn'); "
            f"known policies: {_known()}"
        ) from None


def _policy_of(node: ast.expr, depth: int = 0) -> Mapping[str, Any]:
    if isinstance(node, ast.Name):
        return {"name": node.id}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or depth > _DEEPEST:
        raise ValueError
    found: dict[str, Any] = {"name": node.func.id}
    if node.args:
        first = next(iter(_parameters(POLICIES[node.func.id])), None) if node.func.id in POLICIES else None
        if len(node.args) > 1 or first is None:
            raise ValueError
        found[first.name] = _value(node.args[0], depth)
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in found:
            raise ValueError
        found[keyword.arg] = _value(keyword.value, depth)
    return found


def _value(node: ast.expr, depth: int) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Name() | ast.Call():
            return _policy_of(node, depth + 1)
    raise ValueError


def _known() -> str:
    return ", ".join(map(repr, sorted(POLICIES)))


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
    fitted: dict[str, Any] = Setting(default_factory=dict)

    @field_validator("policy", mode="before")
    @classmethod
    def _is_a_policy(cls, value: Any) -> Any:
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
                f'{path} is not a policy file: it lacks "format": {FORMAT}; `modelsat tune` writes one'
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


def weights_for(weights: str | os.PathLike[str] | None, *policies: object) -> str | os.PathLike[str]:
    """Name or folder of the weights that score: those given, else those that the policies in use were fitted to.

    So a policy file decides alike on every way in.
    """
    if weights is not None:
        return weights
    fitted = set()
    for policy in policies:
        try:
            file = read_if_file(policy)
        except ConfigurationError:  # reported where the policy is resolved
            continue
        if isinstance(file, PolicyFile) and (name := shipped_name(file.fitted_to or "")):
            fitted.add(name)
    return fitted.pop() if len(fitted) == 1 else SHIPPED
