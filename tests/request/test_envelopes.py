"""What agents put around the user's words: each envelope of the table, and whole messages of the shapes they have."""

from __future__ import annotations

import time
from typing import Any

import pytest

from modelsat.errors import ConfigurationError
from modelsat.request import Envelope, extract_instruction
from modelsat.request.envelopes import CHECKED, DEFAULT_READER, ENVELOPES, EnvelopeReader, unwrap
from modelsat.request.needs import find_needs
from modelsat.request.wording import is_courtesy
from modelsat.router import Router
from tests.fakes import FakeScorer, make_profile

EASY = "What is the capital of Australia?"
HARD = "Prove that the ring of integers of Q(sqrt(-5)) is not a principal ideal domain, and find its class group."
CODE = "def merge(left, right):\n    while left and right:\n        yield heappop(left if left < right else right)\n"


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def scored(*messages: dict[str, Any]) -> str:
    return extract_instruction(list(messages))[0]


@pytest.mark.parametrize("envelope", ENVELOPES, ids=lambda envelope: envelope.tag)
def test_every_envelope(envelope: Envelope) -> None:
    """Words are what is scored; all else is counted and not scored, wherever nobody doubts what the tag is."""
    assert envelope.origin
    tag, inner = envelope.tag, CODE * 50
    if envelope.holds == "words":
        assert scored(user(HARD), user(f"<{tag}>\n{EASY}\n</{tag}>")) == EASY
        return
    wrapped = f'<{tag} path="a.py">\n{inner}\n</{tag}>'
    assert scored(user(f"{wrapped}\n{EASY}")) == EASY
    assert scored(user(f"{wrapped}{wrapped}\n{EASY}")) == EASY
    turns = DEFAULT_READER.turns(f"{wrapped}\n{EASY}")
    assert find_needs(turns).prompt_tokens > 50 * find_needs(DEFAULT_READER.turns(EASY)).prompt_tokens
    assert [turn.documents for turn in turns] == [(wrapped,) if envelope.holds == "attached" else ()]
    if envelope.sure:
        assert scored(user(f"{EASY}\n{wrapped}")) == EASY
        assert scored(user(EASY), user(wrapped)) == EASY
    else:
        assert scored(user(EASY), user(wrapped)) == wrapped, "a person may have written it"


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("Claude Code, a selection", f"<ide_selection>The user selected lines 1 to 3:\n{CODE}</ide_selection>\n{EASY}"),
        ("Claude Code, a file", f"<ide_opened_file>The user opened a.py in the IDE.</ide_opened_file>\n{EASY}"),
        (
            "Claude Code, a command",
            f"<command-message>ask</command-message>\n<command-name>/ask</command-name>\n<command-args>{EASY}</command-args>",
        ),
        (
            "Claude Code, a shell command before",
            f"<bash-input>ls</bash-input>\n<bash-stdout>{CODE}</bash-stdout><bash-stderr></bash-stderr>\n{EASY}",
        ),
        ("Claude Code, interrupted", f"[Request interrupted by user for tool use]\n{EASY}"),
        ("Claude Code, a reminder on the line", f"{EASY} <system-reminder>{CODE}</system-reminder>"),
        (
            "Codex, instructions",
            f"# AGENTS.md instructions for /w\n\n<INSTRUCTIONS>\n{CODE}\n</INSTRUCTIONS>\n"
            f"<environment_context>\n<cwd>/w</cwd>\n</environment_context>\n{EASY}",
        ),
        ("Codex, interrupted", f"<turn_aborted>\nThe user interrupted the previous turn.\n</turn_aborted>\n{EASY}"),
        ("Cursor", f"<attached_files>\n{CODE}\n</attached_files>\n<user_query>\n{EASY}\n</user_query>"),
        ("Cursor, dated", f"<timestamp>Monday</timestamp>\n<user_query>\n{EASY}\n</user_query>"),
        ("Cursor, with a tag of tomorrow", f"<notes_2027>\n{CODE}</notes_2027>\n<user_query>{EASY}</user_query>"),
        (
            "GitHub Copilot",
            f"<context>\nToday is Monday.\n</context>\n<editorContext>\na.py\n</editorContext>\n"
            f"<reminderInstructions>\nUse the tools.\n</reminderInstructions>\n<userRequest>\n{EASY}\n</userRequest>",
        ),
        (
            "Cline",
            f"<task>\n{EASY}\n</task>\n\n<environment_details>\n# Current Time\n12:00\n{CODE}</environment_details>",
        ),
        (
            "Cline, a mention",
            f"<task>\n{EASY}\n</task>\n\n<file_content path='a.py'>\n{CODE}</file_content>\n\n"
            "<environment_details>\n# Current Mode\nACT\n</environment_details>",
        ),
        (
            "Roo Code, feedback on a result",
            f"[attempt_completion] Result:\n\nThe user says about the result:\n<feedback>\n{EASY}\n</feedback>\n\n"
            "<environment_details>\n# Current Mode\nACT\n</environment_details>",
        ),
        ("OpenHands", f"<uploaded_files>\n/workspace/a\n</uploaded_files>\n{EASY}"),
    ],
)
def test_what_a_person_wrote_is_unwrapped(shape: str, message: str) -> None:
    assert scored(user(message)) == EASY
    assert scored(user(HARD), {"role": "assistant", "content": "Done."}, user(message)) == EASY


