"""A PostgreSQL for LiteLLM's proxy, and Prisma's engine out of npm packages: see ``scripts/litellm-services``."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.litellm_modelsat.proxies import free_port

PRISMA = Path(sys.prefix) / "prisma"
ENGINE = Path(__file__).with_name("prisma_engine.js")


def missing() -> str | None:
    """What a proxy with a database lacks here; ``None`` if everything is there."""
    if _binary("initdb") is None:
        return "PostgreSQL is not installed: scripts/litellm-services installs it"
    modules = PRISMA / "node_modules" / "@prisma" / "client"
    if shutil.which("node") is None or not modules.is_dir() or importlib.util.find_spec("prisma") is None:
        return "Prisma's client and engine are not installed: scripts/litellm-services installs them"
    package = importlib.util.find_spec("prisma")
    if package is None or package.origin is None or not Path(package.origin).with_name("client.py").is_file():
        return "Prisma's client was not generated: scripts/litellm-services does it"
    return None


class Database:
    """A cluster in a folder of its own, on the loopback interface, with LiteLLM's tables; a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="modelsat-postgres-", ignore_cleanup_errors=True)
        self._data = Path(self._folder.name) / "data"
        self._port = free_port()
        self._user = None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root.
            self._user = pwd.getpwnam("postgres")

    @property
    def url(self) -> str:
        """The address for LiteLLM."""
        return f"postgresql://litellm@127.0.0.1:{self._port}/litellm"

    @property
    def variables(self) -> dict[str, str]:
        """The environment that LiteLLM's proxy and Prisma's client need."""
        return {
            "DATABASE_URL": self.url,
            "DISABLE_SCHEMA_UPDATE": "true",  # The tables are there: Prisma's migration engine is a download.
            "PRISMA_QUERY_ENGINE_BINARY": str(ENGINE),
            "PRISMA_SCHEMA_ENGINE_BINARY": shutil.which("true") or "",
            "PRISMA_BINARY_CACHE_DIR": str(PRISMA),
            "NODE_PATH": str(PRISMA / "node_modules"),
            "LITELLM_SALT_KEY": "sk-salt-of-the-tests",
        }

    def __enter__(self) -> Database:
        if self._user is not None:
            os.chown(self._folder.name, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-U", "litellm", "-A", "trust", "--no-sync", "-E", "UTF8", "-D", str(self._data))
        options = f"-c listen_addresses=127.0.0.1 -p {self._port} -c unix_socket_directories='' -c fsync=off"
        self._control("start", "-w", "-l", str(self._data / "log"), "-o", options)
        try:
            self.query("CREATE DATABASE litellm", database="postgres")
            extras = importlib.util.find_spec("litellm_proxy_extras")
            assert extras is not None
            assert extras.origin is not None
            for file in sorted(Path(extras.origin).parent.glob("migrations/*/migration.sql")):
                self.query(file.read_text("utf-8"))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._control("stop", "-m", "immediate")
        self._folder.cleanup()

    def query(self, statement: str, database: str = "litellm") -> list[tuple[Any, ...]]:
        """Rows of a statement; those of the last, if there are several."""
        import psycopg

        address = f"{self.url.rpartition('/')[0]}/{database}"
        with psycopg.connect(address, autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _control(self, action: str, *options: str) -> None:
        self._run("pg_ctl", action, "-D", str(self._data), *options)

    def _run(self, name: str, *arguments: str) -> None:
        who: dict[str, Any] = {}
        if self._user is not None:
            who = {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        command = [str(_binary(name)), *arguments]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/", timeout=120, **who
        )
        assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}"


def _binary(name: str) -> str | None:
    """A program of PostgreSQL; Debian keeps them out of PATH, by version."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return str(installed[-1]) if installed else shutil.which(name)
