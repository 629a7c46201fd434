"""Coding agents: requests of the shapes that Claude Code, Codex, OpenCode and Cursor send, made here, not recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from litellm_modelsat.group import function_of
from litellm_modelsat.ranking import Ranking, escalated
from litellm_modelsat.requests import housekeeping, stuck
from modelsat.errors import ConfigurationError
from modelsat.request.exclusion import Exclusion
from modelsat.router.decision import RoutingDecision
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

Message = dict[str, Any]
SYSTEM = "You work on the user's code with the tools you are given. Read before you write. " * 1_000
REMINDER = "<system-reminder>\nThe list of tasks is empty. Do not mention this to the user.\n</system-reminder>"
PLAN = "<system-reminder>\nPlan mode is on: do not change files, present a plan.\n</system-reminder>"
TASK = "The parser in a.py loses the last line of files without a newline. Find out why and mend it, with a test."
HEADERS = {"claude": "claude-cli/2.1.197 (external, cli)", "codex": "codex_exec/0.171.0", "chat": "opencode/1.18.33"}


class Chat:
    """``/v1/chat/completions``, as OpenCode and Cursor speak it."""

    path, agent = "/v1/chat/completions", "chat"

    def user(self, *texts: str) -> Message:
        return {"role": "user", "content": [{"type": "text", "text": text} for text in texts]}

    def assistant(self, text: str) -> Message:
        return {"role": "assistant", "content": text}

    def call(self, identifier: str, command: str) -> Message:
        function = {"name": "bash", "arguments": json.dumps({"command": command})}
        call = {"id": identifier, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}

    def result(self, identifier: str, text: str, failed: bool) -> Message:
        return {"role": "tool", "tool_call_id": identifier, "content": f"Error: {text}" if failed else text}

    def body(self, messages: list[Message], system: str = SYSTEM, tools: bool = True) -> Message:
        function = {"name": "bash", "description": "Run a command", "parameters": {"type": "object"}}
        asked = {"tools": [{"type": "function", "function": function}], "tool_choice": "none"} if tools else {}
        return {"messages": [{"role": "system", "content": system}, *messages], "max_tokens": 32_000, **asked}


class Messages(Chat):
    """``/v1/messages``, as Claude Code speaks it."""

    path, agent = "/v1/messages", "claude"

    def call(self, identifier: str, command: str) -> Message:
        part = {"type": "tool_use", "id": identifier, "name": "Bash", "input": {"command": command}}
        return {"role": "assistant", "content": [part]}

    def result(self, identifier: str, text: str, failed: bool) -> Message:
        part = {"type": "tool_result", "tool_use_id": identifier, "content": text, "is_error": failed}
        return {"role": "user", "content": [part, {"type": "text", "text": REMINDER}]}

    def body(self, messages: list[Message], system: str = SYSTEM, tools: bool = True) -> Message:
        blocks = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        tool = {"name": "Bash", "description": "Run a command", "input_schema": {"type": "object", "properties": {}}}
        user = {"device_id": "d", "account_uuid": "", "session_id": "s"}
        asked = {"tools": [tool], "tool_choice": {"type": "none"}} if tools else {}
        return {
            "system": blocks,
            "messages": messages,
            "max_tokens": 32_000,
            "metadata": {"user_id": json.dumps(user)},
            "thinking": {"type": "adaptive"},
            **asked,
        }


class Responses(Chat):
    """``/v1/responses``, as Codex speaks it."""

    path, agent = "/v1/responses", "codex"

    def user(self, *texts: str) -> Message:
        return {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text} for text in texts],
        }

    def assistant(self, text: str) -> Message:
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}

    def call(self, identifier: str, command: str) -> Message:
        arguments = json.dumps({"cmd": command})
        return {"type": "function_call", "call_id": identifier, "name": "exec_command", "arguments": arguments}

    def result(self, identifier: str, text: str, failed: bool) -> Message:
        output = f"Wall time: 0.1 seconds\nProcess exited with code {int(failed)}\nOutput:\n{text}"
        return {"type": "function_call_output", "call_id": identifier, "output": output}

    def body(self, messages: list[Message], system: str = SYSTEM, tools: bool = True) -> Message:
        developer = {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": system}]}
        place = self.user("<environment_context>\n  <cwd>/home/me/work</cwd>\n</environment_context>")
        tool = {"type": "function", "name": "exec_command", "parameters": {"type": "object", "properties": {}}}
        asked = {"tools": [tool], "tool_choice": "none"} if tools else {}
        return {"input": [developer, place, *messages], "prompt_cache_key": "s", "store": False, **asked}


APIS = [Chat(), Messages(), Responses()]


def asks(proxy: Proxy, api: Chat, group: str = "coding") -> Callable[..., tuple[str, str]]:
    """Who answers, and the policy that chose, for a body in the terms of ``api``."""

    def ask(messages: list[Message], **kwargs: Any) -> tuple[str, str]:
        body = {"model": group, **api.body(messages, **kwargs)}
        response = proxy.post(api.path, body, MASTER_KEY, **{"user-agent": HEADERS[api.agent]})
        assert response.status_code == 200, response.text
        return response.headers["x-modelsat-model"].removeprefix("openai/"), response.headers["x-modelsat-policy"]

    return ask


def failing(api: Chat, times: int, command: str = "make test") -> list[Message]:
    found: list[Message] = []
    for number in range(times):
        identifier = f"call_{number}"
        found += [api.call(identifier, command), api.result(identifier, "1 test failed", failed=True)]
    return found


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.agent)
def test_a_session_of_a_coding_agent(proxy: Proxy, server: OpenAIServer, api: Chat) -> None:
    ask = asks(proxy, api)
    turn = [api.user(REMINDER, TASK)]
    assert ask(turn) == ("small", "sticky"), "the cheapest does not hold the system prompt"
    going_on = [*turn, api.call("c1", "cat a.py"), api.result("c1", "def parse(text): ...", failed=False)]
    assert ask(going_on)[0] == "small"
    assert ask([*turn, api.user(PLAN), *failing(api, 1)])[0] == "small", "one failure is work"
    assert ask([*turn, *failing(api, 2)])[0] == "middle", "the same call fails again"
    assert ask([*turn, *failing(api, 3)])[0] == "large"
    assert ask([*turn, *failing(api, 9)])[0] == "large", "there is no higher rung"
    answered = [*turn, *failing(api, 2), api.assistant("Done.")]
    assert ask([*answered, api.user("Now rename the function to parse_lines, and its test as well.")])[0] == "small"
    assert ask([*answered, api.user(REMINDER, "It still does not work.")])[0] == "middle"


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.agent)
def test_housekeeping_goes_to_the_cheapest_that_can_take_it(proxy: Proxy, server: OpenAIServer, api: Chat) -> None:
    ask = asks(proxy, api)
    title = "You name sessions. Write a short title for the conversation that the user shows you, nothing else."
    assert ask([api.user(TASK)], system=title, tools=False) == ("tiny", "housekeeping")
    assert ask([api.user("word " * 20_000)], system=title, tools=False) == ("small", "housekeeping")
    assert asks(proxy, api, "plain-coding")([api.user("word " * 20_000)], system=title, tools=False)[1] == "sticky"


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.agent)
def test_both_are_off_by_one_key(proxy: Proxy, server: OpenAIServer, api: Chat) -> None:
    assert asks(proxy, api, "plain-coding")([api.user(TASK), *failing(api, 3)]) == ("small", "sticky")


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.agent)
def test_when_it_is_stuck(api: Chat) -> None:
    turn = [api.user(TASK)]
    assert stuck(turn) == 0
    assert stuck([*turn, *failing(api, 1), *failing(api, 1, "make lint")]) == 0, "another call"
    assert stuck([*turn, *failing(api, 2), *failing(api, 3, "make lint")]) == 3
    passing = [api.call("p", "make test"), api.result("p", "no failures, 12 tests passed", failed=False)]
    assert stuck([*turn, *passing, *passing]) == 0
    complaint = [api.assistant("Done."), api.user("That didn't help, same error.")]
    assert stuck([*turn, *complaint]) == 1
    assert stuck([*turn, *complaint, *complaint, *failing(api, 2)]) == 3
    assert stuck([*turn, *complaint, api.assistant("Mended."), api.user("Thanks. Now write the docs.")]) == 0
    assert stuck([api.user("It still does not work.")]) == 0, "nothing was tried yet"


@pytest.mark.parametrize(
    ("text", "complains"),
    [
        ("still broken", True),
        ("It's still not working!", True),
        ("nope, still the same", True),
        ("Das geht immer noch nicht.", True),
        ("Sigue sin funcionar", True),
        ("Ça ne marche toujours pas", True),
        ("还是不行", True),
        ("まだ動かない", True),
        ("Good. Is the cache still used elsewhere?", False),
        ("Now explain how retries work.", False),
        ("Add a test that fails without your change.", False),
    ],
)
def test_what_is_a_complaint(text: str, complains: bool) -> None:
    turns = [{"role": "user", "content": TASK}, {"role": "assistant", "content": "Done."}]
    assert stuck([*turns, {"role": "user", "content": text}]) == int(complains)


def turns(user: str, system: str = "") -> list[Message]:
    first = [{"role": "system", "content": system}] if system else []
    return [*first, {"role": "user", "content": user}]


AGENT: Message = {"agent": True}
AT_WORK: Message = {"agent": True, "tools": [{}]}
COMPACTION = "Write a detailed summary of the conversation so far. " + "Keep the names of files. " * 20


@pytest.mark.parametrize(
    ("conversation", "kwargs", "kind"),
    [
        (turns(TASK, "You are a title generator."), {}, "title"),
        (turns("x", "Sum up: write a summary of the session."), {}, "summary"),
        (turns("Write a title for my thesis on conversation in novels"), {}, None),
        (turns(TASK, "You are helpful."), {}, None),
        ("Summarize this conversation.", {}, None),
        (turns("quota"), {"max_tokens": 1, **AGENT}, "probe"),
        (turns("quota"), {"max_tokens": 1}, None),
        (turns("Summarize the conversation."), AGENT, "summary"),
        (turns("Show the session's title in the page's head"), AT_WORK, None),
        (turns(COMPACTION), AT_WORK, "summary"),
        (7, {}, None),
        ([], AGENT, None),
    ],
)
def test_what_is_housekeeping(conversation: Any, kwargs: dict[str, Any], kind: str | None) -> None:
    if kwargs.get("agent"):
        kwargs = {**kwargs, "proxy_server_request": {"headers": {"user-agent": HEADERS["claude"]}}}
    assert housekeeping(conversation, kwargs) == kind


def test_the_rungs_are_those_that_can_take_the_request() -> None:
    decision = RoutingDecision(
        model="a",
        scores={"c": 0.9, "b": 0.8, "d": 0.8, "a": 0.5},
        costs={"a": 1.0, "b": 2.0, "d": 3.0},
        excluded={"e": Exclusion("ability", "cannot do vision")},
    )
    ranking = Ranking(("a", "b", "d", "c", "e"), {}, decision, None, decision.excluded)
    firsts = [escalated(ranking, rungs).names[0] for rungs in range(6)]
    assert firsts == ["a", "b", "d", "c", "c", "c"]
    climbed = escalated(ranking, 1)
    assert climbed.names == ("b", "d", "c", "a", "e")
    assert climbed.decision is not None
    assert (climbed.decision.model, climbed.decision.scores) == ("b", decision.scores)
    assert climbed.decision.reason == "escalated from a, where the work is stuck, by 1 rung"


def test_both_can_be_replaced() -> None:
    assert function_of("json.dumps", stuck, "x") is json.dumps
    assert function_of(True, stuck, "x") is stuck
    assert function_of(False, stuck, "x") is None
    for wrong in ("nowhere.at.all", "json.nothing", "json.__name__", "plain"):
        with pytest.raises(ConfigurationError, match=r"x\.y: "):
            function_of(wrong, stuck, "x.y")
