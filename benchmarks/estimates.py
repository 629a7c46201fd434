"""What an estimate of an unmeasured model is worth: every model of 2026 left out once and placed by its relatives.

    python benchmarks/estimates.py
    python benchmarks/estimates.py --withheld ../shared/data      # measured on figures too that may not ship

All figures of a model are hidden. Where a relative has a figure on the same benchmark, the estimate states one; on the
others it is what the estimated abilities say. Prints the mean absolute error in points, the same for the relative's
figure carried over, and how many of the hidden figures lie within the 80 % interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

from modelsat.capability import CapabilityProfile, Registry
from modelsat.capability.equating import equate, expected_accuracy
from modelsat.capability.estimate import estimate, lineage_of
from modelsat.capability.tasks import find_task

SINCE = {
    "gpt": (5, 3), "claude": (4, 6), "gemini": (3, 1), "grok": (4, 2), "kimi": (2, 5), "glm": (5, 0), "minimax": (2, 5),
    "qwen": (3, 5), "deepseek": (4, 0), "mistral": (4, 0), "muse": (0, 0), "mimo": (2, 5), "seed": (2, 0),
    "step": (3, 5), "ernie": (5, 0), "nemotron": (3, 0),
}  # fmt: skip
"""First version of each family that is of 2026."""
TENTH, NORMAL_90 = 1.2816, 1.645


@dataclass(frozen=True)
class Without:
    """A registry in which one model is unknown."""

    registry: Registry
    hidden: str

    def spellings(self) -> Iterator[list[str]]:
        return (names for names in self.registry.spellings() if names[0] != self.hidden)

    def figures(self, name: str) -> CapabilityProfile:
        return self.registry.figures(name)

    def find(self, name: str) -> CapabilityProfile:
        return self.registry.find(name)


@dataclass(frozen=True)
class Row:
    """One hidden figure: what was said of it, and how unsure."""

    model: str
    task: str
    kind: str
    error: float
    carried: float | None
    inside: bool


def rows(truth: dict[str, dict[str, tuple[float, int | None]]], registry: Registry) -> Iterator[Row]:
    for model, figures in truth.items():
        made = estimate(model, Without(registry, model))  # type: ignore[arg-type]  # the two methods that it needs
        if made is None:
            continue
        relatives = [registry.find(name) for name in made.estimated_from]
        family = not any(lineage_of(r.model).line == lineage_of(model).line for r in relatives)
        kind = "family" if family else "two versions" if len(relatives) > 1 else "one version"
        stated = {statement.task: statement for statement in made.statements}
        placed = equate(made, report=False)
        for task, (accuracy, items) in figures.items():
            known = [s.accuracy for r in relatives for s in r.statements if s.task == task]
            if task in stated and known:
                mean, deviation, what = stated[task].accuracy, stated[task].doubt, f"{kind}, same benchmark"
            else:
                mean, low, high = expected_accuracy(placed, task)
                deviation, what = (high - low) / (2 * NORMAL_90), f"{kind}, other benchmarks"
            spread = sqrt(deviation**2 + mean * (1 - mean) / (items or 500))
            carried = abs(sum(known) / len(known) - accuracy) if known else None
            yield Row(model, task, what, abs(mean - accuracy), carried, abs(mean - accuracy) <= TENTH * spread)


def shipped(registry: Registry) -> dict[str, dict[str, tuple[float, int | None]]]:
    """Figures of the models of 2026, as measured: task -> accuracy and items."""
    found = {}
    for profile in registry:
        lineage = lineage_of(profile.model)
        if lineage.version >= SINCE.get(lineage.family, (99, 0)):
            own = {
                s.task: (s.accuracy, s.items) for s in profile.statements if s.provenance and s.effort in ("", "high")
            }
            if own:
                found[profile.model] = own
    return found


def withheld(data: Path, registry: Registry) -> dict[str, dict[str, tuple[float, int | None]]]:
    """The same with the figures that may measure and not ship."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))
    import figures_2026

    found = shipped(registry)
    for row in figures_2026.read(data):
        task = find_task(row.benchmark)
        if not row.ships and task is not None and task.known and row.effort in ("", "high") and row.model in registry:
            own = found.get(registry.find(row.model).model)
            if own is not None:
                own.setdefault(task.name, (row.accuracy, row.items))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--withheld", type=Path, metavar="DATA", help="folder of figures_2026.csv")
    arguments = parser.parse_args()
    registry = Registry.shipped()
    truth = withheld(arguments.withheld, registry) if arguments.withheld else shipped(registry)
    found = list(rows(truth, registry))
    print("| estimated from | models | figures | mean absolute error | carried over | inside 80 % |")
    print("|---|--:|--:|--:|--:|--:|")
    kinds = sorted({row.kind for row in found}, key=lambda k: ("family" in k, "other" in k, k))
    groups = [(kind, [row for row in found if row.kind == kind]) for kind in kinds]
    same = [row for row in found if "same benchmark" in row.kind and "family" not in row.kind]
    for name, group in [*groups, ("**same line, same benchmark**", same), ("**all**", found)]:
        error = sum(row.error for row in group) / len(group)
        carried = [row.carried for row in group if row.carried is not None]
        over = f"{100 * sum(carried) / len(carried):.1f}" if carried else ""
        inside = sum(row.inside for row in group) / len(group)
        print(
            f"| {name} | {len({r.model for r in group})} | {len(group)} | {100 * error:.1f} | {over} | {inside:.0%} |"
        )


if __name__ == "__main__":
    main()
