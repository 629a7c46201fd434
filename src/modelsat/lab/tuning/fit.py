"""Fitting the knob of a policy to an aim, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning.sweep import Columns, Family, Floats, Pool


class Measure(str, Enum):
    """What an aim is about; the value is its option on the command line."""

    KEEP_QUALITY = "keep-quality"
    MAX_USD_PER_1K = "max-usd-per-1k"
    STRONG_SHARE = "strong-share"


_WORDS = {
    Measure.KEEP_QUALITY: "of the best single model's quality",
    Measure.MAX_USD_PER_1K: "per 1,000 requests",
    Measure.STRONG_SHARE: "of requests to the strong model",
}


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
            ConfigurationError: It is not a number that makes sense; the message says what to write.
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
        """Return a value of this measure without words."""
        return f"${value:.4g}" if self.measure is Measure.MAX_USD_PER_1K else f"{value:.1%}"

    def say(self, value: float) -> str:
        """Return a value of this measure in words."""
        return f"{self.number(value)} {_WORDS[self.measure]}"

    def __str__(self) -> str:
        """As it is given on the command line."""
        return f"--{self.measure.value} {self.value:g}"


MINIMUM = 50
"""Fewer prompts say too little about a knob."""
RESAMPLES = 300
_SHRINK = 50.0


@dataclass(frozen=True)
class Evidence:
    """What a knob is fitted to.

    Attributes:
        pool: Probabilities and costs.
        quality: Outcome of every candidate where it is known, expected outcome elsewhere, shape (prompts, models).
        measured: Share of the qualities that were measured rather than predicted.
        strong: Column of the strong model: the best single one, unless the user names another.
        reference: Column of the best single model.
    """

    pool: Pool
    quality: Floats
    measured: float
    strong: int
    reference: int

    @classmethod
    def of(cls, pool: Pool, outcomes: Floats | None = None, strong: str | None = None) -> Evidence:
        """Put outcomes (0..1, NaN where unknown, shape (prompts, models)) and predictions together.

        Raises:
            ConfigurationError: Too few prompts, a price is missing, or ``strong`` is not a candidate.
        """
        if len(pool.p) < MINIMUM:
            raise ConfigurationError(
                f"there are {len(pool.p)} prompts: at least {MINIMUM} are needed to fit a policy, a few hundred to fit "
                "it well"
            )
        if len(pool.names) < 2:
            raise ConfigurationError("there is one candidate: a policy needs at least two to choose among")
        priceless = [name for name, cost in zip(pool.names, pool.cost.T, strict=True) if np.isnan(cost).all()]
        if priceless:
            raise ConfigurationError(
                f"no price is known for {', '.join(priceless)}: give one with --prices FILE.csv (columns model, "
                "input_usd_per_mtok, output_usd_per_mtok), or leave the model out"
            )
        if strong is not None and strong not in pool.names:
            raise ConfigurationError(f"--strong {strong!r} is none of the candidates: {', '.join(pool.names)}")
        outcomes = np.full(pool.p.shape, np.nan) if outcomes is None else outcomes
        known = ~np.isnan(outcomes)
        quality = np.where(known, outcomes, corrected(pool.p, outcomes))
        reference = int(np.nanmean(quality, axis=0).argmax())
        chosen = reference if strong is None else pool.names.index(strong)
        return cls(pool, quality, float(known.mean()), chosen, reference)


def corrected(p: Floats, outcomes: Floats) -> Floats:
    """Predictions whose logits are shifted, by model, to the level of its outcomes; less so, the fewer there are."""
    result = p.astype(float)
    for column in range(p.shape[1]):
        known = ~np.isnan(outcomes[:, column]) & ~np.isnan(p[:, column])
        if known.any():
            logit = np.log(np.clip(p[:, column], 1e-4, 1 - 1e-4) / np.clip(1 - p[:, column], 1e-4, 1 - 1e-4))
            shift = 0.0
            for _ in range(20):
                now = 1 / (1 + np.exp(-(logit[known] + shift)))
                shift += float((outcomes[known, column] - now).mean() / max((now * (1 - now)).mean(), 1e-3))
                shift = float(np.clip(shift, -6, 6))
            result[:, column] = 1 / (1 + np.exp(-(logit + shift * known.sum() / (known.sum() + _SHRINK))))
    return result


class Curve(NamedTuple):
    """USD a request, mean quality and share of requests to the strong model by knob, rising; each of shape (knobs,)."""

    knobs: Floats
    cost: Floats
    quality: Floats
    strong: Floats


@dataclass(frozen=True)
class Fit:
    """A knob fitted to an aim.

    Attributes:
        aim: The aim.
        family: Policy.
        knob: Its parameter.
        curve: All that was tried.
        at: Position of the knob on the curve.
        reached: Value of the aim's measure on the prompts that were fitted to.
        expected: The same on other prompts: mean over resamples, each measured on the prompts it left out.
        interval: 90 % of those lie in it; the left-out prompts are about a third, so it allows for their chance too.
        reference_quality: Of the best single model.
        reference_cost: USD a request of the best single model.
        single_costs: USD a request of each model alone, shape (models,).
        single_qualities: Mean quality of each model alone, shape (models,).
    """

    aim: Aim
    family: Family
    knob: float
    curve: Curve
    at: int
    reached: float
    expected: float
    interval: tuple[float, float]
    reference_quality: float
    reference_cost: float
    single_costs: Floats = field(repr=False)
    single_qualities: Floats = field(repr=False)


def fit(evidence: Evidence, aim: Aim, family: Family = "tradeoff", *, seed: int = 0) -> Fit:
    """Find the knob.

    Raises:
        ConfigurationError: The aim is out of reach; the message says what can be reached.
    """
    pool = evidence.pool
    knobs = pool.knobs(family)
    chosen = pool.sweep(family, knobs)
    rows = np.arange(chosen.shape[1])
    quality = np.nan_to_num(evidence.quality)
    every = _Table(
        np.nan_to_num(pool.cost)[rows, chosen],
        quality[rows, chosen],
        (chosen == evidence.strong).astype(float),
        quality[:, evidence.reference],
    )
    mean = every.means(np.full((1, len(pool.p)), 1.0 / len(pool.p)))
    at = int(mean.best(aim)[0])
    if at < 0:
        raise ConfigurationError(_out_of_reach(aim, mean))
    expected, interval = _left_out(every, aim, np.random.default_rng(seed))
    costs = np.nanmean(pool.cost, axis=0)
    return Fit(
        aim=aim,
        family=family,
        knob=float(knobs[at]),
        curve=Curve(knobs, mean.cost[:, 0], mean.quality[:, 0], mean.strong[:, 0]),
        at=at,
        reached=float(mean.measured(aim)[at, 0]),
        expected=expected,
        interval=interval,
        reference_quality=float(mean.reference[0]),
        reference_cost=float(costs[evidence.reference]),
        single_costs=costs,
        single_qualities=np.nanmean(evidence.quality, axis=0),
    )


class _Table(NamedTuple):
    """Cost, quality and strong calls by knob and prompt, and the reference's quality by prompt; or means of these."""

    cost: Floats
    quality: Floats
    strong: Floats
    reference: Floats

    def means(self, weights: Floats) -> _Table:
        """Weighted means, by knob and resample; the weights of a resample sum to 1."""
        cost, quality, strong = (part @ weights.T for part in self[:3])
        return _Table(cost, quality, strong, weights @ self.reference)

    def measured(self, aim: Aim) -> Floats:
        """What the aim is about, by knob and resample."""
        if aim.measure is Measure.KEEP_QUALITY:
            kept: Floats = self.quality / np.maximum(self.reference, 1e-12)
            return kept
        return self.cost * 1000 if aim.measure is Measure.MAX_USD_PER_1K else self.strong

    def best(self, aim: Aim) -> Columns:
        """Position of the best knob that meets the aim, -1 where none does; shape (resamples,)."""
        quality = _monotone(self.quality)
        if aim.measure is Measure.KEEP_QUALITY:
            meets = quality >= aim.value * self.reference - 1e-12
            best = meets.argmax(axis=0)
        else:
            meets = self.measured(aim) <= aim.value + 1e-12
            best = len(meets) - 1 - np.where(meets, quality, -1.0)[::-1].argmax(axis=0)
        return np.where(meets.any(axis=0), best, -1)


