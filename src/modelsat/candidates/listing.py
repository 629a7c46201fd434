"""Prices, limits and abilities in LiteLLM's terms, as its price table and configurations write them, in ours."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelsat.candidates.facts import Ability, ModelFacts, Rate

_ABILITIES: Mapping[Ability, str] = {
    "tools": "supports_function_calling",
    "parallel_tools": "supports_parallel_function_calling",
    "vision": "supports_vision",
    "audio": "supports_audio_input",
    "pdf": "supports_pdf_input",
    "json_schema": "supports_response_schema",
    "reasoning": "supports_reasoning",
}
_PRICES = {
    "input_usd_per_mtok": "input_cost_per_token",
    "output_usd_per_mtok": "output_cost_per_token",
    "cached_input_usd_per_mtok": "cache_read_input_token_cost",
    "cache_write_usd_per_mtok": "cache_creation_input_token_cost",
}
_SERVICES = {"batch": "_batches", "flex": "_flex", "priority": "_priority"}
_ABOVE = re.compile(r"^input_cost_per_token_above_(\d+)k_tokens")


def read_listing(entry: Mapping[str, Any], origin: str) -> ModelFacts:
    """The facts of one entry; what is not a number is left out.

    ``max_input_tokens`` is the prompt's limit in some entries and the whole window's in others: it is taken as the
    former, which is safe for both (:attr:`ModelFacts.window <modelsat.candidates.facts.ModelFacts.window>`).
    """
    values: dict[str, Any] = {name: price for name, price in _plain(entry).items() if price is not None}
    reasoning = _price(entry.get("output_cost_per_reasoning_token"))
    if reasoning is not None and reasoning != values.get("output_usd_per_mtok"):
        values["reasoning_usd_per_mtok"] = reasoning
    for name, key in (("usd_per_request", "input_cost_per_request"), ("usd_per_image", "input_cost_per_image")):
        if amount := _number(entry.get(key)):
            values[name] = amount
    for name, given in (
        ("max_input_tokens", entry.get("max_input_tokens") or entry.get("max_tokens")),
        ("max_output_tokens", entry.get("max_output_tokens")),
    ):
        if limit := _number(given):
            values[name] = int(limit)
    values.update(_rates(entry))
    if (day := _day(entry.get("deprecation_date"))) is not None:
        values["deprecated_on"] = day
    if isinstance(successor := entry.get("successor_model"), str) and successor:
        values["successor"] = successor
    abilities: dict[Ability, bool] = {
        name: entry[key] for name, key in _ABILITIES.items() if isinstance(entry.get(key), bool)
    }
    origins = dict.fromkeys([*values, *(f"abilities.{name}" for name in abilities)], origin)
    return ModelFacts(**values, abilities=abilities, origins=origins)


def is_listed(key: str) -> bool:
    """Whether an entry's ``key`` says something about price, limits or abilities."""
    return "_cost" in key or key.startswith(("supports_", "max_")) or key in ("deprecation_date", "tiered_pricing")


def _rates(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Rates by prompt length and by service tier, and where only those are listed the base price."""
    found: dict[str, Any] = {}
    if isinstance(listed := entry.get("tiered_pricing"), Sequence) and (tiers := _listed(listed)):
        found = {name: getattr(tiers[0], name) for name in _PRICES if getattr(tiers[0], name) is not None}
        found["tiers"] = tiers[1:]
    lengths = sorted({int(match[1]) for key in entry if (match := _ABOVE.match(key))})
    if longer := tuple(rate for length in lengths if (rate := _rate(entry, length, ""))):
        found["tiers"] = longer
    services = {
        service: rates
        for service, suffix in _SERVICES.items()
        if (rates := tuple(rate for length in (0, *lengths) if (rate := _rate(entry, length, suffix))))
        and rates[0].above_tokens == 0
    }
    if services:
        found["services"] = services
    return {name: value for name, value in found.items() if value != ()}


def _prices(entry: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
    return {name: _price(entry.get(f"{key}{suffix}")) for name, key in _PRICES.items()}


def _plain(entry: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
    """Prices of short prompts. A cache write at zero is one that is charged as any other prompt token."""
    found = _prices(entry, suffix)
    return {**found, "cache_write_usd_per_mtok": found["cache_write_usd_per_mtok"] or None}


def _rate(entry: Mapping[str, Any], length: int, suffix: str) -> Rate | None:
    """The rate above ``length`` thousand tokens; a price without one of its own there stays as it is below."""
    above = f"_above_{length}k_tokens" if length else ""
    own = {name: price for name, price in _prices(entry, f"{above}{suffix}").items() if price is not None}
    if "input_usd_per_mtok" not in own:
        return None
    prices = {**_plain(entry, suffix), **own}
    return None if prices["output_usd_per_mtok"] is None else Rate(above_tokens=length * 1000, **prices)


def _listed(tiers: Sequence[Any]) -> tuple[Rate, ...]:
    rates = []
    for tier in tiers:
        if not isinstance(tier, Mapping):
            return ()
        prices, span = _prices(tier), tier.get("range")
        if not span or prices["input_usd_per_mtok"] is None or prices["output_usd_per_mtok"] is None:
            return ()
        rates.append(Rate(above_tokens=int(_number(span[0]) or 0), **prices))
    return tuple(rates)


def _price(value: Any) -> float | None:
    """USD a token as USD a million tokens, without the noise of the division."""
    found = _number(value)
    return None if found is None else float(f"{found * 1e6:.6g}")


def _day(value: Any) -> str | None:
    try:
        return datetime.date.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found >= 0 else None
