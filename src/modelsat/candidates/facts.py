"""What is known about a model besides its capability: prices, limits, abilities, where it runs."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from modelsat._logging import shown
from modelsat.errors import ConfigurationError
from modelsat.validation import Settings, number

Ability = Literal["tools", "parallel_tools", "vision", "audio", "pdf", "json_schema", "reasoning"]
"""What a request may need of a model."""

ABILITIES: tuple[Ability, ...] = get_args(Ability)
GIVEN = "given"
"""Origin of a value that the user gave."""

_RATES = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok", "cache_write_usd_per_mtok")
_MOST_TOKENS = 1_000_000_000
_SCALARS = (
    *(*_RATES, "reasoning_usd_per_mtok", "usd_per_request", "usd_per_image"),
    *("context_window", "max_input_tokens", "max_output_tokens"),
    *("provider", "region", "service_tier", "deprecated_on", "successor", "latency_ms"),
)
_LEAST_PRICE = 1e-4
"""A price below this many USD a million tokens is one per token, by mistake."""


def _price(value: Any, info: ValidationInfo) -> float | None:
    if value is None:
        return None
    price = number(value, str(info.field_name), unit="USD per million tokens", example=2.5)
    if 0.0 < price < _LEAST_PRICE:
        raise ConfigurationError(
            f"{info.field_name} is in USD per million tokens: write {price * 1e6:g} for {price:g} USD a token"
        )
    return price


def _amount(value: Any, info: ValidationInfo) -> float | None:
    return None if value is None else number(value, str(info.field_name), unit="USD", example=0.005)


def _limit(value: Any, info: ValidationInfo) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_TOKENS:
        raise ConfigurationError(
            f"{info.field_name} is a whole number of tokens of 1 or more: write 128000, not {shown(value)}"
        )
    return value


Price = Annotated[float | None, BeforeValidator(_price)]
Amount = Annotated[float | None, BeforeValidator(_amount)]
Tokens = Annotated[int | None, BeforeValidator(_limit)]


class Rate(Settings):
    """What tokens cost from a certain length of the prompt on; the whole request is charged at it.

    Attributes:
        above_tokens: Prompts of more tokens than this, cached ones included, are charged so.
        input_usd_per_mtok: USD for a million prompt tokens.
        output_usd_per_mtok: USD for a million completion tokens.
        cached_input_usd_per_mtok: USD for a million prompt tokens read from the provider's cache.
        cache_write_usd_per_mtok: USD for a million prompt tokens written to it.
    """

    label: ClassVar[str] = "rate"

    above_tokens: int = 0
    input_usd_per_mtok: Annotated[float, BeforeValidator(_price)]
    output_usd_per_mtok: Annotated[float, BeforeValidator(_price)]
    cached_input_usd_per_mtok: Price = None
    cache_write_usd_per_mtok: Price = None

    def __str__(self) -> str:
        """Prices in, out, cached and written: ``"5 in, 22.5 out, 0.5 cached"``."""
        prices = (
            (getattr(self, name), word) for name, word in zip(_RATES, ("in", "out", "cached", "written"), strict=True)
        )
        return ", ".join(f"{price:g} {word}" for price, word in prices if price is not None)


@lru_cache(maxsize=4_096)
def _flat_rate(into: float, out: float, cached: float | None, written: float | None) -> Rate:
    """The rate of a model whose prices do not depend on the prompt's length, from checked prices."""
    prices: dict[str, Any] = dict(zip(_RATES, (into, out, cached, written), strict=True))
    return Rate.model_construct(above_tokens=0, **prices)


