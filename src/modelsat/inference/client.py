"""The remote scorer over HTTP: the network in a server, everything else of the router in this process."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from ipaddress import ip_address
from typing import Any, Literal
from urllib.request import getproxies, proxy_bypass

import httpx
import numpy as np
import tenacity

from modelsat._logging import one_line
from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError, ScorerUnavailableError, ScoringError
from modelsat.inference.base import Scorer, Scores
from modelsat.inference.remote import DistantScorer, UnknownProfilesError
from modelsat.validation import finite

logger = logging.getLogger("modelsat")

KEY_VARIABLE = "MODELSAT_API_KEY"
UNKNOWN_PROFILES = "unknown-profiles"
"""Last part of the problem type with which a server asks for the definitions of profiles."""

_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_CONNECT_S = 1.0
_LARGEST_ANSWER = 64 << 20
"""Bytes of an answer: some three million scores."""
_PART = 4096
"""Bytes that are sent with one wait: a socket takes so many at once or none."""
_LONGEST_VERSION = 200
_LONGEST_DETAIL = 300

State = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Opens after ``failures`` failures in a row; after ``reset_s`` seconds one trial call decides whether it closes.

    Thread-safe. Callers ask :meth:`allows` before a call and report how it went with :meth:`succeeded` or
    :meth:`failed`. So nobody waits for a server that is gone.
    """

    def __init__(self, failures: int = 5, reset_s: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        if failures < 1 or reset_s < 0:
            raise ValueError("a circuit breaker needs failures >= 1 and reset_s >= 0")
        self._limit, self._reset_s, self._clock = failures, reset_s, clock
        self._lock = threading.Lock()
        self._failures = 0
        self._opened_at: float | None = None
        self._trial_at: float | None = None

    @property
    def state(self) -> State:
        """``"closed"`` (calls pass), ``"open"`` (none does) or ``"half-open"`` (one trial is due or under way)."""
        with self._lock:
            if self._opened_at is None:
                return "closed"
            return "half-open" if self._clock() - self._opened_at >= self._reset_s else "open"

    def allows(self) -> bool:
        """Whether a call may be made now; of many callers after ``reset_s``, one gets yes."""
        with self._lock:
            if self._opened_at is None:
                return True
            now = self._clock()
            if now - self._opened_at < self._reset_s:
                return False
            # A trial whose caller never reported back does not keep the breaker open for ever.
            if self._trial_at is not None and now - self._trial_at < max(self._reset_s, 1.0):
                return False
            self._trial_at = now
            return True

    def succeeded(self) -> None:
        """A call went well: close."""
        with self._lock:
            self._failures, self._opened_at, self._trial_at = 0, None, None

    def failed(self) -> bool:
        """A call failed; returns True if this opened the breaker."""
        with self._lock:
            self._failures += 1
            self._trial_at = None
            if self._failures < self._limit:
                return False
            opened = self._opened_at is None
            self._opened_at = self._clock()
            return opened


class RemoteScorer(DistantScorer):
    """A scorer over HTTP: pooled connections, retries with jitter, a circuit breaker, one time-out for it all.

    Thread-safe. Nothing is sent before the first :meth:`score`. A server that is away is asked a few times, then left
    alone for a while; meanwhile calls fail at once, or the embedded scorer stands in.

    Args:
        url: Address of ``modelsat serve``, e.g. ``"http://127.0.0.1:8080"``.
        api_key: Key of the server; ``$MODELSAT_API_KEY`` if not given.
        timeout_s: Seconds a call may take, with all its retries.
        attempts: How often a call is tried when the server is away or overloaded.
        connections: Most connections held open.
        breaker: The circuit breaker; five failures in a row open it for five seconds by default.
        embedded: A scorer or weights for this process, used while the server cannot answer.
        transport: Transport of httpx, for tests and proxies.

    Raises:
        ConfigurationError: ``url`` is not an http or https address, or a limit makes no sense.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: float = 2.0,
        attempts: int = 3,
        connections: int = 32,
        breaker: CircuitBreaker | None = None,
        embedded: Scorer | str | os.PathLike[str] | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if not (finite(timeout_s) or 0.0) > 0.0 or attempts < 1 or connections < 1:
            raise ConfigurationError("a remote scorer needs timeout_s > 0, attempts >= 1 and connections >= 1")
        super().__init__(_address(url), embedded)
        self._api_key = api_key or os.environ.get(KEY_VARIABLE)
        self._timeout_s, self._attempts, self._connections = timeout_s, attempts, connections
        self.breaker = breaker or CircuitBreaker()
        self._transport = transport
        self._client: httpx.Client | None = None
        self._owner = 0
        self._opening = threading.Lock()

    def __repr__(self) -> str:
        return f"RemoteScorer({self.place!r}, {self.breaker.state})"

    def __deepcopy__(self, memo: dict[int, Any]) -> RemoteScorer:
        return self

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._opening:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def _ask(self, texts: Sequence[str], digests: tuple[str, ...], definitions: Sequence[CapabilityProfile]) -> Scores:
        if not self.breaker.allows():
            raise ScorerUnavailableError(f"{self.place} failed repeatedly and is left alone for a moment")
        body: dict[str, Any] = {"instructions": list(texts), "profiles": digests}
        if definitions:
            body["definitions"] = [profile.model_dump(exclude_defaults=True) for profile in definitions]
        content = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        try:
            response = self._send(content)
        except _TransientError as error:
            if error.counts and self.breaker.failed():
                logger.warning("%s failed repeatedly and is left alone for a moment: %s", self.place, error)
            raise ScorerUnavailableError(f"{self.place} did not score: {error}") from error
        except BaseException:
            self.breaker.failed()
            raise
        self.breaker.succeeded()
        return self._read(response)

    def _send(self, content: bytes) -> httpx.Response:
        deadline = time.monotonic() + self._timeout_s
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts) | tenacity.stop_before_delay(self._timeout_s),
            wait=_wait,
            retry=tenacity.retry_if_exception_type(_TransientError),
            reraise=True,
        )
        return retrying(self._once, content, deadline)

    def _once(self, content: bytes, deadline: float) -> httpx.Response:
        left = deadline - time.monotonic()
        if left <= 0:
            raise _TransientError(f"no answer within {self._timeout_s:g} s")
        try:
            timeout = httpx.Timeout(left, connect=min(left, _CONNECT_S))
            headers = {"content-type": "application/json", "accept-encoding": "identity"}
            _deadline.set(deadline)
            if self._api_key:
                headers["authorization"] = f"Bearer {self._api_key}"
            url = f"{self.place}/v1/score"
            with self._http().stream("POST", url, content=content, headers=headers, timeout=timeout) as stream:
                response = self._receive(stream, deadline)
        except httpx.TimeoutException as error:
            raise _TransientError(f"no answer within {self._timeout_s:g} s ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise _TransientError(f"{type(error).__name__}: {error}{self._through_proxy()}") from error
        if response.status_code in _TRANSIENT:
            overloaded = response.status_code == 429
            raise _TransientError(
                f"HTTP {response.status_code}", counts=not overloaded, retry_after_s=_retry_after(response)
            )
        return response

    def _receive(self, stream: httpx.Response, deadline: float) -> httpx.Response:
        """The whole answer, if it comes in time and is not larger than an answer can be."""
        if stream.headers.get("content-encoding", "identity") != "identity":
            raise ScoringError(f"{self.place} answered compressed, which was not asked for: is a proxy in between?")
        received = bytearray()
        for chunk in stream.iter_bytes():
            received += chunk
            if len(received) > _LARGEST_ANSWER:
                raise ScoringError(f"{self.place} answered more than {_LARGEST_ANSWER:,} bytes")
            if time.monotonic() > deadline:
                raise _TransientError(f"no whole answer within {self._timeout_s:g} s")
        kept = {name: value for name, value in stream.headers.items() if name == "retry-after"}
        return httpx.Response(stream.status_code, headers=kept, content=bytes(received))

    def _through_proxy(self) -> str:
        """Which proxy of the environment a call goes through, for messages; nothing if none."""
        url = httpx.URL(self.place)
        if is_loopback(url.host) or proxy_bypass(url.host) or not (proxy := getproxies().get(url.scheme)):
            return ""
        named = httpx.URL(proxy)
        return f" (through the proxy {named.host}:{named.port or 80} of the environment; see NO_PROXY)"

    def _http(self) -> httpx.Client:
        """The pool of connections, opened at first use and again in a forked process."""
        with self._opening:
            if self._client is None or self._owner != os.getpid():
                limits = httpx.Limits(max_connections=self._connections, max_keepalive_connections=self._connections)
                away = not is_loopback(httpx.URL(self.place).host)
                self._client = httpx.Client(limits=limits, transport=self._transport, trust_env=away)
                self._owner = os.getpid()
                for way in (self._client._transport, *self._client._mounts.values()):
                    if isinstance(way, httpx.HTTPTransport):
                        pool: Any = way._pool
                        pool._network_backend = _Timely(pool._network_backend)
                weakref.finalize(self, self._client.close)
            return self._client

    def _read(self, response: httpx.Response) -> Scores:
        try:
            answer = response.json()
            if response.status_code == 200:
                p, shares = (np.asarray(answer.get(name, []), dtype=np.float32) for name in ("scores", "shares"))
                version = one_line(str(answer["weights"]), _LONGEST_VERSION)
                return Scores(p, version, tuple(map(str, answer.get("fields", ()))), shares)
            if response.status_code == 404 and str(answer.get("type", "")).endswith(UNKNOWN_PROFILES):
                raise UnknownProfilesError([str(digest) for digest in answer["missing"]])
            detail = str(answer.get("detail") or answer.get("title") or "")
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ScoringError(
                f"{self.place} answered HTTP {response.status_code} with something that is not a score: is this the "
                "address of `modelsat serve`?"
            ) from error
        hint = f" (give its key as api_key or ${KEY_VARIABLE})" if response.status_code == 401 else ""
        raise ScoringError(
            f"{self.place} refused with HTTP {response.status_code}: {one_line(detail, _LONGEST_DETAIL)}{hint}"
        )


_deadline: ContextVar[float] = ContextVar("_deadline")
"""When the call of this thread ends, in monotonic seconds."""


class _Timely:
    """A network backend of httpx, or a stream of it, each of whose waits ends with the call at the latest.

    httpx bounds each wait alone, so that an answer which comes a byte at a time holds a call for as long as it likes.
    """

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def connect_tcp(self, *given: Any, timeout: float | None = None, **options: Any) -> _Timely:
        return _Timely(self._inner.connect_tcp(*given, timeout=_left(httpx.ConnectTimeout, timeout), **options))

    def start_tls(self, *given: Any, timeout: float | None = None, **options: Any) -> _Timely:
        return _Timely(self._inner.start_tls(*given, timeout=_left(httpx.ConnectTimeout, timeout), **options))

    def read(self, most: int, timeout: float | None = None) -> bytes:
        return self._inner.read(most, timeout=_left(httpx.ReadTimeout, timeout))  # type: ignore[no-any-return]

    def write(self, content: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(content), _PART):
            self._inner.write(content[start : start + _PART], timeout=_left(httpx.WriteTimeout, timeout))


def _left(late: type[httpx.TimeoutException], timeout: float | None) -> float:
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise late("the call is over")
    return left if timeout is None else min(timeout, left)


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigurationError(f"scorer={url!r} is not an address: write http://host:port ({error})") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"scorer={url!r} is not an address: write http://host:port")
    if parsed.userinfo:
        raise ConfigurationError("the scorer's address holds a password: give the key as api_key instead")
    return str(parsed).rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether ``host`` names the loopback interface of this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class _TransientError(Exception):
    """Worth another try."""

    def __init__(self, message: str, *, counts: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.counts = counts
        self.retry_after_s = retry_after_s


_jitter = tenacity.wait_random_exponential(multiplier=0.05, max=0.5)


def _wait(state: tenacity.RetryCallState) -> float:
    """Jittered, exponential; as long as the server asked for where it did."""
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after_s", None)
    return _jitter(state) if asked is None else float(asked)


def _retry_after(response: httpx.Response) -> float | None:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None
