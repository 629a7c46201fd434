"""Running a test: what is asked, what is kept, when it stops and what it says."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelsat.capability.core import core_tasks
from modelsat.errors import AptitudeError, ConfigurationError, QuestionsError
from modelsat.lab.aptitude import AptitudeTest, EndpointSubject, Limits, Prices
from modelsat.lab.aptitude.questions import core_questions
from tests.lab.aptitude.conftest import TASKS, make_test
from tests.lab.aptitude.server import ExamServer

QUICK = Limits(concurrency=4, attempts=2, longest_wait=0.01)


def test_nothing_is_asked_twice(server: ExamServer, questions: Path) -> None:
    first = make_test(server, questions).run()
    again = make_test(server, questions).run()
    assert (first.fresh, again.fresh, server.calls("half")) == (40, 0, 40)
    assert first.profile is not None
    assert again.profile is not None
    assert first.profile.digest == again.profile.digest
    assert [(s.task, s.items) for s in first.profile.statements] == [(task, 20) for task in TASKS]


def test_a_figure_has_its_count_and_interval(server: ExamServer, questions: Path) -> None:
    profile = make_test(server, questions).run().profile
    assert profile is not None
    statement = profile.statements[0]
    assert statement.accuracy == 0.5
    assert statement.interval == pytest.approx((0.2993, 0.7007))
    assert profile.settings["temperature"] == 0.0
    assert profile.version.startswith("modelsat ")


def test_a_longer_limit_asks_again_what_was_cut_off(server: ExamServer, questions: Path) -> None:
    server.say["half"] = lambda letter, text: (
        {"content": "Let me think", "finish_reason": "length"} if "1" in text[-4:] else f"Answer: {letter}"
    )
    cut = make_test(server, questions, max_tokens=16).run().problems["truncated"]
    server.say.clear()
    result = make_test(server, questions, max_tokens=4096).run()
    assert 0 < cut < 40
    assert (result.fresh, result.problems) == (cut, {})


def test_unread_replies_are_counted_and_wrong(server: ExamServer, questions: Path) -> None:
    server.say["good"] = lambda letter, text: "I cannot say." if text.endswith(("1?", "2?")) else f"Answer: {letter}"
    result = make_test(server, questions, "good").run()
    assert result.problems == {"refused": result.unread}
    assert result.asked == 40
    assert result.accuracy == pytest.approx(1 - result.unread / 40)
    assert "count as wrong" in result.warnings[0]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"content": ""}, "says nothing"),
        ({"content": "", "reasoning_content": "hmm"}, "only reasons"),
        ({"content": "It is", "finish_reason": "length"}, "--max-tokens"),
        ({"content": "Das ist eine gute Frage."}, "follows instructions"),
    ],
)
def test_a_model_that_gives_no_answers_is_stopped_early(
    server: ExamServer, questions: Path, message: dict[str, str], says: str
) -> None:
    server.say["half"] = lambda letter, text: dict(message)
    with pytest.raises(AptitudeError, match=says):
        make_test(server, questions).run()
    assert server.calls("half") < 30


def test_a_model_that_always_says_a_is_reported(server: ExamServer, questions: Path) -> None:
    server.say["good"] = lambda letter, text: "A"
    result = make_test(server, questions, "good", tasks=[*TASKS, "ori_mmlu-nutrition"]).run()
    assert any("answers are A" in warning for warning in result.warnings)


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        ((404, {}, "<html>nothing here</html>"), "web page"),
        ((200, {}, "<html>welcome</html>"), "web page"),
        ((429, {}, '{"error": {"message": "over quota", "code": "insufficient_quota"}}'), "out of credit"),
        ((400, {}, '{"error": {"message": "no such field"}}'), "does not accept"),
        ((502, {}, "<html>Bad Gateway</html>"), "HTTP 502"),
    ],
)
def test_a_server_that_fails_is_named(
    server: ExamServer, questions: Path, failure: tuple[int, dict[str, str], str], says: str
) -> None:
    server.always["half"] = failure
    with pytest.raises(AptitudeError, match=says):
        make_test(server, questions, limits=QUICK).run()


def test_a_wrong_key_and_an_unknown_model_are_named(server: ExamServer, questions: Path) -> None:
    with pytest.raises(AptitudeError, match="no such model"):
        make_test(server, questions, "nobody").run()
    server.key = "right"
    with pytest.raises(AptitudeError, match="key was refused"):
        make_test(server, questions, api_key="wrong").run()
    assert make_test(server, questions, api_key="right").run().profile is not None


def test_no_server_is_named(questions: Path) -> None:
    subject = EndpointSubject("m", "http://127.0.0.1:9/v1")
    with pytest.raises(AptitudeError, match="no connection"):
        AptitudeTest(subject, questions=questions, limits=QUICK).run()


def test_a_refused_temperature_is_left_out_and_reported(server: ExamServer, questions: Path) -> None:
    server.failures = [(400, {}, '{"error": {"message": "temperature is not supported"}}')]
    result = make_test(server, questions, limits=Limits(concurrency=1)).run()
    assert "temperature" not in server.bodies[-1]
    assert result.warnings == ("the server refuses temperature, which was left out",)


def test_blocked_questions_are_answers_of_a_kind(server: ExamServer, questions: Path) -> None:
    blocked = (400, {}, '{"error": {"message": "filtered", "code": "content_filter"}}')
    server.failures = [blocked, blocked]
    result = make_test(server, questions).run()
    assert (result.problems, result.asked) == ({"blocked": 2}, 40)


def test_a_budget_stops_it_and_more_goes_on(server: ExamServer, questions: Path) -> None:
    prices = Prices(1.0, 1000.0, "given")
    limits = Limits(concurrency=4, budget_usd=0.3)
    stopped = make_test(server, questions, prices=prices, limits=limits).run()
    assert stopped.profile is None
    assert "budget" in stopped.stopped
    assert 8 <= stopped.calls < 20
    assert stopped.cost_usd <= 0.3 + 4 * 0.021
    result = make_test(server, questions, prices=prices, limits=Limits(budget_usd=5)).run()
    assert (result.fresh, result.profile is not None) == (40 - stopped.calls, True)


def test_a_budget_needs_prices(server: ExamServer, questions: Path) -> None:
    with pytest.raises(ConfigurationError, match="--input-price"):
        make_test(server, questions, "nobody-knows-me", limits=Limits(budget_usd=1))


def test_the_plan_says_what_is_left(server: ExamServer, questions: Path) -> None:
    with make_test(server, questions, prices=Prices(1, 2, "given")) as test:
        plan = test.plan()
        assert (plan.calls, plan.known, plan.completion_tokens) == (40, 0, 40 * 300)
        assert plan.usd == pytest.approx((plan.prompt_tokens + 2 * plan.completion_tokens) / 1e6)
        test.run()
        assert (test.plan().calls, test.plan().known) == (0, 40)


def test_a_second_process_is_refused(server: ExamServer, questions: Path) -> None:
    with make_test(server, questions), pytest.raises(AptitudeError, match="another process"):
        make_test(server, questions).run()


def test_a_second_process_waits_if_told(server: ExamServer, questions: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with make_test(server, questions) as first:
            waiting = pool.submit(make_test(server, questions, wait=True).run)
            first.run()
        assert waiting.result(timeout=20).fresh == 0
    assert server.calls("half") == 40


def test_a_server_that_is_too_slow_is_named(server: ExamServer, questions: Path) -> None:
    server.latency = 0.3
    with pytest.raises(AptitudeError, match=r"got no reply .*--timeout"):
        make_test(server, questions, timeout=0.05, limits=QUICK).run()
    server.latency = 0.0
    assert make_test(server, questions).run().profile is not None


def test_a_full_disk_loses_nothing(server: ExamServer, questions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from modelsat.lab.aptitude.store import AnswerStore

    opened = AnswerStore._open

    def small(self: AnswerStore) -> sqlite3.Connection:
        connection = opened(self)
        connection.execute("PRAGMA max_page_count = 4")
        return connection

    monkeypatch.setattr(AnswerStore, "_open", small)
    server.say["half"] = lambda letter, text: "x" * 600 + f"\nAnswer: {letter}"
    with pytest.raises(AptitudeError, match=r"full.*make room"):
        make_test(server, questions, limits=Limits(concurrency=1)).run()
    monkeypatch.undo()
    kept = server.calls("half") - 1
    assert kept > 0


def test_a_damaged_store_is_named(server: ExamServer, questions: Path, tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"this is no database" * 1000)
    with pytest.raises(AptitudeError, match="damaged or no store"):
        make_test(server, questions, answers=path).run()


def test_the_circle_test_drops_lucky_guesses(server: ExamServer, questions: Path) -> None:
    server.say["good"] = lambda letter, text: "Answer: (A)"
    plain = make_test(server, questions, "good").run().accuracy
    circled = make_test(server, questions, "good", circle=3).run()
    assert circled.calls > 40
    assert plain == pytest.approx(0.1, abs=0.06)
    assert circled.accuracy == pytest.approx(0.1, abs=0.06)  # on the scale of a single question
    server.say.clear()
    knows = make_test(server, questions, "good", circle=3, fresh=True).run()
    assert knows.accuracy == 1.0


def test_question_files_are_checked(tmp_path: Path, questions: Path) -> None:
    import pyarrow.parquet as pq

    table = pq.read_table(questions)
    pq.write_table(table.drop_columns(["answer"]), tmp_path / "columns.parquet")
    pq.write_table(table.slice(3), tmp_path / "short.parquet")
    (tmp_path / "text.parquet").write_text("hello")
    for name, says in (("columns", "lacks the column answer"), ("short", "lacks 3 of"), ("text", "cannot read")):
        with pytest.raises(QuestionsError, match=says):
            core_questions(tmp_path / f"{name}.parquet", core_tasks())
    with pytest.raises(QuestionsError, match="no file"):
        core_questions(tmp_path / "missing.parquet", core_tasks())


def test_a_langchain_model_is_tested(questions: Path) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage

    model = GenericFakeChatModel(messages=(AIMessage("Answer: (A)") for _ in range(40)))
    result = AptitudeTest(model, name="fake", questions=questions, tasks=TASKS, adaptive=False).run()
    assert result.profile is not None
    assert result.profile.model == "fake"
    assert result.asked == 40


def test_adaptive_stays_below_a_third_and_says_what_it_asked(server: ExamServer, questions: Path) -> None:
    result = make_test(server, questions, "good", adaptive=True, tasks=()).run()
    assert result.mode == "adaptive"
    assert result.asked == server.calls("good") <= 333
    assert result.accuracy > 0.9
    assert result.profile is not None
    assert sum(s.items or 0 for s in result.profile.statements) == result.asked


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tasks": ["ori_mmlu-anatomi"]}, "ori_mmlu-anatomy"),
        ({"core": False, "tasks": ()}, "nothing to ask"),
        ({"target_error": 3.0}, "target error"),
        ({"circle": 0}, "circle"),
        ({"colour": 1}, "unknown setting"),
    ],
)
def test_settings_are_checked(server: ExamServer, questions: Path, options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_test(server, questions, **options)
