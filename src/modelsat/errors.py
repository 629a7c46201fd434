"""The errors of modelsat: each says what went wrong and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelsat.request.exclusion import Exclusion

__all__ = [
    "AbstainedError",
    "AptitudeError",
    "CheckpointError",
    "ConfigurationError",
    "DuplicateFeedbackError",
    "FeedbackStoreError",
    "HubError",
    "IncompleteAnswerError",
    "InvalidFeedbackError",
    "InvalidProfileError",
    "InvalidRequestError",
    "MissingDependencyError",
    "ModelSATError",
    "NoCandidateError",
    "OutcomesError",
    "QuestionsError",
    "RoutingError",
    "ScorerUnavailableError",
    "ScoringError",
    "StoreError",
    "UnknownDecisionError",
    "UnknownModelError",
]


class ModelSATError(Exception):
    """Base class of every error raised on purpose by this project."""


OTHERS_RAISE = (Exception, SystemExit)
"""What code of somebody else's (a scorer, policy, extractor) may raise without ending the program that routes."""


class InvalidProfileError(ModelSATError, ValueError):
    """A capability profile or statement holds a value that cannot be right."""


class UnknownModelError(ModelSATError, LookupError):
    """No capability profile is known under the given model name."""


class InvalidRequestError(ModelSATError, ValueError):
    """The messages hold nothing that can be scored, or have an unknown shape."""


class ConfigurationError(ModelSATError, ValueError):
    """A router, policy or command was set up with values that contradict each other."""


class CheckpointError(ModelSATError, RuntimeError):
    """A checkpoint folder is incomplete, damaged, or does not match its manifest."""


class HubError(ModelSATError, RuntimeError):
    """A data set on the Hub cannot be reached, read or written."""


class StoreError(ModelSATError, RuntimeError):
    """The user's store of profiles cannot be read or written."""


class QuestionsError(ModelSATError, ValueError):
    """The questions of an aptitude test, or a suite of one's own, cannot be asked as they are."""


class AptitudeError(ModelSATError, RuntimeError):
    """An aptitude test could not start or go on; answers so far are kept."""


class OutcomesError(ModelSATError, ValueError):
    """A table of items or outcomes, or a split of it, cannot be trained on or measured."""


class ScoringError(ModelSATError, RuntimeError):
    """The network could not produce finite scores."""


class ScorerUnavailableError(ScoringError):
    """A scorer elsewhere could not be reached, was overloaded, or took too long."""


class RoutingError(ModelSATError, RuntimeError):
    """No candidate could be chosen and no fallback was configured."""


class NoCandidateError(RoutingError):
    """The constraints or the needs of the request leave no candidate.

    Attributes:
        reasons: Why each candidate is out, by name.
    """

    def __init__(self, message: str, reasons: Mapping[str, Exclusion] | None = None) -> None:
        super().__init__(message)
        self.reasons: dict[str, Exclusion] = dict(reasons or {})


class AbstainedError(RoutingError):
    """The policy ``abstain`` refused: no candidate is known to be good enough for the request."""


class IncompleteAnswerError(ModelSATError, RuntimeError):
    """An answer broke off: it ended without a reason to stop."""


class MissingDependencyError(ModelSATError, ImportError):
    """An optional dependency is needed; the message names the extra that brings it."""

    @classmethod
    def for_extra(cls, purpose: str, extra: str) -> MissingDependencyError:
        """Build the error for ``purpose``, which needs ``pip install "modelsat[extra]"``."""
        return cls(f'{purpose} needs an optional dependency: pip install "modelsat[{extra}]"')


class FeedbackStoreError(ModelSATError, RuntimeError):
    """A feedback store cannot be used: locked, damaged, unreachable, full, or of another version."""


class InvalidFeedbackError(ModelSATError, ValueError):
    """Feedback with a score that is not a number in 0..1, or without the identifier of a decision."""


class UnknownDecisionError(ModelSATError, LookupError):
    """Feedback for a decision that the store does not hold."""


class DuplicateFeedbackError(ModelSATError, ValueError):
    """A second feedback for one decision; the first one counts."""
