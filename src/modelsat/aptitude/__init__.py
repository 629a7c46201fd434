"""The aptitude test: a model answers the core tasks once, and its capability profile routes to it from then on."""

from modelsat.aptitude.asking import Ledger, Limits
from modelsat.aptitude.calling import LangChainSubject, LiteLLMSubject, Subject
from modelsat.aptitude.compare import Comparison, compare
from modelsat.aptitude.endpoint import EndpointSubject
from modelsat.aptitude.keeping import keep
from modelsat.aptitude.plan import Plan
from modelsat.aptitude.pricing import Prices
from modelsat.aptitude.replies import Reply
from modelsat.aptitude.result import AptitudeResult, TaskResult
from modelsat.aptitude.settings import AptitudeSettings
from modelsat.aptitude.test import AptitudeTest

__all__ = [
    "AptitudeResult",
    "AptitudeSettings",
    "AptitudeTest",
    "Comparison",
    "EndpointSubject",
    "LangChainSubject",
    "Ledger",
    "Limits",
    "LiteLLMSubject",
    "Plan",
    "Prices",
    "Reply",
    "Subject",
    "TaskResult",
    "compare",
    "keep",
]
