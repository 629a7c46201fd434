"""One model, many spellings: bringing model names into comparable forms, from exact to loose.

``"bedrock/us.anthropic.claude-3-5-sonnet-20240620-v1:0"``, ``"openrouter/anthropic/claude-3.5-sonnet:beta"`` and
``"claude-3-5-sonnet-latest"`` all mean one model. Each name is reduced in stages (:data:`STAGES`); a look-up tries the
strictest stage first, so an exact name wins over a shortened one. What tells models apart is never removed: size,
``mini`` and the like, ``instruct`` and ``chat``, reasoning effort, version numbers. A name that means another model at
each provider (``mistral-large-latest``, ``gemini-flash-latest``) is shortened only where its vendor serves it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from modelsat.capability.providers import BEDROCK_ID, LOCAL, provider_name, serving

STAGES = ("as written", "without provider", "spelling", "without deployment", "without date")
"""What :func:`forms` returns, from strict to loose."""

_VARIANT = re.compile(r":(?:beta|discounted|extended|fastest|cheapest|floor|free|latest|nitro|online)$")
_FINE_TUNED = re.compile(r"^(?:[\w-]+/)?ft:([^:/]+)(?::.*)?$")

_SEPARATORS = re.compile(r"[\s._:@+]+")
_OLLAMA_SIZE = re.compile(r"^([a-z][\w.\-]*):((?:\d+x)?\d+(?:\.\d+)?[bm])(?=-q\d|-fp16$|-cloud$|-it\b|$)")
_PLAIN_IS_INSTRUCT = re.compile(r"^(?:deepseek|gpt-?oss|qwen-?3|glm|kimi|minimax|nemotron-?3|magistral|qwq)")
"""Families whose instruction-tuned models carry no mark."""
_DISTILLED = re.compile(r"^deepseek-r1:(1\.5b|7b|14b|32b|70b)$")
_FAMILY_NUMBER = re.compile(
    r"^(llama|codellama|qwen|gemma|phi|yi|mistral|mixtral|claude|gemini|glm|grok|gpt|internlm|granite|olmo)-?(?=\d)"
)
_SPELLINGS = (
    (re.compile(r"^(?:fw|databricks|system-ai|gemini(?=-gemma))-(?=[a-z])"), ""),  # Fireworks at Azure; Databricks
    (
        re.compile(
            r"^(?:ai21|alibaba|anthropic|cohere|google|nvidia|openai|xai|zai)-"
            r"(?=gpt|o\d|claude|qwen|command|gemini|gemma|glm|grok|jamba|nemotron)"
        ),
        "",
    ),
    (re.compile(r"^meta-(?=llama)"), ""),
    (re.compile(r"(?<=\d)p(?=\d)"), "-"),  # Fireworks: llama-v3p1-8b-instruct
    (re.compile(r"^(deepseek)-?(?=[vr]\d)"), r"\1-"),
    (re.compile(r"^(llama)-v(?=\d)"), r"\1-"),
    (re.compile(r"^gpt-?35(?=-|$)"), "gpt-3-5"),  # Azure: gpt-35-turbo
    (re.compile(r"^claude-(\d+(?:-\d)?)-(fable|haiku|mythos|opus|sonnet)(?=-|$)"), r"claude-\2-\1"),
    (re.compile(r"-(?:it|inst)(?=-|$)"), "-instruct"),
    (re.compile(r"^(llama-[\w-]+b)-(?:instant|versatile)$"), r"\1-instruct"),  # Groq
    (re.compile(r"^llama-?4-(maverick|scout)(?:-17b)?-(?:16|128)e(?=-|$)"), r"llama-4-\1-17b"),
    (re.compile(r"^llama-?4-(maverick|scout)(?:-instruct)?$"), r"llama-4-\1-17b-instruct"),
    (re.compile(r"^(qwen-?3-coder-480b)(?=-instruct|-cloud|$)"), r"\1-a35b"),
    (re.compile(r"^(qwen-?3-coder-\d+b-a\d+b)(?!-instruct)"), r"\1-instruct"),  # there is no other
    (re.compile(r"^deepseek-r1-0528-distill-(?=qwen)"), "deepseek-r1-0528-"),
    (re.compile(r"^mistral-small(?:-3)?-24b-instruct-2501$"), "mistral-small-2501"),
    (re.compile(r"^mistral-small-3-1(?:-24b)?(?:-instruct)?(?:-2503)?$"), "mistral-small-2503"),
    (re.compile(r"^mistral-small-3-2(?:-24b)?(?:-instruct)?(?:-2506)?$"), "mistral-small-2506"),
    (re.compile(r"^mistral-small-4(?:-0)?$"), "mistral-small-2603"),
    (re.compile(r"^ministral-3-(3|8|14)b(?:-instruct)?(?:-2512)?$"), r"ministral-\1b-2512"),
    (re.compile(r"^mistral-large-3(?:-675b)?(?:-instruct)?(?:-2512)?(?=-fp8|-nvfp4|$)"), "mistral-large-2512"),
    (re.compile(r"^mistral-large-instruct-(\d{4})$"), r"mistral-large-\1"),
    (re.compile(r"^mistral-medium-3-5(?:-128b)?$"), "mistral-medium-2604"),
    (re.compile(r"^mistral-medium-3-1$"), "mistral-medium-2508"),
    (re.compile(r"^devstral-2-123b(?:-instruct)?(?:-2512)?$"), "devstral-2512"),
    (re.compile(r"^(qwen-?3-\d+b(?:-a\d+b)?)-2507(?=-|$)"), r"\1-instruct-2507"),
    (re.compile(r"^nemotron-(nano|super|ultra)-3-"), r"nemotron-3-\1-"),  # Bedrock
    (re.compile(r"^(nemotron-3-(?:nano|super|ultra)-\d+b)-a\d+b(?=-|$)"), r"\1"),
)

_QUANTISATION = (
    r"(?:bnb-)?[48]bit|nf4|fp(?:4|8|16|32)(?:-dynamic)?|bf16|int[48]|w\d+a\d+|awq|gptq|gguf|ggml|exl2|mlx|mxfp4?|nvfp4"
    r"|i?q\d(?:-[01k])?(?:-(?:xxs|xs|s|m|l|xl))?|quantized|qat|dynamic|unsloth|mtp|tee"
)
_DEPLOYMENT = (
    re.compile(rf"-(?:{_QUANTISATION})$"),
    re.compile(r"-(?:hf|maas|nim|fireworks|default|highspeed|lora|cloud|basic)$"),
    re.compile(r"(?<=instruct)(?:-fp8)?-(?:turbo|lite|reference|fast)$"),  # Together, Cloudflare
    re.compile(r"^((?:claude-opus|deepseek-v|glm-|kimi-k)[\w-]*)-fast$"),  # the same weights on faster machines
    re.compile(r"^((?:deepseek-[vr]|gpt-oss-|minimax-m)\d[\w-]*)-(?:turbo|671b)$"),
    re.compile(r"^(minimax-m\d[\w-]*)-lightning$"),
)
_BEDROCK_VERSION = re.compile(
    r"(?<!claude)(?<!instant)-v[1-9]\d*:\d+(?::\w+)?$|(?<=\db)-\d+:\d+(?::\w+)?$|@00\d$|(?<=nova-)(lite|micro|premier|pro)-v\d$"
)
_CLAUDE_RELEASE = re.compile(r"^(claude-[\w.-]*(?:haiku|opus|sonnet)(?:-\d+)*)-v\d(?=-\d{8}$|$)")
_HOSTED_INSTRUCT = re.compile(r"^(?:llama-3(?:-\d)?-\d+b|llama-4-\w+-17b|gemma-[234](?:-\d)?-\d+b(?:-a\d+b)?)$")
"""Served for chat, these are the instruction-tuned models, whether the host says so or not."""
_BEDROCK_INSTRUCT = re.compile(r"^qwen-3-(?:next|vl)-\d+b-a\d+b$")

_YEAR, _MONTH, _DAY = r"(?P<year>(?:19|20)\d\d)", r"(?P<month>0[1-9]|1[0-2])", r"(?P<day>0[1-9]|[12]\d|3[01])"
_SHORT_YEAR = r"(?P<year>2[3-9])"
_DATES = (
    re.compile(rf"-{_YEAR}-?{_MONTH}-?{_DAY}(?=-|$)"),
    re.compile(rf"-{_SHORT_YEAR}-?{_MONTH}-?{_DAY}$"),
    re.compile(rf"-(?:preview-)?{_MONTH}-{_YEAR}$"),
    re.compile(rf"-{_SHORT_YEAR}{_MONTH}$"),
    re.compile(rf"-{_MONTH}{_DAY}$"),
    re.compile(rf"(?<=^gemini)(?P<stem>-[\w-]+?)-preview(?:-{_MONTH}-?{_DAY})?$"),
    re.compile(r"(?<=^gemini)(?P<stem>-[\w-]+)-(?P<day>00\d)$"),
)
"""Dates in names, in the order in which they are looked for; a release of Gemini is numbered by day."""
_DATED_GENERATIONS = re.compile(
    r"^(?:open-)?(?:mistral-(?:tiny|small|medium|large)|codestral|devstral|magistral|ministral|pixtral|voxtral)\b"
)
"""Mistral's names, whose date may be the only mark of the generation (mistral-small-2402, -2501): it stays."""
_DATED = re.compile(rf"{_DATED_GENERATIONS.pattern}|^(?:gemini-exp|qwen-(?:coder|flash|long|max|plus|turbo))(?=-|$)")
"""All names whose date stays."""
_GENERATION = re.compile(r"-\d{4}(?=-|$)|-(?:v\d|\d{1,2})(?:-\d{1,2})?(?=-|$)")
_MOVING = re.compile(
    r"^(?:(?:gemini|grok|command|qwen|glm|deepseek)(?:-[a-z]+)*-latest|(?:gpt-)?chat-latest"
    r"|(?:gemini|deepseek|qwen|grok)-(?:flash|flash-lite|pro|plus|max|turbo|coder))$"
)
"""Names without a generation: they stand for whatever their vendor serves today."""
_MISTRAL = frozenset({"mistral", "codestral"})
_OWN = {
    "codestral": {"mistral", "codestral"},
    "command": {"cohere"},
    "deepseek": {"deepseek"},
    "gemini": {"gemini", "vertex_ai"},
    "glm": {"zai", "bigmodel"},
    "grok": {"xai"},
    "qwen": {"dashscope", "qwencloud", "qwen_ai_platform"},
    "chat": {"openai"},
    "gpt": {"openai"},
}
_MEANT = {
    ("bedrock", "deepseek-v3"): "deepseek-v3-1",  # Amazon's deepseek.v3-v1:0 is DeepSeek-V3.1
    ("azure", "mistral-large-latest"): "mistral-large-2402",
    ("azure_ai", "ministral-3b"): "ministral-3b-2410",
    ("azure_ai", "mistral-nemo"): "mistral-nemo-2407",
    ("bedrock", "nemotron-nano-12b-v2"): "nemotron-nano-12b-v2-vl",
    ("mistral", "mistral-medium-3"): "mistral-medium-2604",
    ("snowflake", "mistral-large"): "mistral-large-2402",
    ("snowflake", "mistral-large2"): "mistral-large-2407",
    ("vertex_ai", "mistral-medium-3"): "mistral-medium-2505",
    ("vertex_ai", "mistral-medium-3-001"): "mistral-medium-2505",
    ("vertex_ai", "mistral-large-2411-001"): "mistral-large-2411",
    ("vertex_ai", "mistral-small-2503-001"): "mistral-small-2503",
}
"""What a provider's own name for a model means there, by its documentation or its price (LiteLLM 1.110.2)."""


