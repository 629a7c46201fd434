#!/usr/bin/env bash
# jupyter_client 8.10.0 and its kernels: transport="ipc" works only where the kernel starts in the caller's own folder.
#
# A kernel manager with transport="ipc" names its sockets "NAME-1" ... without a folder. Manager and kernel each resolve that against
# their own current folder, so a kernel that is started with cwd=... (as nbclient does for resources={"metadata": {"path": ...}}) listens
# elsewhere: it runs, and no client ever hears of it. Nothing is said until "Kernel didn't respond in 60 seconds".
#
# Expected: a kernel that runs answers, in whatever folder it was started. Seen (2026-12-01, Python 3.11): it does not. An
# absolute path as ip= makes it work.
#
# Usage: findings/jupyter-ipc-folder.sh   (needs python3 with venv, and a package index)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "jupyter_client==8.10.0" "ipykernel==7.4.0"
cd "$folder"
mkdir elsewhere
cat >try.py <<'PYTHON'
import sys
from pathlib import Path

from jupyter_client import KernelManager


def answers(cwd, **options):
    manager = KernelManager(kernel_name="python3", transport="ipc", **options)
    manager.start_kernel(cwd=cwd)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=20)
        return True
    except RuntimeError:
        return False
    finally:
        alive = manager.is_alive()
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        print(f"cwd={cwd} {options}: kernel runs: {alive}", file=sys.stderr)


here, there = str(Path.cwd()), str(Path("elsewhere").resolve())
seen = [answers(here), answers(there), answers(there, ip=str(Path("sockets").resolve()))]
print(seen)
assert seen == [True, False, True], seen
PYTHON
PYDEVD_DISABLE_FILE_VALIDATION=1 "$folder/venv/bin/python" try.py
echo "as described"
