"""The aptitude test: a model answers the core tasks once, and its capability profile routes to it from then on."""

from modelsat.lab.aptitude.compare import compare
from modelsat.lab.aptitude.plan import AptitudeSettings, Limits, Prices
from modelsat.lab.aptitude.replies import Reply
from modelsat.lab.aptitude.result import AptitudeResult, TaskResult, keep
from modelsat.lab.aptitude.runner import Ledger
from modelsat.lab.aptitude.session import AptitudeTest
from modelsat.lab.aptitude.subjects import (
    CalledSubject,
    EndpointSubject,
    LangChainSubject,
    LiteLLMSubject,
    Subject,
)

__all__ = [
    "AptitudeResult",
    "AptitudeSettings",
    "AptitudeTest",
    "CalledSubject",
    "EndpointSubject",
    "LangChainSubject",
    "Ledger",
    "Limits",
    "LiteLLMSubject",
    "Prices",
    "Reply",
    "Subject",
    "TaskResult",
    "compare",
    "keep",
]