@lru_cache(maxsize=8192)
def forms(name: str) -> tuple[str, ...]:
    """Comparable forms of a model name, one for each of :data:`STAGES`, from strict to loose.

    Two names mean the same model with the more certainty, the earlier the stage at which their forms agree.
    """
    written = name.strip().casefold()
    provider = serving(written).provider
    bare = _without_provider(written)
    spelt = _spelling(bare)
    deployed = _without_deployment(bare, provider)
    meant = _MEANT.get((provider or "", deployed)) or _MEANT.get((provider or "", spelt))
    if meant is not None:
        return written, meant, meant, meant, _without_date(meant)
    if provider is not None and _means_another_elsewhere(deployed, provider):
        own = f"{provider}/{spelt}"
        return written, own, own, own, own
    if deployed == f"{spelt}-instruct":  # a host's word for what it serves: not the base model of that name
        bare = spelt = deployed
    return written, bare, spelt, deployed, _without_date(deployed)


def canonical(name: str) -> str:
    """The name without provider, deployment and quantisation, in one spelling; its date stays."""
    return forms(name)[3]


def release(name: str) -> tuple[int, int, int]:
    """Year, month and day that stand in a name, for comparing snapshots; zeros for parts that are not given."""
    return _date_of(canonical(name))[1]


def undated(name: str) -> str:
    """:func:`canonical` without the date, where it does not tell generations apart."""
    return forms(name)[4]


