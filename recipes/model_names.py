"""Which names in the logs mean one model, and the names people use for it.

Read by ``recipes/build_registry.py``. Four tables, each decided case by case:

* ``SAME``: name in a log -> name in the registry. Only for one and the same model: other sizes, other quantisations
  with figures of their own, other reasoning efforts and other snapshots stay apart.
* ``FROM_CARDS``: models of ``recipes/further_figures.csv`` that the registry knows from there alone.
* ``LEFT_OUT``: log entries that are not a model, with the reason.
* ``ALIASES``: registry name -> names on OpenAI, Anthropic, Google, Mistral, Together, Groq, Ollama, Bedrock and so on,
  as far as ``modelsat.capability.naming`` does not get there by itself (it knows prefixes, dates, quantisation).
"""

from __future__ import annotations

SAME = {
    # Meta writes "Meta-Llama-3.1-..." on the Hub, others drop the "Meta-"; "Inst" is ZeroEval's short form.
    "Meta-Llama-3.1-8B-Instruct": "Llama-3.1-8B-Instruct",
    "Meta-Llama-3.1-405B-Instruct": "Llama-3.1-405B-Instruct",
    "Llama-3.1-405B-Inst": "Llama-3.1-405B-Instruct",
    # The FP8 weights have figures of their own; Together's "Turbo" endpoint served them.
    "Llama-3.1-405B-Inst-fp8": "Llama-3.1-405B-Instruct-FP8",
    "Llama-3.1-405B-Instruct-Turbo": "Llama-3.1-405B-Instruct-FP8",
    # DeepSeek's API names of July 2024: logged and published GSM8K accuracies agree to 0.2 points.
    "deepseek-chat": "deepseek-v2-chat-0628",
    "deepseek-coder": "deepseek-v2-coder-0614",
    "DeepSeek-Coder-V2-0724": "deepseek-v2-coder-0724",
    # The weights released as DeepSeek-Coder-V2-Instruct are the 0614 snapshot.
    "DeepSeek-Coder-V2": "deepseek-v2-coder-0614",
    # Repeated ZeroEval runs of one snapshot, not other models.
    "o1-mini-2024-09-12-v2": "o1-mini-2024-09-12",
    "o1-mini-2024-09-12-v3": "o1-mini-2024-09-12",
    "o1-preview-2024-09-12-v2": "o1-preview-2024-09-12",
    # The Hub's name of Command R (03-2024), which is what Cohere's API served as command-r then.
    "c4ai-command-r-v01": "command-r",
    # "-hf" marks the file format, not another model.
    "Llama-2-7b-hf": "Llama-2-7b",
    "Llama-2-13b-hf": "Llama-2-13b",
    "Llama-2-70b-hf": "Llama-2-70b",
    "Mistral-7B-v0.2-hf": "Mistral-7B-v0.2",
    # Spellings of AlpacaEval's result folders; the same weights served by Together.
    "vicuna-13b-v1.5-togetherai": "vicuna-13b-v1.5",
    "gpt35_turbo_instruct": "gpt-3.5-turbo-instruct",
    "text_davinci_001": "text-davinci-001",
    "text_davinci_003": "text-davinci-003",
    "Yi-6b-Chat": "Yi-6B-Chat",
    # The release of July 2025; "kimi-k2" means the newest.
    "kimi-k2": "kimi-k2-0711",
    "qwen3-235b-a22b-non-thinking": "qwen3-235b-a22b",
    # The names move with every release; these are the snapshots of April 2026, which the report describes.
    "deepseek-v4-flash": "deepseek-v4-flash-0420",
    "deepseek-v4-pro": "deepseek-v4-pro-0424",
}

EFFORTS = {
    # What the figures that name no effort were measured at, and what the bare name therefore describes.
    "o3": "medium",
    "o4-mini": "medium",
    "o3-mini-2025-01-31-medium": "medium",
    "grok-3-mini-fast-beta-low": "low",
    # not thinking, as the tables of LLMRouterBench and of Kimi K2 say or show
    "qwen3-235b-a22b": "none",
    "claude-sonnet-4": "none",
    "claude-opus-4": "none",
    "deepseek-v3.1-terminus": "none",
}

