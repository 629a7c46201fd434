"""Thanks and farewells: what closes a matter and asks for nothing."""

from __future__ import annotations

import re

_LONGEST = 120

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


def is_courtesy(text: str) -> bool:
    """Whether ``text`` is thanks or a farewell and nothing else, in one of some twenty languages."""
    if len(text) > _LONGEST:
        return False
    rest, closings = _CLOSING.subn(" ", text)
    return closings > 0 and not _BESIDES.sub("", rest)


def accepts(text: str) -> bool:
    """Whether ``text`` begins with a yes, so that it may take up what was offered."""
    return _ACCEPTS.match(text) is not None
