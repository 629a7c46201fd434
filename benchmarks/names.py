"""How many names of LiteLLM's newest price table are known, provider by provider.

    pip download --no-deps -d wheels litellm==1.110.2
    python benchmarks/names.py --wheel wheels/litellm-1.110.2-*.whl

Names that answer chats at thirteen large providers, not past their date of deprecation: audio, realtime, search,
moderation, image, robotics and routing models are left out. *figures*: the registry has a profile; *relatives*: it is
estimated from other models of its family; *price*: from its price alone. ``--list`` lists those without figures.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

from modelsat.candidates.candidate import estimated
from modelsat.capability import Registry
from modelsat.capability.providers import provider_name

_NAMES = "openai anthropic bedrock azure azure_ai gemini vertex_ai mistral xai deepseek groq dashscope moonshot"
PROVIDERS = frozenset(_NAMES.split())
LEFT_OUT = re.compile(
    r"audio|voxtral|tts|lyria|realtime|search|guard|moderation|image|robotics|ocr|embed|router|container|computer-use"
    r"|deep-research|safeguard|pegasus|medlm|learnlm|omni|transcri|rerank|commitment"
)
"""Models that do something other than chat, under LiteLLM's modes ``chat`` and ``responses``."""
KINDS = ("figures", "relatives", "price")
TABLE = "litellm/model_prices_and_context_window_backup.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--list", action="store_true", help="List the unknown names.")
    arguments = parser.parse_args()
    with zipfile.ZipFile(arguments.wheel) as archive:
        table = json.loads(archive.read(TABLE))
    registry = Registry.shipped()
    known: dict[str, Counter[str]] = defaultdict(Counter)
    unknown: dict[str, list[str]] = defaultdict(list)
    for name, entry in table.items():
        provider = provider_name(str(entry.get("litellm_provider", "")))
        if entry.get("mode") not in ("chat", "responses") or provider not in PROVIDERS or LEFT_OUT.search(name):
            continue
        if (entry.get("deprecation_date") or "9") < arguments.date:
            continue
        guess = None if name in registry else estimated(name, registry)
        if name in registry:
            known[provider]["figures"] += 1
        elif guess is not None:
            known[provider]["relatives" if guess.estimated_from != ("its price",) else "price"] += 1
        if name not in registry:
            unknown[provider].append(name)
    for provider in sorted(PROVIDERS):
        _print(provider, known[provider], len(unknown[provider]))
        if arguments.list:
            print("    " + " ".join(unknown[provider]))
    _print("all", sum(known.values(), Counter()), sum(map(len, unknown.values())))


def _print(provider: str, known: Counter[str], unknown: int) -> None:
    total = known["figures"] + unknown
    shares = ", ".join(f"{kind} {known[kind]} ({known[kind] / max(total, 1):.0%})" for kind in KINDS)
    related = (known["figures"] + known["relatives"]) / max(total, 1)
    priced = sum(known.values()) / max(total, 1)
    print(f"{provider:12} {total:5} names: {shares}; figures or relatives {related:.0%}, or a price {priced:.0%}")


if __name__ == "__main__":
    main()
