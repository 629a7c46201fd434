"""LangChain's standard integration tests: the router over real clients, and for comparison such a client alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests

from langchain_modelsat import ModelSATRouter
from tests.fakes import FakeScorer
from tests.openai_server import OpenAIServer

pytestmark = [
    # The suite passes settings of a provider's client (output_version, stop); the router says that it ignores them.
    pytest.mark.filterwarnings("ignore:ignored by the router"),
    # LangChain marks its version 3 of the event stream as beta.
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    # The suite makes a schema of pydantic.v1, for which langchain-openai takes a tool call.
    pytest.mark.filterwarnings("ignore:Received a Pydantic BaseModel V1 schema"),
    # langchain-openai dumps the SDK's message with the parsed object in a field that the SDK types as empty.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]


class _Standard(ChatModelIntegrationTests):
    url: str

    @pytest.fixture(autouse=True)
    def _provider(self, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = server.url
        # The suite fetches its pictures from the web; any bytes do.
        offline = SimpleNamespace(get=lambda *args, **kwargs: SimpleNamespace(content=b"picture"))
        monkeypatch.setattr("langchain_tests.integration_tests.chat_models.httpx", offline)

    def client(self, name: str) -> ChatOpenAI:
        return ChatOpenAI(model=name, base_url=self.url, api_key="none", max_retries=0, stream_usage=True)

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_json_mode(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "weak"


class TestModelSATRouterStandard(_Standard):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ModelSATRouter

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "models": [self.client("strong"), self.client("weak")],
            "profiles": {"strong": {"MMLU": 0.9}, "weak": {"MMLU": 0.3}},
            "scorer": FakeScorer({0.9: 0.9, 0.3: 0.3}),
        }


class TestChatOpenAIStandard(_Standard):
    """The same suite on a candidate by itself: what fails there is not the router's doing."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatOpenAI

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "strong", "base_url": self.url, "api_key": "none", "max_retries": 0, "stream_usage": True}
