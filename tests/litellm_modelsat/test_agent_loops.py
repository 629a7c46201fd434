"""Whole loops of coding agents through the proxy: streams, calls of tools, their results, until there are words.

Requests are of the shapes that Codex 0.171 and Cursor send, made here, not recorded; the client runs the tools itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

Item = dict[str, Any]
Run = Callable[[str], str]
INSTRUCTIONS = "You work on the user's code with the tools you are given. Read before you write. " * 1_000
TASK = "The parser loses the last line of files without a newline. Find out why with 'make test', and mend it."
PARAMETERS = {"type": "object", "properties": {"cmd": {"type": "string"}}, "required": ["cmd"]}


def works(command: str) -> str:
    return f"Process exited with code 0\nOutput:\n{command}: 12 passed"


def fails(command: str) -> str:
    return f"Process exited with code 2\nOutput:\n{command}: 1 failed"


class Codex:
    """``/v1/responses`` without state on the provider: every request holds the whole session."""

    path, agent = "/v1/responses", "codex_exec/0.171.0 (Debian 12; x86_64)"

    def body(self, session: list[Item]) -> Item:
        tool = {"type": "function", "name": "exec_command", "strict": False, "parameters": PARAMETERS}
        return {
            "instructions": INSTRUCTIONS,
            "input": session,
            "tools": [tool],
            "tool_choice": "auto",
            "parallel_tool_calls": False,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "prompt_cache_key": "0199a213-81c0-7800-8aa1-bbab2a035a53",
        }

    def opening(self) -> list[Item]:
        place = "<environment_context>\n  <cwd>/home/me/work</cwd>\n</environment_context>"
        return [self._user(place), self._user(TASK)]

    def _user(self, text: str) -> Item:
        return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}

    def answer(self, events: Iterator[Item]) -> tuple[list[Item], Item | None, str]:
        """What goes into the session, the call of a tool if there is one, and the words."""
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        calls = [item for item in items if item["type"] == "function_call"]
        words = [part["text"] for item in items for part in item.get("content") or ()]
        return items, calls[0] if calls else None, "".join(words)

    def result(self, call: Item, run: Run) -> Item:
        output = run(json.loads(call["arguments"])["cmd"])
        return {"type": "function_call_output", "call_id": call["call_id"], "output": output}


class Cursor:
    """``/v1/chat/completions``, with what the editor knows around the user's words."""

    path, agent = "/v1/chat/completions", "cursor"

    def body(self, session: list[Item]) -> Item:
        function = {"name": "run_terminal_cmd", "description": "Run a command", "parameters": PARAMETERS}
        return {
            "messages": [{"role": "system", "content": INSTRUCTIONS}, *session],
            "tools": [{"type": "function", "function": function}],
            "tool_choice": "auto",
            "stream_options": {"include_usage": True},
        }

    def opening(self) -> list[Item]:
        known = "<user_info>\nOS Version: linux\nWorkspace Path: /home/me/work\n</user_info>"
        texts = (known, f"<user_query>\n{TASK}\n</user_query>")
        return [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]

    def answer(self, events: Iterator[Item]) -> tuple[list[Item], Item | None, str]:
        words, call = "", {"id": "", "name": "", "arguments": ""}
        for delta in (choice["delta"] for event in events for choice in event["choices"]):
            words += delta.get("content") or ""
            for part in delta.get("tool_calls") or ():
                call["id"] += part.get("id") or ""
                call["name"] += part["function"].get("name") or ""
                call["arguments"] += part["function"].get("arguments") or ""
        if not call["id"]:
            return [{"role": "assistant", "content": words}], None, words
        function = {"name": call["name"], "arguments": call["arguments"]}
        said = {"id": call["id"], "type": "function", "function": function}
        return [{"role": "assistant", "content": None, "tool_calls": [said]}], call, words

    def result(self, call: Item, run: Run) -> Item:
        return {"role": "tool", "tool_call_id": call["id"], "content": run(json.loads(call["arguments"])["cmd"])}


def loop(proxy: Proxy, agent: Codex | Cursor, run: Run) -> tuple[str, list[httpx.Headers]]:
    """The agent's last words, and the headers of every answer."""
    session, headers = agent.opening(), []
    for _ in range(20):
        body = {"model": "coding", **agent.body(session), "stream": True}
        response = proxy.post(agent.path, body, MASTER_KEY, **{"user-agent": agent.agent})
        assert response.status_code == 200, response.text
        headers.append(response.headers)
        lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        items, call, words = agent.answer(map(json.loads, lines))
        session += items
        if call is None:
            return words, headers
        session.append(agent.result(call, run))
    raise AssertionError("the agent went on for ever")


@pytest.mark.parametrize("agent", [Codex(), Cursor()], ids=["codex", "cursor"])
def test_a_loop_of_tools_stays_with_its_model(proxy: Proxy, server: OpenAIServer, agent: Codex | Cursor) -> None:
    server.tool_calls = 3
    words, headers = loop(proxy, agent, works)
    assert server.models_called == ["small"] * 4, "the cheapest does not hold the instructions"
    assert words == "this is small speaking to you"
    assert {answer["x-modelsat-model"] for answer in headers} == {"openai/small"}
    for answer in headers:
        [line] = proxy.decisions(call_id=answer["x-litellm-call-id"])
        assert (line["answered"], line["outcome"], line["policy"]) == ("openai/small", "carried_out", "sticky")


@pytest.mark.parametrize("agent", [Codex(), Cursor()], ids=["codex", "cursor"])
def test_a_loop_that_is_stuck_moves_up(proxy: Proxy, server: OpenAIServer, agent: Codex | Cursor) -> None:
    server.tool_calls = 3
    words, headers = loop(proxy, agent, fails)
    assert server.models_called == ["small", "small", "middle", "large"]
    assert words == "this is large speaking to you"
    assert headers[-1]["x-modelsat-model"] == "openai/large"


@pytest.mark.parametrize("agent", [Codex(), Cursor()], ids=["codex", "cursor"])
def test_the_provider_sees_the_session_as_the_agent_sent_it(
    proxy: Proxy, server: OpenAIServer, agent: Codex | Cursor
) -> None:
    loop(proxy, agent, works)
    last = server.requests[-1]
    assert len(last["tools"]) == 1
    said = json.dumps(last.get("input") or last["messages"])
    assert "make test: 12 passed" in said
    assert TASK in said
    assert not any("modelsat" in key for key in last)
