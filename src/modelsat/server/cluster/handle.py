"""A scorer whose network runs in replicas of a Ray Serve deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tenacity

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError, ScorerUnavailableError
from modelsat.inference.base import Scores
from modelsat.inference.remote import DistantScorer


class HandleScorer(DistantScorer):
    """Scores through a handle of :class:`~modelsat.server.cluster.application.Network`. Thread-safe.

    A replica that dies under a request costs another try on another replica.

    Args:
        handle: The deployment's handle.
        timeout_s: Seconds each try may take.
        attempts: How often a call is tried.
    """

    def __init__(self, handle: Any, timeout_s: float = 10.0, attempts: int = 3) -> None:
        super().__init__("the Ray Serve deployment")
        self._handle, self._timeout_s = handle, timeout_s
        self._attempts = attempts

    def _ask(self, texts: Sequence[str], digests: tuple[str, ...], definitions: Sequence[CapabilityProfile]) -> Scores:
        from ray.exceptions import RayError
        from ray.serve.exceptions import BackPressureError

        request = (list(texts), digests, [profile.model_dump() for profile in definitions])
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(RayError),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=0.5),
            reraise=True,
        )
        try:
            answer = retrying(lambda: self._handle.score.remote(request).result(timeout_s=self._timeout_s))
        except BackPressureError as error:
            raise ScorerUnavailableError("all replicas of the network are busy") from error
        except TimeoutError as error:
            raise ScorerUnavailableError(f"no scores from Ray Serve within {self._timeout_s:g} s") from error
        except RayError as error:
            raise ScorerUnavailableError(f"the replica failed: {type(error).__name__}") from error
        if isinstance(answer, ModelSATError):
            raise answer
        assert isinstance(answer, Scores)  # noqa: S101 - the other side is ours
        return answer