def _monotone(values: Floats) -> Floats:
    """Values that never fall along the knob: halfway between the highest so far and the lowest still to come."""
    high = np.maximum.accumulate(values, axis=0)
    low = np.minimum.accumulate(values[::-1], axis=0)[::-1]
    middle: Floats = (high + low) / 2
    return middle


def _left_out(every: _Table, aim: Aim, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Fit to resamples and measure each on the prompts it left out."""
    prompts = len(every.reference)
    counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=RESAMPLES).astype(float)
    left = (counts == 0).astype(float)
    keep = left.sum(axis=1) > 0
    counts, left = counts[keep] / prompts, left[keep]
    at = every.means(counts).best(aim)
    at = np.where(at < 0, len(every.cost) - 1 if aim.measure is Measure.KEEP_QUALITY else 0, at)
    outside = every.means(left / left.sum(axis=1, keepdims=True)).measured(aim)
    values = outside[at, np.arange(len(at))]
    low, high = np.quantile(values, [0.05, 0.95])
    return float(values.mean()), (float(low), float(high))


def _out_of_reach(aim: Aim, mean: _Table) -> str:
    if aim.measure is Measure.KEEP_QUALITY:
        most = float(_monotone(mean.quality).max() / max(mean.reference[0], 1e-12))
        what = (
            f"going by the probabilities, at most {most:.1%} of the best single model's quality is reached on these "
            "prompts; lower it, or send all requests to that model"
        )
    elif aim.measure is Measure.MAX_USD_PER_1K:
        what = f"the least these prompts can cost is ${mean.cost.min() * 1000:.4g} per 1,000 requests"
    else:
        what = f"at least {mean.strong.min():.1%} of requests go to the strong model; name another with --strong"
    return f"the aim {aim} is out of reach: {what}"
