"""What `pip install modelsat` weighs, and how soon it starts, beside `import langchain_core`.

    .venv/bin/python benchmarks/install.py [--wheel dist/modelsat-0.2.0-py3-none-any.whl] [--rounds 7]

Builds the wheel if none is given, installs it into a clean environment with langchain-core beside it, and prints

* the size on disk of what the base install brings (the environment without pip and setuptools; Python is not counted);
* the seconds of `import modelsat`, of `from modelsat import Router` (numpy and pydantic), of `Router(...)` of ten
  models after that, and of `modelsat route hi`, each as a ratio to `import langchain_core` in the same run.

Every figure is a median of fresh processes with a warm file cache, less the start of the interpreter alone (not for
`modelsat route`, which is timed from outside with it).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET_MB = 150
_TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
_MODELS = [
    *("gpt-5", "gpt-5-mini", "gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "claude-3-haiku"),
    *("gemini-2.5-pro", "gemini-2.5-flash", "Qwen2-7B-Instruct", "Meta-Llama-3.1-8B-Instruct"),
]
_TIMED = "import time; {before}; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, help="The wheel to install; built from this folder if not given.")
    parser.add_argument("--rounds", type=int, default=7, help="Fresh processes for each figure.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="Write the figures here too.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = install(given.wheel or build(Path(folder)), Path(folder) / "venv")
        size = sizes(python)
        subprocess.run([python, "-m", "pip", "install", "-qq", "langchain-core"], check=True)
        seconds = start_times(python, given.rounds)
    show(size, seconds)
    if given.json:
        given.json.write_text(json.dumps({"mb": size, "seconds": seconds}, indent=1) + "\n", "utf-8")


def build(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--wheel-dir", folder, ROOT]
    subprocess.run(command, check=True)
    return next(folder.glob("modelsat-*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, "-m", "pip", "install", "-qq", "--no-compile", wheel], check=True)
    return python


def sizes(python: Path) -> dict[str, float]:
    """MB on disk by top-level folder of site-packages, largest first; what pip brings itself is left out."""
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
    found: dict[str, float] = {}
    for path in packages.rglob("*"):
        name = path.relative_to(packages).parts[0]
        if path.is_file() and "__pycache__" not in path.parts and not name.startswith(_TOOLS):
            found[name] = found.get(name, 0.0) + path.stat().st_size / 1e6
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def start_times(python: Path, rounds: int) -> dict[str, float]:
    statements = {
        "import langchain_core": ("pass", "import langchain_core.language_models"),
        "import modelsat": ("pass", "import modelsat"),
        "import Router": ("pass", "from modelsat import Router"),
        "Router(ten models)": ("from modelsat import Router", f"Router({_MODELS!r})"),
    }
    found: dict[str, list[float]] = {name: [] for name in [*statements, "modelsat route hi"]}
    for turn in range(rounds + 1):  # in turns, so that a busy machine is busy for all; the first fills the file cache
        for name, (before, statement) in statements.items():
            command = [python, "-c", _TIMED.format(before=before, statement=statement)]
            seconds = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found[name] += [seconds] if turn else []
        began = time.perf_counter()
        command = [python.with_name("modelsat"), "route", "hi", "--models", ",".join(_MODELS[:2])]
        subprocess.run(command, check=True, capture_output=True)
        found["modelsat route hi"] += [time.perf_counter() - began] if turn else []
    return {name: statistics.median(times) for name, times in found.items()}


def show(size: dict[str, float], seconds: dict[str, float]) -> None:
    total = sum(size.values())
    print(f"base install: {total:.0f} MB on disk (target {TARGET_MB} MB)")
    for name, megabytes in list(size.items())[:8]:
        print(f"  {megabytes:6.1f} MB  {name}")
    reference = seconds["import langchain_core"]
    for name, value in seconds.items():
        print(f"{name:24} {value * 1e3:7.0f} ms  {value / reference:5.2f} x import langchain_core")


if __name__ == "__main__":
    main()
