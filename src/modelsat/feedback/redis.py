"""Feedback in Redis, shared by workers on many machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from modelsat.errors import ConfigurationError, FeedbackStoreError, MissingDependencyError
from modelsat.feedback.base import Counts, DecisionRecord, FeedbackRecord, Observation, Retention, Unreadable
from modelsat.feedback.sqlite import duplicate, unknown

FORMAT = 1
"""Version of what is kept."""
TIMEOUT_S = 2.0
"""Seconds to wait for the server."""
_PART = 1000

# Feedback, the check that it is the first, and its place in the order: in one step, for all workers.
_ADD_FEEDBACK = """
local decision = redis.call('HGET', KEYS[1], ARGV[1])
if not decision then return {'unknown'} end
local before = redis.call('HGET', KEYS[2], ARGV[1])
if before then return {'duplicate', before} end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[3], '*', 'decision', decision, 'feedback', ARGV[2])
return {'kept'}
"""

# Decisions, oldest first: the first ARGV[1] with their feedback, the others only if none has come since.
_PRUNE = """
for position = 2, #ARGV do
  local id = ARGV[position]
  if position - 1 <= tonumber(ARGV[1]) or redis.call('HEXISTS', KEYS[2], id) == 0 then
    redis.call('HDEL', KEYS[1], id)
    redis.call('HDEL', KEYS[2], id)
    redis.call('ZREM', KEYS[5], id)
  end
