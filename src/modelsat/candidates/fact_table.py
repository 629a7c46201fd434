"""The table of prices, limits and abilities that comes with the package, found under any of a model's names."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from statistics import median, median_high
from typing import Any, NamedTuple

from modelsat.candidates.facts import ABILITIES, Ability, ModelFacts, Rate
from modelsat.capability.fetched import FACTS_FILE, fetched
from modelsat.capability.naming import base_of, forms, release
from modelsat.capability.providers import LOCAL, Serving, serving, vendor

_KEPT = 4_096
_SCALARS = (
    *("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok", "cache_write_usd_per_mtok"),
    *("context_window", "max_input_tokens", "max_output_tokens"),
)
_FURTHER = {
    "z": "reasoning_usd_per_mtok",
    "q": "usd_per_request",
    "i": "usd_per_image",
    "d": "deprecated_on",
    "n": "successor",
}
_CAN = len(_SCALARS)
"""Position of the abilities in a row; what it cannot do and its provider follow."""
_PRICED = (*_SCALARS[:4], "reasoning_usd_per_mtok", "usd_per_request", "usd_per_image")


class Offer(NamedTuple):
    """A model as one provider offers it.

    Attributes:
        name: As the table writes it.
        provider: In the one spelling.
        row: What the table holds.
        origin: Where that comes from.
    """

    name: str
    provider: str
    row: Sequence[Any]
    origin: str

    @property
    def paid(self) -> bool:
        """Whether it costs anything; where nothing is listed but zeros, nothing is known."""
        return bool(self.row[0] or self.row[1])

    @property
    def facts(self) -> ModelFacts:
        """Its price, limits and abilities."""
        values: dict[str, Any] = {
            field: value for field, value in zip(_SCALARS, self.row, strict=False) if value is not None
        }
        can, cannot = self.row[_CAN : _CAN + 2]
        further: Mapping[str, Any] = self.row[_CAN + 3] if len(self.row) > _CAN + 3 else {}
        values.update({field: further[key] for key, field in _FURTHER.items() if key in further})
        if "t" in further:
            values["tiers"] = _rates(further["t"])
        if "s" in further:
            values["services"] = {service: _rates(rates) for service, rates in further["s"].items()}
        abilities = {
            ability: able
            for bits, able in ((can, True), (cannot, False))
            for bit, ability in enumerate(ABILITIES)
            if bits >> bit & 1
        }
        origins = dict.fromkeys([*values, *(f"abilities.{ability}" for ability in abilities)], self.origin)
        return ModelFacts(**values, abilities=abilities, origins=origins)


class FactTable:
    """Offers by model name. Thread-safe; immutable but for its memory of what was looked up.

    A look-up reads the lines it needs, never the whole table. ``data`` is what :func:`write_table` wrote, as bytes.

    Raises:
        ValueError: It is something else.
    """

    def __init__(self, data: bytes) -> None:
        text = data.decode("utf-8")
        head = json.loads(text[: text.index("\n")].rstrip(",") + "}")
        self.date: str = head["date"]
        self.origin = f"price table of {self.date}"
        self.source: str = head["source"]
        self._providers: Sequence[str] = head["providers"]
        self._text = text
        self._found: dict[str, ModelFacts] = {}

    @staticmethod
    @cache
    def shipped() -> FactTable:
        """The table that comes with the package, read once per process."""
        return FactTable(resources.files("modelsat.candidates").joinpath("data", FACTS_FILE).read_bytes())

    @classmethod
    def default(cls) -> FactTable:
        """The table that comes with the package, or a newer one that ``modelsat models update`` has fetched."""
        newer, shipped = fetched(FACTS_FILE, FactTable), FactTable.shipped()
        return newer if newer is not None and newer.date > shipped.date else shipped

    def __iter__(self) -> Iterator[Offer]:
        """Every offer, by model."""
        for line in filter(lambda line: line not in ("", "}"), self._text.split("\n")[1:]):
            for key, rows in json.loads(f"{{{line.rstrip(',')}}}").items():
                if not key.startswith("~"):
                    yield from self._offers(rows)

    def find(self, name: str) -> ModelFacts:
        """The facts of ``name``; empty if it is not in the table.

        The provider and region written in the name are its provider and region, whatever the table lists. A variant
        ``:free`` costs nothing; a fine-tuned model costs what the table lists for fine-tuned models of its base.
        """
        facts = self._found.get(name)
        if facts is None:
            facts = self._find(name.strip())
            if len(self._found) < _KEPT:
                self._found[name] = facts
        return facts

    def offers(self, name: str) -> list[Offer]:
        """The offers of ``name`` at the strictest naming stage at which there are any.

        With a provider in the name, that provider's; or else the vendor's own listing, if there is one.
        """
        wanted, served = forms(name), serving(name)
        group = self._group(wanted[3])
        if not group:
            return _narrow(name, served, self._newest(wanted[4]))
        if exact := [offer for offer in group if offer.name == name]:
            return exact
        spelt = [forms(offer.name) for offer in group]
        for stage in range(4):
            same = [offer for offer, known in zip(group, spelt, strict=True) if known[stage] == wanted[stage]]
            here = [offer for offer in same if offer.provider == served.provider]
            if same and (here or served.provider is None):
                return _narrow(name, served, here or same)
        return _narrow(name, served, group)

    def _find(self, name: str) -> ModelFacts:
        served = serving(name)
        written = served.provider
        base = base_of(name)
        if base is not None:
            found = self._fine_tuned(base)
        else:
            offers = self.offers(name)
            listed = {offer.provider for offer in offers}
            found = _facts(offers, self.origin, priced=served.provider not in LOCAL)
            if served.provider is None and len(listed) == 1:
                served = Serving(listed.pop(), None)
        if not found.origins:
            return found
        if name.endswith(":free"):
            free: dict[str, Any] = dict.fromkeys(_SCALARS[:3], 0.0)
            found = ModelFacts(**free, origins=dict.fromkeys(free, "free variant")).over(found)
        own = {key: value for key, value in (("provider", served.provider), ("region", served.region)) if value}
        origin = self.origin if written is None else "the name"
        return found.model_copy(update={**own, "origins": {**found.origins, **dict.fromkeys(own, origin)}})

    def _fine_tuned(self, base: str) -> ModelFacts:
        """Limits and abilities of the base, and the price of fine-tuned models of it where the table has it."""
        own = _facts(self._group(forms(f"ft:{base}")[3]) or self._newest(forms(f"ft:{base}")[4]), self.origin)
        limits = _facts(self.offers(base), self.origin, priced=False)
        return own.over(limits).over(ModelFacts(provider="openai") if own.origins else ModelFacts())

    def _newest(self, undated: str) -> list[Offer]:
        """The offers of the newest snapshot of an undated name, or of a dated name's undated listing."""
        if group := self._group(undated):
            return group
        dated: Iterable[str] = self._line(f"~{undated}") or ()
        newest = max(dated, key=lambda key: (release(key), key), default=None)
        return [] if newest is None else self._group(newest)

    def _group(self, key: str) -> list[Offer]:
        return self._offers(self._line(key) or {})

    def _offers(self, rows: Mapping[str, Sequence[Any]]) -> list[Offer]:
        return [Offer(name, self._providers[row[_CAN + 2]], row, self.origin) for name, row in rows.items()]

    def _line(self, key: str) -> Any:
        start = self._text.find(mark := f"\n{json.dumps(key, ensure_ascii=False)}:")
        if start < 0:
            return None
        start += len(mark)
        return json.loads(self._text[start : self._text.index("\n", start)].rstrip(","))


