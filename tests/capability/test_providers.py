"""Who serves a model, by its name and by its address."""

from __future__ import annotations

import pytest

from modelsat.capability.providers import provider_at, provider_behind, provider_name, serving


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("bedrock_converse", "bedrock"),
        ("vertex_ai-anthropic_models", "vertex_ai"),
        ("google_genai", "gemini"),
        ("Together", "together_ai"),
        ("azure_openai", "azure"),
        ("openai_like", None),
        ("meta-llama", "meta_llama"),
        ("acme", None),
    ],
)
def test_providers_have_one_spelling(written: str, name: str | None) -> None:
    assert provider_name(written) == name


@pytest.mark.parametrize(
    ("name", "provider", "region"),
    [
        ("bedrock/us-gov-west-1/anthropic.claude-opus-5", "bedrock", "us-gov-west-1"),
        ("apac.amazon.nova-lite-v1:0", "bedrock", "apac"),
        ("azure/us/gpt-5.6", "azure", "us"),
        ("Qwen/Qwen2.5-72B-Instruct:together", "together_ai", None),
        ("google/gemma-2-9b-it", None, None),
        ("meta-llama/Llama-3.1-8B", None, None),
        ("litellm_proxy/gpt-5", None, None),
        ("llama3.2:1b", None, None),
        ("ft:gpt-4o-mini:acme::id", None, None),
        ("gpt-5", None, None),
    ],
)
def test_a_name_says_who_serves_it(name: str, provider: str | None, region: str | None) -> None:
    assert serving(name) == (provider, region)


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("openrouter.ai/api/v1", "openrouter"),
        ("https://bedrock-runtime.eu-central-1.amazonaws.com", "bedrock"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "dashscope"),
        ("https://us-central1-aiplatform.googleapis.com", "vertex_ai"),
        ("http://10.0.0.1/v1", None),
        ("https://api.openai.com.example.org/v1", None),
        ("", None),
    ],
)
def test_a_public_address_is_a_provider(address: str, provider: str | None) -> None:
    assert provider_at(address) == provider


def test_an_address_of_its_own_hides_who_has_one_and_leaves_the_others() -> None:
    assert provider_behind("openai", "http://10.0.0.1/v1") is None
    assert provider_behind("ollama", "http://10.0.0.1:11434") == "ollama"
    assert provider_behind("openai", None) == "openai"
    assert provider_behind(None, "https://api.groq.com/openai/v1") == "groq"
