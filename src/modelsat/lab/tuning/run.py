"""Tuning from end to end: prompts and a router in, a policy fitted to an aim out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modelsat.candidates.completion import answer_kind, expected_lengths, wished
from modelsat.errors import ConfigurationError, MissingDependencyError, NoCandidateError
from modelsat.lab.logs import Record
from modelsat.lab.outcomes.names import NameMatcher
from modelsat.lab.tuning.fit import MINIMUM, Aim, Evidence, Fit, Measure, fit
from modelsat.lab.tuning.prompts import Prompts, listed
from modelsat.lab.tuning.sweep import KNOB, Family, Floats, Pool
from modelsat.policies.resolve import PolicyFile
from modelsat.request import extract_instruction
from modelsat.router import Router, RoutingDecision
from modelsat.router.scoring import selection_of

PLOTS = (".png", ".svg", ".pdf", ".html")
_BLUE, _ORANGE, _GREY = "#1f5fa8", "#d1661f", "#5a5a5a"
_BATCH = 32
FEW = 200
"""With fewer prompts the interval is wide; a note says so."""
_UNMEASURED = 0.05
_LOGGED, _FACTOR = 20, 1.5
"""From so many logged answers on, a mean length that is off by this factor is worth a note."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Tuning:
    """A policy fitted to an aim on the user's prompts.

    Attributes:
        fit: The knob, the curve and the interval.
        evidence: What it was fitted to.
        prompts: How many prompts.
        versions: Versions of weights and profiles that predicted.
        digest: Content hash of prompts and outcomes.
        notes: What a reader should know.
    """

    fit: Fit
    evidence: Evidence
    prompts: int
    versions: Mapping[str, str]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def policy(self) -> dict[str, Any]:
        """The fitted policy as plain data."""
        return {"name": self.fit.family, KNOB[self.fit.family]: self.fit.knob}

    def policy_file(self, router: Router | None = None) -> PolicyFile:
        """Return the file that every way into the router reads; with a router, with its constraints.

        Raises:
            ConfigurationError: The router has several sets of constraints.
        """
        found, given = self.fit, () if router is None else router.constraints
        if len(given) > 1:
            raise ConfigurationError(
                "the router has constraints of its own and of a policy file, and a policy file keeps one set: put them "
                "together in one Constraints and tune a router with these"
            )
        return PolicyFile(
            policy=self.policy,
            constraints=given[0] if given else None,
            fitted={
                "aim": {found.aim.measure.value: found.aim.value},
                "expected": round(found.expected, 6),
                "interval_90": [round(value, 6) for value in found.interval],
                "measured_outcomes": round(self.evidence.measured, 4),
                "usd_per_1k": round(float(found.curve.cost[found.at]) * 1000, 6),
                "quality": round(float(found.curve.quality[found.at]), 6),
                "strong_share": round(float(found.curve.strong[found.at]), 6),
                "strong": self.evidence.pool.names[self.evidence.strong],
                "candidates": list(self.evidence.pool.names),
                "prompts": self.prompts,
                "data": self.digest,
                **{key: value for key, value in self.versions.items() if key != "policy"},
            },
        )


def tune(
    router: Router,
    prompts: Prompts,
    aim: Aim,
    *,
    family: Family = "tradeoff",
    outcomes: Mapping[tuple[str, str], float] | None = None,
    strong: str | None = None,
    seed: int = 0,
    progress: Progress = lambda done: None,
) -> Tuning:
    """Fit a policy to an aim on prompts, with the outcomes that are known and predicted success where none is.

    Args:
        router: Scores the prompts and knows the prices; its policy does not matter, its constraints do.
        prompts: From :func:`~modelsat.lab.tuning.prompts.read_prompts`.
        aim: What is to be reached.
        family: Policy whose knob is fitted.
        outcomes: Scores 0..1 by prompt and model, in addition to those in the prompts. Models may be written as logs
            spell them.
        strong: The strong model; the best single one on these prompts if not given.
        seed: Of the resamples behind the interval.
        progress: Called with the number of prompts after each batch.

    Raises:
        ConfigurationError: Too few prompts, no prices, an aim out of reach, or outcomes none of which is of a candidate
            and a prompt.
    """
    if len(prompts.records) < MINIMUM:
        raise ConfigurationError(_few(len(prompts.records), prompts))
    matcher = NameMatcher(router.candidates)
    by_record = _matched(prompts.records, outcomes or {}, matcher)
    decided = _decisions(router, prompts.records, progress)
    unable = len(prompts.records) - len(decided)
    left = [prompts.records[at] for at in decided]
    if len(left) < MINIMUM:
        raise ConfigurationError(_few(len(left), prompts, unable))
    p = _matrix([decision.scores for decision in decided.values()], router.names)
    cost = _matrix([decision.costs for decision in decided.values()], router.names)
    known = _matrix([by_record[at] for at in decided], router.names)
    evidence = Evidence.of(Pool(router.names, _as_chosen_by(router, family, p), cost), known, strong)
    found = fit(evidence, aim, family, seed=seed)
    notes = [*_notes(prompts, matcher, evidence, unable), *_idle(found), *_lengths(matcher, router, left)]
    return Tuning(found, evidence, len(left), router.versions, _digest(left, known), tuple(notes))


