"""A tried request as code: for Python, for the settings of ``modelsat serve``, and for curl."""

from __future__ import annotations

import json
import shlex

from modelsat.router import Router
from modelsat.server.page.trial import written
from modelsat.server.page.wish import Wish

_CONTEXT = ("metadata", "tools", "response_format", "reasoning", "answer_tokens")


def snippets(wish: Wish, router: Router, address: str, keyed: bool) -> dict[str, str]:
    """The request and its settings as Python, as YAML for ``modelsat serve`` and as a call of curl."""
    request = wish.request
    names = request.candidates or list(router.names)
    body = request.model_dump(exclude_defaults=True, exclude_none=True)
    policy, constraints = written(router), body.get("constraints") or {}
    options = [f"    {names!r},", f"    policy={policy!r},"]
    options += [f"    constraints={constraints!r},"] if constraints else []
    context = {name: value for name, value in body.items() if name in _CONTEXT}
    call = f"{body['messages']!r}" + (f", context=RequestContext(**{context!r})" if context else "")
    imported = "from modelsat import Router\n" + ("from modelsat.request import RequestContext\n" if context else "")
    python = "\n".join([imported, "router = Router(", *options, ")", f"decision = router.route({call})"])
    yaml = "\n".join(
        [
            f"candidates: {json.dumps(names)}",
            f"policy: {policy}",
            *([f"constraints: {json.dumps(constraints)}"] if constraints else []),
        ]
    )
    key = ' -H "Authorization: Bearer $MODELSAT_API_KEY"' if keyed else ""
    sent = shlex.quote(json.dumps(body, ensure_ascii=False))
    curl = f"curl -s {address}/v1/route -H 'content-type: application/json'{key} \\\n  -d {sent}"
    return {
        "Python": python + "\nprint(decision.explain())",
        "YAML": yaml,
        "curl": curl,
    }
