"""What is known about a model besides its capability: prices, limits, abilities, where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import Field, field_validator, model_validator
from typing_extensions import Self

from modelsat.errors import ConfigurationError
from modelsat.validation import Settings, number

Ability = Literal["tools", "parallel_tools", "vision", "audio", "pdf", "json_schema", "reasoning"]
"""What a request may need of a model."""

ABILITIES: tuple[Ability, ...] = get_args(Ability)
GIVEN = "given"
"""Origin of a value that the user gave."""

_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok")
_LIMITS = ("context_window", "max_output_tokens")
_TEXTS = ("provider", "region")
_SCALARS = (*_PRICES, *_LIMITS, *_TEXTS, "latency_ms")
_LEAST_PRICE = 1e-4
"""A price below this many USD a million tokens is one per token, by mistake."""


class ModelFacts(Settings):
    """Price, limits and abilities of a model. ``None`` or absent means unknown, never "no".

    Attributes:
        input_usd_per_mtok: USD for a million prompt tokens.
        output_usd_per_mtok: USD for a million completion tokens.
        cached_input_usd_per_mtok: USD for a million prompt tokens that the provider finds in its prompt cache.
        context_window: Tokens of prompt and answer together.
        max_output_tokens: Tokens of the longest answer.
        abilities: What the model can (True) and cannot (False) do; given as a mapping or as a list of what it can.
        provider: Who serves it.
        region: Where it is served, e.g. ``"eu"``.
        tags: Free labels that constraints may ask for.
        latency_ms: Expected time to a whole answer in milliseconds.
        origins: Where each value comes from, by field (``"abilities.vision"`` for an ability); ``"given"`` if it is not
            said.
    """

    label: ClassVar[str] = "facts"

    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    context_window: int | None = None
    max_output_tokens: int | None = None
    abilities: Mapping[Ability, bool] = Field(default_factory=dict)
    provider: str | None = None
    region: str | None = None
    tags: frozenset[str] = frozenset()
    latency_ms: float | None = None
    origins: Mapping[str, str] = Field(default_factory=dict)

    @field_validator(*_PRICES, mode="before")
    @classmethod
    def _is_a_price(cls, value: Any, info: Any) -> float | None:
        if value is None:
            return None
        price = number(value, info.field_name, unit="USD per million tokens", example=2.5)
        if 0.0 < price < _LEAST_PRICE:
            raise ConfigurationError(
                f"{info.field_name} is in USD per million tokens: write {price * 1e6:g} for {price:g} USD a token"
            )
        return price

    @field_validator("latency_ms", mode="before")
    @classmethod
    def _is_a_time(cls, value: Any) -> float | None:
        return None if value is None else number(value, "latency_ms", unit="milliseconds", example=1500)

    @field_validator(*_LIMITS, mode="before")
    @classmethod
    def _is_a_limit(cls, value: Any, info: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigurationError(
                f"{info.field_name} is a whole number of tokens of 1 or more: write 128000, not {value!r}"
            )
        return value

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

    def over(self, other: ModelFacts) -> ModelFacts:
        """These facts, and where they are silent those of ``other``; every value keeps its origin."""
        if not other._known():
            return self
        mine = self._known()
        if not mine:
            return other
        known = {**other._known(), **mine}
        values = {field: value for field, value in known.items() if "." not in field}
        values["abilities"] = {**other.abilities, **self.abilities}
        origins = {field: (self if field in mine else other).origins[field] for field in known}
        return ModelFacts(**values, origins=origins)

    def _known(self) -> dict[str, Any]:
        """Field (or ``abilities.name``) -> value, for all that is known."""
        known = {field: value for field in _SCALARS if (value := getattr(self, field)) is not None}
        if self.tags:
            known["tags"] = self.tags
        known.update({f"abilities.{name}": able for name, able in self.abilities.items()})
        return known

    def known(self) -> dict[str, tuple[Any, str]]:
        """Field (or ``abilities.name``) -> (value, origin), for all that is known."""
        return {field: (value, self.origins[field]) for field, value in self._known().items()}


def known_facts(name: str) -> ModelFacts:
    """What the table that comes with the package says about ``name``; empty facts if it says nothing.

    Found by the naming stages of the registry. A name with a provider finds that provider's offer; a bare name the
    vendor's own, or else the median over the providers that serve the model. The table is derived from LiteLLM's
    (``recipes/build_prices.py``) and read at first use.
    """
    from modelsat.candidates.fact_table import FactTable

    return FactTable.default().find(name)
