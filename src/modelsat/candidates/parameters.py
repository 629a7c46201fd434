"""Parameters of a request that a model refuses: ``temperature`` for models that reason, ``seed`` at Anthropic, ..."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from modelsat._files import shipped_json
from modelsat.capability.naming import forms

PARAMETERS = (
    *("temperature", "top_p", "n", "stop", "presence_penalty", "frequency_penalty"),
    *("logit_bias", "logprobs", "top_logprobs", "seed", "verbosity"),
)
"""Parameters that some models refuse, in OpenAI's terms."""
NEUTRAL: Mapping[str, Any] = {
    "temperature": 1,
    "top_p": 1,
    "n": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
}
"""Values that ask for nothing: every model answers so by itself."""


@lru_cache(maxsize=4_096)
def refused_parameters(model: str, provider: str | None) -> frozenset[str]:
    """Those of :data:`PARAMETERS` that ``model`` refuses at ``provider``; none where the provider is not known.

    From LiteLLM's own rules (``recipes/build_parameters.py``), in a table that comes with the package: what every model
    of the provider refuses, and what this one does besides. A dated name counts as its undated one where the table has
    no other.
    """
    rows: Mapping[str, Sequence[str]] | None
    rows = shipped_json("candidates", "parameters.json")["providers"].get(provider or "")
    if rows is None:
        return frozenset()
    spelt = forms(model)
    own = next((rows[key] for key in (spelt[3], spelt[4]) if key in rows), ())
    return frozenset((*rows.get("*", ()), *own))
