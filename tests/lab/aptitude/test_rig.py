"""The test against models that answer as logged: the profile it measures is the one that the logs give."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelsat.capability.core import core_tasks
from modelsat.capability.profile import load_profiles
from modelsat.lab.aptitude import AptitudeTest, EndpointSubject, Limits
from modelsat.lab.aptitude.adaptive import CoreModel, next_round
from tests.lab.aptitude.server import ExamServer

DATA = Path(os.environ.get("MODELSAT_DATA", "../shared/data"))
BANK = DATA / "mmlu_pro_public.parquet"
pytestmark = pytest.mark.skipif(not BANK.is_file(), reason=f"there are no logged outcomes in {DATA}")
pytest.importorskip("pandas")

MODEL = "Phi-3-mini-4k-instruct"


@pytest.fixture(scope="module")
def logged() -> dict[int, float]:
    """Outcome of every core item, as logged for a model."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(DATA / "outcomes.parquet", columns=["item_id", "model", "score"])
    table = table.filter(pc.and_(pc.equal(table["model"], MODEL), pc.starts_with(table["item_id"], "mmlu_pro/")))
    core = {item.id for task in core_tasks() for item in task.items}
    rows = zip(table["item_id"].to_pylist(), table["score"].to_pylist(), strict=True)
    return {number: score for name, score in rows if (number := int(name.rpartition("/")[2])) in core}


@pytest.fixture(scope="module")
def exam(logged: dict[int, float]) -> Iterator[ExamServer]:
    """A server whose model answers as logged, with some rate limits on the way."""
    import pyarrow.parquet as pq

    rows = [row for row in pq.read_table(BANK).to_pylist() if row["question_id"] in logged]
    bank = {
        row["question"].strip(): (tuple(row["options"]), row["options"]["ABCDEFGHIJ".index(row["answer"])])
        for row in rows
    }
    with ExamServer(bank) as server:
        server.right[MODEL] = {row["question"].strip() for row in rows if logged[row["question_id"]] > 0.5}
        server.failures = [(429, {"Retry-After": "0.01"}, "{}"), (503, {}, "{}"), (200, {}, "{}")] * 3
        yield server


def test_the_full_test_gives_the_profile_of_the_logs(exam: ExamServer, logged: dict[int, float]) -> None:
    from modelsat.lab.outcomes.profiles import profiles_from_outcomes, read_core_outcomes

    subject = EndpointSubject(MODEL, exam.url)
    limits = Limits(concurrency=8, longest_wait=0.01)
    result = AptitudeTest(subject, questions=BANK, adaptive=False, limits=limits).run()
    expected = profiles_from_outcomes(read_core_outcomes(DATA / "outcomes.parquet"), [MODEL])[0]
    assert result.profile is not None
    assert result.profile.digest == expected.digest  # same tasks, accuracies, counts
    assert sum(result.retries.values()) == 9
    assert not result.problems
    assert set(exam.asked.values()) == {1}
    assert len(exam.asked) == 1000


def test_the_adaptive_test_asks_what_it_would_on_the_logs_and_no_more_than_a_third(
    exam: ExamServer, logged: dict[int, float]
) -> None:
    exam.asked.clear()
    result = AptitudeTest(EndpointSubject(MODEL, exam.url), questions=BANK).run()
    model, answers = CoreModel(core_tasks()), {}
    posterior = model.posterior({})
    while chosen := next_round(model, posterior, list(answers), target=0.033, most=333):
        answers |= {number: logged[number] for number in chosen}
        posterior = model.posterior(answers)
    assert len(exam.asked) == len(answers) <= 333
    assert result.profile is not None
    by_task = {statement.task: statement for statement in result.profile.statements}
    assert sum(statement.items or 0 for statement in by_task.values()) == len(answers)
    full = sum(logged.values()) / len(logged)
    assert abs(result.accuracy - full) < 0.05
    asked = sum(answers.values()) / len(answers)
    assert result.error == pytest.approx(posterior.error)
    assert abs(result.accuracy - full) < abs(asked - full)  # choosing hard or easy items does not show in the figures


def test_killed_in_the_middle_it_goes_on_and_asks_nothing_twice(
    exam: ExamServer, logged: dict[int, float], tmp_path: Path
) -> None:
    exam.asked.clear()
    exam.latency = 0.02
    tasks = core_tasks()[:10]
    command = [
        *(sys.executable, "-m", "modelsat", "test", MODEL, "--api-base", exam.url, "--questions", str(BANK), "--full"),
        *("--tasks", ",".join(task.name for task in tasks), "--yes", "--concurrency", "4"),
        *("--output", str(tmp_path / "profile.json")),
    ]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while exam.calls(MODEL) < 60 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    before = exam.calls(MODEL)
    assert 60 <= before < 200
    exam.latency = 0.0
    second = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert second.returncode == 0, second.stderr
    profile = load_profiles(tmp_path / "profile.json")[0]
    for task in tasks:
        statement = next(statement for statement in profile.statements if statement.task == task.name)
        scores = [logged[item.id] for item in task.items if item.id in logged]
        assert (statement.accuracy, statement.items) == (pytest.approx(sum(scores) / len(scores)), len(scores))
    twice = [text for (_, text), count in exam.asked.items() if count > 1]
    assert len(twice) <= 4  # what was in flight when the process died
