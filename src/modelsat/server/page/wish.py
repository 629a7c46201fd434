"""What the form of the tab Try asks for, and the sliders that set a policy."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelsat.errors import ConfigurationError
from modelsat.policies.base import usd
from modelsat.policies.resolve import is_policy_file
from modelsat.server.page.access import Fields, number, one
from modelsat.server.schema import RouteRequest
from modelsat.validation import faults

_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
_LEAST, _WIDEST = 30.0, 50.0


@dataclass(frozen=True, slots=True)
class Knob:
    """The one number that a policy is set by."""

    field: str  # the policy's parameter
    says: str
    at: Callable[[float], float]  # its value at a share of the way, 0..1
    where: Callable[[float], float]  # the share of the way at which it has a value
    start: float
    shown: Callable[[float], str]


KNOBS: Mapping[str, Knob] = {
    "knob": Knob(
        *("position", "From the cheapest (0) to the best (10)"),
        lambda share: round(10 * share, 1),
        lambda value: value / 10,
        7.0,
        "{:.1f}".format,
    ),
    "cheapest": Knob(
        *("target", "P(success) that is good enough"),
        lambda share: round(share, 2),
        lambda value: value,
        0.8,
        "{:.2f}".format,
    ),
    "near_best": Knob(
        *("margin", "P(success) that may be given up"),
        lambda share: round(0.5 * share, 3),
        lambda value: 2 * value,
        0.02,
        "{:.3f}".format,
    ),
    "tradeoff": Knob(
        *("value_per_success", "USD that a good answer is worth"),
        lambda share: float(f"{10 ** (5 * share - 4):.2g}"),
        lambda value: (math.log10(max(value, 1e-4)) + 4) / 5,
        0.03,
        usd,
    ),
}
"""Policies that a slider sets, and from where to where it goes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form asks for; an empty policy or weights are the server's own, or the same for the second decision."""

    request: RouteRequest
    policy: str
    abstain: tuple[float, float] | None  # P that the best must reach, widest interval of one that counts as known
    weights: str
    against: str
    against_weights: str


def wish_of(form: Fields) -> Wish:
    """Read what a form asks for.

    Raises:
        ConfigurationError: A field makes no sense; the message names it.
    """
    body: dict[str, Any] = {"messages": _messages(form)}
    names = list(form.get("candidates", ()))
    if not names and one(form, "choose"):
        raise ConfigurationError("candidates: tick one at least")
    if names:
        body["candidates"] = names
    body["tools"] = _tools(form)
    if (metadata := _json(form, "metadata", "an object")) is not None:
        body["metadata"] = metadata
    if one(form, "schema"):
        body["response_format"] = _SCHEMA
    if one(form, "reasoning"):
        body["reasoning"] = True
    body["answer_tokens"] = number(form, "answer_tokens")
    body["constraints"] = _constraints(form) or None
    try:
        request = RouteRequest.model_validate(body)
    except ValidationError as error:
        raise ConfigurationError("; ".join(faults(error, RouteRequest))) from None
    abstain = (_share(form, "least", _LEAST), _share(form, "widest", _WIDEST)) if one(form, "abstain") else None
    against = policy_text(one(form, "against"))
    return Wish(request, _policy(form), abstain, one(form, "weights"), against, one(form, "against_weights"))


def policy_text(text: str) -> str:
    """``text``, which names a policy.

    Raises:
        ConfigurationError: It names a file: those are read at the server's start alone.
    """
    if is_policy_file(text):
        raise ConfigurationError("policy: a policy file is read at the server's start alone, not from this page")
    return text


def _policy(form: Fields) -> str:
    """The policy as it is written; empty for the server's own."""
    name = one(form, "policy")
    if name == "other":
        return policy_text(one(form, "policy_text"))
    if (knob := KNOBS.get(name)) is None:
        return policy_text(name)
    share = _share(form, f"knob_{name}", knob.where(knob.start) * 100)
    return f"{name}({knob.field}={knob.at(share)})"


def _messages(form: Fields) -> Any:
    text = one(form, "messages")
    messages: Any = text
    if text.startswith(("[", "{")):
        try:
            messages = json.loads(text)
        except (ValueError, RecursionError):
            messages = text  # a text may begin with a bracket
        if isinstance(messages, dict):
            messages = [messages]
        if not (isinstance(messages, list) and all(isinstance(m, dict) and "role" in m for m in messages)):
            messages = text
    if not one(form, "image"):
        return messages
    if isinstance(messages, str):
        return [{"role": "user", "content": [{"type": "text", "text": messages}, _IMAGE]}]
    return [*messages, {"role": "user", "content": [_IMAGE]}]


def _tools(form: Fields) -> Any:
    tools = _json(form, "tools_json", "a list of tool definitions")
    return tools if tools is not None else [_TOOL] if one(form, "tools") else []


def _json(form: Fields, name: str, what: str) -> Any:
    """JSON that was typed in; ``None`` if nothing was."""
    if not (text := one(form, name)):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name.removesuffix('_json')}: this is not JSON ({error}); paste {what}") from None


def _constraints(form: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("deny_providers", "allow_regions", "deny_models"):
        if names := [part.strip() for part in one(form, name).split(",") if part.strip()]:
            found[name] = names
    if (most := number(form, "max_usd_per_request")) is not None:
        found["max_usd_per_request"] = most
    return found


def _share(form: Fields, name: str, default: float) -> float:
    """A slider's place, 0..1."""
    value = number(form, name)
    return min(1.0, max(0.0, (default if value is None else value) / 100))
