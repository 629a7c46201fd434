"""Stores of every kind, a router with feedback, and records to put into them."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from modelsat.feedback import DecisionRecord, Feedback, FeedbackRecord, FeedbackStore, Observation, open_store
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile

MakeRouter = Callable[..., Router]


def decision(identifier: str = "d1", model: str = "strong", p: float = 0.8, **fields: object) -> DecisionRecord:
    """A decision between two models."""
    return DecisionRecord(identifier, 1.0, model, p, {model: p, "other": 0.3}, **fields)  # type: ignore[arg-type]


def observation(score: float, outcome: float, *, model: str = "m", time: float = 0.0, **field: float) -> Observation:
    """Feedback on a decision of one candidate; the keyword arguments are the prompt's fields."""
    record = DecisionRecord("d", time, model, score, {model: score}, field)
    return Observation("1", record, FeedbackRecord("d", outcome, time=time))


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server of the tests' own."""
    pytest.importorskip("redis")
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    server = subprocess.Popen(
        [program, "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FeedbackStore]:
    """An empty store of each kind."""
    if request.param == "sqlite":
        made = open_store(tmp_path / "feedback.sqlite")
    else:
        from modelsat.feedback.redis import RedisStore

        made = RedisStore(request.getfixturevalue("redis_url"), prefix=uuid4().hex)
    yield made
    made.close()


@pytest.fixture
def router(tmp_path: Path) -> Iterator[MakeRouter]:
    """Make routers between ``weak`` (0.3), ``middling`` (0.6) and ``strong`` (0.9) that are closed afterwards."""
    loops: list[Feedback] = []

    def make(feedback: object = None, **options: object) -> Router:
        loop = feedback
        if not isinstance(feedback, Feedback):
            settings = {key: options.pop(key) for key in ("explore", "seed", "keep_prompts") if key in options}
            loop = Feedback(feedback or tmp_path / "feedback.sqlite", refresh_s=0.02, wait_s=5.0, **settings)
        loops.append(loop)
        candidates = [make_profile("weak", 0.3), make_profile("middling", 0.6), make_profile("strong", 0.9)]
        options.setdefault("scorer", FakeScorer({0.9: 0.9, 0.6: 0.6, 0.3: 0.3}))
        return Router(candidates, feedback=loop, **options)

    yield make
    for loop in loops:
        loop.close()
