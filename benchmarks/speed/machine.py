"""The machine that a figure was measured on, in a line."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from numpy._core._multiarray_umath import __cpu_features__


def describe() -> str:
    """Processor, cores, and the widest vectors that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search("model name.*: (.+)", cpuinfo.read_text()) if cpuinfo.is_file() else None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{found[1] if found else platform.processor() or platform.machine()}, {cores} cores, {vectors()}"


def vectors() -> str:
    """``"AVX-512"``, ``"AVX2"``, ..., as this process sees it."""
    for feature, name in (("AVX512_SKX", "AVX-512"), ("X86_V4", "AVX-512"), ("AVX2", "AVX2"), ("X86_V3", "AVX2")):
        if __cpu_features__.get(feature):
            return name
    return "ASIMD" if __cpu_features__.get("ASIMD") else "neither AVX-512 nor AVX2"
