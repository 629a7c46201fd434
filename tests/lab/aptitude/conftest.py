"""A small bank of questions in the columns of the data set, and the scripted server that knows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modelsat.capability.core import core_tasks
from modelsat.lab.aptitude import AptitudeTest, EndpointSubject, Limits
from tests.lab.aptitude.server import ExamServer

TASKS = ("ori_mmlu-anatomy", "stemez-Optics")


def made_up(number: int) -> tuple[str, list[str], str]:
    """Text, options and right letter of a made-up question."""
    options = [f"value {number}-{place}" for place in range(10)]
    return f"Which value belongs to item {number}?", options, "ABCDEFGHIJ"[number % 10]


@pytest.fixture(scope="session")
def bank() -> dict[str, tuple[tuple[str, ...], str]]:
    """Options and text of the right option by question."""
    found = {}
    for task in core_tasks():
        for item in task.items:
            text, options, letter = made_up(item.id)
            found[text] = (tuple(options), options["ABCDEFGHIJ".index(letter)])
    return found


@pytest.fixture(scope="session")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up questions under the ids of all core items."""
    ids = [item.id for task in core_tasks() for item in task.items]
    rows = [made_up(number) for number in ids]
    table = pa.table(
        {
            "question_id": ids,
            "question": [row[0] for row in rows],
            "options": [row[1] for row in rows],
            "answer": [row[2] for row in rows],
        }
    )
    path = tmp_path_factory.mktemp("questions") / "questions.parquet"
    pq.write_table(table, path)
    return path


@pytest.fixture(scope="session")
def running(bank: dict[str, tuple[tuple[str, ...], str]]) -> Iterator[ExamServer]:
    with ExamServer(bank) as server:
        yield server


@pytest.fixture
def server(running: ExamServer, monkeypatch: pytest.MonkeyPatch) -> ExamServer:
    """The server with one model, ``half``, that answers every other question rightly."""
    texts = list(running.bank)
    running.right = {"half": set(texts[::2]), "good": set(texts), "poor": set()}
    running.say, running.failures, running.always = {}, [], {}
    running.key, running.latency = "", 0.0
    running.asked.clear()
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    return running


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tests out of the user's answers and profiles."""
    monkeypatch.setenv("MODELSAT_ANSWERS", str(tmp_path / "answers"))
    monkeypatch.setenv("MODELSAT_PROFILES", str(tmp_path / "profiles"))


def make_test(server: ExamServer, questions: Path, model: str = "half", **options: object) -> AptitudeTest:
    """A full test of two tasks, forty questions, without waiting between tries."""
    subject = EndpointSubject(
        model,
        server.url,
        timeout=float(str(options.pop("timeout", 20.0))),
        api_key=options.pop("api_key", None),  # type: ignore[arg-type]
        max_tokens=int(str(options.pop("max_tokens", 4096))),
    )
    limits = options.pop("limits", None) or Limits(concurrency=4, longest_wait=0.01)
    fields: dict[str, object] = {"questions": questions, "tasks": TASKS, "adaptive": False, "limits": limits}
    return AptitudeTest(subject, **{**fields, **options})  # type: ignore[arg-type]