def base_of(name: str) -> str | None:
    """The model that a fine-tuned one was made of: ``ft:gpt-4o-mini-2024-07-18:org::id``; ``None`` for others."""
    match = _FINE_TUNED.match(name.strip())
    return match[1] if match else None


def _means_another_elsewhere(name: str, provider: str) -> bool:
    """Whether ``name`` has no generation of its own, so that only its vendor's listing says what it stands for."""
    if _DATED_GENERATIONS.search(name):
        return provider not in _MISTRAL and _GENERATION.search(name) is None
    return _MOVING.match(name) is not None and provider not in _OWN.get(name.partition("-")[0], ())


def _without_provider(name: str) -> str:
    bare = name.rstrip("/").removesuffix("/community").rpartition("/")[2] or name
    head, colon, tail = bare.partition(":")
    if colon and tail and provider_name(head):
        bare = tail.rpartition("/")[2]
    elif colon and bare.count(":") == 1 and provider_name(tail):  # Hugging Face: model:provider
        bare = head
    match = BEDROCK_ID.match(bare)
    if match:
        bare = bare[match.end() :]
        if match[2] == "deepseek":
            bare = f"deepseek-{bare}"
    return _VARIANT.sub("", bare)


def _spelling(name: str) -> str:
    """One spelling for dots, dashes, underscores and the families' own habits."""
    if distilled := _DISTILLED.match(name):
        return f"deepseek-r1-distill-{'llama' if distilled[1] == '70b' else 'qwen'}-{distilled[1].replace('.', '-')}"
    size = _OLLAMA_SIZE.match(name)
    if size:  # Ollama's plain tags are the instruction-tuned models
        rest = name[size.end() :]
        plain = _PLAIN_IS_INSTRUCT.match(name) is not None or rest.startswith("-it")
        name = f"{size[1]}-{size[2]}{'' if plain else '-instruct'}{rest}"
    name = re.sub(r"-{2,}", "-", _SEPARATORS.sub("-", name)).strip("-")
    for pattern, replacement in _SPELLINGS:
        name = pattern.sub(replacement, name)
    return _FAMILY_NUMBER.sub(r"\1-", name)


