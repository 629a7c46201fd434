"""Images: their size, read off the first bytes, and the tokens that each family of models charges for it.

Sources: the vision guides of OpenAI (tiles of 512 pixels, patches of 32), Anthropic (width x height / 750) and Google
(258 tokens a tile of 768 pixels; a fixed number from Gemini 3 on), as of November 2026.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelsat.capability.naming import canonical

UNKNOWN_IMAGE_TOKENS = 1_000
"""Assumed for an image of unknown size, and for models whose arithmetic is not known."""
_HEAD = 131_072
"""Characters of base64 that are decoded at most: a JPEG may begin with a preview."""


class Picture(NamedTuple):
    """One image of a request.

    Attributes:
        width: In pixels; 0 if unknown.
        height: In pixels; 0 if unknown.
        low: Whether the request asks for OpenAI's low detail.
    """

    width: int = 0
    height: int = 0
    low: bool = False


class _Tiles(NamedTuple):
    base: int
    tile: int


class _Patches(NamedTuple):
    factor: float


_OPENAI = tuple(
    (re.compile(pattern), rule)
    for pattern, rule in (
        (r"^gpt-4o-mini", _Tiles(2833, 5667)),
        (r"^gpt-(?:4-1|5)[\w-]*-mini", _Patches(1.62)),
        (r"^gpt-(?:4-1|5)[\w-]*-nano", _Patches(2.46)),
        (r"^o4-mini", _Patches(1.72)),
        (r"^gpt-5(?:$|-(?:20|chat|pro|codex))", _Tiles(70, 140)),
        (r"^gpt-(?:5|6)-", _Patches(1.0)),
        (r"^o[13]", _Tiles(75, 150)),
        (r"^(?:gpt-4|chatgpt)", _Tiles(85, 170)),
    )
)


def image_tokens(picture: Picture, model: str) -> int:
    """Tokens that ``model`` charges for ``picture``; :data:`UNKNOWN_IMAGE_TOKENS` where that cannot be known."""
    name = canonical(model)
    for pattern, rule in _OPENAI:
        if pattern.search(name):
            return _openai(picture, rule)
    if not picture.width or not picture.height:
        return UNKNOWN_IMAGE_TOKENS
    if name.startswith("claude"):
        recent = re.match(r"claude-(?:opus-4-[78]|(?:opus|sonnet|haiku)-[5-9]|fable|mythos)", name)
        edge, most = (2576, 4784) if recent else (1568, 1568)
        width, height = _within(picture.width, picture.height, edge)
        return max(1, min(most, round(width * height / 750)))
    if re.match(r"gemini-[12]", name):
        small = picture.width <= 384 and picture.height <= 384
        return 258 if small else 258 * math.ceil(picture.width / 768) * math.ceil(picture.height / 768)
    if name.startswith("gemini"):
        return 1_120
    return UNKNOWN_IMAGE_TOKENS


def read_picture(part: Mapping[Any, Any]) -> Picture:
    """What a content part of any framework says about its image; no size for one at an address."""
    held = part.get("image_url") or part.get("source") or part.get("file") or part
    fields: Mapping[Any, Any] = held if isinstance(held, Mapping) else {"url": held}
    low = "low" in (part.get("detail"), fields.get("detail"))
    data = next(
        (value for key in ("data", "base64", "url", "file_data") if isinstance(value := fields.get(key), str)), ""
    )
    width, height = image_size(data)
    return Picture(width, height, low)


def image_size(encoded: str) -> tuple[int, int]:
    """Width and height of a PNG, JPEG, GIF or WebP image in base64 or a data URL; zeros if they cannot be read."""
    if encoded[:5].lower() == "data:":
        encoded = encoded[encoded.find(",", 0, 200) + 1 :]
    elif "://" in encoded[:12]:
        return 0, 0
    try:
        head = base64.b64decode(encoded[: min(_HEAD, len(encoded) - len(encoded) % 4)])
        return _png(head) or _gif(head) or _webp(head) or _jpeg(head) or (0, 0)
    except (binascii.Error, ValueError, struct.error, IndexError):
        return 0, 0


def _png(head: bytes) -> tuple[int, int] | None:
    return struct.unpack(">II", head[16:24]) if head.startswith(b"\x89PNG\r\n") and len(head) >= 24 else None


def _gif(head: bytes) -> tuple[int, int] | None:
    return struct.unpack("<HH", head[6:10]) if head[:4] == b"GIF8" else None


def _webp(head: bytes) -> tuple[int, int] | None:
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(head: bytes) -> tuple[int, int] | None:
    if head[:2] != b"\xff\xd8":
        return None
    place = 2
    while place + 9 < len(head) and head[place] == 0xFF:
        marker = head[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[place + 5 : place + 9])
            return width, height
        place += 2 + int.from_bytes(head[place + 2 : place + 4], "big")
    return None


def _openai(picture: Picture, rule: _Tiles | _Patches) -> int:
    width, height = picture.width, picture.height
    if isinstance(rule, _Tiles):
        if picture.low:
            return rule.base
        if not width or not height:
            return rule.base + 4 * rule.tile
        wide, high = _within(width, height, 2048)
        scale = min(1.0, 768 / min(wide, high))
        return rule.base + rule.tile * math.ceil(wide * scale / 512) * math.ceil(high * scale / 512)
    if not width or not height:
        return round(UNKNOWN_IMAGE_TOKENS * rule.factor)
    patches = min(1536, math.ceil(width / 32) * math.ceil(height / 32))
    return math.ceil(min(patches, 256 if picture.low else patches) * rule.factor)


def _within(width: float, height: float, edge: int) -> tuple[float, float]:
    scale = min(1.0, edge / max(width, height))
    return width * scale, height * scale
