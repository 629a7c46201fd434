"""Suites of one's own: reading them, and checking replies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("yaml")

from modelsat.errors import AptitudeError, QuestionsError
from modelsat.lab.aptitude.checkers import (
    ExactChecker,
    FunctionChecker,
    JudgeChecker,
    NumericChecker,
    RegexChecker,
)
from modelsat.lab.aptitude.questions import Question
from modelsat.lab.aptitude.replies import Reply
from modelsat.lab.aptitude.suite import read_suite
from tests.lab.aptitude.conftest import make_test
from tests.lab.aptitude.server import ExamServer

SUITE = """
name: support
tasks:
  - name: ticket triage
    keywords: [support tickets, urgency, routing, customers, triage]
    questions:
      - question: Which queue?
        options: [billing, technical, sales]
        answer: technical
      - {question: "What is 2 + 2?", answer: 4, checker: {type: numeric}}
      - {question: Name the currency of Japan., answer: [yen, JPY]}
      - {question: Write a date., checker: {type: regex, pattern: "[0-9]{4}-[0-9]{2}-[0-9]{2}"}}
      - {question: Say json., checker: {type: function, function: "tests.lab.aptitude.graders:long_enough"}}
"""


@pytest.fixture(autouse=True)
def _graders_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))


def question(answer: str = "") -> Question:
    return Question("q", "task", "text", (), answer, ExactChecker((answer,)))


def test_a_suite_is_read(tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    suite = read_suite(path)
    assert [q.id for q in suite.questions] == [f"support/ticket triage/{n}" for n in range(1, 6)]
    assert suite.questions[0].answer == "B"
    assert suite.descriptions == {"ticket triage": "support tickets, urgency, routing, customers, triage"}
    assert suite.functions == ("tests.lab.aptitude.graders:long_enough",)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("answer: technical", "answer: marketing"), "letter or the text of one option"),
        (("answer: 4", "answer: four"), "must be a number"),
        (("tests.lab.aptitude.graders:long_enough", "no_such_module_here:check"), "PYTHONPATH"),
        (("tests.lab.aptitude.graders:long_enough", "os.system('x')"), "package.module:function"),
        (("tests.lab.aptitude.graders:long_enough", "builtins:len"), "the standard library is not searched"),
        (("tests.lab.aptitude.graders:long_enough", "json.decoder:scanstring"), "the standard library is not searched"),
        (("[0-9]{4}-", "[0-9{4}-("), "not a regular expression"),
        (("type: numeric", "type: magic"), "checker"),
        (("name: support", "nam: support"), "name"),
        (("answer: [yen, JPY]", "answer: yes"), "quotes"),
    ],
)
def test_a_bad_suite_is_named(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace(*change))
    with pytest.raises(QuestionsError, match=re.escape(says)):
        read_suite(path)


def test_a_suite_stands_beside_the_core_tasks(server: ExamServer, questions: Path, tmp_path: Path) -> None:
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE)
    server.bank["Which queue?"] = (("billing", "technical", "sales"), "technical")
    server.right["half"] |= {"Which queue?"}
    result = make_test(server, questions, suite=path).run()
    del server.bank["Which queue?"]
    assert result.profile is not None
    own = result.profile.statements[-1]
    assert (own.task, own.items, own.accuracy) == ("ticket triage", 5, 0.2)
    assert len(result.tasks) == 3


@pytest.mark.parametrize(
    ("said", "right"),
    [("Answer: 3.14", 1), ("so x = 3,140/1000", 1), ("It is 314%.", 1), ("Answer: 3.2", 0), ("\\boxed{3.14}", 1)],
)
def test_numbers_are_read_as_people_write_them(said: str, right: int) -> None:
    assert NumericChecker(3.14).check(question(), Reply(said)).score == right


def test_exact_and_regex() -> None:
    assert ExactChecker(("New York",)).check(question(), Reply("Hm.\nAnswer: **new  york.**")).score == 1
    assert ExactChecker(("New York",), case_sensitive=True).check(question(), Reply("new york")).score == 0
    assert RegexChecker(re.compile(r"\bv\d+\b")).check(question(), Reply("use v2 of it")).score == 1
    assert RegexChecker(re.compile(r"v\d+"), whole=True).check(question(), Reply("use v2 of it")).score == 0
    verdict = ExactChecker(("x",)).check(question(), Reply("<think>x</think>"))
    assert (verdict.score, verdict.problem) == (0, "only reasoning")


def test_a_function_decides_and_its_mistakes_are_named() -> None:
    graded = FunctionChecker(lambda: lambda said, fields: len(said) / 10, "mine:grade", {"id": "q"})
    assert graded.check(question(), Reply("12345")).score == 0.5
    with pytest.raises(AptitudeError, match=r"mine:grade gives 2"):
        graded.check(question(), Reply("x" * 20))
    with pytest.raises(AptitudeError, match=r"mine:grade fails"):
        FunctionChecker(lambda: lambda said, fields: 1 / 0, "mine:grade", {}).check(question(), Reply("x"))


def test_a_module_is_imported_when_the_test_starts_and_not_while_the_suite_is_read(tmp_path: Path) -> None:
    path, module = tmp_path / "suite.yaml", tmp_path / "beside_the_suite.py"
    path.write_text(SUITE.replace("tests.lab.aptitude.graders:long_enough", "beside_the_suite:grade"))
    touch = f"import pathlib\npathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
    module.write_text(f"{touch}def grade(said, question):\n    return 1\n")
    suite = read_suite(path)
    assert not (tmp_path / "imported").exists()
    suite.prepare()
    assert (tmp_path / "imported").exists()
    assert suite.questions[-1].checker.check(question(), Reply("x")).score == 1.0


def test_a_module_of_the_working_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "in_the_way.py").write_text("def grade(said, question):\n    return 1\n")
    monkeypatch.chdir(elsewhere)
    monkeypatch.syspath_prepend(str(elsewhere))
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.replace("tests.lab.aptitude.graders:long_enough", "in_the_way:grade"))
    with pytest.raises(QuestionsError, match="no module in_the_way beside the suite"):
        read_suite(path)


class Judge:
    """Gives scripted verdicts."""

    name, endpoint, max_tokens = "judge", "", None

    def __init__(self, *said: str) -> None:
        self.said = list(said)

    def ask(self, messages: object) -> Reply:
        return Reply(self.said.pop(0), cost_usd=0.5)

    def settings(self) -> dict[str, str]:
        return {}


def test_a_judge_decides_and_costs() -> None:
    verdict = JudgeChecker(Judge("well", "Fine.\nScore: 0.5"), "be polite").check(question(), Reply("Hello"))
    assert (verdict.score, verdict.cost_usd) == (0.5, 1.0)
    with pytest.raises(AptitudeError, match="gives no score"):
        JudgeChecker(Judge("well", "no"), "be polite").check(question(), Reply("Hello"))


def beside(folder: Path, module: str, content: str) -> Path:
    """A suite in a new folder, with a module of this content that grades its replies."""
    folder.mkdir()
    (folder / "suite.yaml").write_text(SUITE.replace("tests.lab.aptitude.graders:long_enough", f"{module}:grade"))
    file = folder.joinpath(*module.split(".")).with_suffix(".py")
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    return folder / "suite.yaml"


GRADE = "def grade(said, question):\n    return 1\n"


@pytest.mark.parametrize("module", ["of_two_folders", "package_of_two_folders.module"])
def test_a_module_of_the_same_name_elsewhere_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    other = beside(tmp_path / "other", module, "raise AssertionError('it was run')\n")
    monkeypatch.syspath_prepend(str(other.parent))
    read_suite(beside(tmp_path / "mine", module, GRADE)).prepare()
    third = read_suite(beside(tmp_path / "third", module, "raise AssertionError('it was run')\n"))
    with pytest.raises(QuestionsError, match="another module of the name"):
        third.prepare()


def test_a_module_that_is_a_link_out_of_the_folder_is_not_run(tmp_path: Path) -> None:
    path = beside(tmp_path / "mine", "linked_out", GRADE)
    (tmp_path / "mine" / "linked_out.py").replace(tmp_path / "elsewhere.py")
    (tmp_path / "mine" / "linked_out.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(QuestionsError, match="leads out of the suite's folder"):
        read_suite(path).prepare()


@pytest.mark.parametrize("content", ["raise SystemExit(3)", "1 / 0", "import no_such_module_here", "def gr"])
def test_a_module_that_cannot_be_imported_is_an_error_of_the_suite(tmp_path: Path, content: str) -> None:
    path = beside(tmp_path / "mine", "cannot_be_imported", content)
    with pytest.raises(QuestionsError, match="cannot_be_imported:grade' cannot be imported"):
        read_suite(path).prepare()
    (tmp_path / "mine" / "cannot_be_imported.py").unlink()
