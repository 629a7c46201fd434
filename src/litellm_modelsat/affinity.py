"""The deployment of a conversation: its prompt cache is the account's and the region's, not the model's."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from litellm_modelsat.ranking import id_of
from litellm_modelsat.requests import Request
from modelsat.errors import ModelSATError
from modelsat.policies import Policy, Sticky
from modelsat.request.envelopes import DEFAULT_READER, EnvelopeReader
from modelsat.router.plan import turn_key

Steps = list[list[dict[str, Any]]]


class _Kept(NamedTuple):
    deployment: str
    at: float


class Affinity:
    """Keeps a conversation on the deployment that answered last, while its provider's prompt cache is assumed warm.

    That is for as long as policy ``sticky`` assumes it (``cache_s``), and only with that policy. Thread-safe.

    Args:
        policy: The policy of the group.
        reader: Tells what the user said from what an agent put around it.
    """

    def __init__(self, policy: Policy, reader: EnvelopeReader = DEFAULT_READER) -> None:
        self._reader = reader
        self._policy = policy if isinstance(policy, Sticky) else None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def key_of(self, request: Request) -> str | None:
        """What identifies the conversation: its session, or with ``per="turn"`` the user turn."""
        if self._policy is None or request.context.thread is not None or self._policy.per != "turn":
            return None if self._policy is None else request.context.thread
        try:
            return f"turn {turn_key(self._reader.turns(request.messages))}"
        except ModelSATError:
            return None

    def remember(self, key: str, deployment: str) -> None:
        """Keep the conversation ``key`` on ``deployment``, which has answered."""
        if self._policy is None:
            return
        with self._lock:
            self._kept[key] = _Kept(deployment, self._policy.clock())
            self._kept.move_to_end(key)
            while len(self._kept) > self._policy.max_threads:
                self._kept.popitem(last=False)

    def first(self, key: str | None, steps: Steps, tried: Collection[str] = ()) -> Steps:
        """``steps`` with the conversation's deployment before its equals, if it is among the best.

        Args:
            key: What identifies the conversation.
            steps: Deployments in the steps in which they should be asked.
            tried: Ids that have failed this request.
        """
        kept = self._kept.get(key) if key is not None else None
        if self._policy is None or kept is None or not steps or kept.deployment in tried:
            return steps
        if self._policy.clock() - kept.at > self._policy.cache_s:
            return steps
        own: Sequence[dict[str, Any]] = [entry for entry in steps[0] if id_of(entry) == kept.deployment]
        if not own or len(steps[0]) == 1:
            return steps
        return [list(own), [entry for entry in steps[0] if id_of(entry) != kept.deployment], *steps[1:]]
