"""Streams that break off: up to 1.108 LiteLLM reports "stop" where a provider gave no reason; here it is remembered."""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any

from litellm.litellm_core_utils.streaming_handler import CustomStreamWrapper

from litellm_modelsat.records import Attempt, attempt_of, served_by

_FINISH = "finish_reason_handler"
_lock = threading.Lock()
_giving: set[str] = set()
"""Deployments whose streams have ended with a reason to stop: without one, a stream of theirs broke off."""


def watch_endings() -> None:
    """Have attempts remember whose stream ended without a reason to stop. Safe to call more than once.

    No hook of LiteLLM sees this: it puts "stop" in place of a missing reason before it calls any. So the method that
    does is wrapped; a LiteLLM without that method is left alone. From 1.109 on it raises instead.
    """
    with _lock:
        own = getattr(CustomStreamWrapper, _FINISH, None)
        if own is None or hasattr(own, "__wrapped__"):
            return

        @functools.wraps(own)
        def watched(self: Any) -> Any:
            if not (self.received_finish_reason or getattr(self, "intermittent_finish_reason", None)):
                details = self.logging_obj.model_call_details
                if (attempt := attempt_of(details)) is not None:
                    attempt.without_reason = served_by(details)
            return own(self)

        setattr(CustomStreamWrapper, _FINISH, watched)


def broke_off(attempt: Attempt, kwargs: Mapping[str, Any]) -> bool:
    """Whether an answer that LiteLLM's logging reports as whole broke off: its deployment gives reasons otherwise."""
    deployment = served_by(kwargs)
    if deployment is None or not kwargs.get("stream"):
        return False
    if attempt.without_reason == deployment:
        return deployment in _giving
    _giving.add(deployment)
    return False
