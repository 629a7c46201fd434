"""What can be trusted, in numbers: faults survived, load held, memory, attacks by text, optimism of P, names looked up.

    python benchmarks/trust.py                   everything, in short
    python benchmarks/trust.py --attacks         one part; also --faults, --load, --memory, --optimism, --lookups

* attacks: requests of ``easy_and_hard.json`` with lines before and behind them, 15 kept out of training: the
  share of decisions of ``cheapest(0.8)`` that they move beside harmless controls, and what they do to the bill; then
  with ``further_lines.json``, which neither training nor the rules of ``modelsat.request.wording`` have seen;
* faults: each kind is injected many times; survived means a decision for a candidate that may answer;
* load and memory: ``modelsat serve`` on one core, on the loopback interface; rates as ratios to a loop of the router;
* optimism: P(success) of the chosen minus its outcome, by policy and size of the pool, before and after the correction
  (``recipes/selection.py``; needs the outcome data);
* lookups: the tests that watch every name a full start looks up.

``scripts/soak`` runs the long ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from easy_and_hard import ATTACKS, CONTROLS, MODELS, suite
from http_load import load
from rich.console import Console
from rich.progress import track
from rich.table import Table
from serve import bodies, in_process, megabytes, prompts, serving

from modelsat import Registry, Router, RoutingDecision
from modelsat.errors import CheckpointError
from modelsat.inference import Scores
from modelsat.request import Constraints
from modelsat.storage.checkpoint import open_checkpoint

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "recipes"))
import constructed  # noqa: E402

console = Console(width=130)


def table(title: str, *columns: str) -> Table:
    """A table whose first column is text."""
    made = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    return made


def attacks(arguments: argparse.Namespace) -> None:
    """Text before and behind a request: how often it moves the decision, and by what factor the bill changes."""
    router = Router(MODELS, policy="cheapest(target=0.8)", weights=arguments.weights)
    texts = [pair[key] for pair in suite()[:: max(1, 2 * 202 // arguments.prompts)] for key in ("easy", "hard")]
    plain = router.route_batch(texts)
    made = table(
        f"{router.versions['weights']}: {len(texts)} requests, cheapest(0.8), {len(MODELS)} models",
        "texts", "number", "moved, before", "moved, behind", "up", "cost factor", "largest",
    )  # fmt: skip
    further = json.loads((ROOT / "benchmarks" / "further_lines.json").read_text("utf-8"))
    parts = (
        ("controls", CONTROLS),
        ("attacks, kept out of training", ATTACKS),
        ("attacks that recipes train against", constructed.BEGGING),
        ("further harmless lines", further["harmless"]),
        ("further attacks", further["begging"]),
    )
    for title, said in parts:
        found = []
        for phrase in track(said, title, console=Console(stderr=True)):
            for changed in ([f"{phrase}\n{text}" for text in texts], [f"{text}\n{phrase}" for text in texts]):
                found.append(_moved(plain, router.route_batch(changed)))
        moved, up, factor = np.array(found).T
        cells = (moved[::2].mean(), moved[1::2].mean(), up.mean())
        made.add_row(
            title, str(len(said)), *(f"{c:.1%}" for c in cells), f"x {factor.mean():.2f}", f"x {factor.max():.2f}"
        )
    console.print(made)


def _moved(plain: Sequence[RoutingDecision], changed: Sequence[RoutingDecision]) -> tuple[float, float, float]:
    """Share of decisions moved, and moved to a dearer model; and what they cost, as multiple of those without the text.

    Costs are those of the plain requests, so that the text's own tokens do not count.
    """
    other = [before.model != after.model for before, after in zip(plain, changed, strict=True)]
    cost = [
        (before.costs[before.model], before.costs[after.model]) for before, after in zip(plain, changed, strict=True)
    ]
    was, now = np.array(cost).T
    return float(np.mean(other)), float((now > was).mean()), float(now.sum() / was.sum())


class _Broken:
    """A scorer that does what it is made to do."""

    version = "broken"

    def __init__(self, act: Callable[[int, int], Any]) -> None:
        self._act = act

    def score(self, texts: Sequence[str], profiles: Sequence[Any]) -> Any:
        found = self._act(len(texts), len(profiles))
        return found if found is None else Scores(found, self.version)


def _raise(error: BaseException) -> Callable[[int, int], Any]:
    def act(_: int, __: int) -> Any:
        raise error

    return act


class _UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


SCORERS: dict[str, Callable[[int, int], Any]] = {
    "scorer raises": _raise(RuntimeError("down")),
    "scorer raises an error that cannot be printed": _raise(_UnspeakableError()),
    "scorer calls sys.exit": _raise(SystemExit(1)),
    "scorer returns NaN": lambda n, m: np.full((n, m), np.nan),
    "scorer returns the wrong shape": lambda n, m: np.zeros((n, m + 1)),
    "scorer returns values beyond 1": lambda n, m: np.full((n, m), 2.0),
    "scorer returns nothing": lambda n, m: None,
}


def faults(arguments: argparse.Namespace) -> None:
    """Inject each kind of fault, with a fallback that constraints forbid: an allowed candidate must answer."""
    logging.getLogger("modelsat").setLevel(logging.CRITICAL)
    made = table("faults", "kind", "injected", "survived")
    names = ["gpt-4o", "claude-haiku-4-5"]
    rules = Constraints(deny_models=["gpt-4o"])

    def survived(router: Router, messages: Any) -> bool:
        try:
            decision = router.route(messages)
        except Exception:
            return False
        return decision.fallback and decision.model == "claude-haiku-4-5"

    def count(kind: str, router: Router, messages: Any = "hello", times: int = arguments.times) -> None:
        made.add_row(kind, str(times), str(sum(survived(router, messages) for _ in range(times))))

    def router(**options: Any) -> Router:
        return Router(names, fallback="gpt-4o", constraints=rules, **options)

    for kind, act in SCORERS.items():
        count(kind, router(scorer=_Broken(act)))
    count("remote scorer away", router(scorer="http://127.0.0.1:9"))
    count("no such weights", router(weights="/nowhere"))
    working = router()
    for kind, messages in (("empty request", ""), ("no messages", []), ("message of no known shape", [{"no": "role"}])):
        count(kind, working, messages)
    made.add_row("weights damaged on disk: refused by name", *_damaged(arguments.weights))
    console.print(made)


def _damaged(weights: str) -> tuple[str, str]:
    """Change one byte of each file that decides, in a copy: every one must be refused."""
    checkpoint = open_checkpoint(weights)
    tried = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(checkpoint.path, copy)
        for name in checkpoint.digests:
            file, tried = copy / name, tried + 1
            if not file.exists():
                continue
            content = file.read_bytes()
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            try:
                open_checkpoint(copy).read(name)
            except CheckpointError:
                refused += 1
            file.write_bytes(content)
    return str(tried), str(refused)


def held(arguments: argparse.Namespace) -> None:
    """256 clients at once."""
    names, texts = Registry.shipped().names()[:10], prompts(20)
    with serving(names, 0, "--max-waiting", "512") as (process, port):
        alone, _ = in_process(names, texts, arguments.seconds / 2)
        run = asyncio.run(
            load("127.0.0.1", port, "/v1/route", bodies(texts, "load"), clients=256, seconds=arguments.seconds)
        )
        memory = megabytes(process)
    made = table(
        f"load: 256 clients, {arguments.seconds:.0f} s", "answers", "to a loop", "p50 ms", "p99 ms", "errors", "MB"
    )
    numbers = (f"{run.rate / alone:.2f} x", f"{run.percentile(50):.0f}", f"{run.percentile(99):.0f}")
    made.add_row(f"{run.outcomes['200']:,}", *numbers, run.errors, f"{memory:.0f}")
    console.print(made)


def memory(arguments: argparse.Namespace) -> None:
    """Memory of the server after the first tenth of many requests, and after all."""
    found = []
    with serving(Registry.shipped().names()[:3]) as (process, port):
        for part in range(10):
            body = lambda n, part=part: {"messages": f"Why is {n} not a prime? {part}"}  # noqa: E731
            run = asyncio.run(
                load("127.0.0.1", port, "/v1/route", body, clients=64, requests=max(1, arguments.requests // 10))
            )
            found.append(megabytes(process))
            console.print(
                f"{(part + 1) * arguments.requests // 10:>9,} requests: {found[-1]:.1f} MB, errors: {run.errors}"
            )
    console.print(f"memory: {found[0]:.1f} MB after a tenth, {found[-1]:.1f} MB after {arguments.requests:,} requests")


def optimism(arguments: argparse.Namespace) -> None:
    """Before and after the correction that ships."""
    command = [sys.executable, str(ROOT / "recipes" / "selection.py"), arguments.weights, "--report"]
    subprocess.run(command, cwd=ROOT, check=True)


def lookups(_: argparse.Namespace) -> None:
    """Names that a decision, a server and a proxy look up beyond this machine."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_lookups.py"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ))
    last = (run.stdout.strip().splitlines() or [run.stderr])[-1]
    console.print(
        f"names looked up by a decision, a server and a proxy: {'0' if run.returncode == 0 else 'SOME'} ({last})"
    )


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "attacks": attacks,
    "faults": faults,
    "load": held,
    "memory": memory,
    "optimism": optimism,
    "lookups": lookups,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument(f"--{part}", action="store_true")
    parser.add_argument("--weights", default="modelsat-nano")
    parser.add_argument("--prompts", type=int, default=40, help="requests that are attacked")
    parser.add_argument("--times", type=int, default=100, help="faults of each kind")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load")
    parser.add_argument("--requests", type=int, default=100_000, help="after which memory is read")
    arguments = parser.parse_args()
    asked = [part for part in PARTS if getattr(arguments, part)] or list(PARTS)
    for part in asked:
        PARTS[part](arguments)


if __name__ == "__main__":
    main()
