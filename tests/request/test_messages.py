"""Messages of every accepted shape become turns; every other shape is refused by our own error."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelsat.errors import InvalidRequestError, ModelSATError
from modelsat.request.messages import Turn, describe_attachments, parse_messages
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer, make_profile

USER = {"role": "user", "content": "hello"}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ("hello", [Turn("user", "hello")]),
        (USER, [Turn("user", "hello")]),
        ([USER], [Turn("user", "hello")]),
        ((USER,), [Turn("user", "hello")]),
        (["hello"], [Turn("user", "hello")]),
        ([("human", "hello")], [Turn("user", "hello")]),
        ([{"type": "human", "content": "hello"}], [Turn("user", "hello")]),
        ([{"role": "developer", "content": "be kind"}], [Turn("system", "be kind")]),
        ([{"role": "assistant", "content": None, "tool_calls": [{}]}], [Turn("assistant", "")]),
        ([{"role": "assistant", "tool_calls": [{}]}], [Turn("assistant", "")]),
        ([{"role": "tool", "tool_call_id": "1", "content": "42"}], [Turn("tool", "42")]),
        ([{"role": "function", "name": "f", "content": "42"}], [Turn("tool", "42")]),
        ([{"type": "function_call_output", "call_id": "1", "output": "42"}], [Turn("tool", "42")]),
        ([{"type": "function_call", "name": "f", "arguments": "{}"}], [Turn("assistant", "")]),
        ([{"role": "Critic", "content": "no"}], [Turn("critic", "no")]),
        ([], []),
    ],
)
def test_accepted_shapes(messages: Any, expected: list[Turn]) -> None:
    assert parse_messages(messages) == expected


def test_content_parts() -> None:
    parts = [
        {"type": "text", "text": "what is"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_text", "text": "on these"},
        {"type": "input_image", "image_url": "x"},
        {"type": "input_audio", "input_audio": {}},
        {"type": "document", "source": {}},
        {"type": "hologram"},
        {"type": "thinking", "thinking": "hm"},
        "pictures?",
    ]
    turns = parse_messages({"role": "user", "content": parts})
    assert turns == [Turn("user", "what is\non these\npictures?", ("image", "image", "audio", "file", "hologram"))]
    assert describe_attachments(turns) == ("not scored: 1 audio part, 1 file part, 1 hologram part, 2 image parts",)


def test_tool_results_in_a_user_message_are_the_tools() -> None:
    assert parse_messages({"role": "user", "content": [{"type": "tool_result", "content": "42"}]}) == [Turn("tool", "")]


def test_langchain_messages_and_prompt_values() -> None:
    messages = pytest.importorskip("langchain_core.messages")
    prompts = pytest.importorskip("langchain_core.prompt_values")
    history = [
        messages.SystemMessage("be kind"),
        messages.HumanMessage(
            [{"type": "text", "text": "look"}, {"type": "image", "url": "https://example.org/a.png"}]
        ),
        messages.AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]),
        messages.ToolMessage("42", tool_call_id="1"),
        messages.AIMessageChunk("it is 42"),
        messages.ChatMessage("thanks", role="user"),
    ]
    expected = [
        Turn("system", "be kind"),
        Turn("user", "look", ("image",)),
        Turn("assistant", ""),
        Turn("tool", "42"),
        Turn("assistant", "it is 42"),
        Turn("user", "thanks"),
    ]
    assert parse_messages(history) == expected
    assert parse_messages(prompts.ChatPromptValue(messages=history)) == expected
    assert parse_messages(prompts.StringPromptValue(text="hello")) == [Turn("user", "hello")]
    assert parse_messages(history[1]) == [expected[1]]


def test_objects_with_a_role() -> None:
    assert parse_messages([SimpleNamespace(role="user", content="hello")]) == [Turn("user", "hello")]


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (b"hello", "decode it"),
        ([b"hello"], "decode it"),
        ({"role": "user", "content": b"hello"}, "decode it"),
        (None, "unknown shape NoneType"),
        (42, "unknown shape int"),
        ([None], "message 0 has the unknown shape"),
        ([USER, 42], "message 1 has the unknown shape int"),
        ({"messages": [USER]}, "pass its 'messages'"),
        ({"content": "hello"}, "no 'role'"),
        ({"role": "", "content": "hello"}, "has no role"),
        ({"role": 7, "content": "hello"}, "has no role"),
        ({"role": "user", "content": 7}, "unknown shape int"),
        ({"role": "user", "content": [7]}, "a content part"),
        ({"role": "user", "content": [{"type": "text", "text": 7}]}, "the text of a content part"),
        (iter([USER]), "unknown shape"),
    ],
)
def test_refused_shapes_say_what_is_accepted(messages: Any, text: str) -> None:
    with pytest.raises(InvalidRequestError, match=text) as caught:
        parse_messages(messages)
    assert "LangChain" in str(caught.value)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.characters(categories=["Cs"])
)
KEYS = st.sampled_from(["role", "content", "type", "text", "output", "messages", "image_url"]) | st.text(max_size=3)
VALUES = SCALARS | st.sampled_from(["user", "assistant", "tool", "text", "image_url", "tool_result", "chat"])
SHAPES = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(SCALARS)
    ),
    max_leaves=12,
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": SHAPES}),
    max_size=4,
)
ROUTER = Router([make_profile("a", 0.2), make_profile("b", 0.7)], scorer=FakeScorer(), fallback="a", strict=True)


@given(SHAPES | MESSAGES)
@settings(max_examples=300)
def test_any_shape_gives_a_decision_or_our_own_error(messages: Any) -> None:
    try:
        decision = ROUTER.route(messages)
    except ModelSATError:
        return
    assert isinstance(decision, RoutingDecision)
    assert decision.model in ROUTER.names


def test_a_long_list_is_quick() -> None:
    started = time.perf_counter()
    assert len(parse_messages([USER] * 10_000)) == 10_000
    assert time.perf_counter() - started < 1.0


def test_a_part_of_a_type_that_is_no_name_is_of_unknown_type() -> None:
    (turn,) = parse_messages(
        {"role": "user", "content": [{"type": "\ud800 any text", "x": 1}, {"type": "text", "text": "hi"}]}
    )
    assert turn == Turn("user", "hi", ("unknown",))


def test_a_call_that_holds_itself_is_counted_in_bounded_time() -> None:
    call: dict[str, Any] = {"name": "f", "arguments": {}}
    call["arguments"] = {f"argument {number}": call for number in range(8)}
    began = time.perf_counter()
    (turn,) = parse_messages({"role": "assistant", "content": "", "tool_calls": [call]})
    assert time.perf_counter() - began < 5.0
    assert turn.unscored_characters > 1_000
