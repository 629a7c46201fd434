"""Evaluation with the network on a cluster: a measured router whose scores Ray Data computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from modelsat.lab.evaluation.metrics import Floats
from modelsat.lab.evaluation.routers import CheckpointRouter, MeasuredRouter, ScoresRouter, SeedsRouter
from modelsat.lab.outcomes import OutcomeTable
from modelsat.server.cluster.data import score_matrix

_PASS = 128


@dataclass(frozen=True)
class ClusterRouter(CheckpointRouter):
    """A checkpoint that is scored by workers of the cluster this process is connected to.

    Attributes:
        workers: Workers, each with the network and one CPU.
    """

    workers: int = 1

    def predict(self, table: OutcomeTable, progress: Callable[[int], None] = lambda done: None) -> Floats:
        """P(success) for the items and models of one data set, shape (items, models)."""
        return score_matrix(
            table.prompts.tolist(),
            self.profiles_of(table),
            weights=self.weights,
            backend=self.backend,
            version=self.version,
            batch_size=_PASS,
            workers=self.workers,
            progress=progress,
        )


def distributed(router: MeasuredRouter, workers: int) -> MeasuredRouter:
    """The same router, with its checkpoints scored on the cluster; files of scores stay as they are."""
    if isinstance(router, SeedsRouter):
        return replace(router, members=[_distributed(member, workers) for member in router.members])
    return _distributed(router, workers)


def _distributed(router: CheckpointRouter | ScoresRouter, workers: int) -> CheckpointRouter | ScoresRouter:
    if not isinstance(router, CheckpointRouter):
        return router
    return ClusterRouter(
        router.name,
        router.scorer,
        router.profiles,
        router.scale,
        router.shift,
        weights=router.weights,
        backend=router.backend,
        workers=workers,
    )