@pytest.mark.parametrize(
    "message",
    [
        "[read_file for 'a.py'] Result:\n<file_content>\ndef f(): ...\n</file_content>\nand more\n",
        "[execute_command for 'ls'] Result:\nCommand executed.\n<environment_details>\nx\n</environment_details>",
        "<task-notification>\n<task-id>b1</task-id>\n<summary>Background command ended</summary>\n</task-notification>",
        "[Request interrupted by user]",
        "OBSERVATION:\na.py\nb.py",
        "EXECUTION RESULT of [run]:\nok",
        "<environment_info>\nThe user's OS is Linux.\n</environment_info>\n<workspace_info>\na/\n</workspace_info>",
    ],
)
def test_what_an_agent_wrote_makes_no_turn(message: str) -> None:
    assert scored(user(HARD), {"role": "assistant", "content": "I look."}, user(message)) == HARD


def test_a_hard_task_in_a_command_after_an_easy_turn_is_what_is_scored() -> None:
    command = f"<command-name>/prove</command-name>\n<command-args>{HARD}</command-args>"
    assert scored(user(EASY), {"role": "assistant", "content": "Canberra."}, user(command)) == HARD


@pytest.mark.parametrize(
    "own",
    [
        "<b>bold</b> and <i>italic</i>",
        "<project><target name='a'><task>compile</task></target></project>",
        "Why does this not validate?\n<rules>\n  <rule/>\n</rules>",
        "<context>Translate this sentence into French.</context>",
        "<html>\n<body>\n<p>Mend my page.</p>\n</body>\n</html>",
        "What does <system-reminder>x</system-reminder> mean in a prompt?",
        "Observation: water boils at 100 degrees here. Why?",
        "List<user_query> is a type in my program; <user_query",
    ],
)
def test_markup_of_the_users_own_is_left_alone(own: str) -> None:
    assert scored(user(own)) == own
    assert unwrap(own) == own


def test_what_a_few_words_point_at_counts_where_nothing_else_does() -> None:
    selection = f"<ide_selection>{CODE * 100}</ide_selection>"
    text = scored(user(f"{selection}\nfix this"))
    assert text.startswith("<ide_selection>def merge")
    assert text.endswith("\n\nfix this")
    assert len(text) < 600, "mildly"
    assert scored(user(HARD), user(f"{selection}\nfix this")) == f"{HARD}\n\nfix this"
    assert scored(user(f"<system-reminder>{CODE}</system-reminder>\nfix this")) == "fix this"