def write_table(source: str, date: str, offers: Mapping[str, ModelFacts]) -> str:
    """The table as JSON text, one model a line: head, undated names, models.

    Args:
        source: Where the facts come from.
        date: The day that they were read on.
        offers: Facts by the name of each offer, with its provider.
    """
    groups: dict[str, dict[str, ModelFacts]] = {}
    for name, facts in sorted(offers.items()):
        groups.setdefault(forms(name)[3], {})[name] = facts
    providers = sorted({facts.provider or "" for group in groups.values() for facts in group.values()})
    undated: dict[str, list[str]] = {}
    for group in sorted(groups):
        if (short := forms(group)[4]) != group:
            undated.setdefault(short, []).append(group)
    head = _dump({"source": source, "date": date, "providers": providers})[:-1]
    lines = [f"{_dump('~' + short)}:{_dump(names)}" for short, names in sorted(undated.items())]
    for group, rows in sorted(groups.items()):
        written = {name: _row(facts, providers) for name, facts in rows.items()}
        lines.append(f"{_dump(group)}:{_dump(written)}")
    return head + ",\n" + ",\n".join(lines) + "\n}\n"


def _row(facts: ModelFacts, providers: Sequence[str]) -> list[Any]:
    further: dict[str, Any] = {
        key: _plain(value) for key, field in _FURTHER.items() if (value := getattr(facts, field)) is not None
    }
    if facts.tiers:
        further["t"] = [_rate_row(rate) for rate in facts.tiers]
    if facts.services:
        further["s"] = {service: [_rate_row(rate) for rate in rates] for service, rates in facts.services.items()}
    row: list[Any] = [_plain(getattr(facts, field)) for field in _SCALARS]
    row += [_bits(facts, True), _bits(facts, False), providers.index(facts.provider or "")]
    return [*row, further] if further else row


