"""Who serves a model, as far as its name or its address says so: one spelling for each provider."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_SPELLINGS = {
    "bedrock": "amazon_bedrock anthropic_bedrock aws_bedrock bedrock_converse bedrock_mantle",
    "vertex_ai": "google_anthropic_vertex google_vertexai vertex vertexai vertex_ai_beta",
    "gemini": "google google_ai_studio google_genai googleai",
    "azure": "azure_openai azure_text",
    "azure_ai": "azureai",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "together_ai": "together togetherai",
    "fireworks_ai": "fireworks",
    "ollama": "ollama_chat",
    "cohere": "cohere_chat",
    "hosted_vllm": "vllm",
    "lm_studio": "lmstudio",
    "nvidia_nim": "nvidia",
    "dashscope": "alibaba",
    "openai": "text-completion-openai",
    "codestral": "text-completion-codestral",
    "xai": "x-ai",
}
_CANONICAL = {other: name for name, others in _SPELLINGS.items() for other in others.split()}
_NAME_LIST = (
    "abliteration ai21 ai21_chat aiand aihubmix amazon_nova anthropic anyscale azure azure_ai baseten bedrock "
    "bigmodel bytez cerebras chatgpt clarifai cloudflare codestral cohere cometapi compactifai crusoe "
    "dashscope databricks datarobot deepinfra deepseek docker_model_runner empiriolabs featherless_ai "
    "fireworks_ai friendliai galadriel gemini gigachat github github_copilot gmi gpustack gradient_ai groq "
    "heroku hosted_vllm huggingface hyperbolic inception inferenceapis infinity jina_ai kyma lambda_ai "
    "lemonade libertai litellm_proxy llamacpp llamafile llamagate lm_studio meta_llama minimax mistral "
    "moonshot morph nebius nlp_cloud novita nscale nvidia_nim oci ollama oobabooga openai opencode_go "
    "openinfer openrouter ovhcloud perplexity petals poe predibase publicai qwen_ai_platform qwencloud "
    "replicate sagemaker sagemaker_chat sambanova sarvam scaleway scx-ai snowflake streamlake tencent "
    "tensormesh together_ai topaz triton upstage v0 vercel_ai_gateway vertex_ai volcengine wandb watsonx "
    "watsonx_text xai xiaomi_mimo xinference zai zerogpu"
)
_NAMES = frozenset(_NAME_LIST.split())
_LOCAL_LIST = (
    "docker_model_runner gpustack hosted_vllm lemonade llamacpp llamafile lm_studio ollama oobabooga triton xinference"
)
LOCAL = frozenset(_LOCAL_LIST.split())
"""Providers that are the user's own machines: other providers' prices say nothing about them."""
UNKNOWN = frozenset(["custom", "custom_openai", "litellm_proxy", "openai_compatible", "openai_like"])
"""Words that stand where a provider's name would, and say that it is an address of one's own."""

_PATHS_OF_HUGGING_FACE = frozenset(
    {"google", "meta-llama", "mistralai", "moonshotai", "nvidia", "alibaba", "x-ai", "cohere"}
)
"""Also organisations in model paths (``google/gemma-2-9b-it``): a provider only before a colon."""
_GEOGRAPHIES = "apac|au|ca|eu|global|in|jp|sa|us|us-gov"
_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen"
    "|twelvelabs|writer|xai|zai"
)
BEDROCK_ID = re.compile(rf"^(?:({_GEOGRAPHIES})\.)?({_VENDORS})\.(?=[a-z])")
"""A Bedrock model identifier: ``us.anthropic.claude-...``; groups: geography, vendor."""
_ARN = re.compile(r"^(?:bedrock/)?(?:[a-z]+/)?arn:aws[\w-]*:bedrock:([\w-]*):")
_AWS_REGION = re.compile(r"^(?:us|eu|ap|sa|ca|me|af|il|mx)(?:-gov)?-[a-z]+-\d$")
_VENDOR_OF = tuple(
    (re.compile(pattern), vendor)
    for pattern, vendor in (
        (r"claude-", "anthropic"),
        (r"(?:gpt-(?!oss)|chatgpt-|o[134](?:-|$)|codex-)", "openai"),
        (r"grok-", "xai"),
        (r"(?:mistral-(?:large|medium|small|tiny)|codestral|devstral-medium|magistral-medium|ministral)", "mistral"),
        (r"command-", "cohere"),
        (r"qwen[\d.-]*-(?:max|plus|flash|turbo|coder-plus|coder-flash)", "dashscope"),
        (r"sonar", "perplexity"),
        (r"kimi-k\d[\d.]*-pro", "moonshot"),
        (r"muse-", "meta"),
    )
)
"""Families that one company sells, by the beginning of a name without provider."""
_HOSTS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "aiplatform.googleapis.com": "vertex_ai",
    "api.mistral.ai": "mistral",
    "codestral.mistral.ai": "codestral",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.x.ai": "xai",
    "openrouter.ai": "openrouter",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.deepinfra.com": "deepinfra",
    "api.cerebras.ai": "cerebras",
    "api.perplexity.ai": "perplexity",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.moonshot.ai": "moonshot",
    "api.moonshot.cn": "moonshot",
    "api.z.ai": "zai",
    "api.minimax.io": "minimax",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.com": "nebius",
    "api.novita.ai": "novita",
    "integrate.api.nvidia.com": "nvidia_nim",
    "router.huggingface.co": "huggingface",
    "models.github.ai": "github",
    "models.inference.ai.azure.com": "github",
    "api.githubcopilot.com": "github_copilot",
    "ai-gateway.vercel.sh": "vercel_ai_gateway",
}
_HOST_ENDINGS = (
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure_ai"),
    (".models.ai.azure.com", "azure_ai"),
    (".api.openai.com", "openai"),
    ("-aiplatform.googleapis.com", "vertex_ai"),
    (".cloud.databricks.com", "databricks"),
    (".azuredatabricks.net", "databricks"),
    (".snowflakecomputing.com", "snowflake"),
)
_AMAZON = re.compile(r"(?:^|\.)bedrock(?:-runtime|-mantle)?[\w-]*\.[\w-]+\.(?:amazonaws\.com|api\.aws)$")
_ALIBABA = re.compile(r"(?:^|\.)dashscope(?:-[a-z]+)?\.aliyuncs\.com$")


class Serving(NamedTuple):
    """What a written name says about who serves it.

    Attributes:
        provider: In the one spelling (:func:`provider_name`); ``None`` if the name does not say.
        region: A region or geography written in the name, e.g. ``"us-east-1"`` or ``"eu"``.
    """

    provider: str | None
    region: str | None


def provider_name(written: str) -> str | None:
    """The one spelling of a provider; ``None`` for a word that is not a provider, or that hides one."""
    name = written.strip().casefold()
    name = _CANONICAL.get(name) or _CANONICAL.get(name.replace("-", "_")) or name
    if name.startswith("vertex_ai-"):  # LiteLLM's table: vertex_ai-anthropic_models
        return "vertex_ai"
    if name in UNKNOWN:
        return None
    return name if name in _NAMES else name.replace("-", "_") if name.replace("-", "_") in _NAMES else None


def serving(name: str) -> Serving:
    """Who serves ``name`` and where, by what is written in it: a prefix, a Bedrock identifier or ARN, a suffix."""
    written = name.strip().casefold()
    if match := _ARN.match(written):
        return Serving("bedrock", match[1] or _geography(written))
    head, slash, rest = written.partition("/")
    before, colon, after = head.partition(":")
    if colon and after and (provider := provider_name(before)):  # LangChain: openai:gpt-5
        return Serving(provider, _region(provider, f"{after}{slash}{rest}"))
    provider = provider_name(head) if slash and head not in _PATHS_OF_HUGGING_FACE else None
    if provider is not None:
        return Serving(provider, _region(provider, rest))
    if BEDROCK_ID.match(written) and not slash:
        return Serving("bedrock", _geography(written))
    if slash and written.count(":") == 1 and (provider := provider_name(written.rpartition(":")[2])):
        return Serving(provider, None)  # Hugging Face: org/model:provider
    return Serving(None, None)


def vendor(bare: str) -> str | None:
    """Who sells the model of this name, without provider, itself; ``None`` for open weights, which anyone may serve."""
    return next((name for pattern, name in _VENDOR_OF if pattern.match(bare)), None)


def provider_at(url: str) -> str | None:
    """The provider whose public address ``url`` is; ``None`` for any other, which may be anyone's."""
    host = (urlsplit(url if "//" in url else f"//{url}").hostname or "").casefold()
    if host in _HOSTS:
        return _HOSTS[host]
    if _AMAZON.search(host):
        return "bedrock"
    if _ALIBABA.search(host):
        return "dashscope"
    return next((provider for ending, provider in _HOST_ENDINGS if host.endswith(ending)), None)


def provider_behind(provider: str | None, address: str | None) -> str | None:
    """Who serves requests of a client of ``provider`` that is pointed at ``address``; ``None`` if that may be anyone.

    Providers without a public address of their own (Azure, Bedrock, a server at home) stay what they are.
    """
    if not address:
        return provider
    return provider_at(address) or (None if provider in _HOSTS.values() else provider)


def _geography(written: str) -> str | None:
    match = BEDROCK_ID.match(written.rpartition("/")[2])
    return match[1] if match else None


def _region(provider: str, rest: str) -> str | None:
    if provider == "bedrock":
        return next((part for part in rest.split("/") if _AWS_REGION.match(part)), None) or _geography(rest)
    head, slash, _ = rest.partition("/")
    return head if slash and provider == "azure" and re.fullmatch(_GEOGRAPHIES, head) else None
