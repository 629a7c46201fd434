"""One request: its messages, the text that is scored, what it needs, and who may answer it at what cost."""

from modelsat.request.constraints import Constraints, ResidencyRule
from modelsat.request.context import RequestContext
from modelsat.request.conversation import Extractor, extract_instruction, last_user_turn_with_tail
from modelsat.request.envelopes import Envelope
from modelsat.request.exclusion import Exclusion
from modelsat.request.messages import Turn
from modelsat.request.needs import Needs

__all__ = [
    "Constraints",
    "Envelope",
    "Exclusion",
    "Extractor",
    "Needs",
    "RequestContext",
    "ResidencyRule",
    "Turn",
    "extract_instruction",
    "last_user_turn_with_tail",
]
