"""What a text is, by its form: thanks, a question about a pasted document, filler; and its language."""

from __future__ import annotations

import re

from modelsat._files import shipped_json

LONGEST_COURTESY = 120
SHORTEST_DOCUMENT = 4_000
"""A turn of fewer characters is scored whole."""
LONGEST_QUESTION = 400
"""Characters of a paragraph that may be the question."""
LONGEST_WITH_FILLER = 4_000
"""Longer texts stay as they are: a few idle words do not move them."""
_PROSE = 0.9

_CLOSING = re.compile(
    r"\b(?:(?:many |much )?thanks?(?: you)?|thx|ty|tysm|cheers|much appreciated|i appreciate (?:it|that|this|your help)"
    r"|(?:good)?bye|good night|see (?:you|ya)|danke(?:sch[öo]n)?|vielen dank|tsch[üu]ss|merci|au revoir|gracias"
    r"|adi[óo]s|obrigad[oa]|grazie|arrivederci|bedankt|dank (?:je|u)|tack|takk|tak|kiitos|dzi[ęe]kuj[ęe]|dzi[ęe]ki"
    r"|te[şs]ekk[üu]r(?:ler)?(?: ederim)?|спасибо|дякую)\b"
    r"|ありがとう(?:ございます|ございました)?|[谢謝]{2}(?:你|您)?|多[谢謝]|감사합니다|고마워요?",
    re.IGNORECASE,
)
_BESIDES = re.compile(
    r"\b(?:yes|yeah|yep|sure|no|ok(?:ay)?|great|perfect|awesome|nice|cool|excellent|wonderful|fantastic|amazing|brilliant"
    r"|lovely|wow|good|fine|alright|right|got it|i see|now|so|very|a lot|much|again|really|all|well|too|and|then|bye"
    r"|(?:that|this|it)(?:['’]s| is| was)? (?:really |very )?(?:works?|worked|helps?|helped|great|perfect|all|good)"
    r"|helpful|have a (?:nice|good|great) (?:day|one|evening|weekend)|you(?:['’]re the best| too)"
    r"|for (?:(?:all|your|the|this|that|everything|quick|help|explanation|answer|time|patience|helping)\b\s*)+"
    r"|super|prima|toll|sehr|dir|ihnen|beaucoup|muchas|muito|molte|mille|hoor|wel)\b|[\W_]",
    re.IGNORECASE,
)
_ACCEPTS = re.compile(r"\W*(?:yes|yeah|yep|yup|sure|ok|okay|please|ja|oui|s[íi]|sim)\b", re.IGNORECASE)
_ASKS = re.compile(
    r"\A(?:please |can you |could you |help me )*(?:summari[sz]e|sum up|tl;?dr|who|what|when|where|which|why|how|is|are"
    r"|does|do|did|was|were|list|extract|find|name|tell|give|explain|describe|identify|answer|read|translate|rewrite|shorten"
    r"|proofread|review|compare|write|create|draft|here (?:is|are)|below is|based on|according to|from)\b",
    re.IGNORECASE,
)
_ABOUT = re.compile(
    r"\b(?:this|these|th(?:at|ose)|following|above|below|attached|the|my|our)\s+(?:\S+\s+){0,3}?(?:texts?|documents?|articles?"
    r"|papers?|contracts?|reports?|e-?mails?|letters?|transcripts?|passages?|chapters?|stor(?:y|ies)|pages?|polic(?:y|ies)"
    r"|agreements?|minutes|notes|abstracts?|reviews?|essays?|posts?|novels?|books?|speech(?:es)?|interviews?|excerpts?"
    r"|meetings?|calls?|messages?|chats?|threads?|author|terms)\b|\A\W*(?:summari[sz]e|tl;?dr|sum up)\b",
    re.IGNORECASE,
)
_NOT_PROSE = re.compile(r"```|\$\$|\\begin\{|^\s*\(?[A-Ja-j1-9][.):]\s.*\n\s*\(?[A-Ja-j1-9][.):]\s", re.MULTILINE)
_PARAGRAPHS = re.compile(r"\n\s*\n")
_CONTROL = re.compile(r"<\|\w{1,24}\|>|\[/?(?:INST|CLS|SEP|PAD|UNK|MASK|BOS|EOS)\]")
_SHOUTED = re.compile(r"([!?])[!?]{3,}")
_REPEATED = re.compile(r"(?<!\S)(\S{1,40})(?:\s+\1){3,}(?!\S)", re.IGNORECASE)
_SCRIPTS = {
    "ja": re.compile(r"[\u3040-\u30ff]"),
    "zh": re.compile(r"[\u4e00-\u9fff]"),
    "ko": re.compile(r"[\uac00-\ud7af]"),
    "ru": re.compile(r"[\u0400-\u04ff]"),
    "ar": re.compile(r"[\u0600-\u06ff]"),
    "he": re.compile(r"[\u0590-\u05ff]"),
    "hi": re.compile(r"[\u0900-\u097f]"),
    "el": re.compile(r"[\u0370-\u03ff]"),
    "th": re.compile(r"[\u0e00-\u0e7f]"),
}
_WORDS = {language: frozenset(words.split()) for language, words in shipped_json("request", "languages.json").items()}
_WORD = re.compile(r"[^\W\d_]+")
LANGUAGES = (*_WORDS, *_SCRIPTS)
"""Languages that are recognised, by their ISO 639-1 codes."""


