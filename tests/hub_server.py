"""A small server that speaks the Hub's HTTP interface, as far as huggingface_hub needs it to read and to commit.

Repositories live in memory. Large files are stored as on the Hub: behind a redirect to another address, with ETag,
size and range requests. Faults are scripted: statuses, cut connections, wrong bytes. Xet is never announced.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.hub_handler import LARGE, Handler, Server

__all__ = ["LARGE", "FakeHub", "Fault", "Repository", "hub", "running_hub"]


@dataclass
class Repository:
    """Commits and names of one repository."""

    name: str = ""
    gated: bool = False
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Mapping[str, bytes | None], branch: str = "main") -> str:
        """Add files (``None`` removes one) to a branch; returns the commit's hash."""
        parent = self.names.get(branch) or self.names.get("main", "")
        content = {**self.commits.get(parent, {}), **files}
        kept = {path: data for path, data in sorted(content.items()) if data is not None}
        described = repr((parent, [(path, hashlib.sha1(data).hexdigest()) for path, data in kept.items()]))
        oid = hashlib.sha1(described.encode()).hexdigest()
        self.commits[oid] = kept
        self.names[branch] = oid
        return oid

    def find(self, revision: str) -> str | None:
        """The commit that a revision stands for."""
        return self.names.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Fault:
    """What goes wrong with requests whose "METHOD /path" matches.

    Attributes:
        pattern: Regular expression, searched for.
        times: How often; then requests are answered again.
        status: Answer with this status.
        headers: Further headers of that answer.
        cut: Send so many bytes of the body, then close the connection.
        wrong: Change the body's last byte.
    """

    pattern: str
    times: int = 10**9
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    wrong: bool = False


class FakeHub:
    """The server's state; ``url`` is its address."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.moved: dict[str, str] = {}
        self.blobs: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.ranges: list[str] = []
        self.agents: set[str] = set()
        self.url = ""
        self._lock = threading.Lock()

    @property
    def storage(self) -> str:
        """Where large files lie: another host to the client, which must not send its token there."""
        return self.url.replace("127.0.0.1", "localhost")

    def reset(self) -> None:
        """Forget everything but the address."""
        url = self.url
        self.__init__()  # type: ignore[misc]
        self.url = url

    def repository(
        self, repo: str, files: Mapping[str, bytes] | None = None, kind: str = "model", **options: bool
    ) -> str:
        """Make a repository with one commit; returns the commit's hash."""
        made = self.repositories[kind, repo] = Repository(repo, **options)
        return made.commit(files or {".gitattributes": b"*.safetensors filter=lfs\n"})

    def files(self, repo: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a repository."""
        found = self.repositories[kind, repo]
        return found.commits[found.find(revision) or ""]

    def fault(self, request: str) -> Fault | None:
        """The fault that is due for a request, counted down."""
        with self._lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, request):
                    fault.times -= 1
                    return fault
        return None

    def count(self, pattern: str) -> int:
        """Requests so far that match."""
        return sum(re.search(pattern, request) is not None for request in self.requests)


@pytest.fixture(scope="session")
def _running_hub() -> Iterator[FakeHub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(_running_hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    """An empty hub that the real client asks, with a cache of the test's own, no token and no waiting."""
    from huggingface_hub import constants

    _running_hub.reset()
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", _running_hub.url)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr("modelsat.storage.hub.WAIT_S", 0.0)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return _running_hub


@contextmanager
def running_hub() -> Iterator[FakeHub]:
    """A hub on a free port of the loopback device."""
    hub = FakeHub()
    server = Server(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