def _rate_row(rate: Rate) -> list[Any]:
    return [rate.above_tokens, *(_plain(getattr(rate, field)) for field in _SCALARS[:4])]


def _rates(rows: Sequence[Sequence[Any]]) -> tuple[Rate, ...]:
    return tuple(Rate(above_tokens=row[0], **dict(zip(_SCALARS[:4], row[1:], strict=True))) for row in rows)


def _narrow(name: str, served: Serving, offers: list[Offer]) -> list[Offer]:
    """Of offers of one model, those that ``name`` most likely means."""
    here = [offer for offer in offers if offer.provider == served.provider]
    if here:
        near = [offer for offer in here if serving(offer.name).region == served.region] or here
        return [min(near, key=lambda offer: (offer.name.count("/"), not offer.paid, len(offer.name), offer.name))]
    if served.provider is not None:
        return [offer for offer in offers if offer.provider not in LOCAL]
    spelt = forms(name)[2]
    seller = vendor(spelt)
    own = [offer for offer in offers if offer.provider == seller]
    own = own or [offer for offer in offers if "/" not in offer.name and serving(offer.name).provider is None]
    if own:
        return [min(own, key=lambda offer: (forms(offer.name)[2] != spelt, offer.name.count("/"), offer.name))]
    return offers


def _facts(offers: Sequence[Offer], origin: str, *, priced: bool = True) -> ModelFacts:
    """The facts of one offer, or the medians of several."""
    if not offers:
        return ModelFacts()
    left_out = set() if priced and any(offer.paid for offer in offers) else {*_PRICED, "tiers", "services"}
    if len(offers) == 1:
        facts = offers[0].facts
        return _without(facts, left_out | {"provider"})
    every = [offer.facts for offer in offers]
    paid = [facts for offer, facts in zip(offers, every, strict=True) if offer.paid]
    prices = {field: said for field in _SCALARS[:4] if 2 * len(said := _said(field, paid)) > len(paid)}
    limits = {field: said for field in _SCALARS[4:] if (said := _said(field, every))}
    values: dict[str, Any] = {field: round(median(said), 6) for field, said in prices.items() if field not in left_out}
    values.update({field: median_high(said) for field, said in limits.items()})
    if values.get("max_input_tokens", 0) >= values.get("context_window", math.inf):
        del values["max_input_tokens"]
    if "tiers" not in left_out and len(alike := {facts.tiers for facts in paid}) == 1:
        values["tiers"] = alike.pop()
    for field in ("deprecated_on", "successor"):
        if len(ends := {getattr(facts, field) for facts in every}) == 1 and (value := ends.pop()) is not None:
            values[field] = value
    facts = ModelFacts(**values, abilities=_agreed(every))
    return facts.model_copy(
        update={"origins": dict.fromkeys(facts.origins, f"{origin} (median of {len(offers)} offers)")}
    )


def _without(facts: ModelFacts, fields: set[str]) -> ModelFacts:
    kept = {key: value for key, value in facts.origins.items() if key not in fields}
    blank = {field: ModelFacts.model_fields[field].get_default(call_default_factory=True) for field in fields}
    return facts.model_copy(update={**blank, "origins": kept})


def _said(field: str, facts: Iterable[ModelFacts]) -> list[Any]:
    return [value for entry in facts if (value := getattr(entry, field)) is not None]


def _agreed(offers: Sequence[ModelFacts]) -> dict[Ability, bool]:
    """What most of the offers that speak of an ability say; what none speaks of is left out."""
    said = {name: [facts.abilities[name] for facts in offers if name in facts.abilities] for name in ABILITIES}
    return {ability: 2 * sum(votes) > len(votes) for ability, votes in said.items() if votes}


def _bits(facts: ModelFacts, said: bool) -> int:
    return sum(1 << bit for bit, ability in enumerate(ABILITIES) if facts.abilities.get(ability) is said)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


__all__ = ["FactTable", "Offer", "write_table"]
