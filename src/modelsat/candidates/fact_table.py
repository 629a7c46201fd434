"""The table of prices, limits and abilities that comes with the package, found under any of a model's names."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from statistics import median, median_high
from typing import Any, NamedTuple

from modelsat.candidates.facts import ABILITIES, Ability, ModelFacts
from modelsat.capability.naming import forms, release

_KEPT = 4_096
_LOCAL = frozenset({"gpustack", "hosted_vllm", "llamacpp", "lm_studio", "lmstudio", "ollama", "ollama_chat", "vllm"})
"""Providers that are the user's own machines: other providers' prices say nothing about them."""


class Offer(NamedTuple):
    """A model as one provider offers it; prices in USD per million tokens, ``None`` where unknown."""

    name: str
    provider: str
    input: float | None
    output: float | None
    cached: float | None
    context_window: int | None
    max_output_tokens: int | None
    can: tuple[Ability, ...]
    cannot: tuple[Ability, ...]


class FactTable:
    """Offers by model name. Thread-safe; immutable but for its memory of what was looked up.

    Args:
        data: What ``recipes/build_prices.py`` writes.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.origin = f"price table of {data['date']}"
        self.source: str = data["source"]
        self._providers: Sequence[str] = data["providers"]
        self._groups: Mapping[str, Mapping[str, Sequence[Any]]] = data["models"]
        self._undated: Mapping[str, Sequence[str]] = data["undated"]
        self._found: dict[str, ModelFacts] = {}

    @classmethod
    def default(cls) -> FactTable:
        """The table that comes with the package, read once per process."""
        return _default()

    def find(self, name: str) -> ModelFacts:
        """The facts of ``name``; empty if it is not in the table."""
        facts = self._found.get(name)
        if facts is None:
            local = next((part for part in name.strip().casefold().split("/")[:-1] if part in _LOCAL), None)
            facts = self._facts(self.offers(name), local)
            if len(self._found) < _KEPT:
                self._found[name] = facts
        return facts

    def offers(self, name: str) -> list[Offer]:
        """The offers of ``name`` at the strictest naming stage at which there are any.

        With a provider in the name, that provider's; or else the vendor's own listing, if there is one.
        """
        wanted = forms(name)
        group = self._groups.get(wanted[3])
        if group is None:
            return self._narrow(wanted, self._newest(wanted[4]))
        if name in group:
            return [self._offer(name, group[name])]
        offers = [self._offer(written, row) for written, row in group.items()]
        spelt = [forms(offer.name) for offer in offers]
        for stage in range(4):
            same = [offer for offer, known in zip(offers, spelt, strict=True) if known[stage] == wanted[stage]]
            if same:
                return self._narrow(wanted, same)
        return self._narrow(wanted, offers)

    def _newest(self, undated: str) -> list[Offer]:
        """The offers of the newest snapshot of an undated name, or of a dated name's undated listing."""
        key = (
            undated
            if undated in self._groups
            else max(self._undated.get(undated, ()), key=lambda key: (release(key), key), default=None)
        )
        return [] if key is None else [self._offer(written, row) for written, row in self._groups[key].items()]

    @staticmethod
    def _narrow(wanted: tuple[str, ...], offers: list[Offer]) -> list[Offer]:
        prefix = set(wanted[0].split("/")[:-1])
        served = [offer for offer in offers if offer.provider in prefix]
        if served:
            return served
        own = [offer for offer in offers if "/" not in offer.name and forms(offer.name)[0] == forms(offer.name)[1]]
        return own[:1] if len(own) == 1 else own or offers

    def _offer(self, name: str, row: Sequence[Any]) -> Offer:
        into, out, cached, window, longest, can, cannot, provider = row
        return Offer(
            name, self._providers[provider], into, out, cached, window, longest, _abilities(can), _abilities(cannot)
        )

    def _facts(self, offers: Sequence[Offer], local: str | None) -> ModelFacts:
        if not offers:
            return ModelFacts()
        paid = [offer for offer in offers if offer.input or offer.output] if local is None else []
        values: dict[str, Any] = {
            "input_usd_per_mtok": _median(offer.input for offer in paid),
            "output_usd_per_mtok": _median(offer.output for offer in paid),
            "cached_input_usd_per_mtok": _median(offer.cached for offer in paid),
            "context_window": _middle(offer.context_window for offer in offers),
            "max_output_tokens": _middle(offer.max_output_tokens for offer in offers),
            "abilities": _agreed(offers),
        }
        providers = {offer.provider for offer in offers} if local is None else {local}
        if len(providers) == 1:
            values["provider"] = providers.pop()
        origin = self.origin if len(offers) == 1 else f"{self.origin} (median of {len(offers)} offers)"
        facts = ModelFacts(**values)
        return facts.model_copy(update={"origins": dict.fromkeys(facts.origins, origin)})


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 6) if known else None


def _middle(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return median_high(known) if known else None


def _agreed(offers: Sequence[Offer]) -> dict[Ability, bool]:
    """What most of the offers that speak of an ability say; what none speaks of is left out."""
    agreed: dict[Ability, bool] = {}
    for ability in ABILITIES:
        yes = sum(ability in offer.can for offer in offers)
        no = sum(ability in offer.cannot for offer in offers)
        if yes or no:
            agreed[ability] = yes > no
    return agreed


def _abilities(bits: int) -> tuple[Ability, ...]:
    return tuple(ability for position, ability in enumerate(ABILITIES) if bits >> position & 1)


@lru_cache(maxsize=1)
def _default() -> FactTable:
    return FactTable(json.loads(resources.files("modelsat.candidates").joinpath("data/models.json").read_text("utf-8")))


__all__ = ["FactTable", "Offer"]