NEVER_THINK = (
    "gpt-3", "gpt-4", "gpt-5-chat", "chatgpt-4o", "claude-2", "claude-3-5", "claude-3-haiku", "claude-3-opus",
    "claude-3-sonnet", "claude-instant", "gemini-1", "gemini-2.0-flash-lite", "gemini-2.0-pro", "gemma-2", "gemma-3",
    "grok-2", "grok-3-fast", "kimi-k2-0", "deepseek-v2", "deepseek-v3-0324", "mistral-large-2", "mistral-small-25",
    "mistral-medium-25", "Mistral-", "Mixtral", "Llama-", "Meta-Llama", "Qwen2", "Qwen1", "phi-4", "command-",
)  # fmt: skip
"""Models that only answer: the beginnings of their names. A successor that thinks is not estimated from them."""

DATES = {
    # Moving names: the snapshot that the figures describe.
    "deepseek-v4-flash-0420": "2026-04-20",
    "deepseek-v4-pro-0424": "2026-04-24",
    "deepseek-v4-flash": "2026-07-31",
    "deepseek-v4-pro": "2026-08-13",
    "kimi-k2-0711": "2025-07-11",
    "kimi-k2-0905": "2025-09-05",
}

LEFT_OUT = {
    "gpt4_gamed": "answers written to please the judge",
    "gpt4_0613_concise": "a prompt that asks for short answers, which the judge dislikes; says little about the model",
    "gpt-3.5-turbo-1106_concise": "a prompt variant, no plain run",
    "gpt-3.5-turbo-1106_verbose": "a prompt variant, no plain run",
    "alpaca-7b_concise": "a prompt variant of alpaca-7b",
    "claude-2.1_concise": "a prompt variant of claude-2.1",
}

FROM_CARDS = (
    # OpenAI; o3 and o4-mini at the API's default effort, GPT-5.2 and 5.4 and gpt-oss at their largest
    "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-4.1-nano-2025-04-14", "gpt-4.5-preview-2025-02-27",
    "gpt-4o-2024-11-20", "o3", "o3-high", "o3-low", "o4-mini", "o4-mini-high", "o4-mini-low", "gpt-5-mini", "gpt-5.2",
    "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.5", "gpt-oss-120b", "gpt-oss-20b",
    # Anthropic, from 4.5 on with extended thinking
    "claude-opus-4", "claude-sonnet-4.5", "claude-opus-4.5", "claude-haiku-4.5", "claude-sonnet-4.6", "claude-opus-4.6",
    "claude-opus-4.7", "claude-opus-4.8", "claude-sonnet-5",
    # Google, xAI, Mistral, Microsoft; Gemma 3, Mistral Small 3.2 and Phi-4 do not think
    "gemini-3-pro", "gemini-3-flash", "gemini-3.1-pro", "gemma-4-31b-it", "gemma-4-26b-a4b-it", "gemma-4-e4b-it",
    "gemma-4-e2b-it", "gemma-3-27b-it", "grok-2-mini", "grok-4", "Mistral-Small-3.2-24B-Instruct", "phi-4",
    # Meta
    "Llama-3.2-1B-Instruct", "Llama-3.3-70B-Instruct", "Llama-4-Scout-17B-16E-Instruct",
    "Llama-4-Maverick-17B-128E-Instruct",
    # DeepSeek, Moonshot, Zhipu, MiniMax, Alibaba; thinking but for Kimi K2, Qwen3 and Qwen2.5
    "deepseek-v3.2", "deepseek-v4-pro", "deepseek-v4-flash", "kimi-k2", "kimi-k2.5", "kimi-k2.6", "glm-5.1", "glm-5.2",
    "minimax-m2", "qwen3-235b-a22b-non-thinking", "qwen3.6-plus", "qwen3.7-max", "Qwen3.6-27B", "Qwen3.6-35B-A3B",
    "Qwen3.5-397B-A17B", "Qwen3.5-122B-A10B", "Qwen3.5-35B-A3B", "Qwen3.5-27B", "Qwen3.5-9B", "Qwen3.5-4B",
    "Qwen3-Next-80B-A3B-Thinking", "Qwen3-30B-A3B-Thinking-2507", "Qwen2.5-14B-Instruct",
)  # fmt: skip

