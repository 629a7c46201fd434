#!/usr/bin/env bash
# LiteLLM 1.110: of what async_filter_deployments returns, the router takes the identifiers only.
#
# A CustomLogger may narrow the healthy deployments of a request. Up to 1.109 the router goes on with the dicts that it
# returns, so a callback can prefer one by giving it the lowest litellm_params["order"]. From 1.110, whose router is in
# Rust, litellm/router_rust/steps/callbacks.py keeps the ids of what comes back: the order is dropped without a word, and
# the request goes to any deployment. Returning the preferred deployment alone works on both.
#
# Needs python3 and a package index; nothing else is asked, answers are mocked. Fails if the behaviour changes.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export LITELLM_LOCAL_MODEL_COST_MAP=True PIP_DISABLE_PIP_VERSION_CHECK=1

cat >"$work/ask.py" <<'PYTHON'
import asyncio
import sys
from collections import Counter

import litellm
from litellm.integrations.custom_logger import CustomLogger


class Prefers(CustomLogger):
    """Prefers the deployment "c", by its order or by returning nothing else."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    async def async_filter_deployments(self, model, healthy_deployments, messages, request_kwargs=None, **_):
        if self.how == "alone":
            return [entry for entry in healthy_deployments if entry["model_info"]["id"] == "c"]
        return [
            {**entry, "litellm_params": {**entry["litellm_params"], "order": 1 if entry["model_info"]["id"] == "c" else 2}}
            for entry in healthy_deployments
        ]


async def answered(how):
    models = [
        {
            "model_name": "group",
            "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": name},
            "model_info": {"id": name},
        }
        for name in "abc"
    ]
    router = litellm.Router(model_list=models)
    litellm.callbacks = [Prefers(how)]
    counts = Counter()
    for _ in range(40):
        response = await router.acompletion(model="group", messages=[{"role": "user", "content": "hello"}])
        counts[response.choices[0].message.content] += 1
    return dict(sorted(counts.items()))


print({how: asyncio.run(answered(how)) for how in sys.argv[1:]})
PYTHON

ask() { # release
    python3 -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install -qq "litellm==$1"
    "$work/$1/bin/python" "$work/ask.py" order alone 2>/dev/null | tail -1
}

before=$(ask 1.109.3)
after=$(ask 1.110.2)
printf 'LiteLLM 1.109.3, 40 requests each: %s\nLiteLLM 1.110.2, 40 requests each: %s\n' "$before" "$after"
# seen on 2026-11-30:
#   LiteLLM 1.109.3, 40 requests each: {'order': {'c': 40}, 'alone': {'c': 40}}
#   LiteLLM 1.110.2, 40 requests each: {'order': {'a': 11, 'b': 13, 'c': 16}, 'alone': {'c': 40}}
[ "$before" = "{'order': {'c': 40}, 'alone': {'c': 40}}" ] || { echo "1.109.3 behaves otherwise" >&2; exit 1; }
case $after in
    *"'order': {'a': "*"'alone': {'c': 40}}") ;;
    *) echo "1.110.2 behaves otherwise" >&2 && exit 1 ;;
esac
