"""Rows of other tools, of the shapes that their current releases write."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from modelsat.errors import ConfigurationError
from modelsat.lab.tuning import Prompts, read_prompts


def lines(path: Path, *rows: Any) -> Prompts:
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return read_prompts(path)


def document(path: Path, content: Any) -> Prompts:
    path.write_text(json.dumps(content), "utf-8")
    return read_prompts(path)


def promptfoo(**fields: Any) -> dict[str, Any]:
    return {
        "promptIdx": 0, "testIdx": 0, "testCase": {"vars": {"x": "sky"}}, "id": "1", "vars": {"x": "sky"},
        "provider": {"id": "openai:chat:gpt-4o", "label": ""}, "prompt": {"raw": "Why is the sky blue?", "label": "p"},
        "response": {"output": "Rayleigh", "tokenUsage": {"total": 30, "prompt": 10, "completion": 20}},
        "success": True, "failureReason": 0, "score": 1, "latencyMs": 3,
        "gradingResult": {"pass": True, "score": 1, "reason": "All assertions passed"}, **fields,
    }  # fmt: skip


def test_promptfoo(tmp_path: Path) -> None:
    rows = [
        promptfoo(),
        promptfoo(provider={"id": "anthropic:messages:claude-3-haiku-20240307"}, score=0.5, success=False),
        promptfoo(prompt={"raw": '[{"role": "user", "content": "Why is it red?"}]'}, failureReason=2, error="429"),
        promptfoo(prompt={"raw": "No judge"}, gradingResult={"pass": True, "score": 1, "reason": "No assertions"}),
    ]
    found = document(tmp_path / "r.json", {"evalId": "e", "results": {"version": 3, "prompts": [], "results": rows}})
    assert found.kinds == {"Promptfoo results": 4}
    assert found.records[0].outcomes == {"openai/gpt-4o": 1.0, "anthropic/claude-3-haiku-20240307": 0.5}
    assert found.records[0].completion_tokens == 20
    assert [record.outcomes for record in found.records[1:]] == [{}, {}]
    assert found.unjudged == 2
    assert lines(tmp_path / "r.jsonl", *rows).records == found.records


def test_batch_files(tmp_path: Path) -> None:
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
    found = lines(
        tmp_path / "batch.jsonl",
        {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body},
        {"custom_id": "b", "method": "POST", "url": "/v1/responses", "body": {"model": "gpt-5", "input": "ho"}},
        {"custom_id": "c", "params": {"model": "claude-3-haiku", "max_tokens": 9, "system": "s", **body}},
        {"custom_id": "d", "method": "POST", "url": "/v1/embeddings", "body": {"model": "e", "input": "x"}},
        {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": {}}, "error": None},
    )
    assert [(record.id, record.model) for record in found.records] == [("a", "gpt-4o"), ("b", "gpt-5"), ("c", "gpt-4o")]
    assert found.records[2].messages[0]["role"] == "system"
    assert sum(found.skipped.values()) == 2
    assert any("give the file that the batch was made of" in reason for reason in found.skipped)


def sample(**fields: Any) -> dict[str, Any]:
    return {
        "id": 1, "epoch": 1, "input": "2 + 2?", "target": "4", "messages": [],
        "output": {"model": "gpt-4o-2024-08-06", "usage": {"output_tokens": 7}, "choices": []},
        "scores": {"match": {"value": "C", "answer": "4"}},
        "model_usage": {"openai/gpt-4o-2024-08-06": {"total_tokens": 12}, "openai/gpt-4o-mini": {}}, **fields,
    }  # fmt: skip


def test_inspect_as_json_and_as_archive(tmp_path: Path) -> None:
    samples = [
        sample(),
        sample(epoch=2, scores={"match": {"value": "I"}}),
        sample(id=2, input=[{"role": "user", "content": "3 + 3?"}], scores={"a": {"value": True}, "b": {"value": 0}}),
        sample(id=3, input="4 + 4?", error={"message": "boom"}, scores={}),
    ]
    log = {"version": 2, "status": "success", "eval": {"model": "openai/gpt-4o"}, "results": {"scores": []}}
    found = document(tmp_path / "log.json", {**log, "samples": samples})
    name = "openai/gpt-4o-2024-08-06"
    assert [dict(record.outcomes) for record in found.records] == [{name: 0.5}, {name: 0.5}, {}]
    assert found.unjudged == 1
    with zipfile.ZipFile(tmp_path / "log.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(log))
        for number, entry in enumerate(samples):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(entry))
    assert read_prompts(tmp_path / "log.eval").records == found.records
    (tmp_path / "broken.eval").write_bytes(b"not an archive")
    with pytest.raises(ConfigurationError, match="inspect log convert --to json"):
        read_prompts(tmp_path / "broken.eval")


def test_lm_eval(tmp_path: Path) -> None:
    folder = tmp_path / "meta-llama__Llama-3.1-8B-Instruct"
    folder.mkdir()
    row = {
        "doc_id": 0, "doc": {}, "target": "4", "resps": [["4"]], "filtered_resps": ["4"], "prompt_hash": "p",
        "metrics": ["exact_match"], "exact_match": 1.0, "filter": "strict-match",
        "arguments": {"gen_args_0": {"arg_0": "Q: 2 + 2?\nA:", "arg_1": {"until": ["Q:"]}}},
    }  # fmt: skip
    path = folder / "samples_gsm8k_2026-01-01.jsonl"
    found = lines(path, row, {**row, "filter": "flexible-extract"}, {**row, "arguments": [["3 + 3?", " 6"]]})
    model = "meta-llama/Llama-3.1-8B-Instruct"
    assert [record.messages for record in found.records] == ["Q: 2 + 2?\nA:", "3 + 3?"]
    assert [record.outcomes for record in found.records] == [{model: 1.0}] * 2
    assert found.skipped == {"the same answers by another filter than strict-match": 1}
    chat = json.dumps([{"role": "user", "content": "4 + 4?"}])
    chats = lines(folder / "samples_chat.jsonl", {**row, "arguments": {"gen_args_0": {"arg_0": [chat], "arg_1": {}}}})
    assert chats.records[0].messages == [{"role": "user", "content": "4 + 4?"}]
    (folder / "results_2026-01-01.json").write_text(json.dumps({"model_name": "gpt-4o"}), "utf-8")
    assert read_prompts(path).records[0].model == "gpt-4o"


def test_claude_code(tmp_path: Path) -> None:
    def said(kind: str, content: Any, **fields: Any) -> dict[str, Any]:
        message = {"role": kind, "content": content, **({"model": "claude-sonnet-4-5-20250929", "usage":
                   {"output_tokens": 5}} if kind == "assistant" else {})}  # fmt: skip
        return {"type": kind, "sessionId": "s", "uuid": f"u{content!r}", "isSidechain": False, "message": message,
                **fields}  # fmt: skip

    use = [{"type": "tool_use", "id": "t", "name": "Read", "input": {}}]
    found = lines(
        tmp_path / "session.jsonl",
        {"type": "summary", "summary": "x", "leafUuid": "l"},
        said("user", "Fix the bug"),
        said("assistant", use),
        said("user", [{"type": "tool_result", "tool_use_id": "t", "content": "text"}]),
        said("assistant", [{"type": "text", "text": "Done"}]),
        said("user", "Caveat", isMeta=True),
        said("user", [{"type": "text", "text": "Now test it"}]),
        said("assistant", [{"type": "text", "text": "Tested"}]),
    )
    assert [len(record.messages) for record in found.records] == [1, 5]
    assert found.records[0].model == "claude-sonnet-4-5-20250929"
    assert found.skipped == {"no message of a conversation": 1, "written by the agent itself": 1}


def test_langfuse(tmp_path: Path) -> None:
    observation = {
        "id": "o", "traceId": "t", "type": "GENERATION", "model": "gpt-4o", "level": "DEFAULT", "output": "x",
        "input": [{"role": "user", "content": "hi"}], "usageDetails": {"input": 3, "output": 8},
    }  # fmt: skip
    trace = {"id": "t", "sessionId": None, "input": {"messages": [{"role": "user", "content": "ho"}]}, "output": "y"}
    found = document(
        tmp_path / "observations.json",
        {"data": [observation, {**observation, "type": "SPAN"}, {**observation, "level": "ERROR"},
                  {**observation, "input": "rated", "scores": [{"name": "ok", "value": 1}]}, trace]},
    )  # fmt: skip
    assert [record.messages for record in found.records] == [
        [{"role": "user", "content": "hi"}], "rated", [{"role": "user", "content": "ho"}]
    ]  # fmt: skip
    assert found.records[0].completion_tokens == 8
    assert found.records[1].outcomes == {"gpt-4o": 1.0}
    assert found.skipped == {"no generation": 1, "failed": 1}
