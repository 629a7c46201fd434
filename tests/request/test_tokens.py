"""Estimates of prompt tokens: families, images, and what stands inside parts and definitions."""

from __future__ import annotations

import base64
import struct
from importlib import util
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelsat.request import RequestContext
from modelsat.request.images import Picture, image_size, image_tokens
from modelsat.request.messages import parse_messages
from modelsat.request.needs import find_needs
from modelsat.request.tokens import (
    _ENGLISH,
    _FOREIGN,
    FEATURES,
    _known,
    count_features,
    estimate_tokens,
    family_of,
    tokens_of,
)

ENGLISH = "The router decides before any model runs which of them will answer this request well, and at what price. "
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1024, 768) + bytes(100)
JPEG = (
    b"\xff\xd8\xff\xe0"
    + struct.pack(">H", 16)
    + bytes(14)
    + b"\xff\xc0"
    + struct.pack(">HBHH", 17, 8, 600, 800)
    + bytes(20)
)
WEBP = (
    b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + (511).to_bytes(3, "little") + (255).to_bytes(3, "little") + bytes(9)
)


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def prompt_tokens(*parts: Any) -> int:
    return find_needs(parse_messages([{"role": "user", "content": list(parts)}])).prompt_tokens


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-5.6-sol", "o200k"),
        ("azure/gpt-4o", "o200k"),
        ("gpt-4-turbo", "cl100k"),
        ("gpt-3.5-turbo", "cl100k"),
        ("ft:gpt-4o-mini-2024-07-18:acme::id", "o200k"),
        ("claude-opus-4-6", "claude-3"),
        ("us.anthropic.claude-opus-5-5", "claude-4.7"),
        ("gemini/gemini-3.5-flash", "gemini"),
        ("Llama-3.3-70B-Instruct", "llama-3"),
        ("Qwen3-8B", "qwen"),
        ("deepseek-v3.2", "deepseek"),
        ("deepseek-r1-distill-llama-70b", "llama-3"),
        ("mistral-large-2512", "mistral"),
        ("nobody-knows", "o200k"),
    ],
)
def test_the_family_of_a_model(model: str, family: str) -> None:
    assert family_of(model) == family


def test_families_count_alike_what_is_alike_and_apart_what_is_not() -> None:
    english = tokens_of(count_features(ENGLISH * 20))
    assert max(english.values()) < 1.6 * min(english.values())
    assert english["claude-4.7"] > 1.05 * english["claude-3"]
    digits = tokens_of(count_features("31415926" * 125))
    assert digits["o200k"] == pytest.approx(334, rel=0.05)
    assert digits["qwen"] == pytest.approx(1_000, rel=0.05)
    chinese = "路由器在任何模型运行之前决定由哪个模型来回答这个请求。" * 20
    assert estimate_tokens(chinese) > len(chinese) / 4 * 2
    assert estimate_tokens("") == 0


@pytest.mark.skipif(util.find_spec("litellm") is None, reason="litellm, which carries a tokenizer, is not installed")
@pytest.mark.parametrize(
    "text",
    [
        ENGLISH * 10,
        'def add(a: int, b: int) -> int:\n    """Add two numbers."""\n    return a + b\n\n\n' * 12,
        "Der Vermittler entscheidet, bevor ein Modell läuft, welches davon die Anfrage gut beantworten wird. " * 8,
    ],
)
def test_the_estimate_is_near_a_real_tokenizer(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import litellm

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", f"{litellm.__path__[0]}/litellm_core_utils/tokenizers")
    tiktoken = pytest.importorskip("tiktoken")
    assert estimate_tokens(text) == pytest.approx(len(tiktoken.get_encoding("o200k_base").encode(text)), rel=0.2)


@given(st.text(max_size=300))
def test_any_text_is_counted(text: str) -> None:
    counts = count_features(text)
    assert counts.shape == (len(FEATURES),)
    assert (counts >= 0).all()
    assert all(tokens >= 0 for tokens in tokens_of(counts).values())


@given(st.text(alphabet="the of der die 1,\n", max_size=80))
def test_words_that_tell_a_language_are_counted_as_text_is_searched(text: str) -> None:
    inner = text.split(" ")[1:-1]
    for known in (_ENGLISH, _FOREIGN):
        assert _known(inner, known) == sum(text.count(f" {word} ") for word in known)


def test_a_long_text_is_read_in_stretches() -> None:
    part = ENGLISH * 400
    assert estimate_tokens(part * 10) == pytest.approx(10 * estimate_tokens(part), rel=0.03)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": ENGLISH * 400}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": ENGLISH * 400}]}},
        {"type": "document", "source": {"type": "content", "content": ENGLISH * 400}},
        {"type": "search_result", "source": "u", "title": "t", "content": [{"type": "text", "text": ENGLISH * 400}]},
        {"type": "text-plain", "mime_type": "text/plain", "text": ENGLISH * 400},
        {"type": "file", "mime_type": "text/plain", "base64": encoded(ENGLISH.encode() * 400)},
        {"type": "file", "file": {"filename": "a.md", "file_data": encoded(ENGLISH.encode() * 400)}},
        {
            "type": "input_file",
            "filename": "a.csv",
            "file_data": "data:text/csv;base64," + encoded(ENGLISH.encode() * 400),
        },
        {"type": "tool_result", "content": ENGLISH * 400},
        {"type": "tool_result", "content": [{"type": "document", "source": {"type": "text", "data": ENGLISH * 400}}]},
    ],
)
def test_text_inside_a_part_counts_as_text(part: dict[str, Any]) -> None:
    assert prompt_tokens(part) == pytest.approx(estimate_tokens(ENGLISH * 400), rel=0.02)


