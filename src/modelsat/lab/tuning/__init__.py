"""Fitting a policy to an aim on the user's own prompts: ``modelsat tune``.

Start at :func:`tune`; the result is saved with ``tuning.policy_file().save(path)`` and loaded by every way
into the router as ``policy=path``.
"""

from modelsat.lab.tuning.fit import Aim, Curve, Evidence, Fit, Measure, fit
from modelsat.lab.tuning.prompts import Prompts, read_prompts
from modelsat.lab.tuning.run import Tuning, tune
from modelsat.lab.tuning.sweep import Pool

__all__ = [
    "Aim",
    "Curve",
    "Evidence",
    "Fit",
    "Measure",
    "Pool",
    "Prompts",
    "Tuning",
    "fit",
    "read_prompts",
    "tune",
]