def _few(count: int, prompts: Prompts, unable: int = 0) -> str:
    reasons = dict(prompts.skipped)
    if unable:
        reasons["that no candidate may answer"] = unable
    left_out = f". Left out: {listed(reasons)}" if reasons else ""
    needed = f"at least {MINIMUM} are needed to fit a policy, a few hundred to fit it well"
    return f"there are {count} prompts: {needed}{left_out}"


def _decisions(router: Router, records: Sequence[Record], progress: Progress) -> dict[int, RoutingDecision]:
    """Decisions by place of the record; none where constraints leave nobody."""
    found: dict[int, RoutingDecision] = {}
    for start in range(0, len(records), _BATCH):
        batch = [record.messages for record in records[start : start + _BATCH]]
        try:
            found.update(enumerate(router.route_batch(batch), start))
        except NoCandidateError:
            for place, messages in enumerate(batch, start):
                with suppress(NoCandidateError):
                    found[place] = router.route(messages)
        progress(len(batch))
    return found


def _matrix(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    return np.array([[row.get(name, np.nan) for name in names] for row in rows], dtype=float)


def _as_chosen_by(router: Router, family: Family, p: Floats) -> Floats:
    """P(success) as it will be corrected under the policy that is fitted, whatever the router's own is."""
    own, other = (selection_of(router.versions["weights"], policy) for policy in (router.policy, family))
    if own is None or other is None or own == other:
        return p
    rows = p.copy()
    for row in rows:
        there = ~np.isnan(row)
        row[there] = other.correct(own.undo(row[there].tolist()))
    return rows


def _matched(
    records: Sequence[Record], more: Mapping[tuple[str, str], float], matcher: NameMatcher
) -> list[dict[str, float]]:
    """Outcomes of each record by candidate."""
    by_item: dict[str, dict[str, float]] = {}
    for (item, model), score in more.items():
        by_item.setdefault(item, {})[model] = score
    if by_item and not by_item.keys() & {record.id for record in records}:
        raise ConfigurationError(
            f"no outcome belongs to a prompt: the outcomes are of item_id {next(iter(by_item))!r} and others, and the "
            f"prompts' are {records[0].id!r} and others"
        )
    found = [
        {**matcher.outcomes(by_item.get(record.id, {})), **matcher.outcomes(record.outcomes)} for record in records
    ]
    matcher.check()
    return found


def _notes(prompts: Prompts, matcher: NameMatcher, evidence: Evidence, unable: int) -> list[str]:
    used, notes = len(evidence.pool.p), []
    if matcher.unmatched:
        notes.append(
            f"{matcher.unmatched.total():,} outcomes left out: of models that are not candidates: {matcher.listed()}"
        )
    if prompts.unjudged:
        notes.append(f"{prompts.unjudged:,} results carry no outcome: the answer failed, or its grade cannot be read")
    if unable:
        notes.append(f"{unable} prompts left out: the constraints leave no candidate for them")
    if evidence.measured == 0:
        notes.append(
            "no outcomes are known: quality is predicted success, and the interval does not contain the error of these "
            "predictions; give outcomes of some prompts to correct them"
        )
    elif evidence.measured < 1 - _UNMEASURED:
        notes.append(f"{evidence.measured:.0%} of the outcomes are known; the others are predicted, at the known level")
    if used < FEW:
        notes.append(f"{used} prompts are few: a few hundred make the interval narrower")
    return notes


def _idle(found: Fit) -> Iterator[str]:
    """Yield a note where the aim holds nothing back."""
    if found.aim.measure is Measure.KEEP_QUALITY:
        if found.at == 0:
            yield f"even the cheapest setting keeps {found.reached:.1%}: the aim holds nothing back"
    elif found.curve.quality[found.at] >= found.curve.quality.max() - 1e-12:
        yield f"the best setting takes no more than {found.aim.say(found.reached)}: the aim holds nothing back"


def _lengths(matcher: NameMatcher, router: Router, records: Sequence[Record]) -> Iterator[str]:
    """Yield notes on candidates whose logged answers are much longer or shorter than costs reckon with."""
    for candidate in router.candidates:
        own = [
            r for r in records if r.completion_tokens and r.model and candidate.name in matcher.candidates_of(r.model)
        ]
        if len(own) < _LOGGED:
            continue
        logged = sum(record.completion_tokens or 0.0 for record in own)
        asked = [extract_instruction(record.messages)[0] for record in own]
        expected = sum(expected_lengths([candidate], answer_kind(text), wish=wished(text))[0] for text in asked)
        if not 1 / _FACTOR < logged / expected < _FACTOR:
            yield (
                f"answers of {candidate.name} are logged with {logged / len(own):.0f} tokens on average, and "
                f"{expected / len(own):.0f} are expected: its real costs differ"
            )


def _digest(records: Sequence[Record], outcomes: Floats) -> str:
    digest = hashlib.sha256()
    for record in records:
        digest.update(repr(record.messages).encode("utf-8", "surrogatepass"))
    if not np.isnan(outcomes).all():
        digest.update(np.nan_to_num(outcomes, nan=-1.0).tobytes())
    return digest.hexdigest()[:16]


def read_outcomes_table(path: Path) -> dict[tuple[str, str], float]:
    """Scores by ``item_id`` and ``model`` out of a table with ``item_id``, ``model`` and ``score`` (0..1)."""
    from modelsat.lab.outcomes.table import OUTCOME_COLUMNS, read_table

    table = read_table(path, OUTCOME_COLUMNS)
    found = {}
    for item, model, score in zip(table["item_id"], table["model"], table["score"], strict=True):
        value = float(score)
        if not 0 <= value <= 1:
            raise ConfigurationError(f"{path}: the score of {model!r} on {item!r} is {score!r}: it must be from 0 to 1")
        found[str(item), str(model)] = value
    return found


def check_plot(path: Path) -> None:
    """Refuse a plot that cannot be written, before any work is done.

    Raises:
        ConfigurationError: Its name ends in something else than :data:`PLOTS`, or its folder is missing.
        MissingDependencyError: What draws it is not installed.
    """
    if path.suffix.casefold() not in PLOTS:
        raise ConfigurationError(f"--plot {path}: the name must end in {', '.join(PLOTS)}")
    if not path.parent.is_dir():
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError.for_extra("drawing the curve", "eval") from error


def plot(tuning: Tuning, path: Path) -> None:
    """Draw the curve, the single models and the chosen point; an ``.html`` file holds the picture as SVG."""
    from matplotlib.figure import Figure

    fit = tuning.fit
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(fit.curve.cost * 1000, fit.curve.quality, color=_BLUE, linewidth=2, label=f"policy {fit.family}")
    singles = fit.single_costs
    axes.scatter(singles * 1000, fit.single_qualities, color=_GREY, marker="s", s=28, label="one model alone")
    for name, cost, quality in zip(tuning.evidence.pool.names, singles, fit.single_qualities, strict=True):
        offset, side = (-6, "right") if cost > singles.max() * 0.7 else (6, "left")
        axes.annotate(name, (cost * 1000, quality), (offset, -10), textcoords="offset points", fontsize=7, ha=side)
    at, label = fit.at, f"{fit.aim}: {KNOB[fit.family]}={fit.knob:.4g}"
    axes.scatter([fit.curve.cost[at] * 1000], [fit.curve.quality[at]], color=_ORANGE, s=70, zorder=3, label=label)
    quality = "mean outcome" if tuning.evidence.measured > 0.5 else "mean predicted success"
    axes.set(title=f"{fit.family}, {tuning.prompts} prompts", xlabel="USD per 1,000 requests")
    axes.set_ylabel(f"quality ({quality})")
    if singles.max() > 20 * singles.min() > 0:
        axes.set_xscale("log")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize=8)
    if path.suffix.casefold() != ".html":
        figure.savefig(path, dpi=150)
        return
    from modelsat.lab.evaluation.report import as_svg

    page = f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>modelsat tune</title>{as_svg(figure)}</html>\n'
    path.write_text(page, "utf-8")
