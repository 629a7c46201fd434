"""The Ray Serve application: a front that decides, and replicas of the network that score in shared passes.

The two scale apart: fronts are cheap, the network follows the length of its queue. New weights replace replicas one
after the other; decisions name the weights that made them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ModelSATError, ScoringError
from modelsat.inference.base import Scores
from modelsat.server.guard import Keys
from modelsat.server.settings import ServerSettings, api_keys

_LOG = logging.getLogger(__name__)

NAME = "modelsat"
"""Name of the application on the cluster."""

Request = tuple[list[str], tuple[str, ...], list[dict[str, Any]]]
"""Texts, digests of profiles, definitions of profiles that may not be known."""

_MARGIN_S = 20.0
"""Seconds beyond the longest request before a replica that is being replaced is killed."""


class RaySettings(BaseModel):
    """How the application spreads over a cluster.

    Attributes:
        min_replicas: Replicas of the network that always run.
        max_replicas: Most replicas of the network.
        queue_per_replica: Requests, waiting or being scored, that one replica is meant for; more start another.
        replica_cpus: CPUs reserved for a replica; it computes with as many threads.
        fronts: Replicas that parse, decide and answer.
        front_cpus: CPUs reserved for a front.
        upscale_delay_s: Seconds of a longer queue before a replica is added.
        downscale_delay_s: Seconds of a shorter queue before one is removed.
        max_queued: Requests that wait for a replica before they are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=4, ge=1)
    queue_per_replica: float = Field(default=16.0, gt=0)
    replica_cpus: float = Field(default=1.0, gt=0)
    fronts: int = Field(default=1, ge=1)
    front_cpus: float = Field(default=1.0, ge=0)
    upscale_delay_s: float = Field(default=5.0, ge=0)
    downscale_delay_s: float = Field(default=120.0, ge=0)
    max_queued: int = Field(default=1024, ge=1)


class Network:
    """A replica of the network.

    Args:
        weights: Name of shipped weights, or a checkpoint folder on every node.
        threads: Threads of a pass.
        batch_size: Most requests of a shared pass.
        batch_wait_ms: Longest wait for company.
    """

    def __init__(self, weights: str, threads: int, batch_size: int, batch_wait_ms: float) -> None:
        import os

        os.environ.setdefault("MODELSAT_THREADS", str(threads))
        from modelsat.inference import load_scorer
        from modelsat.server.batching import ScoringService

        self._service = ScoringService(load_scorer(weights, keep=False))
        self._together.set_max_batch_size(batch_size)
        self._together.set_batch_wait_timeout_s(batch_wait_ms / 1000.0)

    async def score(self, request: Request) -> Scores | ModelSATError:
        """Scores for one request, or what went wrong with it (returned, so that it arrives as it is)."""
        answer: Scores | ModelSATError = await self._together(request)
        return answer

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.0)
    async def _together(self, requests: list[Request]) -> list[Scores | ModelSATError]:
        return await asyncio.to_thread(self._score, requests)

    def _score(self, requests: list[Request]) -> list[Scores | ModelSATError]:
        """Requests for the same profiles share a pass."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for position, (_, named, _) in enumerate(requests):
            groups.setdefault(named, []).append(position)
        answers: list[Scores | ModelSATError] = [ScoringError("not scored")] * len(requests)
        for named, positions in groups.items():
            self._pass(named, positions, requests, answers)
        return answers

    def _pass(
        self,
        named: tuple[str, ...],
        positions: list[int],
        requests: list[Request],
        answers: list[Scores | ModelSATError],
    ) -> None:
        texts = [text for position in positions for text in requests[position][0]]
        try:
            definitions = {p.digest: p for at in positions for p in (CapabilityProfile(**d) for d in requests[at][2])}
            scores = self._service.score(texts, named, list(definitions.values()))
        except BaseException as error:  # other requests of the batch go on
            if not isinstance(error, ModelSATError):  # its text may quote a prompt
                _LOG.error("a pass of %d requests failed: %s", len(positions), type(error).__name__)
                error = ScoringError(f"the network failed: {type(error).__name__}")
            for position in positions:
                answers[position] = error
            return
        start = 0
        for position in positions:
            end = start + len(requests[position][0])
            answers[position] = scores.part(start, end)
            start = end


def application(settings: ServerSettings, cluster: RaySettings) -> serve.Application:
    """The application that the settings describe, to be run by ``serve.run``.

    Raises:
        ConfigurationError: API keys cannot be read.
    """
    keys = Keys(api_keys(settings))  # hashes: the keys themselves never reach the cluster's state
    drain_s = settings.request_timeout_s + _MARGIN_S  # a replica that is replaced outlives the requests that it took

    def build() -> Any:
        from modelsat.server.app import create_app
        from modelsat.server.cluster.handle import HandleScorer

        handle = serve.get_deployment_handle("network", app_name=NAME)
        return create_app(settings, HandleScorer(handle, settings.request_timeout_s), keys=keys, warm=False)

    network = serve.deployment(
        Network,
        name="network",
        max_ongoing_requests=max(128, 2 * settings.batch_size),
        ray_actor_options={"num_cpus": cluster.replica_cpus},
        max_queued_requests=cluster.max_queued,
        graceful_shutdown_timeout_s=drain_s,
        autoscaling_config={
            "min_replicas": cluster.min_replicas,
            "max_replicas": max(cluster.min_replicas, cluster.max_replicas),
            "target_ongoing_requests": cluster.queue_per_replica,
            "upscale_delay_s": cluster.upscale_delay_s,
            "downscale_delay_s": cluster.downscale_delay_s,
            "metrics_interval_s": 1.0,
            "look_back_period_s": 5.0,
        },
    ).bind(settings.network, max(1, round(cluster.replica_cpus)), settings.batch_size, settings.batch_wait_ms)
    front = serve.deployment(
        serve.ingress(build)(),
        name="front",
        num_replicas=cluster.fronts,
        max_ongoing_requests=settings.max_waiting * 2,
        graceful_shutdown_timeout_s=drain_s,
        ray_actor_options={"num_cpus": cluster.front_cpus},
    )
    return front.bind(network)


def build(arguments: Mapping[str, Any]) -> serve.Application:
    """The application for a Serve config file or KubeRay: ``import_path: modelsat.server.cluster.application:build``.

    Args:
        arguments: ``settings``, as in the YAML file of ``modelsat serve``; and ``ray``, as :class:`RaySettings`.
    """
    return application(ServerSettings.of(arguments.get("settings", {})), RaySettings(**arguments.get("ray", {})))