def is_courtesy(text: str) -> bool:
    """Whether ``text`` is thanks or a farewell and nothing else, in one of some twenty languages."""
    if len(text) > LONGEST_COURTESY:
        return False
    rest, closings = _CLOSING.subn(" ", text)
    return closings > 0 and not _BESIDES.sub("", rest)


def accepts(text: str) -> bool:
    """Whether ``text`` begins with a yes, so that it may take up what was offered."""
    return _ACCEPTS.match(text) is not None


def split_document(text: str) -> tuple[str, str] | None:
    """The question and the document of a turn that is one about the other; ``None`` for any other turn.

    The question is the first or the last paragraph, or both: short, asking, and about a text. What is left is prose:
    the difficulty of code, mathematics and questions with options lies in themselves.
    """
    if len(text) < SHORTEST_DOCUMENT:
        return None
    near_end = max(0, len(text.rstrip()) - 2 * LONGEST_QUESTION)
    first, last = _PARAGRAPHS.search(text), next(reversed([*_PARAGRAPHS.finditer(text, near_end)]), None)
    start = first.end() if first is not None and _is_question(text[: first.start()]) else 0
    end = last.start() if last is not None and last.start() > start and _is_question(text[last.end() :]) else len(text)
    document = text[start:end]
    question = "\n\n".join(filter(None, (text[:start].strip(), text[end:].strip())))
    if not question or not _ABOUT.search(question) or len(document) < SHORTEST_DOCUMENT // 2 or not _is_prose(document):
        return None
    return question, document


def _is_question(paragraph: str) -> bool:
    stripped = paragraph.strip()
    return 0 < len(stripped) <= LONGEST_QUESTION and (stripped.endswith("?") or _ASKS.match(stripped) is not None)


def _is_prose(text: str) -> bool:
    words = sum(character.isalpha() or character.isspace() or character in ".,;'’\"-" for character in text)
    return words >= _PROSE * len(text) and not _NOT_PROSE.search(text)


def without_filler(text: str) -> str:
    """``text`` without control tokens, and with a word or mark that stands four times or more in a row kept once.

    Such text moves a score and not the task, by accident or on purpose. Numbers and signs are left alone: in a table or
    a grid they count. A text that is nothing else stays as it is.
    """
    if len(text) > LONGEST_WITH_FILLER:
        return text
    kept = _CONTROL.sub(" ", text) if "<|" in text or "[" in text else text
    if "!!" in kept or "??" in kept:
        kept = _SHOUTED.sub(r"\1", kept)
    words = kept.lower().split()
    if any(a == b == c == d for a, b, c, d in zip(words, words[1:], words[2:], words[3:], strict=False)):
        kept = _REPEATED.sub(_once, kept)
    return kept if kept.strip() else text


def _once(run: re.Match[str]) -> str:
    return run[1] if any(map(str.isalpha, run[1])) else run[0]


def language_of(text: str) -> str:
    """The language of ``text``, one of :data:`LANGUAGES`; empty where it is not known.

    A script decides where three in ten letters are of it; the Latin alphabet by which language's commonest words occur
    most often, at least twice and more often than any other's.
    """
    text = text[:2_000]
    words = _WORD.findall(text.casefold())
    letters = sum(map(len, words))
    for language, script in _SCRIPTS.items():
        found = len(script.findall(text))
        if (found and found >= 0.3 * letters) or (language == "ja" and found >= 3):
            return language
    counts = sorted(((sum(word in known for word in words), name) for name, known in _WORDS.items()), reverse=True)
    (most, language), (next_most, _) = counts[0], counts[1]
    return language if most >= 2 and most > next_most else ""
