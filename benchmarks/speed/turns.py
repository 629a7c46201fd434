"""Functions timed by turns on the same prompts, so that a busy machine slows all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track


@dataclass(frozen=True)
class Turns:
    """Milliseconds of every function, turn by turn."""

    times: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    def ratio(self, name: str, yardstick: str) -> float:
        """Median of the ratios of the turns to those of ``yardstick``."""
        return statistics.median(a / b for a, b in zip(self.times[name], self.times[yardstick], strict=True))


def by_turns(
    functions: Mapping[str, Callable[[str], object]], texts: Sequence[str], title: str, warmup: int = 5
) -> Turns:
    """Time each function on each text; the first ``warmup`` texts do not count, and every round another one begins."""
    names = list(functions)
    times: dict[str, list[float]] = {name: [] for name in names}
    for number, text in enumerate(shown(texts, title)):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            began = time.perf_counter()
            functions[name](text)
            if number >= warmup:
                times[name].append((time.perf_counter() - began) * 1e3)
    return Turns(times)


def shown(things: Sequence[str], title: str) -> Iterable[str]:
    """The same things, with a bar on stderr while they last."""
    return track(things, description=title, console=Console(stderr=True), transient=True)
