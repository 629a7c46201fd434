"""Feedback on answers: kept, counted in, watched for drift, exported."""

from __future__ import annotations

from modelsat.feedback.base import Counts, DecisionRecord, FeedbackRecord, FeedbackStore, Observation
from modelsat.feedback.calibration import Calibrator, Drift, Subject
from modelsat.feedback.loop import Feedback, FeedbackState, open_store

__all__ = [
    "Calibrator",
    "Counts",
    "DecisionRecord",
    "Drift",
    "Feedback",
    "FeedbackRecord",
    "FeedbackState",
    "FeedbackStore",
    "Observation",
    "Subject",
    "open_store",
]