def _without_deployment(name: str, provider: str | None) -> str:
    name, before = _CLAUDE_RELEASE.sub(r"\1", _spelling(_BEDROCK_VERSION.sub(r"\1", name))), ""
    while name != before:
        before = name
        for pattern in _DEPLOYMENT:
            name = pattern.sub(r"\1" if pattern.groups else "", name)
    if provider is None or provider in LOCAL or provider == "huggingface":
        return name
    hosted = _HOSTED_INSTRUCT.match(name) or (provider == "bedrock" and _BEDROCK_INSTRUCT.match(name))
    return f"{name}-instruct" if hosted else name


def _without_date(name: str) -> str:
    return name if _DATED.search(name) else _date_of(name)[0].removesuffix("-latest")


def _date_of(name: str) -> tuple[str, tuple[int, int, int]]:
    """Split a name into the name without its date, and the date."""
    if _DATED.search(name):
        return name, (0, 0, 0)
    for pattern in _DATES:
        if match := pattern.search(name):
            found = match.groupdict()
            year, month, day = (int(found.get(part) or 0) for part in ("year", "month", "day"))
            bare = name[: match.start()] + found.get("stem", "") + name[match.end() :]
            return bare, (year + 2000 if 0 < year < 100 else year, month, day)
    return name, (0, 0, 0)
