"""The documentation page: what the OpenAPI description says, as one page that loads nothing from anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre{background:#8881;padding:.7rem;overflow:auto}code{font-size:.9em}"
    "table{border-collapse:collapse}td{padding:.2rem .8rem .2rem 0;vertical-align:top}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
"""Content security policy of the page: no script, no request."""


def described(description: Mapping[str, Any], address: str) -> str:
    """The page of an OpenAPI description.

    Args:
        description: As ``/openapi.json`` has it.
        address: Where the server is reached, for the commands.
    """
    title = f"{description['info']['title']} {description['info']['version']}"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1><p>{escape(description['info'].get('description', ''))}</p>",
        '<p>For programs: <a href="openapi.json">openapi.json</a></p>',
    ]
    for path, methods in description["paths"].items():
        for method, about in methods.items():
            parts += _endpoint(method.upper(), path, about, description, address)
    return "\n".join(parts)


def _endpoint(
    method: str, path: str, about: Mapping[str, Any], description: Mapping[str, Any], address: str
) -> Iterator[str]:
    yield f"<h2><code>{method} {escape(path)}</code> {escape(about.get('summary', ''))}</h2>"
    yield f"<p>{escape(about.get('description', ''))}</p>"
    body = about.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    command = f"curl {address}{path}"
    if body is not None:
        schema = _resolved(body, description)
        yield _fields(schema)
        if examples := schema.get("examples"):
            command += f" -H 'Content-Type: application/json' -d '{json.dumps(examples[0], ensure_ascii=False)}'"
    yield f"<pre>{escape(command)}</pre>"
    rows = "".join(
        f"<tr><td><code>{escape(status)}</code><td>{escape(answer.get('description', ''))}"
        for status, answer in about.get("responses", {}).items()
    )
    yield f"<table>{rows}</table>"


def _fields(schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' (required)' if name in required else ''}"
        f"<td>{escape(str(about.get('description', '')))}"
        for name, about in schema.get("properties", {}).items()
    )
    return f"<table>{rows}</table>"


def _resolved(schema: Mapping[str, Any], description: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = description["components"]["schemas"][name] if name else schema
    return found
