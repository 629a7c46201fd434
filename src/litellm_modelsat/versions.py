"""The releases of LiteLLM that modelsat was tested with: what its router takes back from us differs between lines."""

from __future__ import annotations

import logging
import re
from importlib import metadata

TESTED = ("1.104.9", "1.108.14", "1.109.3", "1.110.2")
"""From the oldest supported to the newest. The tests ran on each, and fail when the index has a newer one."""


def installed() -> str:
    """The release of LiteLLM that is installed."""
    return metadata.version("litellm")


def warn_if_untested() -> None:
    """Warn, at start, of a LiteLLM that is newer than the newest tested."""
    if _parts(installed()) > _parts(TESTED[-1]):
        logging.getLogger("modelsat").warning(
            "LiteLLM %s is newer than any that modelsat was tested with (%s). Watch litellm_modelsat_outcomes_total: "
            "'ignored' must stay 0",
            installed(),
            ", ".join(TESTED),
        )


def was_read(version: str) -> bool:
    """Whether a release is of a tested line and no newer than the newest tested: its sources were read."""
    lines = {_parts(tested)[:2] for tested in TESTED}
    return _parts(version)[:2] in lines and _parts(version) <= _parts(TESTED[-1])


def _parts(version: str) -> tuple[int, ...]:
    """The release as numbers, what follows them left out: ``1.110.2rc1`` is ``(1, 110, 2)``."""
    found = re.match(r"\d+(?:\.\d+){0,2}", version)
    return tuple(map(int, found[0].split("."))) if found else ()
