"""Replies of a model, and the answers read from them."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
Problem = Literal[
    "truncated", "refused", "blocked", "empty", "only reasoning", "no answer", "ambiguous", "no such option", "too long"
]
"""Why a reply holds no answer: cut off at the token limit; declined; stopped by the provider's filter; nothing said;
nothing said outside of the reasoning; no answer found; several; a letter no option has; the question does not fit."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply of a model.

    Attributes:
        text: What it said.
        reasoning: What it thought, where that comes separately.
        finish: Why it stopped, as the provider says: ``"stop"``, ``"length"``, ``"content_filter"``, ...
        prompt_tokens: Tokens of the prompt, 0 if unknown.
        completion_tokens: Tokens of reply and reasoning, 0 if unknown.
        cost_usd: What it cost, ``None`` if no price is known.
        problem: Set where there is no reply to read: the provider blocked the question, or it does not fit.
    """

    text: str
    reasoning: str = ""
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None
    problem: Problem | None = None


class Reading(NamedTuple):
    """The answer read out of a reply, or why there is none."""

    answer: str | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a reply is worth: 0..1, 0 where no answer could be read. ``cost_usd`` is what a judge cost."""

    score: float
    answer: str | None = None
    problem: Problem | None = None
    cost_usd: float = 0.0


_THOUGHT = re.compile(
    r"<(think|thinking|thought|reasoning|reflection|scratchpad)>.*?</\1>|\[THINK\].*?\[/THINK\]",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHT_END = re.compile(
    r".*(?:</(?:think|thinking|thought|reasoning|reflection|scratchpad)>|\[/THINK\]|<\|channel\|>final<\|message\|>|"
    r"assistantfinal)",
    re.DOTALL | re.IGNORECASE,
)
_THOUGHT_START = re.compile(
    r"<(?:think|thinking|thought|reasoning|reflection|scratchpad)>|\[THINK\]|<\|channel\|>analysis", re.IGNORECASE
)
_LOOKALIKES = str.maketrans("АВСЕНІЈΑΒΕΗΙ", "ABCEHIJABEHI")
"""Cyrillic and Greek capitals that look like Latin ones."""

_ANSWER_WORDS = (
    "answer|(?:best|correct|right|final|chosen) (?:choice|option)|i(?:'d| would| will|'ll)? "
    "(?:choose|pick|select|go "
    "with)|antwort|lösung|réponse|reponse|respuesta|opción|risposta|resposta|antwoord|svaret|svar|odpowiedź|"
    "odpověď|válasz|răspuns(?:ul)?|cevap|yanıt|jawaban|đáp án|ответ|відповідь|απάντηση|الإجابة|الجواب|תשובה|"
    "उत्तर|答案|答え|正解|正确选项|正確選項|回答|정답|답|คำตอบ"
)
_FILLERS = (
    r"(?:(?:\s|[*_`'\"“”:：=＝,，]|\\(?:text|mathrm|mathbf|boxed)|[{$]|(?:is|are|would be|must be|should "
    r"be|option|choice|"
    r"letter|therefore|ist|lautet|est|es|è|é|la|de|correct[ea]?|correct[ao]s?|richtige?|juste|الصحيحة|هي|هو)\b|"
    r"是|为|為|は|选项|選項|는|은|->|→)"
    r"\s*)*"
)
_LETTER = (
    r"[\(\[（【]?\s*(?P<letter>[A-Z])"
    r"(?![A-Za-z0-9]|['’][A-Za-z]|(?<=I) (?:think|believe|would|am|guess|do|can|have)\b)\s*[\)\]）】]?"
)
_STATED = re.compile(
    rf"(?:{_ANSWER_WORDS})(?P<gap>{_FILLERS}){_LETTER}(?P<more>\s*(?:and|or|und|oder|et|ou|y|o|,|/|&|和|或|或者)\s*"
    r"[\(\[（]?[A-Z](?![A-Za-z0-9'’.]))?",
    re.IGNORECASE,
)
_BOXED = re.compile(
    r"\\boxed\s*\{\s*(?:\\(?:text|mathrm|mathbf|textbf)\s*\{)?\s*\(?(?P<letter>[A-Za-z])\)?[.:]?[^A-Za-z{}]*\}"
)
_ASKED_FOR = re.compile(r"^[\s*_#>]*answer\s*:[\s*_]*\(?(?P<letter>[A-Z])\)?[\s.*_]*$", re.IGNORECASE | re.MULTILINE)
_ALONE = re.compile(r"^[\s*_`#>\"'$]*[\(\[（【]?(?P<letter>[A-Z])[\)\]）】]?[\s.:*_`\"'$]*$")
_BEGINS = re.compile(r"^[\s*_`]*[\(\[（]?(?P<letter>[A-Z])(?:[\)\]）][.:]?|[.:、])[\s*_`]+\S")
_JSON_KEY = re.compile(
    r"(?:final|correct|your|the|my)?[_ -]*(?:answer|choice|option|letter|antwort|respuesta)", re.IGNORECASE
)
_JSON_FENCE = re.compile(r"```(?:json)?\s*(\{.*?\})\s*```", re.DOTALL)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am)? (?:sorry|unable|not able|cannot|can ?not|can't|won't|must decline|apologi[sz]e)|as an ai\b|"
    r"i (?:can(?:not|'t|’t)|won['’]t|refuse|decline)|es tut mir leid|je suis désolé|lo siento|не "
    r"могу)|抱歉|无法回答|申し訳",
    re.IGNORECASE,
)


