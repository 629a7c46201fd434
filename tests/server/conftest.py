"""A shared server over a deterministic scorer; whole files are skipped without the extra."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

pytest.importorskip("fastapi", reason='needs the extra "serve"')
pytest.importorskip("uvicorn", reason='needs the extra "serve"')
pytest.importorskip("prometheus_client", reason='needs the extra "serve"')

from tests.fakes import FakeScorer
from tests.server.servers import serving


@dataclass(frozen=True)
class Served:
    """A running server and the scorer behind it."""

    address: str
    scorer: FakeScorer


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """A server over hashed scores, shared by all tests that change nothing about it."""
    scorer = FakeScorer(version="fake@served")
    with serving(scorer, fallback=None) as address:
        yield Served(address, scorer)
