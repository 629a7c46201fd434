"""Choosing the next questions: those that lower the error of the task accuracies most.

With S the covariance of the task abilities, w the slope of each task's accuracy and n its number of items, an answer
that tells I about task k, to an item passed with probability p, lowers the summed variance of all accuracies by

    sum_j (w_j S_jk)^2 * I / (1 + I S_kk) + p (1 - p) / n_k^2.

The first term is what it says of all other items (A-optimal design, one rank-one update an answer); the second, that
its own outcome need not be predicted any more. The questions of a round are chosen one after the other, each as if the
ones before were answered; so a round spreads over tasks, and what it asks does not depend on how fast answers arrive.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from modelsat.lab.aptitude.posterior import CoreModel, Posterior

ROUND = 25
"""Questions asked before the posterior is computed anew."""
LEAST = 2
"""Questions each task is asked at least."""
_AMONG = 3


def choose(
    model: CoreModel,
    posterior: Posterior,
    taken: Collection[int],
    count: int,
    seed: int = 0,
    *,
    limit: int | None = None,
) -> list[int]:
    """Ids of the next ``count`` items, fewer if there are no more.

    Args:
        model: The core items.
        posterior: Where the tested model stands.
        taken: Ids of items that were asked, or cannot be.
        count: How many to choose.
        seed: Each item is drawn among the three best by it: seeds differ in what they ask, hardly in how well.
        limit: Most items of one task.
    """
    rng = np.random.default_rng((seed, len(taken)))
    covariance, weight = posterior.covariance.copy(), posterior.slope**2
    free = ~np.isin(model.ids, list(taken))
    asked = np.bincount(model.task[~free], minlength=len(model.tasks))
    doubt = posterior.expected * (1.0 - posterior.expected) / np.bincount(model.task)[model.task] ** 2
    chosen: list[int] = []
    while len(chosen) < count and free.any():
        own = np.diag(covariance)
        effect = weight @ covariance**2
        gain = effect[model.task] * posterior.told / (1.0 + posterior.told * own[model.task]) + doubt
        needy = asked[model.task] < LEAST
        gain = np.where(free, np.where(needy, gain + 10.0 * gain.max(), gain), -1.0)
        best = np.argsort(-gain, kind="stable")[:_AMONG]
        row = int(rng.choice(best[gain[best] > 0.5 * gain[best[0]]]))
        task = int(model.task[row])
        told, column = posterior.told[row], covariance[:, task].copy()
        covariance -= np.outer(column, column) * (told / (1.0 + told * column[task]))
        free[row] = False
        asked[task] += 1
        if limit is not None and asked[task] >= limit:
            free &= model.task != task
        chosen.append(int(model.ids[row]))
    return chosen


def next_round(
    model: CoreModel, posterior: Posterior, taken: Collection[int], *, target: float, most: int, seed: int = 0
) -> list[int]:
    """Ids to ask next; empty when the target is met or ``most`` items were taken.

    Before anything is known, that is one item of every task.

    Args:
        model: The core items.
        posterior: Where the tested model stands.
        taken: Ids of items that were asked, or could not be.
        target: Error at which to stop: :attr:`Posterior.error`, an accuracy.
        most: Items to ask at most.
        seed: See :func:`choose`.
    """
    if not taken:
        return choose(model, posterior, (), min(len(model.tasks), most), seed, limit=1)
    if posterior.error <= target or len(taken) >= most:
        return []
    return choose(model, posterior, taken, min(ROUND, most - len(taken)), seed)
