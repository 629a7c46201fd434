"""Expected completion lengths."""

from __future__ import annotations

import pytest

from modelsat.candidates.candidate import Candidate
from modelsat.candidates.completion import REASONING_TOKENS, answer_kind, expected_length, expected_lengths, wished
from tests.fakes import make_profile

CHOICE = "Which planet is the largest?\nA. Mars\nB. Jupiter\nC. Venus\nD. Earth"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (CHOICE, "choice"),
        ("Which?\n(a) one\n(b) two", "choice"),
        ("def f(x):\n    return x + 1\nassert f(3) == ??", "code reading"),
        ("What is the output of this code?\nprint(1 + 1)", "code reading"),
        ("Find all $x$ with $x^2 = 4$.", "mathematics"),
        (r"Evaluate \frac{1}{2} + \sqrt{2}.", "mathematics"),
        ("Prove that there are infinitely many primes.", "open"),  # a proof is a text
        ("Prove that $x^2 = 2$ has no rational solution.", "open"),
        ("hi", "courtesy"),
        ("Great, thank you!", "courtesy"),
        ("Great, now refactor the whole scheduler module", "open"),
        ("What is the capital of Australia?", "fact"),
        ("What is the difference between TCP and UDP?", "open"),
        ("Glasses cost $5, every second one $3. How much are 16 glasses?", "arithmetic"),
        ("Write a poem about the sea.", "open"),
        ("A. Smith wrote to me. How should I answer?", "open"),
        ("", "open"),
        ("说明量子纠缠。", "open"),
    ],
)
def test_the_kind_of_answer_is_read_off_the_form_of_the_prompt(text: str, kind: str) -> None:
    assert answer_kind(text) == kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("What is the weather in Lima?", "call"),
        ("Fix the failing test in parser.py.", "call"),
        ("Thanks!", "courtesy"),
        ("Which?\n(a) one\n(b) two", "call"),
    ],
)
def test_a_request_that_carries_tools_is_answered_by_a_call(text: str, kind: str) -> None:
    assert answer_kind(text, tools=True) == kind


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Answer in one word: is the sky blue?", 1.4),
        ("Write a 3,000-word chapter about bees.", 4200),
        ("Write 500-700 words on trust.", 980),
        ("Summarise this in 3 sentences.", 90),
        ("Reply in two short paragraphs", 240),
        ("Fasse das in drei Sätzen zusammen", 90),
        ("Réponds en 50 mots", 70),
        ("用300字介绍北京", 210),
        ("300자 이내로 설명해줘", 210),
        ("소수점 5자리까지 계산", None),
        ("In 1.2.3 words", None),
        ("My model has a vocabulary of 20,000 words.", None),
        ("Summarise this\n" + "text " * 5000 + "\nin at most 100 words", 140),
        ("Write a poem about the words of my mother.", None),
        ("Count the words and sentences.", None),
        ("Explain the last line of the code", None),
    ],
)
def test_a_length_that_the_prompt_names_is_the_length_of_the_answer(text: str, tokens: float | None) -> None:
    assert wished(text) == (None if tokens is None else pytest.approx(tokens))
    if tokens is not None:
        (expected,) = expected_lengths([Candidate("cheap", make_profile("cheap"))], "open", wish=wished(text))
        assert expected == pytest.approx(tokens)


def test_a_greeting_costs_less_than_a_fact_and_a_fact_less_than_a_proof() -> None:
    prompts = ("hi", "What is the capital of Australia?", "Prove that there are infinitely many primes.")
    found = [expected_length("any", answer_kind(text)) for text in prompts]
    assert found == sorted(found)


def test_the_kind_of_a_long_prompt_is_found_at_either_end() -> None:
    assert answer_kind(CHOICE + "\n" + "word " * 50_000) == "choice"
    assert answer_kind("word " * 50_000 + "\n" + CHOICE) == "choice"


def test_a_short_answer_costs_less_than_free_text_and_a_wordy_model_more_than_a_terse_one() -> None:
    assert expected_length("unheard-of", "arithmetic") < expected_length("unheard-of", "open")
    wordy, terse = (expected_length(m, "choice") for m in ("claude-3-sonnet-20240229", "gpt-3.5-turbo-0125"))
    assert wordy > terse
    assert expected_length("unheard-of", "open") == expected_length("unheard-of-either", "open")


def test_a_model_is_known_by_any_of_its_spellings_and_by_the_model_behind_a_deployment() -> None:
    plain = expected_length("gpt-4o-mini-2024-07-18", "open")
    assert expected_length("openai/gpt-4o-mini-2024-07-18", "open") == plain
    assert expected_lengths([Candidate("cheap", make_profile("gpt-4o-mini-2024-07-18"))], "open") == [plain]


@pytest.mark.parametrize(
    "model",
    [
        *("o3-mini", "openai/o1", "gpt-5-mini", "DeepSeek-R1", "Qwen3-235B-thinking", "gpt-6-sol", "MiniMax-M2.5"),
        *("openai.gpt-oss-120b-1:0", "gemini/gemini-3.5-flash", "xai/grok-4.3", "moonshotai.kimi-k3"),
    ],
)
def test_models_that_always_reason_are_billed_for_it(model: str) -> None:
    assert expected_length(model, "choice") >= REASONING_TOKENS


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o", "claude-3-opus-20240229", "yi-34b", "solo3", "gpt-5-chat-latest", "gemini-3.5-flash-lite"),
        *("xai/grok-4.20-0309-non-reasoning", "claude-opus-5-5", "qwen3-30b-non-thinking"),
    ],
)
def test_other_models_are_not(model: str) -> None:
    assert expected_length(model, "choice") < REASONING_TOKENS


def test_it_expects_for_every_candidate_in_order() -> None:
    candidates = [Candidate("a", make_profile("gpt-3.5-turbo-0125")), Candidate("b", make_profile("unheard-of"))]
    terse, average = expected_lengths(candidates, answer_kind(CHOICE))
    assert 0 < terse < average
