"""``efforts: [low, high]`` of a deployment: one candidate for each, and the request carries the effort that was chosen.

Inside this package such a deployment is several (:func:`spread`), each with an identifier, an effort and a candidate of
its own; LiteLLM sees the one that it knows (:func:`whole`). The effort goes out as LiteLLM's ``reasoning_effort``,
which LiteLLM spells as the provider does (:mod:`litellm_modelsat.effort_callback`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from litellm_modelsat.ranking import id_of
from modelsat.capability.efforts import EFFORTS, distance, effort_of

SPREAD = "modelsat_effort"
"""Where the ``model_info`` of a deployment at one of its efforts says which."""
_AT = "\x1fmodelsat@"
_Entry = Mapping[str, Any]


def spread(entries: Iterable[_Entry], asked: str = "") -> list[Any]:
    """``entries``, each of those with ``efforts`` once for every effort.

    What is wrong about ``efforts`` is left to :func:`~litellm_modelsat.deployments.read_deployment` to complain about.

    Args:
        entries: LiteLLM's deployments.
        asked: The effort that the request itself asks for, which it keeps: then the nearest of the list stands for it.
    """
    found: list[Any] = []
    for entry in entries:
        efforts = _efforts(entry)
        if efforts and asked:
            efforts = [min(efforts, key=lambda effort: distance(effort, asked))]
        found += [_at(entry, effort) for effort in efforts] or [entry]
    return found


def whole(step: Sequence[_Entry], entries: Sequence[Any]) -> list[Any]:
    """The deployments of ``step`` as LiteLLM knows them.

    Args:
        step: Deployments that :func:`spread` returned.
        entries: Those that it was given.
    """
    ids = {id_of(entry) for entry in step}
    if not any(map(effort_in, ids)):
        return list(step)
    own = {real_id(identifier) for identifier in ids}
    return [entry for entry in entries if id_of(entry) in own]


def once(step: Sequence[Any]) -> list[Any]:
    """``step`` with each deployment at one effort: the first, where nothing tells them apart."""
    return list({real_id(id_of(entry)) or id(entry): entry for entry in reversed(step)}.values())[::-1]


def real_id(identifier: str) -> str:
    """LiteLLM's identifier of a deployment, whatever its effort."""
    return identifier.partition(_AT)[0]


def effort_in(identifier: str) -> str:
    """The effort that :func:`spread` gave; empty if it gave none."""
    return identifier.partition(_AT)[2]


def at_effort(identifier: str, effort: str) -> str:
    """The identifier of a deployment at ``effort``, or its own without one."""
    return f"{identifier}{_AT}{effort}" if identifier and effort else identifier


def with_effort(deployment: _Entry, effort: str) -> dict[str, Any]:
    """A deployment that asks for ``effort``."""
    return {
        **deployment,
        "litellm_params": {**mapping_of(deployment.get("litellm_params")), "reasoning_effort": effort},
    }


def mapping_of(value: Any) -> Mapping[str, Any]:
    """``value`` as a mapping: of a configuration, or of LiteLLM's own classes; an empty one otherwise."""
    if isinstance(value, Mapping):
        return value
    dump = getattr(value, "model_dump", None)
    return dump(exclude_none=True) if callable(dump) else {}


def _efforts(entry: _Entry) -> list[str]:
    info, params = mapping_of(entry.get("model_info")), mapping_of(entry.get("litellm_params"))
    own = info.get("modelsat")
    given = own.get("efforts") if isinstance(own, Mapping) else None
    if not isinstance(given, (list, tuple)) or not all(effort in EFFORTS for effort in given) or effort_of(params):
        return []
    return list(dict.fromkeys(given))


def _at(entry: _Entry, effort: str) -> dict[str, Any]:
    info = mapping_of(entry.get("model_info"))
    identifier = {"id": at_effort(str(info["id"]), effort)} if info.get("id") else {}
    return {**with_effort(entry, effort), "model_info": {**info, **identifier, SPREAD: effort}}
