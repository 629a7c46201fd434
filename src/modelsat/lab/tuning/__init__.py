"""Fitting a policy to an aim on the user's own prompts: ``modelsat calibrate``.

Start at :func:`calibrate`; the result is saved with ``calibration.policy_file().save(path)`` and loaded by every way
into the router as ``policy=path``.
"""

from modelsat.lab.tuning.aims import Aim, Measure
from modelsat.lab.tuning.fit import Curve, Evidence, Fit, fit
from modelsat.lab.tuning.prompts import Prompts, read_prompts
from modelsat.lab.tuning.run import Calibration, calibrate
from modelsat.lab.tuning.sweep import Pool

__all__ = [
    "Aim",
    "Calibration",
    "Curve",
    "Evidence",
    "Fit",
    "Measure",
    "Pool",
    "Prompts",
    "calibrate",
    "fit",
    "read_prompts",
]
