#!/usr/bin/env bash
# LiteLLM 1.110.2: litellm.token_counter leaves the fields of a tool that stand under "anyOf" and "$ref" uncounted.
#
# A tool whose parameters are {"anyOf": [{"$ref": "#/$defs/Query"}], "$defs": {...}}, which is how Pydantic writes a
# union of models, counts the same with 4 fields as with 50. Providers charge for all of them, and a prompt with many
# such tools overflows a window that it was thought to fit.
#
# Expected: more tokens for 50 fields than for 4. Seen (2026-11-30, Python 3.11): the same number for both.
#
# Usage: findings/litellm-tool-tokens.sh   (needs python3 with venv, and a package index)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q litellm==1.110.2
LITELLM_LOCAL_MODEL_COST_MAP=True "$folder/venv/bin/python" - <<'PYTHON'
import litellm


def tool(fields):
    properties = {f"field_{n}": {"type": "string", "description": "What to look for"} for n in range(fields)}
    schema = {
        "anyOf": [{"$ref": "#/$defs/Query"}],
        "$defs": {"Query": {"type": "object", "properties": properties}},
    }
    return {"type": "function", "function": {"name": "find", "description": "Find it", "parameters": schema}}


messages = [{"role": "user", "content": "Find it"}]
few, many = (
    litellm.token_counter(model="gpt-4o", messages=messages, tools=[tool(fields)]) for fields in (4, 50)
)
print(f"4 fields: {few} tokens, 50 fields: {many} tokens")
if many != few:
    raise SystemExit("the fields are counted now: this finding is out of date")
PYTHON