def test_a_large_document_does_not_go_to_a_small_window() -> None:
    part = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": ENGLISH * 18_000}}
    assert prompt_tokens(part) > 300_000


def test_fields_of_tools_under_any_of_and_references_count() -> None:
    def tool(fields: int) -> dict[str, Any]:
        properties = {f"field_{n}": {"type": "string", "description": "What to look for"} for n in range(fields)}
        schema = {
            "anyOf": [{"$ref": "#/$defs/Query"}],
            "$defs": {"Query": {"type": "object", "properties": properties}},
        }
        return {"type": "function", "function": {"name": "find", "parameters": schema}}

    few, many = (
        find_needs(parse_messages("Find it"), RequestContext(tools=[tool(fields)])).prompt_tokens for fields in (4, 50)
    )
    assert many > 6 * few


@pytest.mark.parametrize(
    ("data", "size"),
    [(PNG, (1024, 768)), (JPEG, (800, 600)), (WEBP, (512, 256)), (b"GIF89a" + struct.pack("<HH", 7, 9), (7, 9))],
)
def test_the_size_of_an_image_is_read_off_its_head(data: bytes, size: tuple[int, int]) -> None:
    assert image_size(encoded(data)) == size
    assert image_size("data:image/x;base64," + encoded(data)) == size


@pytest.mark.parametrize(
    "data", ["", "https://example.org/a.png", "data:image/png;base64,%%%", encoded(b"\xff\xd8\xff"), "!"]
)
def test_an_image_that_cannot_be_read_has_no_size(data: str) -> None:
    assert image_size(data) == (0, 0)


@pytest.mark.parametrize(
    ("model", "picture", "tokens"),
    [
        ("gpt-4o", Picture(1024, 1024), 765),
        ("gpt-4o", Picture(2048, 4096), 1105),
        ("gpt-4o", Picture(4096, 8192, low=True), 85),
        ("gpt-5", Picture(1024, 1024), 630),
        ("gpt-4.1-mini", Picture(1024, 1024), 1659),
        ("claude-sonnet-4-5", Picture(1000, 1000), 1333),
        ("claude-sonnet-4-5", Picture(200, 200), 53),
        ("gemini-2.5-pro", Picture(300, 300), 258),
        ("gemini-2.5-pro", Picture(1536, 768), 516),
        ("gemini-3.5-flash", Picture(1536, 768), 1120),
        ("grok-4.3", Picture(1000, 1000), 1000),
        ("claude-opus-5", Picture(), 1000),
    ],
)
def test_an_image_costs_what_its_provider_charges(model: str, picture: Picture, tokens: int) -> None:
    assert image_tokens(picture, model) == tokens


def test_each_model_counts_the_request_in_its_own_way() -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}}
    needs = find_needs(
        parse_messages([{"role": "user", "content": [{"type": "text", "text": "31415926" * 100}, image]}])
    )
    openai, qwen = needs.tokens_for(None, "gpt-4o"), needs.tokens_for(None, "Qwen3-8B")
    assert openai == pytest.approx(765 + 267, abs=30)
    assert qwen == pytest.approx(1_000 + 800, abs=60)
    assert needs.most_tokens >= qwen
    assert needs.tokens_for(len, "gpt-4o") == pytest.approx(800 + 765, abs=10)
