"""What part of a conversation is scored."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.errors import ConfigurationError, InvalidRequestError
from modelsat.request.conversation import MAXIMUM_CHARACTERS, TAIL_CHARACTERS, extract_instruction, stands_alone
from modelsat.request.envelopes import unwrap

NEED = "Write a parser for the Rust grammar of generics, with error recovery, and prove that it terminates. " * 2
REMINDER = "<system-reminder>Keep the list of tasks up to date.</system-reminder>"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def scored(*messages: dict[str, Any]) -> str:
    return extract_instruction(list(messages))[0]


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=300))
def test_a_single_prompt_is_scored_exactly_as_its_text(text: str) -> None:
    if not text.strip():
        return
    assert extract_instruction(text) == (text, ())
    assert scored({"role": "system", "content": "You are a pirate."}, user(text)) == text


def test_a_long_turn_stands_by_itself() -> None:
    assert scored(user("Hello there"), assistant("Hi"), user(NEED)) == NEED


@pytest.mark.parametrize("short", ["yes", "continue", "fix it"])
def test_a_short_turn_inherits_the_need(short: str) -> None:
    text = scored(user("unrelated " * 50), assistant("done"), user(NEED), assistant("Shall I go on?"), user(short))
    assert text == f"{NEED.strip()}\n\n{short}"


def test_the_tail_goes_back_over_short_turns_and_is_bounded() -> None:
    history = [user(NEED)]
    for _ in range(50):
        history += [assistant("a" * 5_000), user("go on")]
    text = scored(*history)
    assert text.startswith("Write a parser")
    assert text.endswith("go on")
    assert len(text) < TAIL_CHARACTERS + 1_000
    assert text == f"{NEED.strip()}\n\ngo on"
    longest = scored(*[part for _ in range(90) for part in (user("b" * 100), assistant("ok"))], user("go on"))
    assert 3_000 < len(longest) < TAIL_CHARACTERS + 1_000


def test_what_the_assistant_proposed_counts_where_no_user_turn_says_what_is_needed() -> None:
    text = scored(user("Hi, can you help me?"), assistant("x" * 600 + "Shall I prove it?"), user("yes"))
    assert text.startswith("Hi, can you help me?")
    assert text.endswith("Shall I prove it?\n\nyes")
    assert len(text) < 600


@pytest.mark.parametrize(
    "topic",
    [
        "What is the capital of Mongolia?",
        "Find all $x$ with $x^2 = 4$.",
        "John has 3 goats and buys 12 more. How many goats does he have?",
        "Is every group of prime order cyclic?",
        "Write a haiku about autumn rain",
    ],
)
def test_a_short_new_topic_does_not_inherit(topic: str) -> None:
    assert stands_alone(topic)
    assert scored(user(NEED), assistant("Done."), user(topic)) == topic
    assert scored(user(NEED), assistant("Done."), user(topic), assistant("Yes."), user("go on")) == f"{topic}\n\ngo on"


@pytest.mark.parametrize(
    "follow_up",
    [
        "why?",
        "are you sure?",
        "explain step 2",
        "Can you explain the second step?",
        "How did you get that?",
        "What about negative numbers?",
        "What if the list is empty?",
        "How do I do that in Rust?",
        "write a test for the parser",
        "rename the function to foo and run the tests",
        "Is this the right approach for it?",
        "explain the third line again",
        "und jetzt bitte auf Deutsch, etwas kürzer",
        "请继续",
    ],
)
def test_a_follow_up_does(follow_up: str) -> None:
    assert not stands_alone(follow_up)
    assert scored(user(NEED), assistant("Done."), user(follow_up)) == f"{NEED.strip()}\n\n{follow_up}"


def test_a_sentence_in_two_turns_is_scored_as_one() -> None:
    begun, rest = "A train leaves Rome at nine with 40 passengers and", "reaches Milan " + "after some stops " * 8
    assert scored(user(begun), assistant("Go on."), user(rest)) == f"{begun}\n\n{rest}"
    assert scored(user(begun + " stops."), assistant("Go on."), user(rest)) == rest
    assert scored(user(begun), assistant("An answer of some length. " * 5), user(rest)) == rest


def test_a_greeting_of_the_assistant_is_no_history() -> None:
    assert scored(assistant("How can I help?"), user("hi")) == "hi"


def test_tool_output_is_not_what_the_user_said() -> None:
    history = [user(NEED), assistant(None), {"role": "tool", "content": "42 files"}]
    assert scored(*history) == NEED
    assert scored(*history, user([{"type": "tool_result", "content": "43 files"}])) == NEED


def test_wrappers_are_taken_off() -> None:
    assert scored(user(NEED), assistant("ok"), user(REMINDER)) == NEED
    assert scored(user(f"{REMINDER}\n{NEED}\n{REMINDER}")) == NEED.strip()
    assert unwrap("<tool_result id='1'>x</tool_result> and so?") == "and so?"
    assert unwrap("<b>bold</b> and <system-reminder>") == "<b>bold</b> and <system-reminder>"
    assert unwrap("<system-reminder> is what?") == "<system-reminder> is what?"


def test_a_conversation_of_wrappers_alone_is_scored_as_it_is() -> None:
    assert extract_instruction(REMINDER)[0] == REMINDER


def test_an_image_alone_inherits_the_text_before_it() -> None:
    image = user([{"type": "image_url", "image_url": {"url": "x"}}])
    text, notes = extract_instruction([user(NEED), assistant("Please attach it."), image])
    assert text == NEED.strip()
    assert notes == ("not scored: 1 image part",)
    with pytest.raises(InvalidRequestError, match=r"no text to score.*images"):
        extract_instruction([image])


@pytest.mark.parametrize("messages", ["", " \n\t ", user(""), user(None), user([]), "\x00\x01"])
def test_nothing_to_score(messages: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no text to score"):
        extract_instruction(messages)


@pytest.mark.parametrize("messages", [[], [assistant("hi")], [{"role": "system", "content": "x"}]])
def test_no_user_message(messages: Any) -> None:
    with pytest.raises(InvalidRequestError, match="no user message"):
        extract_instruction(messages)


def test_an_empty_last_turn_inherits_the_text_before_it() -> None:
    assert scored(user(NEED), user("  ")) == NEED


def test_unreadable_characters_are_replaced_and_noted() -> None:
    text, notes = extract_instruction("a\x00b\ud800c\x7fd\te\nf")
    assert text == "a b c d\te\nf"
    assert notes == ("3 unreadable characters replaced",)
    text.encode("utf-8")


def test_a_long_prompt_is_cut_to_head_and_tail() -> None:
    text, notes = extract_instruction("begin " + "x" * 1_000_000 + " end")
    assert len(text) == MAXIMUM_CHARACTERS
    assert text.startswith("begin ")
    assert text.endswith(" end")
    assert notes == ("prompt of 1,000,010 characters cut to head and tail (16,000)",)
    assert extract_instruction(" " * 1_000_000 + "here" + " " * 1_000_000)[0] == "here"


@pytest.mark.parametrize(
    "text",
    [
        "word " * 200_000,
        "<system-reminder>" * 60_000,
        "<system-reminder></system-reminder>" * 30_000,
        "</tool_result>" * 70_000,
        "<tool_result " * 80_000,
        "\x00" * 1_000_000 + "a",
        " " * 1_000_000 + "a",
    ],
)
def test_a_megabyte_is_quick(text: str) -> None:
    started = time.process_time()  # what others do on this machine does not count
    extract_instruction(text)
    assert time.process_time() - started < 1.0


def test_an_extractor_of_ones_own() -> None:
    assert extract_instruction([user("a"), user("b")], lambda turns: turns[0].text)[0] == "a"
    with pytest.raises(ConfigurationError, match="must return a string"):
        extract_instruction("a", lambda turns: None)  # type: ignore[arg-type, return-value]
