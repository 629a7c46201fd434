"""One model, many spellings: bringing model names into comparable forms, from exact to loose.

``"bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0"``, ``"openrouter/anthropic/claude-3.5-sonnet:beta"`` and
``"claude-3-5-sonnet-latest"`` all mean one model. Each name is reduced in stages (:data:`STAGES`); a look-up tries the
strictest stage first, so an exact name wins over a shortened one. What tells models apart is never removed: size,
``mini`` and the like, ``instruct`` and ``chat``, reasoning effort, version numbers.
"""

from __future__ import annotations

import re

STAGES = ("as written", "without provider", "spelling", "without deployment", "without date")
"""What :func:`forms` returns, from strict to loose."""

_PROVIDER_NAMES = (
    "ai21 anthropic anthropic_bedrock azure azure_ai azure_openai baseten bedrock bedrock_converse cerebras"
    " cloudflare cohere databricks deepinfra deepseek fireworks fireworks_ai gemini github google"
    " google_anthropic_vertex google_genai google_vertexai gpustack groq heroku huggingface hyperbolic ibm"
    " litellm litellm_proxy llamacpp lmstudio meta minimax mistral mistralai moonshot moonshotai nebius novita"
    " nvidia nvidia_nim ollama ollama_chat openai openai_compatible openrouter perplexity replicate sagemaker"
    " sambanova snowflake together together_ai upstage vertex vertex_ai vllm voyage watsonx xai zai"
)
_PROVIDERS = frozenset(_PROVIDER_NAMES.split())
_VENDORS = (
    "ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|moonshotai"
    "|nvidia|openai|qwen|writer|zai"
)
_REGION = re.compile(rf"^(?:(?:apac|au|ca|eu|global|jp|us|us-gov)\.)?(?:{_VENDORS})\.(?=[a-z])")
_VARIANT = re.compile(r":(?:beta|extended|fastest|cheapest|floor|free|latest|nitro|online)$")

_SEPARATORS = re.compile(r"[\s._:@+]+")
_OLLAMA_SIZE = re.compile(r"^([a-z][\w.\-]*):((?:\d+x)?\d+(?:\.\d+)?[bm])(?=-q\d|-fp16$|$)")
_FAMILY_NUMBER = re.compile(
    r"^(llama|codellama|qwen|gemma|phi|yi|mistral|mixtral|claude|gemini|glm|grok|gpt|internlm|granite|olmo)-?(?=\d)"
)
_SPELLINGS = (
    (re.compile(r"^meta-(?=llama)"), ""),
    (re.compile(r"^(deepseek)-?(?=[vr]\d)"), r"\1-"),
    (re.compile(r"^(llama)-v(?=\d)"), r"\1-"),  # Fireworks: llama-v3p1-8b-instruct
    (re.compile(r"^(llama|qwen)-?(\d+)p(\d+)(?=-)"), r"\1-\2-\3"),
    (re.compile(r"^gpt-?35(?=-|$)"), "gpt-3-5"),  # Azure: gpt-35-turbo
    (re.compile(r"^claude-(\d+(?:-\d)?)-(haiku|opus|sonnet)(?=-|$)"), r"claude-\2-\1"),
    (re.compile(r"-(?:it|inst)(?=-|$)"), "-instruct"),
    (re.compile(r"^(llama-[\w-]+b)-(?:instant|versatile)$"), r"\1-instruct"),  # Groq
)

_QUANTISATION = (
    r"(?:bnb-)?[48]bit|nf4|fp(?:8|16|32)(?:-dynamic)?|bf16|int[48]|w\d+a\d+|awq|gptq|gguf|ggml|exl2|mlx|mxfp4|nvfp4"
    r"|i?q\d(?:-[01k])?(?:-(?:xxs|xs|s|m|l|xl))?|quantized|qat|dynamic|unsloth"
)
_DEPLOYMENT = (
    re.compile(rf"-(?:{_QUANTISATION})$"),
    re.compile(r"-(?:hf|maas|nim|fireworks|default)$"),
    re.compile(r"(?<=instruct)-(?:turbo|lite|reference)$"),  # Together
)
_BEDROCK_VERSION = re.compile(r"(?<!claude)(?<!instant)-v[1-9]\d*:\d+(?::\w+)?$")
_CLAUDE_RELEASE = re.compile(r"^(claude-[\w.-]*(?:haiku|opus|sonnet)(?:-\d+)*)-v\d(?=-\d{8}$|$)")

