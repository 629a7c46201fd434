"""The notebooks of the docs, executed on a loopback provider, in an empty folder, with the weights that ship."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient

from tests.openai_server import OpenAIServer

FOLDER = Path(__file__).parents[1] / "docs/notebooks"
_KERNEL = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}


def variables(folder: Path, url: str) -> Mapping[str, str]:
    """What a notebook's process sees: keys that are good for the loopback provider alone, and folders of its own."""
    kernels = folder / "jupyter/kernels/python3"
    kernels.mkdir(parents=True)
    (kernels / "kernel.json").write_text(json.dumps({**_KERNEL, "display_name": "Python 3"}), "utf-8")
    keys = {"OPENAI_API_KEY": "none", "OPENAI_API_BASE": url, "OPENAI_BASE_URL": url}
    own = {"MODELSAT_CACHE_DIR": "cache", "MODELSAT_PROFILES": "profiles", "MODELSAT_ANSWERS": "answers.sqlite"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    paths = {name: str(folder / value) for name, value in own.items()}
    quiet = {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "COLUMNS": "100", "TERM": "dumb", "PATH": path}
    return {**keys, **paths, **quiet, "JUPYTER_PATH": str(folder / "jupyter"), "IPYTHONDIR": str(folder / "ipython")}


def execute(path: Path) -> Any:
    """The notebook with its output.

    Raises:
        nbclient.exceptions.CellExecutionError: A cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as name, OpenAIServer() as server:
        folder = Path(name)
        (folder / "empty").mkdir()
        server.answers["house-8b"] = "The answer is billing."
        with mock.patch.dict(os.environ, variables(folder, server.url)):
            manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=str(folder / "ipc"))
            place = {"metadata": {"path": str(folder / "empty")}}
            done = NotebookClient(notebook, km=manager, timeout=300, resources=place).execute(cleanup_kc=True)
    return nbformat.reads(nbformat.writes(done).replace(f"{folder}/", "~/"), as_version=4)


def tidied(notebook: Any) -> Any:
    """The notebook without what differs from run to run: times, counters, what went to stderr, the port."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.execution_count = None
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    return notebook
