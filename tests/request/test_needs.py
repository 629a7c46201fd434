"""What a request needs, read off its messages and its context."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.request import Needs, RequestContext
from modelsat.request.envelopes import DEFAULT_READER
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.request.tokens import as_json, estimate_tokens
from modelsat.router.plan import turn_key

messages = pytest.importorskip("langchain_core.messages", reason="langchain-core is not installed")
AIMessage, HumanMessage = messages.AIMessage, messages.HumanMessage
SystemMessage, ToolMessage = messages.SystemMessage, messages.ToolMessage

PROSE = "The quick brown fox jumps over the lazy dog. " * 90
"""About 4,000 characters and 900 tokens: one for each word and each full stop."""
PNG = "data:image/png;base64," + base64.b64encode(bytes(300_000)).decode()
IMAGE = {"type": "image_url", "image_url": {"url": PNG}}
PDF = "data:application/pdf;base64," + base64.b64encode(bytes(300_000)).decode()


def needs(given: Any, **context: Any) -> Needs:
    return find_needs(parse_messages(given), RequestContext(**context))


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("part", "ability", "tokens"),
    [
        ({"type": "image_url", "image_url": {"url": PNG}}, "vision", 1_000),
        ({"type": "input_image", "image_url": PNG}, "vision", 1_000),
        ({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}, "vision", 1_000),
        ({"type": "media", "mime_type": "image/png", "data": PNG}, "vision", 1_000),
        ({"type": "input_audio", "input_audio": {"data": "AAAA"}}, "audio", 1_000),
        ({"type": "audio", "base64": "AAAA", "mime_type": "audio/wav"}, "audio", 1_000),
        ({"type": "file", "file": {"file_data": PDF}}, "pdf", 3_000),
        ({"type": "file", "file": {"filename": "a.PDF", "file_id": "7"}}, "pdf", 3_000),
        ({"type": "document", "source": {"media_type": "application/pdf", "data": PDF}}, "pdf", 3_000),
        ({"type": "file", "mime_type": "image/png", "base64": PNG}, "vision", 1_000),
        ({"type": "file", "file": {"file_id": "7"}}, "pdf", 3_000),
        ({"type": "document", "source": {"media_type": "text/plain", "data": "hello"}}, None, 10),
        ({"type": "file", "mime_type": "text/plain", "file_id": "7"}, None, 3_000),
    ],
)
def test_attachments(part: dict[str, Any], ability: str | None, tokens: int) -> None:
    found = needs(user({"type": "text", "text": "What is this?"}, part))
    assert set(found.abilities) == ({ability} if ability else set())
    assert found.prompt_tokens == pytest.approx(tokens, abs=20)


def test_what_the_context_asks_for() -> None:
    found = needs(
        "Hello",
        tools=[{"name": "f"}, {"name": "g"}],
        parallel_tools=True,
        response_format={"type": "json_object"},
        reasoning=True,
        needs=["audio"],
        answer_tokens=50,
        metadata={"tenant": "bank"},
    )
    assert found.abilities == {
        "tools": "2 tools passed",
        "parallel_tools": "parallel tool calls asked for",
        "json_schema": "a response schema is asked for",
        "reasoning": "reasoning asked for",
        "audio": "asked for",
    }
    assert (found.answer_tokens, found.metadata) == (50, {"tenant": "bank"})
    assert not needs("Hello", response_format={"type": "text"}).abilities


def test_tool_calls_in_the_conversation_need_tools_and_count() -> None:
    arguments = '{"query": "' + PROSE + '"}'
    history = [
        {"role": "user", "content": "Look it up"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "1", "content": PROSE},
        {"role": "user", "content": "Thanks"},
    ]
    found = needs(history)
    assert found.abilities == {"tools": "the conversation holds tool calls"}
    assert found.prompt_tokens == pytest.approx(1_850, rel=0.15)
    langchain = [
        HumanMessage("Look it up"),
        AIMessage("", tool_calls=[{"id": "1", "name": "find", "args": {"query": PROSE}}]),
        ToolMessage(PROSE, tool_call_id="1"),
    ]
    assert needs(langchain).prompt_tokens == pytest.approx(1_850, rel=0.15)
    items = [
        {"type": "function_call", "name": "find", "arguments": arguments, "call_id": "1"},
        {"type": "function_call_output", "call_id": "1", "output": PROSE},
    ]
    assert needs([*items, {"role": "user", "content": "Thanks"}]).prompt_tokens == pytest.approx(1_850, rel=0.15)


def test_the_result_of_a_tool_may_hold_an_image() -> None:
    result = {"type": "tool_result", "content": [{"type": "text", "text": "here"}, {"type": "image", "source": {}}]}
    found = needs([*user("Show me"), *user(result)])
    assert set(found.abilities) == {"tools", "vision"}
    assert 1_000 < found.prompt_tokens < 1_050


def test_the_whole_conversation_counts_not_what_is_scored() -> None:
    history = [SystemMessage(PROSE), HumanMessage(PROSE), AIMessage(PROSE), HumanMessage("go on")]
    assert needs(history).prompt_tokens == pytest.approx(2_720, rel=0.05)


def test_a_turn_is_the_same_through_all_calls_of_an_agent() -> None:
    def key(*given: Any) -> str:
        return turn_key(DEFAULT_READER.turns(list(given)))

    asked, call = HumanMessage("Add 4"), AIMessage("", tool_calls=[{"id": "1", "name": "add", "args": {}}])
    first = key(asked)
    assert key(asked, call, ToolMessage("8", tool_call_id="1")) == first
    assert key(asked, call, *user({"type": "tool_result", "content": "8"})) == first
    assert key(asked, HumanMessage("<system-reminder>be quick</system-reminder>")) == first
    assert (
        len({first, key(asked, call, HumanMessage("Add 4")), key(HumanMessage("Add 5")), key(*user(IMAGE), asked)}) == 4
    )


def test_tools_that_name_one_object_again_and_again_are_read_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.request.tokens._MOST_CHARACTERS", 10_000)
    again: list[Any] = ["word"] * 10
    for _ in range(4):
        again = [again] * 10
    written = as_json([{"name": "f", "enum": again}])
    assert 5_000 < len(written) <= 10_000
    assert as_json([{"name": "f"}]) == '{"name": "f"}'


def test_tools_that_are_no_plain_data_count_a_fixed_size() -> None:
    one, two = (needs("Hello", tools=tools).prompt_tokens for tools in ([print], [print, ValueError]))
    assert two - one == pytest.approx(one, abs=10)
    assert 100 < one < 400


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("Hello", 1), (PROSE, 901), ("日本語のテキストを数えます。" * 20, 220)],
)
def test_the_estimate_is_near_what_o200k_makes_of_a_text(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == pytest.approx(tokens, rel=0.15, abs=2)


def test_the_estimate_of_one_short_statement_over_and_over_is_a_fifth_too_high_at_most() -> None:
    assert estimate_tokens("x=12;" * 100) == pytest.approx(301, rel=0.2)  # o200k takes ";x" for one


@given(st.text())
def test_any_text_has_an_estimate(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= 3 * len(text)


@given(st.recursive(st.none() | st.text() | st.integers(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
def test_tool_calls_of_any_shape_are_read(calls: Any) -> None:
    message = {"role": "assistant", "content": "done", "tool_calls": calls}
    assert needs([message, {"role": "user", "content": "Thanks"}]).prompt_tokens >= 2
