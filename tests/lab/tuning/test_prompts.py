"""Reading the user's prompts, and the logs of other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning import read_prompts


def write(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", "utf-8")
    return path


def run(**fields: Any) -> dict[str, Any]:
    """A run as LangSmith's SDK writes it."""
    return {
        "id": "r1",
        "run_type": "llm",
        "inputs": {
            "messages": [
                [
                    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "SystemMessage"],
                     "kwargs": {"content": "Be brief.", "type": "system"}},
                    {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", "HumanMessage"],
                     "kwargs": {"content": "What is a monad?", "type": "human"}},
                ]
            ]
        },
        "outputs": {"generations": []},
        "extra": {"metadata": {"ls_model_name": "gpt-4o", "ls_provider": "openai"}},
        "prompt_tokens": 12,
        "completion_tokens": 80,
        "feedback_stats": {"correct": {"n": 1, "avg": 1.0}, "stars": {"n": 1, "avg": 4.0}},
        "error": None,
        **fields,
    }  # fmt: skip


def log(**fields: Any) -> dict[str, Any]:
    """A row of LiteLLM_SpendLogs."""
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "spend": 0.0012,
        "prompt_tokens": 12,
        "completion_tokens": 80,
        "model": "gpt-4o-2024-08-06",
        "model_group": "gpt-4o",
        "status": "success",
        "messages": [{"role": "user", "content": "What is a monad?"}],
        "response": {},
        **fields,
    }


def test_prompts_messages_and_outcomes(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.jsonl",
        {"item_id": "a", "prompt": '{"json": "as a prompt"}', "outcomes": {"m": 1, "n": 0.25}},
        {"messages": [{"role": "user", "content": "hi there"}], "prompt": None},
        {"prompt": "one outcome", "model": "m", "score": 0},
        {"prompt": "  "},
    )
    found = read_prompts(path)
    assert list(found.kinds) == ["prompts"]
    conversation = [{"role": "user", "content": "hi there"}]
    assert [record.messages for record in found.records] == ['{"json": "as a prompt"}', conversation, "one outcome"]
    assert [record.outcomes for record in found.records] == [{"m": 1.0, "n": 0.25}, {}, {"m": 0.0}]
    assert found.records[0].id == "a"
    assert found.skipped == {"without prompt": 1}
    assert found.kinds == {"prompts": 3}


