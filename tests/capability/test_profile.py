from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from modelsat.capability import CapabilityProfile, CapabilityStatement, find_task, load_profiles, save_profiles
from modelsat.errors import InvalidProfileError

STATEMENT = re.compile(r'accuracy \d{1,3}\.\d% \(([^)]*)\) on the task of "([^"]*)"')


def profile(*accuracies: float, model: str = "m", items: int | None = 100) -> CapabilityProfile:
    names = ("MMLU", "GSM8K", "HumanEval", "GPQA", "AIME")
    return CapabilityProfile(
        model=model,
        statements=[
            {"task": name, "accuracy": accuracy, "items": items}
            for name, accuracy in zip(names, accuracies, strict=False)
        ],
    )


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, -math.inf, -0.1, 100.5, 1e9])
def test_impossible_accuracies_are_refused(accuracy: float) -> None:
    with pytest.raises(InvalidProfileError, match="accuracy must be"):
        profile(accuracy)


def test_a_percentage_is_refused_with_the_share_that_was_meant() -> None:
    with pytest.raises(InvalidProfileError, match=r"write 0\.73 for 73 %"):
        profile(73)


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_the_ends_of_the_scale_are_fine(accuracy: float) -> None:
    assert profile(accuracy).statements[0].accuracy == accuracy


@pytest.mark.parametrize(
    "fields",
    [
        {"statements": []},
        {},
        {"statements": [{"task": "MMLU"}]},
        {"statements": [{"task": "", "accuracy": 0.5}]},
        {"statements": [{"task": "MMLU", "accuracy": 0.5, "items": 0}]},
        {"statements": [{"task": "MMLU", "accuracy": "good"}]},
        {"statements": [{"task": "MMLU", "accuracy": 0.5, "colour": "red"}]},
        {"statements": [{"task": "MMLU", "accuracy": 0.5}], "colour": "red"},
    ],
)
def test_incomplete_and_unknown_fields_are_refused_and_the_model_is_named(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidProfileError, match="invalid capability profile for 'my-model'"):
        CapabilityProfile(model="my-model", **fields)


def test_a_profile_needs_a_name() -> None:
    with pytest.raises(InvalidProfileError):
        CapabilityProfile(model="", statements=[{"task": "MMLU", "accuracy": 0.5}])


def test_profiles_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        profile(0.5).model = "other"


def test_known_tasks_bring_their_description_and_given_ones_stay() -> None:
    task = find_task("GSM8K")
    assert task is not None
    assert CapabilityStatement(task="gsm8k", accuracy=0.5).description == task.description
    assert CapabilityStatement(task="GSM8K", accuracy=0.5, description="sums").description == "sums"
    assert CapabilityStatement(task="quilting", accuracy=0.5).description == "quilting"


def test_from_benchmarks_takes_known_and_unknown_names() -> None:
    made = CapabilityProfile.from_benchmarks(
        "my-model",
        {"mmlu pro": 0.7, "quilting": 0.4, "knots": 0.9},
        descriptions={"quilting": "needle, thread, patience"},
        items={"quilting": 12},
        aliases=("mine",),
    )
    first, second, third = made.statements
    assert (first.task, first.items, first.source) == ("MMLU-Pro", None, "given")
    assert (second.task, second.description, second.items) == ("quilting", "needle, thread, patience", 12)
    assert third.description == "knots"
    assert made.aliases == ("mine",)


def test_from_benchmarks_needs_figures() -> None:
    with pytest.raises(InvalidProfileError, match="at least one capability statement"):
        CapabilityProfile.from_benchmarks("my-model", {})


def test_the_text_is_one_sentence_with_the_number_of_items() -> None:
    text = profile(0.85, 0.5, items=20).text()
    assert text.startswith("The model achieves accuracy ")
    assert text.endswith('".')
    found = STATEMENT.findall(text)
    assert [items for items, _ in found] == ["20 items", "20 items"]
    assert [task for _, task in found] == [statement.description for statement in profile(0.85, 0.5).statements]


def test_the_text_says_how_many_items_and_adds_the_notes() -> None:
    assert "(1 item)" in profile(0.5, items=1).text()
    assert "(number of items unknown)" in profile(0.5, items=None).text()
    noted = profile(0.5).model_copy(update={"notes": "Knows Korean."})
    assert noted.text().endswith(" Knows Korean.")


def test_a_well_measured_accuracy_stands_in_the_text_as_given() -> None:
    assert profile(0.85, items=1_000_000).text().startswith("The model achieves accuracy 85.0% (1000000 items)")


@given(st.permutations(range(5)))
def test_the_digest_does_not_depend_on_the_order(order: list[int]) -> None:
    made = profile(0.9, 0.8, 0.7, 0.6, 0.5)
    shuffled = made.model_copy(update={"statements": tuple(made.statements[i] for i in order)})
    assert shuffled.digest == made.digest


def test_the_digest_depends_on_figures_and_on_nothing_else() -> None:
    made = profile(0.9, 0.8)
    renamed = made.model_copy(update={"model": "other", "aliases": ("x",), "notes": "n", "date": "2025-01-01"})
    assert renamed.digest == made.digest
    assert profile(0.9, 0.81).digest != made.digest
    assert profile(0.9, 0.8, items=99).digest != made.digest


@given(
    st.text(min_size=1).filter(lambda text: text.isprintable()),
    st.lists(
        st.tuples(st.floats(0, 1), st.one_of(st.none(), st.integers(1, 10**6)), st.text(max_size=20)),
        min_size=1,
        max_size=5,
    ),
)
def test_profiles_survive_json(name: str, rows: list[tuple[float, int | None, str]]) -> None:
    made = CapabilityProfile(
        model=name,
        statements=[
            {"task": f"task {i}", "accuracy": accuracy, "items": items, "source": source}
            for i, (accuracy, items, source) in enumerate(rows)
        ],
    )
    assert CapabilityProfile(**json.loads(made.model_dump_json())) == made


def test_files_survive_a_round_trip_with_unicode(tmp_path: Path) -> None:
    written = [
        CapabilityProfile.from_benchmarks("모델-α", {"韩语考试": 0.5}, source="내부 측정"),
        profile(0.1, 0.2),
    ]
    save_profiles(written, tmp_path / "profiles.json")
    assert load_profiles(tmp_path / "profiles.json") == written


@pytest.mark.parametrize(
    "content",
    [
        {"model": "a", "statements": [{"task": "MMLU", "accuracy": 0.5}]},
        [{"model": "a", "statements": [{"task": "MMLU", "accuracy": 0.5}]}],
        {"profiles": [{"model": "a", "statements": [{"task": "MMLU", "accuracy": 0.5}]}]},
        {"a": {"MMLU": 0.5}},
        {"a": {"statements": [{"task": "MMLU", "accuracy": 0.5}]}},
    ],
)
def test_every_accepted_shape_of_file(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    path.write_text(json.dumps(content), "utf-8")
    (loaded,) = load_profiles(path)
    assert (loaded.model, loaded.statements[0].accuracy) == ("a", 0.5)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "3", '["gpt-5"]', '{"a": 3}', '{"a": {"MMLU": 73}}'])
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "profiles.json"
    path.write_text(content, "utf-8")
    with pytest.raises(InvalidProfileError):
        load_profiles(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidProfileError, match=r"nowhere\.json"):
        load_profiles(tmp_path / "nowhere.json")
