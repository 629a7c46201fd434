"""The aptitude test: a model answers the core tasks once, and its capability profile routes to it from then on."""

from modelsat.lab.aptitude.asking import Ledger, Limits
from modelsat.lab.aptitude.calling import LangChainSubject, LiteLLMSubject, Subject
from modelsat.lab.aptitude.compare import Comparison, compare
from modelsat.lab.aptitude.endpoint import EndpointSubject
from modelsat.lab.aptitude.keeping import keep
from modelsat.lab.aptitude.plan import Plan
from modelsat.lab.aptitude.pricing import Prices
from modelsat.lab.aptitude.replies import Reply
from modelsat.lab.aptitude.result import AptitudeResult, TaskResult
from modelsat.lab.aptitude.settings import AptitudeSettings
from modelsat.lab.aptitude.test import AptitudeTest

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
