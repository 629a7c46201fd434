"""Fitting the knob of a policy to an aim, with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning.sweep import Columns, Family, Floats, Pool


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
        words = {
            Measure.KEEP_QUALITY: "of the best single model's quality",
            Measure.MAX_USD_PER_1K: "per 1,000 requests",
            Measure.STRONG_SHARE: "of requests to the strong model",
        }
        return f"{self.number(value)} {words[self.measure]}"

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
        """Put outcomes and predictions together.

        Args:
            pool: Probabilities and costs.
            outcomes: Scores 0..1, NaN where unknown, shape (prompts, models).
            strong: Name of the strong model.

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
        known = np.zeros(pool.p.shape, dtype=bool) if outcomes is None else ~np.isnan(outcomes)
        expected = pool.p if outcomes is None else corrected(pool.p, outcomes)
        quality = np.where(known, 0.0 if outcomes is None else np.nan_to_num(outcomes), expected)
        reference = int(np.nanmean(quality, axis=0).argmax())
        chosen = reference if strong is None else pool.names.index(strong)
        return cls(pool, quality, float(known.mean()), chosen, reference)


def corrected(p: Floats, outcomes: Floats) -> Floats:
    """Predictions whose logits are shifted, model by model, to the level of its outcomes; less so, the fewer there are.

    Args:
        p: P(success), NaN where a candidate was struck, shape (prompts, models).
        outcomes: Scores 0..1, NaN where unknown, shape (prompts, models).
    """
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


@dataclass(frozen=True)
class Curve:
    """What every value of the knob gives, rising; each of shape (knobs,).

    Attributes:
        knobs: Values of the knob.
        cost: USD a request.
        quality: Mean quality, 0..1.
        strong: Share of requests to the strong model.
    """

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
    singles: Curve = field(repr=False)


def fit(evidence: Evidence, aim: Aim, family: Family = "tradeoff", *, seed: int = 0) -> Fit:
    """Find the knob.

    Raises:
        ConfigurationError: The aim is out of reach; the message says what can be reached.
    """
    pool = evidence.pool
    knobs = pool.knobs(family)
    chosen = pool.sweep(family, knobs)
    table = _Table.of(evidence, chosen)
    even = np.full((1, len(pool.p)), 1.0 / len(pool.p))
    cost, quality, strong, reference = table.means(even)
    at = int(_select(aim, cost, quality, strong, reference)[0])
    if at < 0:
        raise ConfigurationError(_out_of_reach(aim, cost[:, 0], quality[:, 0], strong[:, 0], float(reference[0])))
    reached = float(_measured(aim, cost, quality, strong, reference)[at, 0])
    expected, interval = _left_out(table, aim, np.random.default_rng(seed))
    return Fit(
        aim=aim,
        family=family,
        knob=float(knobs[at]),
        curve=Curve(knobs, cost[:, 0], quality[:, 0], strong[:, 0]),
        at=at,
        reached=reached,
        expected=expected,
        interval=interval,
        reference_quality=float(reference[0]),
        reference_cost=float(np.nanmean(pool.cost[:, evidence.reference])),
        singles=Curve(
            np.arange(len(pool.names), dtype=float),
            np.nanmean(pool.cost, axis=0),
            np.nanmean(evidence.quality, axis=0),
            np.eye(len(pool.names))[evidence.strong],
        ),
    )


@dataclass(frozen=True)
class _Table:
    """By knob and prompt: cost, quality, whether it went to the strong model; and the reference's quality by prompt."""

    cost: Floats
    quality: Floats
    strong: Floats
    reference: Floats

    @classmethod
    def of(cls, evidence: Evidence, chosen: Columns) -> _Table:
        rows = np.arange(chosen.shape[1])
        quality = np.nan_to_num(evidence.quality)
        return cls(
            np.nan_to_num(evidence.pool.cost)[rows, chosen],
            quality[rows, chosen],
            (chosen == evidence.strong).astype(float),
            quality[:, evidence.reference],
        )

    def means(self, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Weighted means, shapes (knobs, resamples) and (resamples,); the weights of a resample sum to 1."""
        parts = [part @ weights.T for part in (self.cost, self.quality, self.strong)]
        return parts[0], parts[1], parts[2], weights @ self.reference


def _monotone(values: Floats) -> Floats:
    """Values that never fall along the knob: halfway between the highest so far and the lowest still to come."""
    high = np.maximum.accumulate(values, axis=0)
    low = np.minimum.accumulate(values[::-1], axis=0)[::-1]
    middle: Floats = (high + low) / 2
    return middle


def _select(aim: Aim, cost: Floats, quality: Floats, strong: Floats, reference: Floats) -> Columns:
    """Position of the best knob that meets the aim, -1 where none does; shape (resamples,)."""
    quality = _monotone(quality)
    if aim.measure is Measure.KEEP_QUALITY:
        meets = quality >= aim.value * reference - 1e-12
        return np.where(meets.any(axis=0), meets.argmax(axis=0), -1).astype(np.intp)
    limited = cost * 1000 if aim.measure is Measure.MAX_USD_PER_1K else strong
    meets = limited <= aim.value + 1e-12
    last = len(meets) - 1 - np.where(meets, quality, -1.0)[::-1].argmax(axis=0)
    return np.where(meets.any(axis=0), last, -1).astype(np.intp)


def _measured(aim: Aim, cost: Floats, quality: Floats, strong: Floats, reference: Floats) -> Floats:
    if aim.measure is Measure.KEEP_QUALITY:
        kept: Floats = quality / np.maximum(reference, 1e-12)
        return kept
    return cost * 1000 if aim.measure is Measure.MAX_USD_PER_1K else strong


def _left_out(table: _Table, aim: Aim, rng: np.random.Generator) -> tuple[float, tuple[float, float]]:
    """Fit to resamples and measure each on the prompts it left out."""
    prompts = len(table.reference)
    counts = rng.multinomial(prompts, np.full(prompts, 1.0 / prompts), size=RESAMPLES).astype(float)
    left = (counts == 0).astype(float)
    keep = left.sum(axis=1) > 0
    counts, left = counts[keep] / prompts, left[keep]
    inside = table.means(counts)
    at = _select(aim, *inside)
    at = np.where(at < 0, len(table.cost) - 1 if aim.measure is Measure.KEEP_QUALITY else 0, at)
    outside = _measured(aim, *table.means(left / left.sum(axis=1, keepdims=True)))
    values = outside[at, np.arange(len(at))]
    low, high = np.quantile(values, [0.05, 0.95])
    return float(values.mean()), (float(low), float(high))


def _out_of_reach(aim: Aim, cost: Floats, quality: Floats, strong: Floats, reference: float) -> str:
    if aim.measure is Measure.KEEP_QUALITY:
        most = float(_monotone(quality[:, None]).max() / max(reference, 1e-12))
        what = (
            f"going by the probabilities, at most {most:.1%} of the best single model's quality is reached on these "
            "prompts; lower it, or send all requests to that model"
        )
    elif aim.measure is Measure.MAX_USD_PER_1K:
        what = f"the least these prompts can cost is ${cost.min() * 1000:.4g} per 1,000 requests"
    else:
        what = f"at least {strong.min():.1%} of requests go to the strong model; name another with --strong"
    return f"the aim {aim} is out of reach: {what}"
