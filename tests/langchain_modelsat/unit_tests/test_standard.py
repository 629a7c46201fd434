"""LangChain's standard unit tests."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_openai import ChatOpenAI
from langchain_tests.unit_tests import ChatModelUnitTests

from langchain_modelsat import ModelSATRouter
from tests.fakes import FakeScorer

# The suite passes settings of a provider's client (temperature, timeout, ...); the router says that it ignores them.
pytestmark = pytest.mark.filterwarnings("ignore:ignored by the router")


class TestModelSATRouterStandard(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ModelSATRouter

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {
            "models": [ChatOpenAI(model=name, api_key="none") for name in ("strong", "weak")],
            "profiles": {"strong": {"MMLU": 0.9}, "weak": {"MMLU": 0.3}},
            "scorer": FakeScorer(),
        }
