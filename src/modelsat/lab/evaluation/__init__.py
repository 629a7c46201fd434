"""Measuring routers on logged outcomes, beside every simple way of routing and on the same prompts.

Needs the extra ``eval``. Start at :func:`evaluate`; ``modelsat evaluate`` is the same from the shell.
"""

from __future__ import annotations

from modelsat.lab.evaluation.evaluate import evaluate
from modelsat.lab.evaluation.inputs import Money
from modelsat.lab.evaluation.plan import Kind, Plan
from modelsat.lab.evaluation.results import Evaluation, Role
from modelsat.lab.evaluation.routers import CheckpointRouter, ScoresRouter

__all__ = [
    "CheckpointRouter",
    "Evaluation",
    "Kind",
    "Money",
    "Plan",
    "Role",
    "ScoresRouter",
    "evaluate",
]
