"""Measuring routers on logged outcomes, beside every simple way of routing and on the same prompts.

Needs the extra ``eval``. Start at :func:`evaluate`; ``modelsat evaluate`` is the same from the shell.
"""

from __future__ import annotations

from modelsat.lab.evaluation.evaluate import Money, evaluate
from modelsat.lab.evaluation.plan import Kind, Plan, Setting, settings
from modelsat.lab.evaluation.results import Comparison, Evaluation, Role, Row, SettingResult
from modelsat.lab.evaluation.routers import CheckpointRouter, MeasuredRouter, ScoresRouter

__all__ = [
    "CheckpointRouter",
    "Comparison",
    "Evaluation",
    "Kind",
    "MeasuredRouter",
    "Money",
    "Plan",
    "Role",
    "Row",
    "ScoresRouter",
    "Setting",
    "SettingResult",
    "evaluate",
    "settings",
]
