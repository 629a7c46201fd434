"""A PostgreSQL for LiteLLM's proxy, and Prisma's engine out of npm packages: see ``scripts/litellm-services``."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from typing_extensions import Self

from tests.postgres import MISSING, PostgreSQL, binary

PRISMA = Path(sys.prefix) / "prisma"
ENGINE = Path(__file__).with_name("prisma_engine.js")


def missing() -> str | None:
    """What a proxy with a database lacks here; ``None`` if everything is there."""
    if binary("initdb") is None:
        return MISSING
    modules = PRISMA / "node_modules" / "@prisma" / "client"
    if shutil.which("node") is None or not modules.is_dir() or importlib.util.find_spec("prisma") is None:
        return "Prisma's client and engine are not installed: scripts/litellm-services installs them"
    package = importlib.util.find_spec("prisma")
    if package is None or package.origin is None or not Path(package.origin).with_name("client.py").is_file():
        return "Prisma's client was not generated: scripts/litellm-services does it"
    return None


class Database(PostgreSQL):
    """A PostgreSQL with LiteLLM's tables; a context manager."""

    def __init__(self) -> None:
        super().__init__("litellm")

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

    def __enter__(self) -> Self:
        super().__enter__()
        try:
            extras = importlib.util.find_spec("litellm_proxy_extras")
            assert extras is not None
            assert extras.origin is not None
            for file in sorted(Path(extras.origin).parent.glob("migrations/*/migration.sql")):
                self.query(file.read_text("utf-8"))
        except BaseException:
            self.__exit__()
            raise
        return self
