"""From messages to an answer with the weights that are shipped."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from langchain_modelsat import ModelSATRouter
from modelsat.router.decision import RoutingDecision

ROOT = Path(__file__).parents[3]
WEIGHTS = ROOT / "weights" / "modelsat-nano" / "model.onnx"

pytestmark = pytest.mark.skipif(
    not WEIGHTS.is_file(), reason="weights/modelsat-nano/model.onnx is not in this checkout"
)

MODELS = ["gpt-4o-2024-05-13", "gpt-4o-mini-2024-07-18", "Meta-Llama-3-8B-Instruct"]


@pytest.fixture
def router(chat: Any) -> ModelSATRouter:
    return ModelSATRouter(models=[chat(name) for name in MODELS])


def test_a_request_is_answered(router: ModelSATRouter) -> None:
    message = router.invoke("Prove that every finite integral domain is a field.")
    decision = RoutingDecision(**message.response_metadata["routing_decision"])
    assert message.response_metadata["model_name"] == decision.model
    assert set(decision.scores) == set(MODELS)
    assert all(0.0 < score < 1.0 for score in decision.scores.values())
    assert decision.versions["weights"].startswith("modelsat-nano@")
    assert decision.scores["gpt-4o-2024-05-13"] > decision.scores["Meta-Llama-3-8B-Instruct"]


def test_a_batch_is_scored_as_its_parts_are(router: ModelSATRouter) -> None:
    prompts = ["What is the capital of Australia?", "Prove that every finite integral domain is a field.", "2 + 2?"]
    for prompt, message in zip(prompts, router.batch(prompts), strict=True):
        alone = router.selector.invoke(prompt).scores
        assert message.response_metadata["routing_decision"]["scores"] == pytest.approx(dict(alone), abs=0.01)


def test_the_quickstart(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["quickstart.py"])
    runpy.run_path(str(ROOT / "examples" / "quickstart.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "P(success) of every candidate" in printed
    for name in ("qwen3.7-flash", "gpt-5.6-luna", "gpt-5.6-sol"):  # easy, harder, hard: each gets a model of its own
        assert printed.count(f"({name} answers here)") == 1
