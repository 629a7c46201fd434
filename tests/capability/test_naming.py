from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.capability import Registry
from modelsat.capability.naming import STAGES, base_of, canonical, forms, release

NAMES = list(csv.DictReader(Path(__file__).with_name("names.csv").read_text("utf-8").splitlines()))
"""Names as the ecosystem writes them, each with the model (or models) it may be taken for; ``-``: none."""

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
    ("qwen3-235b-a22b-2507", "Qwen3-235B-A22B-Instruct-2507"),
    ("arn:aws:bedrock:us-east-1:1234:inference-profile/us.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
    ("us-gov.openai.gpt-oss-20b-1:0", "gpt-oss-20b"),
    ("deepseek.v3.2", "deepseek-v3.2"),
    ("deepseek.v3-v1:0", "DeepSeek-V3.1"),
    ("azure_ai/FW-DeepSeek-V4.1-Flash", "deepseek-v4.1-flash"),
    ("fireworks_ai/accounts/fireworks/routers/glm-5p3-fast", "glm-5.3"),
    ("databricks/databricks-claude-opus-5", "claude-opus-5"),
    ("snowflake/openai-gpt-4.1", "gpt-4.1"),
    ("ollama/gpt-oss:20b", "gpt-oss-20b"),
    ("ollama/deepseek-r1:70b", "DeepSeek-R1-Distill-Llama-70B"),
    ("meta.llama4-scout-17b-instruct-v1:0", "Llama-4-Scout-17B-16E-Instruct"),
    ("cerebras/llama-3.3-70b", "Llama-3.3-70B-Instruct"),
    ("azure/mistral-large-latest", "mistral-large-2402"),
    ("vertex_ai/mistral-medium-3@001", "mistral-medium-2505"),
    ("mistral/mistral-medium-3", "mistral-medium-3.5"),
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
    ("qwen3-235b-a22b-2507", "qwen3-235b-a22b"),
    ("azure_ai/mistral-large-latest", "mistral/mistral-large-latest"),
    ("openrouter/mistralai/mistral-large", "mistral-large"),
    ("azure_ai/ministral-3b", "mistral/ministral-3b-latest"),
    ("huggingface/meta-llama/Llama-3.1-8B", "Llama-3.1-8B-Instruct"),
    ("grok-4-fast", "grok-4"),
    ("qwen-plus-2025-04-28", "qwen-plus-2025-01-25"),
    ("gemini-exp-1114", "gemini-exp-1206"),
    ("gpt-5.1-chat-latest", "gpt-5.1"),
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


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "gpt-4o-mini-2024-07-18"),
        ("openai/ft:gpt-4.1-2025-04-14:org:name:id", "gpt-4.1-2025-04-14"),
        ("ft:gpt-3.5-turbo", "gpt-3.5-turbo"),
        ("gpt-4o", None),
    ],
)
def test_the_base_of_a_fine_tuned_name(name: str, base: str | None) -> None:
    assert base_of(name) == base


def test_no_hand_checked_name_is_taken_for_another_model() -> None:
    registry = Registry.shipped()
    own = {forms(model)[2]: model for model in registry.names()}
    false = []
    for row in NAMES:
        if row["name"] not in registry:
            continue
        found = registry.find(row["name"])
        if not any(_means(expected, found, own) for expected in row["model"].split("|")):
            false.append((row["name"], row["model"], found.model))
    assert len(NAMES) >= 400
    assert not false


def _means(expected: str, found, own: dict[str, str]) -> bool:
    """Whether ``found`` is the expected model: itself, or another snapshot of it if it has no profile of its own."""
    if expected == "-":
        return False
    if (spelt := forms(expected)[2]) in own:
        return own[spelt] == found.model
    named = {canonical(name) for name in (found.model, *found.aliases)}
    return canonical(expected) in named or forms(expected)[4] == forms(found.model)[4]


_DECORATIONS = (
    "openrouter/vendor/{}",
    "openrouter/vendor/{}:free",
    "hosted_vllm/{}",
    "hosted_vllm/org/{}-FP8",
    "fireworks_ai/accounts/fireworks/models/{}",
    "huggingface/org/{}-AWQ",
    "org/{}:together",
    "litellm_proxy/{}",
    "groq/{}",
    "vertex_ai/{}",
)


@given(st.sampled_from(Registry.shipped().names()), st.sampled_from(_DECORATIONS))
def test_a_decorated_name_never_finds_another_model(model: str, decoration: str) -> None:
    registry = Registry.shipped()
    written = decoration.format(model)
    if written in registry:
        found = registry.find(written)
        assert found.model == model or canonical(written) in {canonical(n) for n in (found.model, *found.aliases)}


def test_no_two_known_models_share_a_name() -> None:
    owners: dict[str, str] = {}
    for model in Registry.shipped().names():
        other = owners.setdefault(forms(model)[2], model)
        assert other == model, f"{model} and {other} have one spelling"
