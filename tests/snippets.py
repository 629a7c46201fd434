"""The snippets of a Markdown page, run as a reader would: files are written, commands run, servers started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

MASTER_KEY = "sk-9d41f6a2c87be305"
_BLOCK = re.compile(r'^( *)```(\w+)(?: title="(.*?)")?\n(.*?)^\1```$', re.DOTALL | re.MULTILINE)
_SET_UP = re.compile(r"^(pip|python -m venv|claude$)", re.MULTILINE)
_SERVER = re.compile(r"^(modelsat serve|litellm-modelsat) .*--port (\d+)$", re.MULTILINE)
_READERS: dict[str, Callable[[str], Any]] = {"json": json.loads, "yaml": yaml.safe_load}
if sys.version_info >= (3, 11):
    import tomllib

    _READERS["toml"] = tomllib.loads


class Block(NamedTuple):
    """One fenced block: its language, the file that its title names, its text."""

    language: str
    title: str
    text: str


def blocks(page: Path, language: str | None = None) -> list[Block]:
    """The fenced blocks of a page, of one language or of all."""
    found = _BLOCK.findall(page.read_text("utf-8"))
    return [Block(kind, title, textwrap.dedent(text)) for _, kind, title, text in found if language in (None, kind)]


def texts(page: Path, language: str) -> list[str]:
    """The text of a page's blocks of one language."""
    return [block.text for block in blocks(page, language)]


def newcomer(folder: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> dict[str, str]:
    """Make an empty folder the current one, and give keys that are good for the provider at ``url`` alone."""
    keys = dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY"), "none")
    names = {**keys, "OPENAI_API_BASE": url, "OPENAI_BASE_URL": url, "LITELLM_MASTER_KEY": MASTER_KEY}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    return names


def run_page(
    page: Path, folder: Path, environment: Mapping[str, str], *, running: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Run every block of a page, in order; only what sets an environment up is left out.

    Args:
        page: The page.
        folder: Where it runs, the current folder of this process.
        environment: Variables of its commands, which its own ``export`` lines do not replace.
        running: Ports of servers that run already, by the port that the page names; others are started.

    Returns:
        What its Python snippets have defined, and under ``"said"`` what its commands wrote. A snippet that is a file
        stands alone; another one goes on where the last ended.
    """
    found: dict[str, Any] = {"__name__": "page", "said": ""}
    ports = {named: str(port) for named, port in (running or {}).items()}
    from tests.server.servers import free_port  # needs the extra serve, which pages without a server do not

    exports = re.compile(rf"^export ({'|'.join(environment)})=.*\n", re.MULTILINE)
    with ExitStack() as servers:
        for block in blocks(page):
            text = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda port: ports.get(port[0], port[0]), block.text)
            if block.title and not block.title.startswith("~"):
                (folder / block.title).write_text(text, "utf-8")
            if block.language == "python":
                names = {"__name__": block.title} if block.title else found
                exec(compile(text, f"{page.name}: {block.title}", "exec"), names)
                found |= names
            elif block.language != "sh":
                assert _READERS.get(block.language, str)(text)
            elif server := _SERVER.search(text):
                if server[2] not in ports:
                    port = ports[server[2]] = str(free_port())
                    path = "/readyz" if server[1] == "modelsat serve" else "/health/liveliness"
                    command = exports.sub("", text).replace(f"--port {server[2]}", f"--port {port}")
                    servers.enter_context(_served(command, folder, environment, f"http://127.0.0.1:{port}", path))
            elif not _SET_UP.search(text):
                found["said"] += _said(exports.sub("", text), folder, environment)
    return found


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "COLUMNS": "120", **environment}


def _said(text: str, folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=_variables(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{text}\n{done.stdout}"
    return done.stdout


@contextmanager
def _served(text: str, folder: Path, environment: Mapping[str, str], address: str, path: str) -> Iterator[None]:
    from tests.server.servers import wait_until_ready

    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-euc", text],
            cwd=folder,
            env=_variables(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_ready(address, 300, path)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)
