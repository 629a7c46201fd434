"""Fitting a policy to an aim on the user's own prompts: ``modelsat calibrate``.

Start at :func:`calibrate`; the result is saved with ``calibration.policy_file().save(path)`` and loaded by every way
into the router as ``policy=path``.
"""

from modelsat.calibrate.aims import Aim, Measure
from modelsat.calibrate.fit import Curve, Evidence, Fit, fit
from modelsat.calibrate.prompts import Prompts, read_prompts
from modelsat.calibrate.run import Calibration, calibrate
from modelsat.calibrate.sweep import Pool

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