ALIASES: dict[str, tuple[str, ...]] = {
    # OpenAI
    "gpt-5": ("gpt-5-2025-08-07",),
    "gpt-5-chat": ("gpt-5-chat-latest",),
    "gpt-4o-2024-05-13": (),
    "gpt-4o-2024-08-06": ("gpt-4o",),  # what the API serves under that name, though there is a later snapshot
    "gpt-4.1-2025-04-14": ("gpt-4.1",),
    "gpt-4.1-mini-2025-04-14": ("gpt-4.1-mini",),
    "gpt-4.1-nano-2025-04-14": ("gpt-4.1-nano",),
    "gpt-4.5-preview-2025-02-27": ("gpt-4.5-preview", "gpt-4.5"),
    "o3": ("o3-2025-04-16", "o3-medium"),
    "o4-mini": ("o4-mini-2025-04-16", "o4-mini-medium"),
    "gpt-5-mini": ("gpt-5-mini-2025-08-07",),
    "gpt-5.2": ("gpt-5.2-2025-12-11",),
    "gpt-5.4": ("gpt-5.4-2026-03-05",),
    "gpt-5.4-mini": ("gpt-5.4-mini-2026-03-17",),
    "gpt-5.4-nano": ("gpt-5.4-nano-2026-03-17",),
    "gpt-5.5": ("gpt-5.5-2026-04-23", "gpt-5.5-2026-04-24"),
    "gpt-oss-120b": ("gpt-oss:120b",),
    "gpt-oss-20b": ("gpt-oss:20b", "gpt-oss"),
    "gpt-4o-mini-2024-07-18": ("gpt-4o-mini",),
    "chatgpt-4o-latest-24-09-07": ("chatgpt-4o-latest",),
    "gpt-4-turbo-2024-04-09": ("gpt-4-turbo",),
    # Snapshots of one preview; "gpt-4-turbo" is the release after it.
    "gpt-4-1106-preview": ("gpt-4-turbo-preview", "gpt-4-0125-preview"),
    "gpt-4-0314": ("gpt-4",),  # the registry's only GPT-4 before Turbo
    "gpt-3.5-turbo-0125": (
        "gpt-3.5-turbo",
        "gpt-35-turbo",
    ),  # the month-day of 0301 looks newer, but it is the older one
    "o1-2024-12-17": ("o1",),
    "o1-preview-2024-09-12": ("o1-preview",),
    "o1-mini-2024-09-12": ("o1-mini",),
    "o3-mini-2025-01-31-medium": ("o3-mini", "o3-mini-2025-01-31", "o3-mini-medium"),  # the API's default effort
    "o3-mini-2025-01-31-high": ("o3-mini-high",),
    "o3-mini-2025-01-31-low": ("o3-mini-low",),
    # Anthropic
    "claude-sonnet-4": ("claude-sonnet-4-20250514", "claude-sonnet-4-0", "claude-4-sonnet"),
    "claude-opus-4": ("claude-opus-4-20250514", "claude-opus-4-0", "claude-4-opus"),
    "claude-sonnet-4.5": ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
    "claude-opus-4.5": ("claude-opus-4-5-20251101", "claude-opus-4-5"),
    "claude-opus-4.6": ("claude-opus-4-6",),
    "claude-opus-4.7": ("claude-opus-4-7",),
    "claude-opus-4.8": ("claude-opus-4-8",),
    "claude-sonnet-4.6": ("claude-sonnet-4-6",),
    "claude-haiku-4.5": ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
    "claude-3-5-sonnet-20241022": ("claude-3-5-sonnet-v2",),  # "claude-3.5-sonnet" finds it as the newest
    "claude-3-5-sonnet-20240620": (),
    "claude-3-5-haiku-20241022": ("claude-3-5-haiku",),
    "claude-3-opus-20240229": ("claude-3-opus",),
    "claude-3-sonnet-20240229": ("claude-3-sonnet",),
    "claude-3-haiku-20240307": ("claude-3-haiku",),
    "claude-2.1": ("anthropic.claude-v2:1", "claude-v2.1"),
    "claude-2": ("claude-2.0", "anthropic.claude-v2", "claude-v2"),
    "claude-instant-1.2": ("anthropic.claude-instant-v1", "claude-instant-v1", "claude-instant", "claude-instant-1"),
    # Google
    "gemini-2.5-pro": ("gemini-2.5-pro-preview-06-05",),
    "gemini-2.5-flash": (),
    "gemini-3-pro": ("gemini-3-pro-preview",),
    "gemini-3-flash": ("gemini-3-flash-preview",),
    "gemini-3.1-pro": ("gemini-3.1-pro-preview",),
    "gemma-4-31b-it": ("gemma4:31b", "gemma-4-31b"),
    "gemma-4-26b-a4b-it": ("gemma4:26b", "gemma-4-26b-a4b", "gemma-4-26b"),
    "gemma-4-e4b-it": ("gemma4:e4b", "gemma4", "gemma-4-e4b"),
    "gemma-4-e2b-it": ("gemma4:e2b", "gemma-4-e2b"),
    "gemma-3-27b-it": ("gemma3:27b", "gemma-3-27b"),
    "grok-4": ("grok-4-0709",),
    "Mistral-Small-3.2-24B-Instruct": ("mistral-small-3.2", "mistral-small3.2", "mistral-small-2506"),
    "phi-4": ("phi4", "phi4:14b"),
    "gemini-1.5-pro": ("gemini-1.5-pro-001",),  # figures of summer 2024, before -002
    "gemini-1.5-flash": ("gemini-1.5-flash-001",),
    "gemma-2-27b-it": ("gemma2:27b", "gemma-2-27b-instruct"),
    "gemma-2-9b-it": ("gemma2:9b", "gemma2", "gemma-2-9b-instruct"),  # Ollama's default size
    "gemma-2-2b-it": ("gemma2:2b", "gemma-2-2b-instruct"),
    "gemma-7b-it": ("gemma:7b", "gemma"),
    "gemma-2b-it": ("gemma:2b",),
    # Meta
    "Llama-3.1-8B-Instruct": ("llama3.1:8b-instruct", "llama3.1:8b", "llama3.1", "llama-3.1-8b-instant"),
    "Meta-Llama-3.1-70B-Instruct": ("llama3.1:70b-instruct", "llama3.1:70b", "llama-3.1-70b-versatile"),
    "Llama-3.1-405B-Instruct": ("llama3.1:405b-instruct", "llama3.1:405b"),
    "Llama-3.1-405B-Instruct-FP8": ("Meta-Llama-3.1-405B-Instruct-FP8", "Meta-Llama-3.1-405B-Instruct-Turbo"),
    "Meta-Llama-3-8B-Instruct": ("llama3:8b-instruct", "llama3:8b", "llama3", "llama3-8b-8192", "llama-3-8b-chat-hf"),
    "Meta-Llama-3-70B-Instruct": ("llama3:70b-instruct", "llama3:70b", "llama3-70b-8192", "llama-3-70b-chat-hf"),
    "Llama-3.2-3B-Instruct": ("llama3.2:3b-instruct", "llama3.2:3b", "llama3.2", "llama-3.2-3b-preview"),
    "Llama-3.2-1B-Instruct": ("llama3.2:1b-instruct", "llama3.2:1b", "llama-3.2-1b-preview"),
    "Llama-3.3-70B-Instruct": (
        "llama3.3:70b-instruct",
        "llama3.3:70b",
        "llama3.3",
        "llama-3.3-70b-versatile",
        "llama-3.3-70b",
    ),
    "Llama-4-Scout-17B-16E-Instruct": ("llama4:scout", "llama-4-scout", "llama4"),
    "Llama-4-Maverick-17B-128E-Instruct": ("llama4:maverick", "llama-4-maverick"),
    "Meta-Llama-3.1-8B": ("llama3.1:8b-text",),
    "Meta-Llama-3.1-70B": ("llama3.1:70b-text",),
    "Meta-Llama-3-8B": ("llama3:8b-text",),
    "Meta-Llama-3-70B": ("llama3:70b-text",),
    "Llama-2-7b": ("llama2:7b-text",),
    "Llama-2-13b": ("llama2:13b-text",),
    "Llama-2-70b": ("llama2:70b-text",),
    # Mistral
    "Mistral-Large-2": ("mistral-large-2407", "Mistral-Large-Instruct-2407", "mistral-large:123b-instruct-2407"),
    "Mistral-Nemo-Instruct-2407": ("open-mistral-nemo-2407", "open-mistral-nemo", "mistral-nemo", "mistral-nemo:12b"),
    "Mixtral-8x7B-Instruct-v0.1": ("open-mixtral-8x7b", "mixtral:8x7b", "mixtral-8x7b-instruct", "mixtral-8x7b-32768"),
    "Mixtral-8x7B-v0.1": ("mixtral:8x7b-text",),
    "Mistral-7B-Instruct-v0.2": ("mistral:7b-instruct-v0.2",),
    "Mistral-7B-Instruct-v0.1": ("mistral:7b-instruct-v0.1",),
    "Mistral-7B-v0.2": ("mistral:7b-text-v0.2",),
    "Mistral-7B-v0.1": (),
    "mathstral-7B-v0.1": ("mathstral:7b", "mathstral", "mathstral-7b"),
    # Alibaba
    "qwen3-235b-a22b-2507": (
        "Qwen3-235B-A22B-Instruct-2507",
        "qwen3-235b-a22b-instruct",
        "Qwen3-235B-A22B-Instruct-2507-tput",
        "qwen3:235b-a22b-instruct-2507",
    ),
    "qwen3-235b-a22b-thinking-2507": ("Qwen3-235B-A22B-Thinking-2507", "qwen3:235b-a22b-thinking-2507"),
    "Qwen3-8B": ("qwen3:8b", "qwen3"),
    "Qwen2.5-72B-Instruct": ("qwen2.5:72b-instruct", "qwen2.5:72b"),
    "Qwen2.5-32B-Instruct": ("qwen2.5:32b-instruct", "qwen2.5:32b"),
    "Qwen2.5-7B-Instruct": ("qwen2.5:7b-instruct", "qwen2.5:7b", "qwen2.5"),
    "Qwen2.5-14B-Instruct": ("qwen2.5:14b-instruct", "qwen2.5:14b", "qwen2p5-14b"),
    "Qwen2.5-3B-Instruct": ("qwen2.5:3b-instruct", "qwen2.5:3b"),
    "Qwen2.5-Coder-7B-Instruct": ("qwen2.5-coder:7b-instruct", "qwen2.5-coder:7b", "qwen2.5-coder"),
    "Qwen2-72B-Instruct": ("qwen2:72b-instruct", "qwen2:72b"),
    "Qwen2-7B-Instruct": ("qwen2:7b-instruct", "qwen2:7b", "qwen2"),
    "Qwen2-1.5B-Instruct": ("qwen2:1.5b-instruct", "qwen2:1.5b"),
    "Qwen1.5-7B-Chat": ("qwen:7b-chat", "qwen1.5:7b-chat"),
    "Qwen1.5-110B": ("qwen:110b-text",),
    "qwen3-235b-a22b": ("qwen3:235b",),  # without thinking
    # DeepSeek; "deepseek-chat" and "deepseek-reasoner" move with every release, so they mean the newest known here
    "deepseek-v3.1-terminus": ("deepseek-chat-v3.1",),  # Terminus is the later V3.1
    "deepseek-v3-0324": ("DeepSeek-V3-0324", "deepseek-chat-v3-0324"),
    "deepseek-v3": ("DeepSeek-V3", "deepseek-v3-1226", "deepseek-chat-v3"),
    "deepseek-r1-0528": ("deepseek-r1:671b",),
    "deepseek-v4-flash": ("deepseek-v4-flash-0731", "deepseek-chat", "deepseek-reasoner"),
    "deepseek-v4-pro": ("deepseek-v4-pro-0813",),
    "deepseek-R1": ("deepseek-r1-0120",),
    "deepseek-v2.5-0908": ("DeepSeek-V2.5", "deepseek-v2.5:236b"),
    "deepseek-v2-chat-0628": ("DeepSeek-V2-Chat-0628", "DeepSeek-V2-Chat", "deepseek-v2:236b"),
    "deepseek-v2-coder-0724": ("DeepSeek-Coder-V2-Instruct-0724",),
    "deepseek-v2-coder-0614": (
        "DeepSeek-Coder-V2-Instruct",
        "DeepSeek-Coder-V2-Instruct-0614",
        "deepseek-coder-v2:236b",
    ),
    "DeepSeek-R1-0528-Qwen3-8B": ("deepseek-r1:8b", "deepseek-r1:8b-0528-qwen3"),
    "DeepSeek-R1-Distill-Qwen-7B": ("deepseek-r1:7b", "deepseek-r1:7b-qwen-distill"),
    # Moonshot, Zhipu, Shanghai AI Laboratory, 01.AI
    "kimi-k2-0711": ("kimi-k2-0711-preview", "Kimi-K2-Instruct"),
    "kimi-k2-0905": ("Kimi-K2-Instruct-0905", "kimi-k2-0905-preview", "kimi-k2"),
    "glm-4.6": ("glm4.6",),
    "glm-4-9b-chat": ("glm4:9b", "glm-4-9b-chat-hf"),
    "GLM-Z1-9B-0414": ("glm-z1-9b",),
    "intern-s1": ("Intern-S1",),
    "internlm3-8b-instruct": ("internlm3:8b",),
    "Yi-1.5-34B-Chat": ("yi:34b-v1.5",),
    "Yi-1.5-9B-Chat": ("yi:9b-v1.5",),
    # xAI; "fast" is the same model on faster machines; low effort is the default of grok-3-mini
    "grok-3-fast-beta": ("grok-3", "grok-3-beta", "grok-3-fast"),
    "grok-3-mini-fast-beta-low": ("grok-3-mini", "grok-3-mini-beta", "grok-3-mini-fast", "grok-3-mini-low"),
    "grok-3-mini-fast-beta-high": ("grok-3-mini-high", "grok-3-mini-beta-high", "grok-3-mini-fast-high"),
    "grok-2-1212": ("grok-2", "grok-2-latest"),
    # Cohere, AI21, Reka
    "command-r": ("command-r-03-2024", "command-r:35b"),
    "command-r-plus": ("command-r-plus-04-2024", "c4ai-command-r-plus", "command-r-plus:104b"),
    "jamba-1.5-large": ("AI21-Jamba-1.5-Large", "jamba-large-1.5"),
    "reka-core-20240501": ("reka-core",),
    "reka-flash-20240226": ("reka-flash",),
    # Microsoft
    "Phi-3-mini-4k-instruct": ("phi3:mini", "phi3:3.8b", "phi3", "phi-3-mini"),
    "Phi-3.5-mini-instruct": ("phi3.5:3.8b", "phi3.5", "phi-3.5-mini"),
    "phi-2": ("phi:2.7b", "phi"),
    # NVIDIA, IBM, OpenBMB, Xiaomi, Nexusflow
    "Llama-3.1-Nemotron-Nano-8B-v1": ("nemotron-nano-8b",),
    "NVIDIA-Nemotron-Nano-9B-v2": ("nemotron-nano-9b-v2",),
    "granite-3.3-8b-instruct": ("granite3.3:8b", "granite3.3"),
    "MiniCPM4.1-8B": (),
    "MiMo-7B-RL-0530": ("MiMo-7B-RL",),
    "Athene-70B": ("Llama3-Athene-70B",),
    "Cogito-v1-preview-llama-8B": ("cogito:8b", "cogito"),
    "DeepHermes-3-Llama-3-8B-Preview": ("hermes-3-llama-3-8b-deep",),
    # Community models
    "zephyr-7b-beta": ("zephyr:7b-beta", "zephyr:7b", "zephyr"),
    "dolphin-2.6-mistral-7b": ("dolphin-mistral:7b-v2.6",),
    "dolphin-2.9-llama3-8b": ("dolphin-llama3:8b", "dolphin-llama3:8b-v2.9", "dolphin-llama3"),
    "OpenHermes-2.5-Mistral-7B": ("openhermes:7b-mistral-v2.5", "openhermes"),
    "nous-hermes-13b": ("Nous-Hermes-13b", "nous-hermes:13b"),
    "wizardlm-13b": ("WizardLM-13B-V1.0",),
    "vicuna-13b-v1.5": ("vicuna:13b",),
    "vicuna-7b": ("vicuna-7b-v1.1",),
    "Qwen-14B-Chat": ("qwen-14b-chat",),
    "falcon-7b-instruct": ("falcon:7b", "falcon:7b-instruct"),
    "oasst-sft-pythia-12b": ("oasst-sft-4-pythia-12b-epoch-3.5",),
    "baize-v2-13b": (),
}

NOT_ALIASES = {
    # one name for models of different sizes or years
    "claude-3-5-sonnet", "claude-3-5-sonnet-latest", "anthropic-claude-3.5-sonnet", "claude-3.5-sonnet",
    "mistral-medium", "mistral-medium-3", "magistral-medium-latest", "llama-4-scout-17b-128e-instruct-maas",
    "anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet@20240620", "mistral-large", "gemini-exp-1114",
    # Bedrock's is V3.1
    "deepseek.v3-v1:0",
    # Instant, not the model that thinks
    "gpt-5.1-chat", "gpt-5.1-chat-latest", "gpt-5.1-chat-2025-11-13", "gpt-5.2-chat", "gpt-5.2-chat-latest",
    "gpt-5.2-chat-2025-12-11", "databricks-gpt-5-1-chat", "databricks-gpt-5-2-chat",
}  # fmt: skip
"""Aliases of the table of 2026 that are not taken over."""
