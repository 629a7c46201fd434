"""What the form of the tab Try asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelsat.errors import ConfigurationError
from modelsat.policies.resolve import is_policy_file
from modelsat.server.page.knobs import KNOBS
from modelsat.server.schema import RouteRequest
from modelsat.validation import faults

Form = Mapping[str, Sequence[str]]
_IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/image.png"}}
_TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}
_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
_LEAST, _WIDEST = 30.0, 50.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form asks for.

    Attributes:
        request: The request, as ``/v1/route`` takes it.
        policy: As it is written; empty for the server's own.
        abstain: P(success) that the best must reach, and the widest interval of one that counts as known, 0..1;
            ``None`` where the router need not say that it does not know.
        weights: Other weights; empty for the server's own.
        against: A second policy to compare with; empty for the same.
        against_weights: Second weights to compare with; empty for the same.
        compare: Whether there is a second decision.
    """

    request: RouteRequest
    policy: str
    abstain: tuple[float, float] | None
    weights: str
    against: str
    against_weights: str
    compare: bool


def wish_of(form: Form) -> Wish:
    """What a form asks for.

    Raises:
        ConfigurationError: A field makes no sense; the message names it.
    """
    body: dict[str, Any] = {"messages": _messages(form)}
    names = list(form.get("candidates", ()))
    if not names and _ticked(form, "choose"):
        raise ConfigurationError("candidates: tick one at least")
    if names:
        body["candidates"] = names
    body["tools"] = _tools(form)
    if (metadata := _json(form, "metadata", "an object")) is not None:
        body["metadata"] = metadata
    if _ticked(form, "schema"):
        body["response_format"] = _SCHEMA
    if _ticked(form, "reasoning"):
        body["reasoning"] = True
    if _one(form, "answer_tokens"):
        body["answer_tokens"] = _number(form, "answer_tokens")
    body["constraints"] = _constraints(form) or None
    try:
        request = RouteRequest.model_validate(body)
    except ValidationError as error:
        raise ConfigurationError("; ".join(faults(error, RouteRequest))) from None
    abstain = (_share(form, "least", _LEAST), _share(form, "widest", _WIDEST)) if _ticked(form, "abstain") else None
    against, others = policy_text(_one(form, "against")), _one(form, "against_weights")
    return Wish(request, _policy(form), abstain, _one(form, "weights"), against, others, bool(against or others))


def policy_text(text: str) -> str:
    """``text``, which names a policy.

    Raises:
        ConfigurationError: It names a file: those are read at the server's start alone.
    """
    if is_policy_file(text):
        raise ConfigurationError("policy: a policy file is read at the server's start alone, not from this page")
    return text


def _policy(form: Form) -> str:
    """The policy as it is written; empty for the server's own."""
    name = _one(form, "policy")
    if name == "other":
        return policy_text(_one(form, "policy_text"))
    if (knob := KNOBS.get(name)) is None:
        return policy_text(name)
    share = _share(form, f"knob_{name}", knob.where(knob.start) * 100)
    return f"{name}({knob.field}={knob.at(share)})"


def _messages(form: Form) -> Any:
    text = _one(form, "messages")
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
    if not _ticked(form, "image"):
        return messages
    if isinstance(messages, str):
        return [{"role": "user", "content": [{"type": "text", "text": messages}, _IMAGE]}]
    return [*messages, {"role": "user", "content": [_IMAGE]}]


def _tools(form: Form) -> Any:
    tools = _json(form, "tools_json", "a list of tool definitions")
    return tools if tools is not None else [_TOOL] if _ticked(form, "tools") else []


def _json(form: Form, name: str, what: str) -> Any:
    """JSON that was typed in; ``None`` if nothing was."""
    if not (text := _one(form, name)):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name.removesuffix('_json')}: this is no JSON ({error}); paste {what}") from None


def _constraints(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("deny_providers", "allow_regions", "deny_models"):
        if names := [part.strip() for part in _one(form, name).split(",") if part.strip()]:
            found[name] = names
    if _one(form, "max_usd_per_request"):
        found["max_usd_per_request"] = _number(form, "max_usd_per_request")
    return found


def _one(form: Form, name: str) -> str:
    values = form.get(name) or [""]
    return values[0].strip()


def _ticked(form: Form, name: str) -> bool:
    return bool(_one(form, name))


def _share(form: Form, name: str, default: float) -> float:
    """A slider's place, 0..1."""
    return min(1.0, max(0.0, float(_number(form, name, default)) / 100))


def _number(form: Form, name: str, default: float | None = None) -> float:
    text = _one(form, name)
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise ConfigurationError(f"{name.replace('_', ' ')}: {text[:40]!r} is no number") from None
    return int(value) if value.is_integer() else value
