"""One request: its messages, the text that is scored, what it needs, and who may answer it at what cost."""

from modelsat.request.constraints import Constraints, ResidencyRule, strike
from modelsat.request.context import RequestContext
from modelsat.request.conversation import Extractor, extract_instruction, last_user_turn_with_tail
from modelsat.request.costs import Cost, expected_costs
from modelsat.request.envelopes import Envelope
from modelsat.request.exclusion import Exclusion, ExclusionKind
from modelsat.request.messages import Turn, parse_messages
from modelsat.request.needs import Needs, find_needs
from modelsat.request.tokens import estimate_tokens

__all__ = [
    "Constraints",
    "Cost",
    "Envelope",
    "Exclusion",
    "ExclusionKind",
    "Extractor",
    "Needs",
    "RequestContext",
    "ResidencyRule",
    "Turn",
    "estimate_tokens",
    "expected_costs",
    "extract_instruction",
    "find_needs",
    "last_user_turn_with_tail",
    "parse_messages",
    "strike",
]
