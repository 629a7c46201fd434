"""Fitting a policy to an aim on the user's own prompts: ``modelsat tune``.

Start at :func:`tune`; the result is saved with ``tuning.policy_file().save(path)`` and loaded by every way
into the router as ``policy=path``.
"""

from modelsat.lab.tuning.fit import Aim, Measure
from modelsat.lab.tuning.prompts import Prompts, read_prompts
from modelsat.lab.tuning.run import Tuning, tune

__all__ = [
    "Aim",
    "Measure",
    "Prompts",
    "Tuning",
    "read_prompts",
    "tune",
]
