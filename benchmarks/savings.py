"""What choosing by the request saves at 98 % of the best single model's quality, beside regressions and other choices.

    python benchmarks/savings.py --embeddings DIR_OF_ALL_MINILM_L6_V2 [--router NAME=PATH ...] [--keep 0.98]

Data sets, prompts and profiles as in ``benchmarks/traffic.py`` (held-out prompts of data sets that trained), candidates
are the models with a list price. kNN, ridge and MLP know all training outcomes of these very models. Every method takes
the cheapest model whose score lies within a margin of the highest. One margin for all data sets is chosen on half of
the prompts, as the one that costs least and keeps ``--keep`` of the quality of the model that is best on that half; the
other half is what is printed: the share of the dollars of these models that is saved, every data set having as many
requests, and the share of their quality that is kept. "one cheaper model" is the cheapest that keeps as much on the
first half, chosen for each data set; "oracle" knows the outcomes. Intervals are 5 to 95 % of ``--draws`` draws of data
sets and halves.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import traffic
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from modelsat.inference import load_scorer
from modelsat.lab.evaluation.inputs import listed_prices

Floats = NDArray[np.float64]
MARGINS = np.concatenate([np.linspace(0.0, 0.3, 61), np.linspace(0.32, 1.0, 35)])
FEWEST_MODELS, FEWEST_PROMPTS = 4, 20
TOKENS_IN, TOKENS_OUT = 500, 500


@dataclass(frozen=True, eq=False)
class Priced:
    """One data set: outcomes of priced models, shape (prompts, models), their prices, and by method the score and cost
    of what each margin chooses, each of shape (margins, prompts).
    """

    y: Floats
    usd: Floats
    chosen: dict[str, tuple[Floats, Floats]]


def priced(case: traffic.Case) -> tuple[traffic.Case, Floats] | None:
    """The part of a data set whose models have a list price, with what an answer of theirs costs."""
    listed = listed_prices([model.partition("@")[0] for model in case.models])
    prices = [listed.get(model.partition("@")[0]) for model in case.models]
    kept = [column for column, price in enumerate(prices) if price is not None]
    usd = np.array([(p.input * TOKENS_IN + p.output * TOKENS_OUT) / 1e6 for p in prices if p is not None])
    rows = ~np.isnan(case.scores[:, kept]).any(axis=1)
    if len(kept) < FEWEST_MODELS or rows.sum() < FEWEST_PROMPTS:
        return None
    part = replace(
        case,
        prompts=[prompt for prompt, keep in zip(case.prompts, rows, strict=True) if keep],
        scores=case.scores[rows][:, kept],
        models=[case.models[column] for column in kept],
        learn_scores=case.learn_scores[:, kept],
    )
    return part, usd


def outcomes_of(scores: Floats, y: Floats, usd: Floats) -> tuple[Floats, Floats]:
    """Score and cost of what each margin chooses, shape (margins, prompts)."""
    best = scores.max(axis=1, keepdims=True)
    chosen = np.stack([np.where(scores >= best - margin, usd, np.inf).argmin(axis=1) for margin in MARGINS])
    return y[np.arange(len(y)), chosen], usd[chosen]


def one_draw(sets: list[Priced], method: str, keep: float, rng: np.random.Generator) -> tuple[float, float]:
    """Saved share of cost and kept share of quality on the second halves; the margin is chosen on the first."""
    first, second = [], []  # of each data set: dollars paid, dollars of the single model, share of its quality
    for own in sets:
        order = rng.permutation(len(own.y))
        a, b = order[: len(order) // 2], order[len(order) // 2 :]
        means = own.y[a].mean(axis=0)
        single = int(means.argmax())
        if method == "one cheaper model":
            good = means >= keep * means[single]
            at = int(np.where(good, own.usd, np.inf).argmin())
            won, paid = (np.broadcast_to(value, (1, len(own.y))) for value in (own.y[:, at], own.usd[at]))
        else:
            won, paid = own.chosen[method]
        for half, found in ((a, first), (b, second)):
            base = max(float(own.y[half, single].mean()), 1e-9)
            cost = paid[:, half].mean(axis=1)
            found.append((cost, np.full_like(cost, own.usd[single]), won[:, half].mean(axis=1) / base))
    paid, single_usd, quality = np.mean(first, axis=0)
    good = quality >= keep
    at = int(np.where(good, paid, np.inf).argmin()) if good.any() else int(quality.argmax())
    paid, single_usd, quality = np.mean(second, axis=0)
    return 1.0 - float(paid[at] / single_usd[at]), float(quality[at])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--router", action="append", help="NAME=PATH or the name of shipped weights; may be repeated")
    parser.add_argument("--embeddings", type=Path, required=True, help="folder of all-MiniLM-L6-v2")
    parser.add_argument("--keep", type=float, default=0.98)
    parser.add_argument("--limit", type=int, default=300, help="prompts of a data set at most")
    parser.add_argument("--draws", type=int, default=400)
    parser.add_argument("--data", type=Path, default=traffic.oc.DATA)
    arguments = parser.parse_args()
    found = [case for case in traffic.cases(arguments.data, arguments.limit, None, traffic.registered) if case.trained]
    parts = [part for case in found if (part := priced(case)) is not None]
    routers = [text.rpartition("=") for text in arguments.router or ["modelsat-nano"]]
    scorers = {name or path: load_scorer(path) for name, _, path in routers}
    embed = traffic.embedder(arguments.embeddings)
    sets = []
    for case, usd in track(parts, "scoring", console=Console(stderr=True)):
        profiles = [profile for model in case.models if (profile := traffic.registered(model, case.dataset))]
        scores = {name: np.asarray(s.score(case.prompts, profiles).p, float) for name, s in scorers.items()}
        scores |= traffic.regressions(case, embed) | {"oracle": case.scores}
        if "knn" in scores:
            chosen = {name: outcomes_of(values, case.scores, usd) for name, values in scores.items()}
            sets.append(Priced(case.scores, usd, chosen))
    methods = [*scorers, "knn", "ridge", "mlp", "one cheaper model", "oracle"]
    prompts = sum(len(own.y) for own in sets)
    title = f"{len(sets)} data sets, {prompts} prompts: saved cost at {arguments.keep:.0%} of the best single"
    table = Table(title=title, title_justify="left")
    for name in ("chosen by", "cost saved", "5 to 95 %", "quality kept", "5 to 95 %"):
        table.add_column(name, justify="left" if name == "chosen by" else "right")
    for method in methods:
        rng = np.random.default_rng(0)
        draws = []
        for _ in range(arguments.draws):
            own = [sets[index] for index in rng.integers(0, len(sets), len(sets))]
            draws.append(one_draw(own, method, arguments.keep, rng))
        (low, high), means = np.percentile(draws, (5, 95), axis=0), np.mean(draws, axis=0)
        cells = [cell for n in range(2) for cell in (f"{means[n]:.1%}", f"{low[n]:.1%} to {high[n]:.1%}")]
        table.add_row(method, *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