def test_each_row_is_read_by_its_own_shape(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": "hi"}]}, {"prompt": "ho"}, run(), log(), {"text": "x"}]
    path = write(tmp_path / "p.jsonl", *rows)
    found = read_prompts(path)
    assert found.kinds == {"prompts": 2, "LangSmith runs": 1, "LiteLLM spend logs": 1}
    assert found.skipped == {"without prompt or messages": 1}


def test_a_row_for_each_prompt_and_model_is_one_prompt_with_the_outcomes_of_both(tmp_path: Path) -> None:
    rows = [{"prompt": f"q {n}", "model": m, "score": int(m == "large")} for n in range(3) for m in ("small", "large")]
    again = {"prompt": "q 0", "model": "small", "score": True}
    found = read_prompts(write(tmp_path / "p.jsonl", *rows, again))
    assert [record.messages for record in found.records] == ["q 0", "q 1", "q 2"]
    assert found.records[0].outcomes == {"small": 0.5, "large": 1.0}
    assert found.records[1].outcomes == {"small": 0.0, "large": 1.0}
    traffic = read_prompts(write(tmp_path / "t.jsonl", {"prompt": "hi"}, {"prompt": "hi"}))
    assert len(traffic.records) == 2


def test_conversations(tmp_path: Path) -> None:
    conversation = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    path = write(tmp_path / "p.jsonl", {"messages": conversation}, {"messages": json.dumps(conversation)})
    assert [record.messages for record in read_prompts(path).records] == [conversation, conversation]


def test_langsmith_runs(tmp_path: Path) -> None:
    path = write(
        tmp_path / "runs.jsonl",
        run(),
        run(run_type="chain"),
        run(error="boom"),
        run(inputs={"messages": [{"role": "user", "content": "What is a functor?"}]}, feedback_stats=None),
        run(inputs={"messages": [{"type": "human", "content": "What is a group?"}]}, extra=None),
        run(inputs={"x": 1}),
    )
    found = read_prompts(path)
    assert list(found.kinds) == ["LangSmith runs"]
    assert found.skipped == {"no run of a model": 1, "failed": 1, "without messages in its inputs": 1}
    first, second, third = found.records
    assert first.messages[1] == {"role": "user", "content": "What is a monad?"}
    assert (first.outcomes, first.model, first.completion_tokens) == ({"gpt-4o": 1.0}, "gpt-4o", 80)
    assert (second.outcomes, third.model) == ({}, None)
    assert third.messages == [{"role": "user", "content": "What is a group?"}]


def test_litellm_spend_logs_of_json_and_csv(tmp_path: Path) -> None:
    rows = [
        log(),
        log(messages="{}", proxy_server_request={"messages": [{"role": "user", "content": "What is a ring?"}]}),
        log(messages="{}"),
        log(call_type="aembedding"),
        log(status="failure"),
        log(call_type="anthropic_messages", messages="{}",
            proxy_server_request={"system": "Be brief.", "messages": [{"role": "user", "content": "A field?"}]}),
        log(call_type="atext_completion", messages="{}", proxy_server_request={"prompt": ["What is a module?"]}),
    ]  # fmt: skip
    document = tmp_path / "logs.json"
    document.write_text(json.dumps({"data": rows}), "utf-8")
    table = tmp_path / "logs.csv"
    pd.DataFrame(
        [{k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()} for row in rows]
    ).to_csv(table, index=False)
    for path in (document, table):
        found = read_prompts(path)
        assert list(found.kinds) == ["LiteLLM spend logs"]
        assert [record.messages[-1]["content"] for record in found.records] == [
            "What is a monad?", "What is a ring?", "A field?", "What is a module?"
        ]  # fmt: skip
        assert found.records[2].messages[0] == {"role": "system", "content": "Be brief."}
        assert found.records[0].model == "gpt-4o"
        assert sum(found.skipped.values()) == 3
        assert any("store_prompts_in_spend_logs" in reason for reason in found.skipped)


def test_a_csv_of_langsmith_that_pandas_wrote(tmp_path: Path) -> None:
    table = tmp_path / "runs.csv"
    pd.DataFrame([run(), run(inputs="datetime(1)")]).to_csv(table, index=False)
    found = read_prompts(table)
    assert found.records[0].messages[1] == {"role": "user", "content": "What is a monad?"}
    assert found.records[0].outcomes == {"gpt-4o": 1.0}
    assert found.skipped == {"with inputs that are neither JSON nor Python text": 1}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "x", r"its name must end in \.jsonl"),
        ("p.jsonl", "", "has no rows"),
        ("p.jsonl", "{", "line 1 is not JSON"),
        ("p.jsonl", "[1]", "line 1 is not a JSON object"),
        ("p.jsonl", '{"text": "x"}', r"a row needs prompt or messages \(it has text\)"),
        ("p.jsonl", '{"prompt": ""}', "no prompt that can be scored: 1 without prompt"),
        ("p.jsonl", '{"prompt": "x", "outcomes": {"m": 2}}', "a score is a number from 0 to 1, not 2"),
        ("p.jsonl", '{"prompt": "x", "outcomes": [1]}', "mapping of model to score"),
        ("p.json", '{"a": 1}', "must be a list of objects"),
        ("p.jsonl", '{"call_type": "acompletion", "request_id": "1", "messages": "{}"}', "store_prompts_in_spend_logs"),
    ],
)
def test_faulty_files_are_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=message):
        read_prompts(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_prompts(tmp_path / "none.jsonl")
