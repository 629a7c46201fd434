"""The requests of :mod:`tests.hub_server`, as huggingface_hub sends them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from tests.hub_server import FakeHub, Repository

LARGE = 4096
"""Bytes from which a file is stored as a large one."""
TOKENS = {"hf_reader": "reader", "hf_writer": "writer"}
_API = re.compile(
    r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)(?:/(?P<verb>\w+)(?:/(?P<revision>[^/]+))?)?(/.*)?"
)
_RESOLVE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_BATCH = re.compile(r"/(?:datasets/)?(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no reason to write a traceback."""


class Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else self._chunks()
        self.route = unquote(urlsplit(self.path).path)
        self.query = parse_qs(urlsplit(self.path).query)
        request = f"{self.command} {self.route}"
        self.hub.requests.append(request)
        self.hub.agents.add(self.headers.get("User-Agent", ""))
        self.trouble = self.hub.fault(request)
        if self.trouble is not None and self.trouble.status is not None:
            return self._send(self.trouble.status, b'{"error": "scripted"}', self.trouble.headers)
        for pattern, handler in self._routes():
            if match := re.fullmatch(pattern, urlsplit(self.path).path):
                return handler(match)
        return self._send(404, b"{}")

    def _routes(self) -> list[tuple[str | re.Pattern[str], Callable[[re.Match[str]], None]]]:
        return [
            (r"/api/whoami-v2", self._whoami),
            (r"/api/validate-yaml", lambda _: self._json({"warnings": [], "errors": []})),
            (r"/api/repos/create", self._create),
            (_API, self._api),
            (_BATCH, self._batch),
            (r"/objects/(?P<oid>\w+)", self._object),
            (_RESOLVE, self._resolve),
        ]

    # -- accounts and repositories ------------------------------------------------------------------------------------

    def _user(self) -> str | None:
        return TOKENS.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def _whoami(self, _: re.Match[str]) -> None:
        user = self._user()
        if user is None:
            return self._error(401, message="Invalid credentials in Authorization header")
        return self._json({"type": "user", "name": user, "orgs": [{"name": "org"}]})

    def _create(self, _: re.Match[str]) -> None:
        asked = json.loads(self.body)
        if self._user() != "writer":
            return self._error(401 if self._user() is None else 403, message="Forbidden")
        repo = f"{asked['organization'] or self._user()}/{asked['name']}"
        kind = asked.get("type") or "model"
        if (kind, repo) in self.hub.repositories:
            return self._send(409, json.dumps({"url": f"{self.hub.url}/{repo}"}).encode())
        self.hub.repository(repo, kind=kind, private=bool(asked.get("private") or asked.get("visibility") == "private"))
        return self._json({"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo}"})

    def _open(self, kind: str, repo: str) -> Repository | None:
        """The repository if the caller may see it; otherwise the answer is sent."""
        found = self.hub.repositories.get((kind, repo))
        if "Authorization" in self.headers and self._user() is None:
            self._error(401, message="Invalid credentials in Authorization header")
        elif found is None or (found.private and self._user() is None):
            self._error(*((401, None) if self._user() is None else (404, "RepoNotFound")))
        elif found.gated and self._user() != "writer":
            self._error(401 if self._user() is None else 403, "GatedRepo")
        else:
            return found
        return None

    def _api(self, match: re.Match[str]) -> None:
        kind, repo, verb = match["kind"], match["repo"], match["verb"]
        found = self._open(kind, repo)
        if found is None:
            return None
        revision = unquote(match["revision"] or "main")
        oid = found.find(revision)
        if verb in ("preupload", "commit", "branch"):
            if self._user() != "writer":
                return self._error(403, message="you may not write here")
            return {"preupload": self._preupload, "commit": self._commit, "branch": self._branch}[verb](found, revision)
        if oid is None:
            return self._error(404, "RevisionNotFound")
        files = found.commits[oid]
        if verb == "tree":
            return self._json([_entry(path, data) for path, data in files.items()])
        siblings = [
            {"rfilename": path} | ({"size": len(data)} if "blobs" in self.query else {}) for path, data in files.items()
        ]
        return self._json(
            {"id": repo, "modelId": repo, "sha": oid, "siblings": siblings, "private": found.private, "tags": []}
        )

    # -- writing ------------------------------------------------------------------------------------------------------

    def _branch(self, found: Repository, name: str) -> None:
        if name in found.names:
            return self._send(409, b"{}")
        found.names[name] = found.names["main"]
        return self._json({})

    def _preupload(self, found: Repository, _: str) -> None:
        files = json.loads(self.body)["files"]
        modes = [
            {"path": f["path"], "uploadMode": "lfs" if f["size"] >= LARGE else "regular", "shouldIgnore": False}
            for f in files
        ]
        self._json({"files": modes})

    def _batch(self, _: re.Match[str]) -> None:
        objects = json.loads(self.body)["objects"]
        actions = [
            {**o, "actions": {"upload": {"href": f"{self.hub.storage}/objects/{o['oid']}", "header": {}}}}
            if o["oid"] not in self.hub.blobs
            else o
            for o in objects
        ]
        self._json({"transfer": "basic", "objects": actions})

    def _object(self, match: re.Match[str]) -> None:
        if "Authorization" in self.headers:
            return self._send(400, b"a token was sent to the storage")
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != match["oid"]:
                return self._send(400, b"wrong hash")
            self.hub.blobs[match["oid"]] = self.body
            return self._send(200, b"")
        return self._file(self.hub.blobs[match["oid"]], {"ETag": f'"{match["oid"]}"'})

    def _commit(self, found: Repository, branch: str) -> None:
        lines = [json.loads(line) for line in self.body.splitlines()]
        head, parent = lines[0]["value"], found.find(branch)
        if head.get("parentCommit") not in (None, parent):
            return self._error(412, message="A commit has happened since. Please refresh and try again.")
        files: dict[str, bytes | None] = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif line["key"] == "deletedFile":
                files[value["path"]] = None
        oid = found.commit(files, branch)
        return self._json({"commitUrl": f"{self.hub.url}/{found.name}/commit/{oid}", "commitOid": oid})

    # -- reading ------------------------------------------------------------------------------------------------------

    def _resolve(self, match: re.Match[str]) -> None:
        kind, repo = "dataset" if match["kind"] else "model", match["repo"]
        if repo in self.hub.moved:
            return self._send(307, b"", {"Location": self.path.replace(repo, self.hub.moved[repo], 1)})
        found = self._open(kind, repo)
        if found is None:
            return None
        oid = found.find(unquote(match["revision"]))
        if oid is None:
            return self._error(404, "RevisionNotFound")
        data = found.commits[oid].get(unquote(match["path"]))
        if data is None:
            return self._error(404, "EntryNotFound", headers={"X-Repo-Commit": oid})
        headers = {"X-Repo-Commit": oid}
        if len(data) < LARGE:
            return self._file(data, {**headers, "ETag": f'"{hashlib.sha1(data).hexdigest()}"'})
        sha = hashlib.sha256(data).hexdigest()
        self.hub.blobs[sha] = data
        linked = {"X-Linked-Etag": f'"{sha}"', "X-Linked-Size": str(len(data))}
        return self._send(302, b"", {**headers, **linked, "Location": f"{self.hub.storage}/objects/{sha}"})

    def _file(self, data: bytes, headers: Mapping[str, str]) -> None:
        status, start = 200, 0
        if asked := self.headers.get("Range"):
            self.hub.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            status = 206
            headers = {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        body = data[start:]
        if self.trouble is not None and self.trouble.wrong:
            body = body[:-1] + bytes([body[-1] ^ 1])
        self._send(status, body, headers)

    # -- answers ------------------------------------------------------------------------------------------------------

    def _json(self, content: object) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(
        self, status: int, code: str | None = None, message: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        extra = {"X-Error-Code": code, "X-Error-Message": message}
        named = {name: value for name, value in extra.items() if value is not None}
        self._send(status, json.dumps({"error": message or code or "error"}).encode(), {**named, **(headers or {})})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.trouble is not None and self.trouble.cut is not None and len(body) > self.trouble.cut:
            self.wfile.write(body[: self.trouble.cut])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.wfile.write(body)

    def _chunks(self) -> bytes:
        """The body of a request sent in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        parts = []
        while size := int(self.rfile.readline().strip() or b"0", 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


def _entry(path: str, data: bytes) -> dict[str, object]:
    sha1 = hashlib.sha1(data).hexdigest()
    entry: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": sha1}
    if len(data) >= LARGE:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
    return entry
