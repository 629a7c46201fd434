"""What a policy is to reach, in the user's words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from modelsat.errors import ConfigurationError


class Measure(str, Enum):
    """What an aim is about; the value is its option on the command line."""

    KEEP_QUALITY = "keep-quality"
    MAX_USD_PER_1K = "max-usd-per-1k"
    STRONG_SHARE = "strong-share"


@dataclass(frozen=True)
class Aim:
    """An aim.

    Attributes:
        measure: ``keep-quality``: at least this share of the quality of the best single model, as cheaply as possible.
            ``max-usd-per-1k``: at most this many USD for a thousand requests, as good as possible. ``strong-share``: at
            most this share of the requests to the strong model, as good as possible.
        value: The share (0..1) or the amount.
    """

    measure: Measure
    value: float

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ConfigurationError: It is no number that makes sense; the message says what to write.
        """
        option, value = f"--{self.measure.value}", self.value
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
            raise ConfigurationError(f"{option} must be a number of 0 or more, not {value!r}")
        if self.measure is Measure.MAX_USD_PER_1K:
            if value == 0:
                raise ConfigurationError(f"{option} 0 lets no request through: give an amount in USD, e.g. 2.5")
            return
        if value > 1.5:
            hint = f"write {value / 100:g} for {value:g} %" if value <= 100 else "it is a share, e.g. 0.95"
            raise ConfigurationError(f"{option} is a share of 1: {hint}, not {value:g}")
        if self.measure is Measure.KEEP_QUALITY and value == 0:
            raise ConfigurationError(f"{option} 0 keeps nothing: give a share of the best model's quality, e.g. 0.95")
        if self.measure is Measure.STRONG_SHARE and value > 1:
            raise ConfigurationError(f"{option} is a share from 0 to 1, not {value:g}")

    def number(self, value: float) -> str:
        """A value of this measure without words."""
        return f"${value:.4g}" if self.measure is Measure.MAX_USD_PER_1K else f"{value:.1%}"

    def say(self, value: float) -> str:
        """A value of this measure in words."""
        words = {
            Measure.KEEP_QUALITY: "of the best single model's quality",
            Measure.MAX_USD_PER_1K: "per 1,000 requests",
            Measure.STRONG_SHARE: "of requests to the strong model",
        }
        return f"{self.number(value)} {words[self.measure]}"

    def __str__(self) -> str:
        """As it is given on the command line."""
        return f"--{self.measure.value} {self.value:g}"
