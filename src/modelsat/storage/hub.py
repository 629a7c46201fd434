"""The Hugging Face Hub: references to repositories, and files of them in the client's own cache.

Everything goes through huggingface_hub, so its token, cache, offline mode, mirrors and progress bars apply. It is
imported at the first call. ``HF_ENDPOINT``, ``HF_HUB_OFFLINE`` and the cache's place are read at every call.
"""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from modelsat.errors import HubError, ModelSATError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")
Kind = Literal["model", "dataset"]
Token = str | bool | None
"""A token; ``None``: the one logged in with, or ``HF_TOKEN``; ``False``: none."""

DEFAULT_REVISION = "main"
logger = logging.getLogger("modelsat")
_REFERENCE = re.compile(r"(?P<repo>\w[\w.-]{0,95}/\w[\w.-]{0,95})(?:@(?P<revision>[\w./+-]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
WAIT_S = 1.0
"""Seconds before the second attempt; the third waits twice as long."""
_ATTEMPTS = 3
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_UNREACHABLE = ("ConnectError", "ConnectionError", "ConnectTimeout", "ProxyError", "SSLError")
_CUT = ("RemoteProtocolError", "ReadError", "ReadTimeout", "ChunkedEncodingError", "ProtocolError", "IncompleteRead")
_NOT_RESUMED = ("ReadError", "ChunkedEncodingError", "IncompleteRead")
"""Cut connections that huggingface_hub gives up on at once."""
_LOG_IN = "log in with `hf auth login` or set HF_TOKEN"


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository at a revision."""

    repo: str  # `"org/name"`
    revision: str = DEFAULT_REVISION  # a branch, tag or commit
    kind: Kind = "model"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit hash, which never changes its content."""
        return _COMMIT.fullmatch(self.revision) is not None

    def at(self, revision: str) -> HubReference:
        """The same repository at another revision."""
        return HubReference(self.repo, revision, self.kind)

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}"


def parse_reference(text: str, kind: Kind = "model", revision: str | None = None) -> HubReference | None:
    """Read ``"org/name"`` or ``"org/name@revision"``; ``None`` if it is nothing of the kind.

    ``revision`` is used if the text names none.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None or ".." in text:
        return None
    return HubReference(match["repo"], match["revision"] or revision or DEFAULT_REVISION, kind)


def reference(
    text: str, kind: Kind, revision: str | None = None, error: type[ModelSATError] = HubError
) -> HubReference:
    """:func:`parse_reference`, or an error.

    Raises:
        ModelSATError: Of class ``error``: ``text`` is not a reference.
    """
    found = parse_reference(text, kind, revision)
    if found is None:
        raise error(f"{text!r} is not a repository on the Hub: write org/name or org/name@revision")
    return found


def dataset_file(repo: str, filename: str, revision: str, *, token: Token = None) -> Path:
    """One file of a data set on the Hub, downloaded once and cached; raises :class:`~modelsat.errors.HubError`."""
    return download(HubReference(repo, revision, "dataset"), filename, HubError, token)


def download(wanted: HubReference, filename: str, error: type[ModelSATError], token: Token = None) -> Path:
    """One file of a repository, from the cache if its commit is pinned or the Hub cannot be asked.

    Raises:
        ModelSATError: Of class ``error``.
    """
    from huggingface_hub import hf_hub_download

    what, of = f"{filename} of {wanted}", {"repo_type": wanted.kind, "revision": wanted.revision}
    return Path(ask(what, error, hf_hub_download, wanted.repo, filename, **of, **_options(token)))


def snapshot(
    wanted: HubReference, names: Sequence[str], error: type[ModelSATError], token: Token = None, *, force: bool = False
) -> Path:
    """Files of a repository at a commit, those whose names match, several at a time, in one folder.

    Raises:
        ModelSATError: Of class ``error``.
    """
    from huggingface_hub import snapshot_download

    of: dict[str, Any] = {"repo_type": wanted.kind, "revision": wanted.revision, "allow_patterns": list(names)}
    return Path(ask(str(wanted), error, snapshot_download, wanted.repo, **of, force_download=force, **_options(token)))


def resolve(wanted: HubReference, key_file: str, error: type[ModelSATError], token: Token = None) -> HubReference:
    """The commit that a branch or tag stands for now, as a pinned reference.

    If the Hub cannot be reached, or is not to be asked (``HF_HUB_OFFLINE``), the commit that was downloaded last under
    that name stands in, and the log says so: ``key_file``, which every such repository has, remembers it in the cache.

    Raises:
        ModelSATError: Of class ``error``.
    """
    if wanted.pinned:
        return wanted
    if not offline():
        try:
            information(wanted, error, token)
        except error as problem:
            if not (problem.__cause__ and unreachable(problem.__cause__)):
                raise
            from huggingface_hub import try_to_load_from_cache

            of = {"repo_type": wanted.kind, "revision": wanted.revision, "cache_dir": str(cache_folder())}
            found = try_to_load_from_cache(wanted.repo, key_file, **of)
            if not isinstance(found, str):
                raise
            pinned = wanted.at(Path(found).parents[key_file.count("/")].name)
            logger.warning("%s; going on with what is cached, %s", problem, pinned)
            return pinned
    return wanted.at(download(wanted, key_file, error, token).parents[key_file.count("/")].name)


def information(wanted: HubReference, error: type[ModelSATError], token: Token, **options: Any) -> Any:
    """What the Hub says about a repository: its commit (``sha``) and its files (``siblings``)."""
    of = {"repo_type": wanted.kind, "revision": wanted.revision}
    return ask(str(wanted), error, api(token).repo_info, wanted.repo, **of, **options)


def make_repository(target: HubReference, error: type[ModelSATError], private: bool | None, token: Token) -> None:
    """Make a repository, and its branch, if they are not there; an account's default says whether it is private."""
    client, what, of = api(token), f"pushing to {target}", {"repo_type": target.kind, "exist_ok": True}
    ask(what, error, client.create_repo, target.repo, private=private, **of)
    if target.revision != DEFAULT_REVISION:
        ask(what, error, client.create_branch, target.repo, branch=target.revision, **of)


