"""Are the decisions of this checkout those of an earlier one? For changes that should move none.

Prompts of ``../shared/data`` (or ``$MODELSAT_DATA``) are routed by both checkouts, each in a process of its own, with
the profiles and weights of the earlier one and the same facts, so that code alone can make a difference.

    python benchmarks/same_decisions.py --before b4698f7 --prompts 2000
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ("best", "cheapest(target=0.7)", "tradeoff(value_per_success=0.01)", "cascade(start=0.6)")
CANDIDATES = 10
CONSTRAINTS = {"deny_regions": ["us"], "max_usd_per_request": 0.05}


def prompts(count: int) -> list[str]:
    """``count`` prompts, spread over the table."""
    import pyarrow.parquet as pq

    folder = Path(os.environ.get("MODELSAT_DATA", ROOT / "../shared/data"))
    if not (folder / "items.parquet").exists():
        sys.exit(f"no items.parquet in {folder}: set MODELSAT_DATA")
    texts = sorted({text for text in pq.read_table(folder / "items.parquet").column("prompt").to_pylist() if text})
    return texts[:: max(1, len(texts) // count)][:count]


def facts(names: list[str]) -> dict[str, dict[str, Any]]:
    """Facts that do not depend on the table of prices of either checkout."""
    return {
        name: {
            "input_usd_per_mtok": 0.1 * 2**place,
            "output_usd_per_mtok": 0.4 * 2**place,
            "cached_input_usd_per_mtok": 0.05 * 2**place,
            "context_window": 128_000,
            "max_output_tokens": 4_096,
            "region": ("eu", "us")[place % 4 == 3],
            "provider": "acme",
            "abilities": {"tools": place % 2 == 0, "vision": place % 3 == 0},
        }
        for place, name in enumerate(names)
    }


def profiles(folder: Path) -> None:
    """Write profiles of the checkout that runs this, for both."""
    from modelsat import Registry

    registry = Registry.shipped()
    names = sorted(registry.names())
    chosen = [registry.find(name) for name in names[:: len(names) // CANDIDATES][:CANDIDATES]]
    dumped = [profile.model_dump(mode="json", exclude_defaults=True) for profile in chosen]
    (folder / "profiles.json").write_text(json.dumps(dumped), "utf-8")


def decide(folder: Path, weights: str, out: Path) -> None:
    """Route the prompts with the checkout that runs this."""
    from modelsat import CapabilityProfile, Router

    given = [CapabilityProfile(**entry) for entry in json.loads((folder / "profiles.json").read_text("utf-8"))]
    known = facts([profile.model for profile in given])
    candidates = {f"candidate-{place}": profile for place, profile in enumerate(given)}
    named = {name: known[profile.model] for name, profile in candidates.items()}
    texts = json.loads((folder / "prompts.json").read_text("utf-8"))
    rows = []
    for constraints in (None, CONSTRAINTS):
        for policy in POLICIES:
            options: dict[str, Any] = {"policy": policy, "facts": named, "constraints": constraints}
            router = Router(candidates, weights=weights, cache_dir=folder / out.stem, **options)
            for start in range(0, len(texts), 100):
                for decision in router.route_batch(texts[start : start + 100]):
                    excluded = getattr(decision, "excluded", None) or getattr(decision, "struck", {})
                    scores = {name: round(score, 5) for name, score in decision.scores.items()}
                    rows.append([decision.model, scores, sorted(excluded), list(decision.escalation)])
            print(f"{policy} {'with' if constraints else 'without'} constraints", file=sys.stderr, flush=True)
    out.write_text(json.dumps(rows), "utf-8")


def _in_checkout(source: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    subprocess.run([sys.executable, __file__, *arguments], env=environment, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", default="b4698f7", help="the earlier commit")
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--run", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        folder = Path(given.run[0])
        if given.run[1] == "profiles":
            profiles(folder)
        else:
            decide(folder, given.weights, folder / f"{given.run[1]}.json")
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = folder / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-q", str(before), given.before], check=True)
        try:
            texts = prompts(given.prompts)
            (folder / "prompts.json").write_text(json.dumps(texts), "utf-8")
            _in_checkout(before, "--run", name, "profiles")
            weights = str(before / "weights" / given.weights)
            for checkout, label in ((before, "before"), (ROOT, "after")):
                _in_checkout(checkout, "--weights", weights, "--run", name, label)
        finally:
            subprocess.run([*git, "remove", "--force", str(before)], check=True)
        rows = [json.loads((folder / f"{label}.json").read_text("utf-8")) for label in ("before", "after")]
    differing = [number for number, (one, other) in enumerate(zip(*rows, strict=True)) if one != other]
    chosen = sum(one[0] != other[0] for one, other in zip(*rows, strict=True))
    print(f"{len(texts)} prompts, {len(POLICIES)} policies with and without constraints: {len(rows[0])} decisions")
    print(f"another candidate: {chosen}; any difference of scores, exclusions or escalation: {len(differing)}")
    for number in differing[:3]:
        print(f"  {rows[0][number]}\n  {rows[1][number]}")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