_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])"
_FULL_DATE = re.compile(rf"-({_YEAR})-?({_MONTH})-?({_DAY})(?=-|$)")
_SHORT_YEAR_DATE = re.compile(rf"-(2\d)-({_MONTH})-({_DAY})$")
_MONTH_YEAR = re.compile(rf"-({_MONTH})-({_YEAR})$")
_YEAR_MONTH = re.compile(rf"-(2[3-9])({_MONTH})$")
_MONTH_DAY = re.compile(rf"-({_MONTH})({_DAY})$")
_GEMINI_PREVIEW = re.compile(rf"^(gemini-[\w-]+?)-preview(?:-({_MONTH})-?({_DAY}))?$")
_GEMINI_NUMBER = re.compile(r"^(gemini-[\w-]+)-(00\d)$")
_DATED_GENERATIONS = re.compile(
    r"^(?:mistral-(?:tiny|small|medium|large)|codestral|devstral|magistral|ministral|pixtral)\b"
)
"""Names whose date is the only mark of the generation (mistral-small-2402, mistral-small-2501): it stays."""


def forms(name: str) -> tuple[str, ...]:
    """Comparable forms of a model name, one for each of :data:`STAGES`, from strict to loose.

    Two names mean the same model with the more certainty, the earlier the stage at which their forms agree.
    """
    written = name.strip().casefold()
    bare = _without_provider(written)
    deployed = _without_deployment(bare)
    return written, bare, _spelling(bare), deployed, _without_date(deployed)


def canonical(name: str) -> str:
    """The name without provider, deployment and quantisation, in one spelling; its date stays."""
    return forms(name)[3]


def release(name: str) -> tuple[int, int, int]:
    """Year, month and day that stand in a name, for comparing snapshots; zeros for parts that are not given."""
    return _date_of(canonical(name))[1]


def _without_provider(name: str) -> str:
    bare = name.rstrip("/").rpartition("/")[2] or name
    head, colon, tail = bare.partition(":")
    if colon and tail and head in _PROVIDERS:
        bare = tail.rpartition("/")[2]
    elif colon and tail in _PROVIDERS and bare.count(":") == 1:  # Hugging Face: model:provider
        bare = head
    return _VARIANT.sub("", _REGION.sub("", bare))


def _spelling(name: str) -> str:
    """One spelling for dots, dashes, underscores and the families' own habits."""
    size = _OLLAMA_SIZE.match(name)
    if size:  # Ollama's plain tags are the instruction-tuned models
        name = f"{size[1]}-{size[2]}-instruct{name[size.end() :]}"
    name = re.sub(r"-{2,}", "-", _SEPARATORS.sub("-", name)).strip("-")
    for pattern, replacement in _SPELLINGS:
        name = pattern.sub(replacement, name)
    return _FAMILY_NUMBER.sub(r"\1-", name)


def _without_deployment(name: str) -> str:
    name, before = _CLAUDE_RELEASE.sub(r"\1", _spelling(_BEDROCK_VERSION.sub("", name))), ""
    while name != before:
        before = name
        for pattern in _DEPLOYMENT:
            name = pattern.sub("", name)
    return name


def _without_date(name: str) -> str:
    return _date_of(name)[0].removesuffix("-latest")


def _date_of(name: str) -> tuple[str, tuple[int, int, int]]:
    """Split a spelt name into the name without its date, and the date."""
    if _DATED_GENERATIONS.search(name):
        return name, (0, 0, 0)
    if match := _FULL_DATE.search(name):
        return name[: match.start()] + name[match.end() :], (int(match[1]), int(match[2]), int(match[3]))
    if match := _SHORT_YEAR_DATE.search(name):
        return name[: match.start()], (2000 + int(match[1]), int(match[2]), int(match[3]))
    if match := _MONTH_YEAR.search(name):
        return name[: match.start()], (int(match[2]), int(match[1]), 0)
    if match := _YEAR_MONTH.search(name):
        return name[: match.start()], (2000 + int(match[1]), int(match[2]), 0)
    if match := _MONTH_DAY.search(name):
        return name[: match.start()], (0, int(match[1]), int(match[2]))
    if match := _GEMINI_PREVIEW.match(name):
        return match[1], (0, int(match[2] or 0), int(match[3] or 0))
    if match := _GEMINI_NUMBER.match(name):
        return match[1], (0, 0, int(match[2]))
    return name, (0, 0, 0)
