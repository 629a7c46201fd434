"""An OpenAI-compatible server on the loopback interface, for tests with real clients: chats and responses.

It answers in words, streams them, calls tools, fills JSON schemas, counts tokens as words, fails and dawdles on demand,
and keeps every request it saw.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from itertools import islice
from typing import Any
from uuid import uuid4

from tests.loopback import LoopbackServer


class OpenAIServer(LoopbackServer):
    """The server; a context manager.

    Attributes:
        answers: Text by model name; others answer with their name.
        failures: HTTP status by model name; requests for these models fail.
        broken: Model names whose streams are an error in place of a first token.
        cut: Deltas after which the streams of a model name end, in order and without a finish reason.
        delays: Seconds by model name before it answers.
        chunk_delay_s: Seconds between two chunks of a stream.
        tool_calls: Calls of a tool in a row before it answers in words, where it has tools.
        requests: The JSON body of every request, in order.
        aborted: Set when a client hung up before the end of an answer.
    """

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.broken: set[str] = set()
        self.cut: dict[str, int] = {}
        self.delays: dict[str, float] = {}
        self.chunk_delay_s = 0.0
        self.tool_calls = 1
        self.requests: list[dict[str, Any]] = []
        self.aborted = threading.Event()
        super().__init__(_Handler)

    def reset(self) -> None:
        """Forget the script and the log."""
        self.answers, self.failures, self.delays, self.chunk_delay_s, self.requests = {}, {}, {}, 0.0, []
        self.broken, self.cut, self.tool_calls = set(), {}, 1
        self.aborted.clear()

    @property
    def models_called(self) -> list[str]:
        """Model names of the requests, in order."""
        return [request["model"] for request in self.requests]


class _Handler(BaseHTTPRequestHandler):
    state: OpenAIServer

    def do_POST(self) -> None:
        state = self.state
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state.requests.append(request)
        time.sleep(state.delays.get(request["model"], 0.0))
        if status := state.failures.get(request["model"]):
            self._send(status, {"error": {"message": f"scripted failure {status}", "type": "scripted", "code": None}})
            return
        if self.path.endswith("/responses"):
            self._respond(state, request)
            return
        if "prompt" in request:
            self._complete(state, request)
            return
        message, finish = _answer(state, request)
        usage = _usage(request, message)
        base = {"id": f"chatcmpl-{uuid4().hex}", "created": 1_700_000_000, "model": request["model"]}
        if request.get("stream"):
            self._stream(request, base, message, finish, usage)
            return
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        self._send(200, {**base, "object": "chat.completion", "choices": [choice], "usage": usage})

    def _complete(self, state: OpenAIServer, request: dict[str, Any]) -> None:
        """A text completion, whole."""
        text = state.answers.get(request["model"], f"this is {request['model']} speaking to you")
        words = len(text.split())
        choice = {"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 3, "completion_tokens": words, "total_tokens": 3 + words}
        base = {"id": f"cmpl-{len(state.requests)}", "created": 1_700_000_000, "model": request["model"]}
        self._send(200, {**base, "object": "text_completion", "choices": [choice], "usage": usage})

    def _respond(self, state: OpenAIServer, request: dict[str, Any]) -> None:
        """The Responses API: one message or one call of a tool, whole or as events."""
        item = _output_item(state, request)
        words = len(json.dumps(item).split())
        done = {
            "id": f"resp_{len(state.requests)}",
            "object": "response",
            "created_at": 1_700_000_000,
            "status": "completed",
            "model": request["model"],
            "output": [item],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": {"input_tokens": 3, "output_tokens": words, "total_tokens": 3 + words},
        }
        if not request.get("stream"):
            self._send(200, done)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self._end_headers()
        begun = {**done, "status": "in_progress", "output": []}
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            *(_call_events(item) if item["type"] == "function_call" else _message_events(item)),
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": done},
        ]
        for number, event in enumerate(events):
            self.wfile.write(f"event: {event['type']}\n".encode())
            self._event({**event, "sequence_number": number})

    def _send(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self._end_headers()
        try:
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):
            self.state.aborted.set()

    def _end_headers(self) -> None:
        # One request a connection: clients share pools between tests, whose event loops are closed one by one.
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def _stream(
        self, request: dict[str, Any], base: dict[str, Any], message: dict[str, Any], finish: str, usage: dict[str, Any]
    ) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self._end_headers()
        if request["model"] in self.state.broken:
            self._event({"error": {"message": "scripted failure", "type": "server_error", "code": 500}})
            return
        with_usage = (request.get("stream_options") or {}).get("include_usage")
        chunk = {**base, "object": "chat.completion.chunk", **({"usage": None} if with_usage else {})}
        try:
            cut = self.state.cut.get(request["model"])
            for delta in islice(_deltas(message), cut):
                self._event({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
                time.sleep(self.state.chunk_delay_s)
            if cut is None:
                self._event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
            if with_usage:
                self._event({**chunk, "choices": [], "usage": usage})
            self.wfile.write(b"data: [DONE]\n\n")
        except (BrokenPipeError, ConnectionResetError):
            self.state.aborted.set()

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n")
        self.wfile.flush()


def _answer(state: OpenAIServer, request: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The assistant's message and the reason it ends."""
    said = _text(_user_turn(request["messages"])[0])
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    tool = _tool_to_call(state, request)
    if tool is not None:
        arguments = json.dumps(_instance(tool["function"].get("parameters") or {}, said), ensure_ascii=False)
        function = {"name": tool["function"]["name"], "arguments": arguments}
        call = {"id": f"call_{len(state.requests)}", "type": "function", "function": function}
        return {**message, "tool_calls": [call]}, "tool_calls"
    form = request.get("response_format") or {"type": "text"}
    if form["type"] == "json_schema":
        text = json.dumps(_instance(form["json_schema"]["schema"], said), ensure_ascii=False)
    elif form["type"] == "json_object":
        text = json.dumps({"setup": "Why?", "punchline": "Because."})
    else:
        text = state.answers.get(request["model"], f"this is {request['model']} speaking to you")
    return {**message, "content": text}, "stop"


