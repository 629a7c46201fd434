"""A fresh process: time to its first decision, and the memory that it takes."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass

SCRIPT = """
import json, re, sys, time
from pathlib import Path
began = time.perf_counter()
from modelsat import Router
router = Router(["gpt-5", "claude-sonnet-4", "gemini-2.5-flash"], weights=sys.argv[1], cache=False)
router.route("Why is the sky blue?")
seconds = time.perf_counter() - began
for number in range(50):
    router.route(f"{number} and every number that is not a prime " * 12)
status = Path("/proc/self/status")
found = re.search("VmHWM:[^0-9]*([0-9]+)", status.read_text()) if status.is_file() else None
print(json.dumps([seconds, int(found[1]) / 1024 if found else None]))
"""


@dataclass(frozen=True)
class Fresh:
    """Seconds to the first decision (imports, weights, decision), median; most memory, MB, ``None`` off Linux."""

    seconds: float
    memory_mb: float | None


def fresh(weights: str, processes: int = 3) -> Fresh:
    """Start processes one after another; the largest memory counts, after 50 more decisions on 100 tokens."""
    command = [sys.executable, "-c", SCRIPT, weights]
    found = []
    for _ in range(processes):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found.append(json.loads(output.splitlines()[-1]))
    memory = [megabytes for _, megabytes in found if megabytes is not None]
    return Fresh(statistics.median(seconds for seconds, _ in found), max(memory) if memory else None)
