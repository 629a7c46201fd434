"""Run a benchmark, or any Python program, as on a processor that has AVX2 and nothing wider, at full speed.

    python benchmarks/agreement.py --prompts 200 --dump wide.npz
    python benchmarks/avx2.py benchmarks/agreement.py --prompts 200 --against wide.npz
    python benchmarks/avx2.py benchmarks/route.py

Linux on an Intel processor (Ivy Bridge or later) and a C compiler. Elsewhere ``qemu-x86_64 -cpu max`` (qemu-user 7.2 or
later) emulates AVX2 without AVX-512, about ten thousand times slower.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

CANNOT = 2
"""Exit code where a process cannot be kept from wider vectors."""
CHECK = "import sys; sys.path.insert(0, sys.argv[1]); from speed import machine; print(machine.vectors())"


def cannot(why: str) -> NoReturn:
    """Say why, and end with a code of its own."""
    print(why, file=sys.stderr)
    sys.exit(CANNOT)


def build(folder: Path) -> Path:
    """Compile the library that hides wider vectors."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if platform.system() != "Linux" or platform.machine() != "x86_64" or compiler is None:
        cannot("this needs Linux on x86-64 and a C compiler (cc)")
    library = folder / "avx2.so"
    source = Path(__file__).with_suffix(".c")
    subprocess.run([compiler, "-O2", "-Wall", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return library


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "LD_PRELOAD": str(build(Path(folder)))}
        check = [sys.executable, "-c", CHECK, str(Path(__file__).parent)]
        seen = subprocess.run(check, env=environment, stdout=subprocess.PIPE, text=True)
        if seen.returncode:  # the library said why
            return CANNOT
        if seen.stdout.strip() != "AVX2":
            cannot(f"this processor has {seen.stdout.strip()}: AVX2 cannot be tested here")
        return subprocess.run([sys.executable, *sys.argv[1:]], env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
