"""A PostgreSQL of its own for a test, on the loopback interface, where Debian's package is installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from typing_extensions import Self

MISSING = "PostgreSQL is not installed: scripts/litellm-services installs it"


def binary(name: str) -> str | None:
    """A program of PostgreSQL; Debian keeps them out of PATH, by version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(installed[-1]) if installed else shutil.which(name)


class PostgreSQL:
    """A cluster in a folder of its own, with one empty database; a context manager.

    Args:
        name: The database, and its owner.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="modelsat-postgres-", ignore_cleanup_errors=True)
        self._data = Path(self._folder.name) / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        self._user = None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root.
            import pwd  # there is none on Windows

            self._user = pwd.getpwnam("postgres")

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://{self.name}@127.0.0.1:{self._port}/{self.name}"

    def __enter__(self) -> Self:
        if self._user is not None:
            os.chown(self._folder.name, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-U", self.name, "-A", "trust", "--no-sync", "-E", "UTF8", "-D", str(self._data))
        options = f"-c listen_addresses=127.0.0.1 -p {self._port} -c unix_socket_directories='' -c fsync=off"
        self._control("start", "-w", "-l", str(self._data / "log"), "-o", options)
        self.query(f"CREATE DATABASE {self.name}", database="postgres")
        return self

    def __exit__(self, *exc: object) -> None:
        self._control("stop", "-m", "immediate")
        self._folder.cleanup()

    def query(self, statement: str, database: str | None = None) -> list[tuple[Any, ...]]:
        """Rows of a statement; those of the last, if there are several."""
        import psycopg

        address = f"{self.url.rpartition('/')[0]}/{database or self.name}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _control(self, action: str, *options: str) -> None:
        self._run("pg_ctl", action, "-D", str(self._data), *options)

    def _run(self, name: str, *arguments: str) -> None:
        who: dict[str, Any] = {}
        if self._user is not None:
            who = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        command = [str(binary(name)), *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", timeout=120, **who
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}"