def _output_item(state: OpenAIServer, request: dict[str, Any]) -> dict[str, Any]:
    """What a response holds: calls of the first tool after what the user said, words after their results."""
    given = request["input"]
    turn = _user_turn(given) if isinstance(given, list) else [{"content": given}]
    results = [item for item in turn if item.get("type") == "function_call_output"]
    tools = [tool for tool in request.get("tools") or [] if tool["type"] == "function"]
    if tools and request.get("tool_choice", "auto") != "none" and len(results) < state.tool_calls:
        arguments = json.dumps(_instance(tools[0].get("parameters") or {}, _text(turn[0])))
        call = {"call_id": f"call_{len(state.requests)}", "name": tools[0]["name"], "arguments": arguments}
        return {"type": "function_call", "id": "fc_1", "status": "completed", **call}
    text = state.answers.get(request["model"], f"this is {request['model']} speaking to you")
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}


def _message_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": 0}
    [part] = item["content"]
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "content_index": 0, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **place, "content_index": 0, "delta": word}
            for word in re.findall(r"\S+\s*", part["text"])
        ),
        {"type": "response.output_text.done", **place, "content_index": 0, "text": part["text"]},
        {"type": "response.content_part.done", **place, "content_index": 0, "part": part},
    ]


def _call_events(item: dict[str, Any]) -> list[dict[str, Any]]:
    place = {"item_id": item["id"], "output_index": 0}
    return [
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **place, "delta": item["arguments"]},
        {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]},
    ]


def _user_turn(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last message of the user and what has followed; all messages if there is none."""
    at = max((at for at, message in enumerate(messages) if message.get("role") == "user"), default=0)
    return messages[at:]


def _tool_to_call(state: OpenAIServer, request: dict[str, Any]) -> dict[str, Any] | None:
    tools = request.get("tools") or []
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return next(tool for tool in tools if tool["function"]["name"] == choice["function"]["name"])
    if not tools or choice == "none":
        return None
    results = [message for message in _user_turn(request["messages"]) if message["role"] == "tool"]
    going_on = request["messages"][-1]["role"] in ("user", "tool") and len(results) < state.tool_calls
    if choice == "auto" and not going_on:
        return None
    return tools[0]


def _instance(schema: dict[str, Any], said: str) -> Any:
    """A value that fits ``schema``, with quoted text and numbers taken from what was said."""
    if "$ref" in schema or "anyOf" in schema:
        schema = (schema.get("anyOf") or [{"type": "string"}])[0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        return {name: _instance(part, said) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return []
    if kind in ("integer", "number"):
        number = re.search(r"\d+", said)
        return int(number[0]) if number else 3
    if kind == "boolean":
        return True
    quoted = re.search(r"'([^']+)'", said)
    return schema.get("enum", [quoted[1] if quoted else "something"])[0]


def _deltas(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"role": "assistant", "content": ""}
    if message["content"] is not None:
        for word in re.findall(r"\S+\s*", message["content"]):
            yield {"content": word}
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        yield {"tool_calls": [{"index": index, **call, "function": {"name": function["name"], "arguments": ""}}]}
        yield {"tool_calls": [{"index": index, "function": {"arguments": function["arguments"]}}]}


def _usage(request: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    prompt = sum(len(_text(entry).split()) + 1 for entry in request["messages"])
    completion = len((message["content"] or json.dumps(message.get("tool_calls"))).split())
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _text(message: dict[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""