def api(token: Token = None) -> HfApi:
    """The client for everything but downloads."""
    from huggingface_hub import HfApi

    return HfApi(
        endpoint=os.environ.get("HF_ENDPOINT") or None, token=token, library_name="modelsat", library_version=_version()
    )


def _options(token: Token) -> dict[str, Any]:
    """Arguments that every download takes."""
    return {
        "endpoint": os.environ.get("HF_ENDPOINT") or None,
        "cache_dir": str(cache_folder()),
        "local_files_only": offline(),
        "token": token,
        "library_name": "modelsat",
        "library_version": _version(),
    }


def _version() -> str:
    from modelsat import __version__

    return __version__


def ask(what: str, kind: type[ModelSATError], question: Callable[..., T], *values: Any, **named: Any) -> T:
    """The answer of a function of huggingface_hub, tried a few times where failures may pass.

    Raises:
        ModelSATError: Of class ``kind``: ``what`` was asked for, why it failed, and what to do.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    attempts = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=WAIT_S),
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    try:
        return attempts(question, *values, **named)
    except ModelSATError:
        raise
    except Exception as error:
        raise kind(_explain(what, error)) from error


def _may_pass(error: BaseException) -> bool:
    """Whether the Hub is busy for the moment; other troubles of connections huggingface_hub tries again itself."""
    return any(_status(cause) in _PASSING or _is(cause, *_NOT_RESUMED) for cause in _causes(error))


def unreachable(error: BaseException) -> bool:
    """Whether the Hub could not be asked, so that what is cached may stand in."""
    names = (*_UNREACHABLE, *_CUT, "OfflineModeIsEnabled")
    return _may_pass(error) or any(_is(cause, *names) for cause in _causes(error))


def lacks(error: BaseException, name: str) -> bool:
    """Whether the Hub answered that there is no such thing: ``"Repository"``, ``"Revision"`` or ``"Entry"``."""
    causes = [cause for cause in _causes(error) if not _is(cause, "LocalEntryNotFoundError", "GatedRepoError")]
    if name == "Repository" and any(_status(cause) == 401 for cause in causes):
        return True  # what the Hub says to someone who is not logged in
    return any(_is(cause, f"{name}NotFoundError") for cause in causes)


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _explain(what: str, error: BaseException) -> str:
    """A sentence on why ``what`` could not be fetched or written, and what to do about it.

    Versions of huggingface_hub wrap one another's errors differently, so all causes are looked at.
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
    if _is(error, "RepositoryNotFoundError") or _status(error) == 401:
        return (
            f"{what}: there is no such repository on {_endpoint()}, or it is private and the token does not open it; "
            f"check the name, or {_LOG_IN}"
        )
    if _status(error) == 403:
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
    code = _status(error)
    if code == 429:
        return f"{what}: the Hub asks to slow down (429); wait a few minutes, or {_LOG_IN}"
    if code in (409, 412):
        return f"{what}: somebody else changed the repository at the same time ({code}); run it again"
    if code is not None and code >= 500:
        return f"{what}: {_endpoint()} is in trouble ({code}); try again later"
    if code is not None:
        return f"{what}: {_endpoint()} refused the request ({code})"
    return None


def _network(what: str, error: BaseException) -> str | None:
    if _is(error, "OfflineModeIsEnabled"):
        return _not_cached(what)
    if _is(error, *_CUT) or "Consistency check failed" in str(error):
        return f"{what}: the download was cut off; run it again, files that are complete are kept"
    if _is(error, *_UNREACHABLE):
        return (
            f"{what}: cannot reach {_endpoint()} ({type(error).__name__}); check the network, or HF_ENDPOINT if you "
            "use a mirror. What was downloaded before also works with HF_HUB_OFFLINE=1"
        )
    return None


def _wrapped(what: str, error: BaseException) -> str | None:
    if _is(error, "LocalEntryNotFoundError", "FileMetadataError"):
        if offline():
            return _not_cached(what)
        return f"{what}: {_endpoint()} gave no usable answer, and nothing is cached; check HF_ENDPOINT and try again"
    return None


def _not_cached(what: str) -> str:
    return (
        f"{what}: not in the cache ({cache_folder()}), and HF_HUB_OFFLINE is set; unset it, or download once where "
        "there is a network"
    )


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` says that the Hub must not be asked."""
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
