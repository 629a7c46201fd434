"""What goes wrong between here and the Hub, in the project's own errors: what happened and what to do next."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from modelsat.errors import ModelSATError

T = TypeVar("T")

WAIT_S = 1.0
"""Seconds before the second attempt; the third waits twice as long."""
_ATTEMPTS = 3
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_UNREACHABLE = ("ConnectError", "ConnectionError", "ConnectTimeout", "ProxyError", "SSLError")
_CUT = ("RemoteProtocolError", "ReadError", "ReadTimeout", "ChunkedEncodingError", "ProtocolError", "IncompleteRead")
_NOT_RESUMED = ("ReadError", "ChunkedEncodingError", "IncompleteRead")
"""Cut connections that huggingface_hub gives up on at once."""
_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


def ask(what: str, kind: type[ModelSATError], question: Callable[[], T]) -> T:
    """The answer to a question put to the Hub; failures that may pass are tried again a few times.

    Args:
        what: What is asked for, for messages, e.g. ``"the weights org/name@main"``.
        kind: Class of the errors raised.
        question: Calls huggingface_hub.

    Raises:
        ModelSATError: Of class ``kind``; see :func:`explain`.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    attempts = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_S),
        retry=retry_if_exception(may_pass),
        reraise=True,
    )
    try:
        return attempts(question)
    except ModelSATError:
        raise
    except Exception as error:
        raise kind(explain(what, error)) from error


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may succeed: the Hub is busy or broken for the moment.

    Other troubles of connections are tried again by huggingface_hub itself.
    """
    return any(status(cause) in _PASSING or _is(cause, *_NOT_RESUMED) for cause in _causes(error))


def unreachable(error: BaseException) -> bool:
    """Whether the Hub could not be asked, so that what is cached may stand in."""
    names = (*_UNREACHABLE, *_CUT, "OfflineModeIsEnabled")
    return may_pass(error) or any(_is(cause, *names) for cause in _causes(error))


def lacks(error: BaseException, name: str) -> bool:
    """Whether the Hub answered that there is no such thing: ``"Repository"``, ``"Revision"`` or ``"Entry"``."""
    causes = [cause for cause in _causes(error) if not _is(cause, "LocalEntryNotFoundError", "GatedRepoError")]
    if name == "Repository" and any(status(cause) == 401 for cause in causes):
        return True  # what the Hub says to someone who is not logged in
    return any(_is(cause, f"{name}NotFoundError") for cause in causes)


def status(error: BaseException) -> int | None:
    """HTTP status behind an error; ``None`` if it has none."""
    return getattr(getattr(error, "response", None), "status_code", None)


def explain(what: str, error: BaseException) -> str:
    """A sentence on why ``what`` could not be had or written, and what to do about it.

    Works for every version of huggingface_hub that the package allows: they wrap one another's errors differently, so
    all causes are looked at.
    """
    causes = list(_causes(error))
    for find in (_disk, _access, _missing, _busy, _network, _wrapped):
        for cause in causes:
            if (message := find(what, cause)) is not None:
                return message
    line = next(iter(str(error).strip().splitlines()), "")
    return f"{what}: {type(error).__name__}{f': {line}' if line else ''}"


def _disk(what: str, error: BaseException) -> str | None:
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{what}: the disk is full ({cache_folder()}); make room, or name another folder in HF_HUB_CACHE"
    if number in (errno.EACCES, errno.EROFS, errno.EPERM) and isinstance(error, OSError):
        where = error.filename or cache_folder()
        return f"{what}: cannot write to {where} ({error.strerror}); name another in HF_HUB_CACHE"
    return None


def _access(what: str, error: BaseException) -> str | None:
    if _is(error, "GatedRepoError"):
        return f"{what}: access is granted on request (gated); ask for it on the repository's page, then {_LOG_IN}"
    if _is(error, "DisabledRepoError"):
        return f"{what}: the Hub has disabled this repository"
    if "Invalid credentials" in str(error) or "Invalid user token" in str(error):
        return f"{what}: the token was not accepted; {_LOG_IN} again"
    if _is(error, "RepositoryNotFoundError") or status(error) == 401:
        return (
            f"{what}: there is no such repository on {endpoint()}, or it is private and the token does not open it; "
            f"check the name, or {_LOG_IN}"
        )
    if status(error) == 403:
        return f"{what}: the token does not allow this; use one with the right to it ({_LOG_IN})"
    return None


def _missing(what: str, error: BaseException) -> str | None:
    if _is(error, "RevisionNotFoundError"):
        return f"{what}: there is no such revision; name a branch, a tag or a commit, or leave it out for main"
    if _is(error, "LocalEntryNotFoundError"):
        return None  # a wrapper: the cause says more
    if _is(error, "EntryNotFoundError"):
        return f"{what}: the repository has no such file"
    if _is(error, "HFValidationError"):
        return f"{what}: this is not a name of a repository ({next(iter(str(error).splitlines()), '')})"
    return None


def _busy(what: str, error: BaseException) -> str | None:
    code = status(error)
    if code == 429:
        return f"{what}: the Hub asks to slow down (429); wait a few minutes, or {_LOG_IN}"
    if code in (409, 412):
        return f"{what}: somebody else changed the repository at the same time ({code}); run it again"
    if code is not None and code >= 500:
        return f"{what}: {endpoint()} is in trouble ({code}); try again later"
    if code is not None:
        return f"{what}: {endpoint()} refused the request ({code})"
    return None


def _network(what: str, error: BaseException) -> str | None:
    if _is(error, "OfflineModeIsEnabled"):
        return _not_cached(what)
    if _is(error, *_CUT) or "Consistency check failed" in str(error):
        return f"{what}: the download was cut off; run it again, files that are complete are kept"
    if _is(error, *_UNREACHABLE):
        return (
            f"{what}: cannot reach {endpoint()} ({type(error).__name__}); check the network, or HF_ENDPOINT if you use "
            "a mirror. What was downloaded before also works with HF_HUB_OFFLINE=1"
        )
    return None


def _wrapped(what: str, error: BaseException) -> str | None:
    if _is(error, "LocalEntryNotFoundError", "FileMetadataError"):
        return (
            _not_cached(what)
            if offline()
            else f"{what}: {endpoint()} gave no usable answer, and nothing is cached; check HF_ENDPOINT and try again"
        )
    return None


def _not_cached(what: str) -> str:
    return (
        f"{what}: not in the cache ({cache_folder()}), and HF_HUB_OFFLINE is set; unset it, or download once where "
        "there is a network"
    )


def endpoint() -> str:
    """Address of the Hub in use."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def offline() -> bool:
    """Whether the Hub must not be asked (``HF_HUB_OFFLINE``)."""
    from huggingface_hub import constants

    asked = os.environ.get("HF_HUB_OFFLINE", "").strip().upper() in ("1", "ON", "YES", "TRUE")
    return asked or bool(constants.HF_HUB_OFFLINE)


def cache_folder() -> Path:
    """The client's cache, shared with every program that uses it."""
    from huggingface_hub import constants

    if chosen := os.environ.get("HF_HUB_CACHE"):
        return Path(os.path.expandvars(chosen)).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(os.path.expandvars(home)).expanduser() / "hub"
    return Path(constants.HF_HUB_CACHE)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that led to it, nearest first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is(error: BaseException, *names: str) -> bool:
    """Whether a class of the error goes by one of ``names``: requests' and httpx's errors share most of them."""
    return any(kind.__name__ in names for kind in type(error).__mro__)
