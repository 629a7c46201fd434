"""A scripted OpenAI-compatible server on the loopback interface: its models answer multiple-choice questions as told.

It knows the questions by their text, finds the right option whatever its letter, and answers rightly or wrongly; it
waits, refuses, fails and babbles on demand, and counts what it was asked.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.loopback import LoopbackServer

Say = Callable[[str, str], "dict[str, Any] | str"]
"""Letter to answer with and question id in; the reply's text, or its message and finish reason, out."""


class ExamServer(LoopbackServer):
    """The server; a context manager.

    Attributes:
        right: For each model, which questions (by text) it answers rightly.
        say: How each model words its letter; "Answer: (X)" if not told.
        failures: HTTP failures still to come: (status, headers, body), used up one by one.
        always: For each model, what every request fails with.
        key: API key that is asked for; any will do if empty.
        latency: Seconds each reply takes.
        asked: How often each model was asked each question.
        bodies: The last hundred request bodies.
        headers: Their headers.
    """

    def __init__(self, bank: Mapping[str, tuple[tuple[str, ...], str]]) -> None:
        self.bank = dict(bank)
        self.right: dict[str, set[str]] = {}
        self.say: dict[str, Say] = {}
        self.failures: list[tuple[int, dict[str, str], str]] = []
        self.always: dict[str, tuple[int, dict[str, str], str]] = {}
        self.key = ""
        self.latency = 0.0
        self.asked: Counter[tuple[str, str]] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        super().__init__(_Handler)

    def calls(self, model: str) -> int:
        """Replies that a model has given."""
        return sum(count for (name, _), count in self.asked.items() if name == model)


class _Handler(BaseHTTPRequestHandler):
    wbufsize = -1  # headers and body in one packet
    state: ExamServer

    def do_POST(self) -> None:
        state = self.state
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with state.lock:
            state.bodies = [*state.bodies[-99:], body]
            state.headers = [*state.headers[-99:], dict(self.headers)]
            failure = state.failures.pop(0) if state.failures else state.always.get(body["model"])
        if state.key and self.headers.get("Authorization") != f"Bearer {state.key}":
            failure = (
                401,
                {},
                json.dumps({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
            )
        elif failure is None and body["model"] not in state.right:
            failure = (404, {}, json.dumps({"error": {"message": f"The model {body['model']} does not exist"}}))
        if failure is not None:
            self._send(*failure)
            return
        if state.latency:
            time.sleep(state.latency)
        self._send(200, {}, json.dumps(self._answer(body)))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        state, model = self.state, body["model"]
        prompt = body["messages"][-1]["content"]
        text, letters = parse(prompt)
        _, right = state.bank.get(text, ((), ""))
        letter = "A"
        for key, option in letters.items():
            if (option == right) == (text in state.right[model]) and right:
                letter = key
                break
        said = state.say.get(model, lambda letter, text: f"Let me see.\n\nAnswer: ({letter})")(letter, text)
        message = {"content": said} if isinstance(said, str) else said
        finish = message.pop("finish_reason", "stop")
        with state.lock:
            state.asked[model, text] += 1
        usage = {"prompt_tokens": len(prompt) // 4, "completion_tokens": 20, "total_tokens": len(prompt) // 4 + 20}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": usage,
        }

    def _send(self, status: int, headers: dict[str, str], body: str) -> None:
        data = body.encode()
        kind = "text/html" if body.lstrip().startswith("<") else "application/json"
        try:
            self.send_response(status)
            for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(data)
            self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def parse(prompt: str) -> tuple[str, dict[str, str]]:
    """Question and options, by letter, out of a prompt."""
    _, _, rest = prompt.partition("Question:\n")
    text, _, listed = rest.rpartition("\n\nOptions:\n")
    letters: dict[str, str] = {}
    last = ""
    for line in listed.split("\n"):
        expected = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[len(letters)] if len(letters) < 26 else ""
        if line.startswith(f"{expected}. "):
            last = expected
            letters[last] = line[3:]
        elif last:
            letters[last] += f"\n{line}"
    return text or rest, letters