def read_choice(reply: Reply, options: Sequence[str]) -> Reading:
    """Read the letter of the chosen option; ``options`` stand in the order of their letters, A first."""
    early = unreadable(reply)
    if early is not None:
        return Reading(None, early)
    text = said(reply)
    letters = LETTERS[: len(options)]
    if reply.finish == "length":  # what was thought aloud before the cut is not an answer
        final = [match["letter"].upper() for match in _ASKED_FOR.finditer(text)]
        return _checked(final[-1], letters) if final else Reading(None, "truncated")
    found = _from_json(text, options) or _stated(text) or _short(text) or _by_text(text, options)
    if found is None:
        return Reading(None, "refused" if _REFUSAL.search(text) else "no answer")
    return _checked(found, letters)


def unreadable(reply: Reply) -> Problem | None:
    """Why there is nothing to read in a reply, ``None`` if there is."""
    if reply.problem is not None or said(reply):
        return reply.problem
    stopped: dict[str, Problem] = {"content_filter": "blocked", "refusal": "refused", "length": "truncated"}
    if reply.finish in stopped:
        return stopped[reply.finish]
    return "only reasoning" if reply.reasoning.strip() or reply.text.strip() else "empty"


def said(reply: Reply) -> str:
    """Return a reply without what was thought aloud, in plain characters."""
    text = _THOUGHT.sub(" ", reply.text)
    text = _THOUGHT_END.sub("", text)  # a template may have swallowed the beginning
    start = _THOUGHT_START.search(text)
    if start:
        text = text[: start.start()]
    return unicodedata.normalize("NFKC", text).strip()


def _checked(letter: str, letters: str) -> Reading:
    if len(letter) > 1:
        return Reading(None, "ambiguous")
    return Reading(letter, None) if letter in letters else Reading(None, "no such option")


def _stated(text: str) -> str | None:
    """Return the last letter stated as the answer; two letters where one statement names two."""
    plain = text.translate(_LOOKALIKES)
    found = [
        (match.start(), match["letter"].upper()) for form in (_BOXED, _ASKED_FOR) for match in form.finditer(plain)
    ]
    for match in _STATED.finditer(plain):
        if match["letter"].isupper() or _closed(match):
            letter = match["letter"].upper()
            found.append((match.start(), letter + "?" if match["more"] else letter))
    return max(found)[1] if found else None


def _closed(match: re.Match[str]) -> bool:
    """Whether a lower-case letter stands in brackets or quotes: "(b)" is an answer, "answer is a" is not."""
    around = match.string[max(0, match.start("letter") - 1) : match.end("letter") + 1]
    return len(around) == 3 and around[0] in "([\"'*`" and around[2] in ")]\"'*`"


def _short(text: str) -> str | None:
    """Return a letter that stands alone: as the whole reply, in its last line, or at the head of a single line."""
    plain = text.translate(_LOOKALIKES)
    lines = [line for line in plain.splitlines() if line.strip()]
    lines = [line.upper() for line in lines] if len(plain.strip("() .*")) == 1 else lines
    alone = [match["letter"] for line in (lines[:1] + lines[-1:]) if (match := _ALONE.match(line))]
    if not alone and len(lines) == 1 and (begins := _BEGINS.match(lines[0])):
        return begins["letter"]
    return None if not alone else alone[0] if len(set(alone)) == 1 else "".join(alone)


def _from_json(text: str, options: Sequence[str]) -> str | None:
    for candidate in [*_JSON_FENCE.findall(text)[::-1], text]:
        try:
            content = json.loads(candidate)
        except ValueError:
            continue
        if not isinstance(content, dict):
            return None
        for key, value in content.items():
            if _JSON_KEY.fullmatch(str(key).strip()) and isinstance(value, str):
                return _short(value) or _by_text(value, options)
    return None


def _by_text(text: str, options: Sequence[str]) -> str | None:
    """Return the letter of the one option whose text the reply repeats, whole, alone or after the word "answer"."""
    heard = _bare(
        re.sub(rf"^.*(?:{_ANSWER_WORDS})\s*(?:(?:is|:|：)\s*)+", "", text.strip(), flags=re.IGNORECASE | re.DOTALL)
    )
    same = [place for place, option in enumerate(options) if heard and _bare(option) == heard]
    return LETTERS[same[0]] if len(same) == 1 else None


def _bare(text: str) -> str:
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text)).strip(" \t\n.*_`\"'").casefold()
