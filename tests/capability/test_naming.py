from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.capability.naming import STAGES, canonical, forms, release

SAME = [
    ("openai/gpt-5", "gpt-5"),
    ("openai:gpt-5", "GPT-5"),
    ("azure/gpt-35-turbo", "gpt-3.5-turbo"),
    ("openrouter/anthropic/claude-sonnet-4", "claude-sonnet-4"),
    ("anthropic/claude-4-sonnet", "claude-sonnet-4"),
    ("bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620"),
    ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
    ("claude-3-5-sonnet@20240620", "claude-3-5-sonnet-20240620"),
    ("vertex_ai/claude-3-5-sonnet-v2@20241022", "claude-3-5-sonnet-20241022"),
    ("claude-3.5-sonnet", "claude-3-5-sonnet"),
    ("together_ai/meta-llama/Meta-Llama-3.1-70B-Instruct-Turbo", "Llama-3.1-70B-Instruct"),
    ("meta-llama/llama-3.1-8b-instruct:free", "Llama-3.1-8B-Instruct"),
    ("meta.llama3-1-8b-instruct-v1:0", "Llama-3.1-8B-Instruct"),
    ("accounts/fireworks/models/llama-v3p1-8b-instruct", "Llama-3.1-8B-Instruct"),
    ("ollama/llama3.1:8b-instruct-q4_K_M", "Llama-3.1-8B-Instruct"),
    ("ollama_chat/llama3.1:8b", "Llama-3.1-8B-Instruct"),
    ("groq/llama-3.1-8b-instant", "Llama-3.1-8B-Instruct"),
    ("unsloth/Llama-3.2-3B-Instruct-bnb-4bit", "Llama-3.2-3B-Instruct"),
    ("TheBloke/Mistral-7B-Instruct-v0.2-GPTQ", "mistral_7b_instruct_v0.2"),
    ("neuralmagic/Qwen2.5-72B-Instruct-FP8-dynamic", "Qwen/Qwen2.5-72B-Instruct:together"),
    ("Qwen/Qwen2.5-7B-Instruct-AWQ", "qwen2.5:7b-instruct"),
    ("models/gemini-1.5-pro", "gemini-1.5-pro"),
    ("mistral.mixtral-8x7b-instruct-v0:1", "Mixtral-8x7B-Instruct-v0.1"),
    ("Llama-2-7b-hf", "llama-2-7b"),
    ("gemma2:9b", "gemma-2-9b-it"),
]

DIFFERENT = [
    ("gpt-5-mini", "gpt-5"),
    ("gpt-4o-mini", "gpt-4o"),
    ("gpt-4o", "gpt-4"),
    ("gpt-4-turbo", "gpt-4"),
    ("o1-preview", "o1"),
    ("o3-mini-high", "o3-mini-low"),
    ("Llama-3.1-8B", "Llama-3.1-8B-Instruct"),
    ("Llama-2-7b-chat-hf", "Llama-2-7b-hf"),
    ("Llama-3.1-8B-Instruct", "Llama-3.1-70B-Instruct"),
    ("Llama-3.1-8B-Instruct", "Llama-3-8B-Instruct"),
    ("claude-sonnet-4-5", "claude-sonnet-4"),
    ("claude-3-5-sonnet", "claude-3-sonnet"),
    ("claude-v2", "claude-v2:1"),
    ("mistral-small-2402", "mistral-small-2501"),
    ("Mistral-7B-Instruct-v0.1", "Mistral-7B-Instruct-v0.2"),
    ("ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini"),
    ("gpt-5-chat", "gpt-5"),
    ("Qwen3-235B-A22B-Thinking-2507", "qwen3-235b-a22b-2507"),
    ("yi-large-preview", "yi-large"),
    ("gemini-1.5-pro-exp-0827", "gemini-1.5-pro"),
]


@pytest.mark.parametrize(("written", "known"), SAME)
def test_spellings_of_one_model_agree(written: str, known: str) -> None:
    assert canonical(written) == canonical(known)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_models_never_agree(one: str, other: str) -> None:
    assert set(forms(one)).isdisjoint(forms(other))


@pytest.mark.parametrize(
    ("dated", "plain"),
    [
        ("gpt-5-2025-08-07", "gpt-5"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo"),
        ("command-r-08-2024", "command-r"),
        ("qwen3-235b-a22b-2507", "qwen3-235b-a22b"),
        ("chatgpt-4o-latest-24-09-07", "chatgpt-4o-latest"),
        ("gemini-2.5-pro-preview-05-06", "gemini-2.5-pro"),
        ("gemini-1.5-flash-002", "gemini-1.5-flash-latest"),
        ("o3-mini-2025-01-31-high", "o3-mini-high"),
    ],
)
def test_dates_go_only_in_the_last_stage(dated: str, plain: str) -> None:
    assert canonical(dated) != canonical(plain)
    assert forms(dated)[-1] == forms(plain)[-1]


@pytest.mark.parametrize(
    ("name", "date"),
    [
        ("gpt-4o-2024-08-06", (2024, 8, 6)),
        ("openai/gpt-4o-2024-08-06", (2024, 8, 6)),
        ("claude-3-opus-20240229", (2024, 2, 29)),
        ("Mistral-Nemo-Instruct-2407", (2024, 7, 0)),
        ("command-r-08-2024", (2024, 8, 0)),
        ("gpt-3.5-turbo-0125", (0, 1, 25)),
        ("gpt-5", (0, 0, 0)),
        ("phi-3-mini-128k", (0, 0, 0)),
    ],
)
def test_the_date_in_a_name(name: str, date: tuple[int, int, int]) -> None:
    assert release(name) == date


@given(st.text(max_size=40))
def test_any_text_has_forms(name: str) -> None:
    assert len(forms(name)) == len(STAGES)
    assert forms(name) == forms(f"  {name} ")
