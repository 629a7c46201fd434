"""Build the table of prices, limits and abilities from the one that the installed LiteLLM carries.

    python recipes/build_prices.py

Reads ``model_prices_and_context_window_backup.json`` of the installed ``litellm`` as a file; writes the package's
``src/modelsat/candidates/data/models.json``, one model a line. LiteLLM is under the MIT licence
(https://github.com/BerriAI/litellm); the table names its version and the day on which it was derived.

Only chat and responses models are taken over, of every provider, grouped by their canonical name, with a list of the
canonical names that carry a date. A row holds USD per million tokens of prompt, answer and cached prompt; the context
window (LiteLLM's ``max_input_tokens``, read as prompt and answer together: the safe reading); the longest answer; the
abilities it is said to have and said not to have, as bits in the order of
``modelsat.candidates.facts.ABILITIES``; and the position of its provider.
"""

from __future__ import annotations

import argparse
import datetime
import json
from collections import defaultdict
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from typing import Any

from modelsat.candidates.facts import ABILITIES
from modelsat.capability.naming import canonical, forms

FLAGS = {
    "tools": "supports_function_calling",
    "parallel_tools": "supports_parallel_function_calling",
    "vision": "supports_vision",
    "audio": "supports_audio_input",
    "pdf": "supports_pdf_input",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}
MODES = ("chat", "responses")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--output", type=Path, default=Path("src/modelsat/candidates/data/models.json"))
    arguments = parser.parse_args()
    spec = util.find_spec("litellm")
    if spec is None or spec.origin is None:
        raise SystemExit("litellm is not installed: pip install litellm")
    source = Path(spec.origin).parent / "model_prices_and_context_window_backup.json"
    text = build(json.loads(source.read_text("utf-8")), metadata.version("litellm"), arguments.date)
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(text, "utf-8")
    count = sum(map(len, json.loads(text)["models"].values()))
    print(f"{arguments.output}: {count} offers, {len(text.encode()) / 1024:.0f} KiB")


def build(table: Mapping[str, Any], version: str, date: str) -> str:
    """The table as JSON text."""
    kept = {name: entry for name, entry in table.items() if entry.get("mode") in MODES and said(entry)}
    providers = sorted({entry.get("litellm_provider", "") for entry in kept.values()})
    groups: dict[str, dict[str, list[Any]]] = defaultdict(dict)
    for name in sorted(kept):
        groups[canonical(name)][name] = row(kept[name], providers.index(kept[name].get("litellm_provider", "")))
    undated: dict[str, list[str]] = defaultdict(list)
    for group in sorted(groups):
        if (short := forms(group)[4]) != group:
            undated[short].append(group)
    head = {
        "source": f"LiteLLM {version}, model_prices_and_context_window_backup.json, MIT licence, "
        "https://github.com/BerriAI/litellm; written by recipes/build_prices.py",
        "date": date,
        "providers": providers,
        "undated": undated,
    }
    lines = [f"{dump(group)}:{dump(offers)}" for group, offers in sorted(groups.items())]
    return dump(head)[:-1] + ',\n"models":{\n' + ",\n".join(lines) + "\n}}\n"


def said(entry: Mapping[str, Any]) -> bool:
    """Whether the entry says anything that is taken over."""
    return any(value not in (None, 0) for value in row(entry, 0)[:-1])


def row(entry: Mapping[str, Any], provider: int) -> list[Any]:
    can = sum(1 << bit for bit, ability in enumerate(ABILITIES) if entry.get(FLAGS[ability]) is True)
    cannot = sum(1 << bit for bit, ability in enumerate(ABILITIES) if entry.get(FLAGS[ability]) is False)
    return [
        price(entry.get("input_cost_per_token")),
        price(entry.get("output_cost_per_token")),
        price(entry.get("cache_read_input_token_cost")),
        limit(entry.get("max_input_tokens") or entry.get("max_tokens")),
        limit(entry.get("max_output_tokens")),
        can,
        cannot,
        provider,
    ]


def price(value: Any) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    scaled = float(f"{value * 1e6:.6g}")
    return int(scaled) if scaled.is_integer() else scaled


def limit(value: Any) -> int | None:
    try:
        tokens = int(value)
    except (TypeError, ValueError):
        return None
    return tokens if tokens > 0 else None


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


if __name__ == "__main__":
    main()