class ModelFacts(Settings):
    """Price, limits and abilities of a model. ``None`` or absent means unknown, never "no".

    Attributes:
        input_usd_per_mtok: USD for a million prompt tokens.
        output_usd_per_mtok: USD for a million completion tokens.
        cached_input_usd_per_mtok: USD for a million prompt tokens that the provider finds in its prompt cache.
        cache_write_usd_per_mtok: USD for a million prompt tokens that it writes there.
        reasoning_usd_per_mtok: USD for a million tokens of hidden reasoning, where they cost other than the answer's.
        usd_per_request: USD for each request, besides its tokens.
        usd_per_image: USD for each image of the prompt, besides its tokens.
        tiers: Rates of longer prompts, by ascending ``above_tokens``.
        services: Rates of other service tiers (``"batch"``, ``"flex"``, ``"priority"``), each by prompt length.
        service_tier: The service tier that requests are sent with; its rates then count.
        context_window: Tokens of prompt and answer together.
        max_input_tokens: Tokens of the prompt alone.
        max_output_tokens: Tokens of the longest answer.
        deprecated_on: Day on which the provider shuts the model down, as ``"2026-12-31"``.
        successor: The model that the provider names in its place.
        abilities: What the model can (True) and cannot (False) do; given as a mapping or as a list of what it can.
        provider: Who serves it.
        region: Where it is served, e.g. ``"eu"``.
        tags: Free labels that constraints may ask for.
        latency_ms: Expected time to a whole answer in milliseconds.
        origins: Where each value comes from, by field (``"abilities.vision"`` for an ability); ``"given"`` if it is not
            said. A field with an origin and no value is known to be unknown.
    """

    label: ClassVar[str] = "facts"

    input_usd_per_mtok: Price = None
    output_usd_per_mtok: Price = None
    cached_input_usd_per_mtok: Price = None
    cache_write_usd_per_mtok: Price = None
    reasoning_usd_per_mtok: Price = None
    usd_per_request: Amount = None
    usd_per_image: Amount = None
    tiers: tuple[Rate, ...] = ()
    services: Mapping[str, tuple[Rate, ...]] = Field(default_factory=dict)
    service_tier: str | None = None
    context_window: Tokens = None
    max_input_tokens: Tokens = None
    max_output_tokens: Tokens = None
    deprecated_on: str | None = None
    successor: str | None = None
    abilities: Mapping[Ability, bool] = Field(default_factory=dict)
    provider: str | None = None
    region: str | None = None
    tags: frozenset[str] = frozenset()
    latency_ms: float | None = None
    origins: Mapping[str, str] = Field(default_factory=dict)

    @field_validator("tiers", mode="after")
    @classmethod
    def _ascend(cls, value: tuple[Rate, ...]) -> tuple[Rate, ...]:
        return tuple(sorted(value, key=lambda rate: rate.above_tokens))

    @field_validator("deprecated_on", mode="before")
    @classmethod
    def _is_a_day(cls, value: Any) -> str | None:
        if value is None:
            return None
        try:
            return datetime.date.fromisoformat(str(value)).isoformat()
        except ValueError:
            raise ConfigurationError(f"deprecated_on is a day: write '2026-12-31', not {value!r}") from None

    @field_validator("latency_ms", mode="before")
    @classmethod
    def _is_a_time(cls, value: Any) -> float | None:
        return None if value is None else number(value, "latency_ms", unit="milliseconds", example=1500)

    @field_validator("abilities", mode="before")
    @classmethod
    def _are_abilities(cls, value: Any) -> Any:
        named = dict.fromkeys(value, True) if isinstance(value, (list, tuple, set, frozenset)) else value
        if not isinstance(named, Mapping):
            raise ConfigurationError(f"abilities must be a mapping {{ability: true or false}}, not {value!r}")
        if strangers := sorted(str(name) for name in named if name not in ABILITIES):
            raise ConfigurationError(
                f"abilities: unknown {', '.join(map(repr, strangers))}; known: {', '.join(ABILITIES)}"
            )
        return named

    @model_validator(mode="after")
    def _knows_its_origins(self) -> Self:
        missing = {field: GIVEN for field in self._known() if field not in self.origins}
        if missing:
            object.__setattr__(self, "origins", {**self.origins, **missing})
        return self

    @property
    def priced(self) -> bool:
        """Whether both prices are known, so that a request has an expected cost."""
        return self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None

    @property
    def window(self) -> int | None:
        """Tokens of prompt and answer together: at least this many, where only the prompt's limit is known."""
        return self.context_window or self.max_input_tokens

    @property
    def tiered(self) -> bool:
        """Whether the rate depends on the length of the prompt."""
        return bool(self._tiers)

    @property
    def _tiers(self) -> tuple[Rate, ...]:
        return self.services.get(self.service_tier or "") or self.tiers

    def rate(self, prompt_tokens: float) -> Rate | None:
        """What a request with a prompt of so many tokens, cached ones included, is charged at.

        That of the service tier, where its price is known, and of the prompt's length; ``None`` without prices.
        """
        found = None
        for rate in self._tiers:
            if prompt_tokens > rate.above_tokens or (rate.above_tokens == 0 and prompt_tokens == 0):
                found = rate
        if found is not None or not self.priced:
            return found
        return _flat_rate(*(getattr(self, name) for name in _RATES))

    def expired(self, today: datetime.date | None = None) -> bool:
        """Whether the provider's own date of deprecation has passed."""
        return self.deprecated_on is not None and self.deprecated_on < str(today or datetime.date.today())

    def over(self, other: ModelFacts) -> ModelFacts:
        """These facts, and where they are silent those of ``other``; every value keeps its origin.

        A field with an origin and no value is known to be unknown, and stays so. Rates by prompt length and service
        tier belong to the prices that they come with: where these facts have a price, those of ``other`` are left out,
        and so is a limit of ``other`` that contradicts one of these.
        """
        if not self.origins:
            return other
        mine, theirs = self._known(), other._known()
        unknown = (self.origins.keys() - mine.keys()) | (other.origins.keys() - theirs.keys() - mine.keys())
        belongs = _contradicted(mine, theirs)
        theirs = {field: value for field, value in theirs.items() if field not in self.origins.keys() | belongs}
        if not theirs and unknown <= self.origins.keys():
            return self
        known = {**theirs, **mine}
        values = {field: value for field, value in known.items() if "." not in field}
        values["abilities"] = {**other.abilities, **self.abilities}
        origins = {**other.origins, **self.origins}
        origins = {field: origins[field] for field in (*known, *unknown)}
        return ModelFacts(**values, origins=origins)

    def _known(self) -> dict[str, Any]:
        """Field (or ``abilities.name``) -> value, for all that is known."""
        known = {field: value for field in _SCALARS if (value := getattr(self, field)) is not None}
        known.update({field: value for field in ("tiers", "services", "tags") if (value := getattr(self, field))})
        known.update({f"abilities.{name}": able for name, able in self.abilities.items()})
        return known

    def known(self) -> dict[str, tuple[Any, str]]:
        """Field (or ``abilities.name``) -> (value, origin), for all that is known."""
        return {field: (value, self.origins[field]) for field, value in self._known().items()}


def _contradicted(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> set[str]:
    """Fields of ``theirs`` that do not go with the prices and limits of ``mine``."""
    found: set[str] = set()
    if mine.keys() & {"input_usd_per_mtok", "output_usd_per_mtok"}:
        found |= {"tiers", "services"}
    if "context_window" in mine:
        found.add("max_input_tokens")
    elif mine.get("max_input_tokens", 0) > theirs.get("context_window", math.inf):
        found.add("context_window")
    return found