end
redis.call('XTRIM', KEYS[3], 'MAXLEN', redis.call('HLEN', KEYS[2]))
"""


class RedisStore:
    """A :class:`~modelsat.feedback.base.FeedbackStore` on a Redis server (extra ``redis``).

    Keys: ``{prefix}:format``, ``{prefix}:decisions`` (a hash), ``{prefix}:feedback`` (a hash), ``{prefix}:log`` (a
    stream of both, in the order of the feedback), ``{prefix}:times`` (the decisions' identifiers by time) and
    ``{prefix}:set_aside`` (a list of what could not be written). The braces keep them on one node of a cluster.

    Args:
        url: ``redis://[user:password@]host:port/db``, ``rediss://...`` or ``unix://path``.
        prefix: Of every key: two prefixes are two stores.
        timeout_s: Seconds to wait for the server.

    Attributes:
        name: The server, without user and password.
        unreadable: Records that were met and could not be read.

    Raises:
        MissingDependencyError: The client of Redis is not installed.
        ConfigurationError: The URL cannot be read.
    """

    def __init__(self, url: str, *, prefix: str = "modelsat", timeout_s: float = TIMEOUT_S) -> None:
        try:
            import redis
        except ImportError as error:
            raise MissingDependencyError.for_extra("a feedback store on Redis", "redis") from error
        self._faults = (redis.RedisError, OSError)
        try:
            parts = urlsplit(url)
            self.name = f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
            self._client: Any = redis.Redis.from_url(
                url,
                socket_timeout=timeout_s,
                socket_connect_timeout=timeout_s,
                decode_responses=True,
                encoding_errors="backslashreplace",  # bytes that are not UTF-8 spoil their own record and no other
            )
        except ValueError as error:
            raise ConfigurationError(f"the URL of the Redis server cannot be read: {error}") from error
        self._keys = [f"{{{prefix}}}:{part}" for part in ("decisions", "feedback", "log", "format", "times")]
        self._dead_letters = f"{{{prefix}}}:set_aside"
        self._add: Callable[..., list[str]] = self._client.register_script(_ADD_FEEDBACK)
        self._drop: Callable[..., None] = self._client.register_script(_PRUNE)
        self._checked = False
        self.unreadable = Unreadable(self.name)

    def __repr__(self) -> str:
        return f"RedisStore({self.name!r})"

    def add_decisions(self, records: Sequence[DecisionRecord]) -> None:
        """Keep decisions, all or none of them."""
        with self._server() as client, client.pipeline(transaction=True) as pipeline:
            for record in records:
                pipeline.hsetnx(self._keys[0], record.id, record.to_json())
                pipeline.zadd(self._keys[4], {record.id: record.time}, nx=True)
            pipeline.execute()

    def add_feedback(self, record: FeedbackRecord) -> None:
        """Keep feedback; raises as :class:`~modelsat.feedback.base.FeedbackStore` says."""
        text = json.dumps([record.score, record.source, record.time])
        with self._server():
            answer = self._add(keys=self._keys[:3], args=[record.decision, text])
        if answer[0] == "unknown":
            raise unknown(record.decision, self.name)
        if answer[0] == "duplicate":
            score, source, _ = json.loads(answer[1])
            raise duplicate(record.decision, score, source)

    def set_aside(self, record: str, reason: str) -> None:
        """Keep what could not be written among the decisions in a list of its own, ``{prefix}:set_aside``."""
        with self._server() as client:
            client.rpush(self._dead_letters, json.dumps({"record": record, "reason": reason}))

    def prune(self, retention: Retention, now: float, limit: int) -> int:
        """Drop old decisions, and as many entries of the log as feedback was dropped, oldest first.

        The age of a decision is counted by the server's clock, so that a worker whose clock is ahead drops nothing
        early.
        """
        with self._server() as client:
            now = min(now, float(client.time()[0]))
            count = client.hlen(self._keys[0])
            if client.zcard(self._keys[4]) < count:  # another version of modelsat wrote some
                self._note_times(client)
            surplus = retention.surplus(count, limit)
            oldest = client.zrange(self._keys[4], 0, surplus - 1) if surplus else []
            found = [*oldest, *islice(self._unanswered(client, retention.oldest(now), surplus), limit - surplus)]
            if found:
                self._drop(keys=self._keys, args=[len(oldest), *found])
            return len(found)

    def _unanswered(self, client: Any, before: float, start: int) -> Iterator[str]:
        """Identifiers of decisions without feedback, by time, but for the first ``start`` of all."""
        while part := client.zrangebyscore(self._keys[4], "-inf", f"({before}", start=start, num=_PART):
            answers = client.hmget(self._keys[1], part)
            yield from (identifier for identifier, answer in zip(part, answers, strict=True) if answer is None)
            start += _PART

    def _note_times(self, client: Any) -> None:
        for identifier, text in client.hscan_iter(self._keys[0], count=_PART):
            record = self.unreadable.read(f"decision {identifier}", _decision, text)
            client.zadd(self._keys[4], {identifier: 0.0 if record is None else record.time}, nx=True)

    def observations(self, after: str = "", last: int | None = None) -> list[Observation]:
        """Decisions with feedback, in the order of the feedback."""
        start = f"({after}" if after else "-"
        with self._server() as client:
            if last is not None:
                entries = client.xrevrange(self._keys[2], "+", start, count=last)[::-1]
            else:
                entries = client.xrange(self._keys[2], start, "+")
        found = (self.unreadable.read(f"feedback {at}", _observation, at, entry) for at, entry in entries)
        return [observation for observation in found if observation is not None]

    def decisions(self) -> Iterator[tuple[DecisionRecord, FeedbackRecord | None]]:
        """Every decision, in no order."""
        with self._server() as client:
            for identifier, text in client.hscan_iter(self._keys[0], count=_PART):
                feedback = client.hget(self._keys[1], identifier)
                pair = self.unreadable.read(f"decision {identifier}", _pair, identifier, text, feedback)
                if pair is not None:
                    yield pair

    def counts(self) -> Counts:
        """How much there is."""
        with self._server() as client:
            decisions, feedback = client.hlen(self._keys[0]), client.hlen(self._keys[1])
        prompts = sum(decision.prompt is not None for decision, _ in self.decisions())
        return Counts(decisions, feedback, prompts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _server(self) -> Iterator[Any]:
        try:
            if not self._checked:
                self._client.setnx(self._keys[3], FORMAT)
                self._check(self._client.get(self._keys[3]))
                self._checked = True
            yield self._client
        except self._faults as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FeedbackStoreError(f"cannot use the feedback store {self.name}: {reason}") from error
        except (TypeError, json.JSONDecodeError) as error:
            raise FeedbackStoreError(
                f"the feedback store {self.name} holds an entry that is not modelsat's ({error}); it was not changed"
            ) from error

    def _check(self, version: str) -> None:
        if version != str(FORMAT):
            raise ConfigurationError(
                f"the feedback store {self.name} is of format {version}, this modelsat reads format {FORMAT}; "
                "it was not changed: use the modelsat that wrote it, or another database or prefix"
            )


def _decision(text: str) -> DecisionRecord:
    return DecisionRecord.from_json(text).checked()


def _observation(position: str, entry: dict[str, str]) -> Observation:
    decision = _decision(entry["decision"])
    return Observation(position, decision, FeedbackRecord(decision.id, *json.loads(entry["feedback"])))


def _pair(identifier: str, text: str, feedback: str | None) -> tuple[DecisionRecord, FeedbackRecord | None]:
    given = None if feedback is None else FeedbackRecord(identifier, *json.loads(feedback))
    return _decision(text), given
