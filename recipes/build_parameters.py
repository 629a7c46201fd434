"""Build the table of parameters that models refuse, by LiteLLM's own rules.

    python recipes/build_parameters.py

Asks the installed LiteLLM (MIT, https://github.com/BerriAI/litellm), for every chat model of its table that one of
``PROVIDERS`` offers, whether it takes each parameter of ``modelsat.candidates.parameters.PARAMETERS``. Writes
``src/modelsat/candidates/data/parameters.json``: by provider, what all of its models refuse (``*``), and what a model
refuses besides. Nothing is sent to anybody.
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

import litellm
from litellm.utils import get_optional_params

from modelsat.candidates.parameters import PARAMETERS
from modelsat.capability.naming import forms
from modelsat.capability.providers import provider_name

PROVIDERS = (
    "anthropic",
    "azure",
    "bedrock",
    "cohere",
    "deepseek",
    "gemini",
    "groq",
    "mistral",
    "openai",
    "vertex_ai",
    "xai",
)
"""Providers that LangChain has chat models for."""
VALUES: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.9,
    "n": 2,
    "stop": ["\n\n"],
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {"50256": -100},
    "logprobs": True,
    "top_logprobs": 2,
    "seed": 7,
    "verbosity": "low",
}
TARGET = Path(__file__).parents[1] / "src/modelsat/candidates/data/parameters.json"


def takes(model: str, provider: str, parameter: str) -> bool:
    """Whether LiteLLM hands ``parameter`` on to ``model``."""
    try:
        get_optional_params(
            model=model, custom_llm_provider=provider, drop_params=False, **{parameter: VALUES[parameter]}
        )
    except litellm.UnsupportedParamsError:
        return False
    return True


def main() -> None:
    """Ask for every offer, and write what is refused."""
    found: dict[str, dict[str, set[str]]] = {provider: {} for provider in PROVIDERS}
    for listed, about in litellm.model_cost.items():
        if not isinstance(about, dict) or about.get("mode") not in ("chat", "responses"):
            continue
        provider = provider_name(str(about.get("litellm_provider")))
        if provider not in found:
            continue
        try:
            model, at, _, _ = litellm.get_llm_provider(listed)
            refused = {parameter for parameter in PARAMETERS if not takes(model, at, parameter)}
        except Exception as error:
            print(f"left out {listed}: {type(error).__name__}")
            continue
        key = forms(listed)[3]
        # Offers of one model in several regions: what one of them takes is not refused.
        found[provider][key] = found[provider].get(key, refused) & refused
    table: dict[str, dict[str, list[str]]] = {}
    for provider, rows in found.items():
        if not rows:
            continue
        shared = set.intersection(*rows.values())
        own = {key: sorted(refused - shared) for key, refused in sorted(rows.items()) if refused - shared}
        table[provider] = {"*": sorted(shared), **own}
    lines = ",\n".join(
        f"{json.dumps(provider)}: {{\n"
        + ",\n".join(f" {json.dumps(key)}: {json.dumps(refused)}" for key, refused in rows.items())
        + "\n}"
        for provider, rows in table.items()
    )
    source = json.dumps(f"LiteLLM {version('litellm')}, MIT licence; written by recipes/build_parameters.py")
    TARGET.write_text(f'{{"source": {source}, "providers": {{\n{lines}\n}}}}\n', "utf-8")
    for provider, rows in table.items():
        print(f"{provider}: {len(rows) - 1} models refuse more than {', '.join(rows['*']) or 'nothing'}")


if __name__ == "__main__":
    main()