def test_envelopes_of_ones_own() -> None:
    message = f"<acme_files>{CODE}</acme_files><acme_ask>{EASY}</acme_ask>"
    assert scored(user(message)) == message
    scorer = FakeScorer()
    options: dict[str, Any] = {"scorer": scorer, "cache": False}
    given: list[Any] = ["acme_files", {"tag": "acme_ask", "holds": "words", "origin": "Acme's agent"}]
    router = Router([make_profile("a", 0.2), make_profile("b", 0.7)], envelopes=given, **options)
    router.route(message)
    assert scorer.calls == [[EASY]]
    assert router.config.envelopes == (Envelope("acme_files"), Envelope("acme_ask", "words", "Acme's agent"))
    assert EnvelopeReader([Envelope("task", "background")]).read(f"<task>{HARD}</task>\n{EASY}").words == EASY


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("acme", "envelopes is a list"),
        ([7], "7 is not the name of a tag"),
        (["<acme>"], "'<acme>' is not the name of a tag"),
        ([{"tag": "a", "holds": "nothing"}], "'holds' is one of words, attached, background"),
        ([{"name": "a"}], "each has 'tag'"),
    ],
)
def test_envelopes_that_cannot_be_right(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Router([make_profile("a", 0.2)], envelopes=given)


def test_the_table_says_what_it_was_checked_with() -> None:
    origins = {envelope.origin for envelope in ENVELOPES}
    assert set(CHECKED) <= origins
    assert len({envelope.tag for envelope in ENVELOPES}) == len(ENVELOPES)


@pytest.mark.parametrize(
    "text",
    [
        "\n<tool_result>" * 70_000,
        "<task>" * 160_000,
        "\n<tool_result></tool_result> a" * 30_000,
        "<user_query" * 90_000 + "</user_query>",
        "[a for " * 140_000,
        "\n[Request interrupted by user]" * 30_000,
    ],
)
def test_a_megabyte_is_quick(text: str) -> None:
    started = time.perf_counter()
    unwrap(text)
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize(
    "text",
    [
        *(
            "thanks!",
            "Great, thank you!",
            "Thanks a lot for your help :)",
            "ok thanks",
            "perfect, thx",
            "thank you so much 🙏",
        ),
        *(
            "That works now. Thanks!",
            "bye",
            "Thanks, have a nice day!",
            "Vielen Dank!",
            "merci beaucoup",
            "muchas gracias",
        ),
        *("谢谢", "ありがとうございます", "Спасибо!", "no thanks, that's all"),
    ],
)
def test_thanks_are_small_talk(text: str) -> None:
    assert is_courtesy(text)
    assert scored(user(HARD), {"role": "assistant", "content": "Proof. ..."}, user(text)) == text


@pytest.mark.parametrize(
    "text", ["great", "ok", "perfect, go on", "thanks, now in Rust", "thanks, but it fails", "yes"]
)
def test_what_asks_for_more_is_not(text: str) -> None:
    assert not is_courtesy(text)
    assert scored(user(HARD), {"role": "assistant", "content": "Proof. ..."}, user(text)) == f"{HARD}\n\n{text}"


def test_an_offer_that_is_accepted_with_thanks_is_what_is_needed() -> None:
    offer = {"role": "assistant", "content": "Shall I prove the second part as well?"}
    assert scored(user(HARD), offer, user("yes, thanks")) == f"{HARD}\n\nyes, thanks"
    assert scored(user(HARD), offer, user("no, thanks")) == "no, thanks"


def test_the_shipped_weights_read_them_so() -> None:
    router = Router(["gpt-4o-mini", "o3"])
    task = "Write a lock-free queue in C++ with hazard pointers, and prove that it is linearizable."
    asked, wrapped, closed, coded = router.route_batch(
        [
            EASY,
            f"<ide_selection>The user selected lines 1 to 9 of a.py:\n{CODE}</ide_selection>\n{EASY}",
            [user(task), {"role": "assistant", "content": CODE}, user("Great, thank you!")],
            task,
        ]
    )
    assert wrapped.scores == asked.scores
    assert wrapped.tokens["prompt"] > asked.tokens["prompt"]
    assert closed.scores["gpt-4o-mini"] > coded.scores["gpt-4o-mini"] + 0.05
