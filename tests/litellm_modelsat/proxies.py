"""A real proxy process on the loopback interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.litellm_modelsat import scripted
from tests.snippets import MASTER_KEY

START_S = 300
"""A proxy takes ten seconds to start; a machine that is busy with other things, minutes."""
SOURCE = Path(__file__).parents[2] / "src"


class Proxy:
    """A proxy; a context manager.

    Args:
        folder: Where its configuration and its log go.
        configuration: What the configuration file says.
        command: Start ``litellm-modelsat`` in place of ``litellm``.
        options: Further options.
        variables: Further environment variables.
    """

    def __init__(
        self,
        folder: Path,
        configuration: dict[str, Any],
        *,
        command: bool = False,
        options: Any = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._environment = {**environment(folder), **(variables or {})}
        self.port = free_port()
        self.file = folder / "config.yaml"
        self.file.write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")
        self.log = folder / "proxy.log"
        (folder / "scripted_scorer.py").write_text(scripted.SCORER, "utf-8")
        (folder / "scripted_keys.py").write_text(scripted.AUTHENTICATION.replace("MASTER", MASTER_KEY), "utf-8")
        (folder / "scripted_payloads.py").write_text(scripted.PAYLOADS, "utf-8")
        module = "from litellm_modelsat.command import main" if command else "from litellm import run_server as main"
        self._arguments = [sys.executable, "-c", f"{module}; main()", "--config", str(self.file)]
        self._arguments += ["--port", str(self.port), "--host", "127.0.0.1", *options]
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Proxy:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self._arguments, stdout=log, stderr=subprocess.STDOUT, env=self._environment, cwd=self.folder
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.client.get("/health/liveliness").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        self.client.close()
        self.stop()
        raise RuntimeError(f"the proxy did not start, status {self.process.returncode}:\n{self.text[-4000:]}")

    def __exit__(self, *exc: object) -> None:
        self.client.close()
        self.stop()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self, patience_s: float = 20) -> int:
        """SIGTERM, and the exit status; SIGKILL for one that does not stop."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    @property
    def text(self) -> str:
        """What it has written to its log."""
        return self.log.read_text("utf-8", "replace")

    def post(self, path: str, body: Any, key: str = MASTER_KEY, **headers: str) -> httpx.Response:
        """One request."""
        return self.client.post(path, json=body, headers={"Authorization": f"Bearer {key}", **headers})

    def chat(self, model: str, content: Any, key: str = MASTER_KEY, **body: Any) -> httpx.Response:
        """One chat completion of one user turn, or of a list of messages."""
        plain = isinstance(content, list) and content and "role" in content[0]
        messages = content if plain else [{"role": "user", "content": content}]
        return self.post("/v1/chat/completions", {"model": model, "messages": messages, **body}, key)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric on ``/metrics``, summed over all label sets that hold ``labels``; 0 without any."""
        text = self.client.get("/metrics/", headers={"Authorization": f"Bearer {MASTER_KEY}"}).text
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = [line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} "))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if all(part in line for part in wanted))

    def decisions(self, patience_s: float = 15, **fields: str) -> list[dict[str, Any]]:
        """The lines of decisions in the log that have these fields, once there is one: lines come a moment later."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            lines = [line for line in self.text.splitlines() if '"event": "modelsat.' in line and line.endswith("}")]
            found = [json.loads(line[line.index('{"event"') :]) for line in lines]
            if fitting := [line for line in found if fields.items() <= line.items()]:
                return fitting
            time.sleep(0.05)
        raise AssertionError(f"no decision with {fields} reached the log")

    def payloads(self) -> list[dict[str, Any]]:
        """What LiteLLM handed to its logging callbacks."""
        file = self.folder / "payloads.jsonl"
        return [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []


def environment(folder: Path) -> dict[str, str]:
    """An environment without network and without the user's own settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LITELLM_", "OPENAI_", "MODELSAT_"))}
    cache = {
        "MODELSAT_CACHE_DIR": str(folder / "cache"),
        "XDG_CACHE_HOME": str(folder / "xdg"),
        "MODELSAT_THREADS": "1",
    }
    path = os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**kept, **cache, "PYTHONPATH": path, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "COLUMNS": "200"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
