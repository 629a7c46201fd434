"""What is made of the errors that current clients raise, whatever they are built on (httpx, or httpx2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest

from modelsat.lab.aptitude.faults import Lasting, Passing, classify
from tests.openai_server import OpenAIServer

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


def raised(url: str, model: str = "any", timeout: float = 10.0) -> Exception:
    """What OpenAI's client raises when it asks once."""
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=timeout)
    with pytest.raises(openai.OpenAIError) as caught:
        client.chat.completions.create(model=model, messages=HELLO)
    client.close()
    return caught.value


def test_a_server_that_is_not_there() -> None:
    assert isinstance(found := classify(raised("http://127.0.0.1:9/v1")), Passing)
    assert found.reason.startswith("no connection")


def test_a_server_that_takes_too_long(server: OpenAIServer) -> None:
    server.delays["any"] = 1.0
    assert classify(raised(server.url, timeout=0.2)) == Passing("no answer in time")


@pytest.mark.parametrize(("status", "reason"), [(429, "rate limit (429)"), (503, "HTTP 503"), (529, "HTTP 529")])
def test_a_server_that_is_busy(server: OpenAIServer, status: int, reason: str) -> None:
    server.failures["any"] = status
    assert classify(raised(server.url)) == Passing(reason)


@pytest.mark.parametrize(("status", "reason"), [(401, "the key was refused"), (404, "there is no such model")])
def test_what_would_fail_again(server: OpenAIServer, status: int, reason: str) -> None:
    server.failures["any"] = status
    assert isinstance(found := classify(raised(server.url)), Lasting)
    assert reason in found.reason


def test_a_stream_that_breaks_within_the_client() -> None:
    httpx2 = pytest.importorskip("httpx2", reason="clients before 2026 are built on httpx")
    for error in (httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("cut"), httpx2.ConnectError("refused")):
        assert isinstance(classify(error), Passing)
