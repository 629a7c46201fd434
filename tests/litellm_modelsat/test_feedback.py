"""Feedback on answers of a real proxy and of the SDK corrects later decisions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import litellm
import pytest

from litellm_modelsat import attach
from modelsat.errors import ConfigurationError, UnknownDecisionError
from tests.litellm_modelsat.conftest import HEART, experts
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

pytestmark = pytest.mark.filterwarnings("ignore")
PATH = "/modelsat/feedback"
PHYSICIAN = "openai/physician"


def test_a_proxy_learns(server: OpenAIServer, tmp_path: Path) -> None:
    configuration = {
        "model_list": experts(server.url, "smart"),
        "litellm_settings": {
            "callbacks": ["litellm_modelsat.proxy.handler"],
            "modelsat": {
                "scorer": "scripted_scorer.scorer",
                "timeout_ms": 2000,
                "feedback": str(tmp_path / "feedback.sqlite"),
                "groups": {"smart": None},
            },
        },
        "general_settings": {"master_key": MASTER_KEY, "custom_auth": "scripted_keys.authenticate"},
    }
    with Proxy(tmp_path, configuration) as proxy:
        first = proxy.chat("smart", HEART)
        assert first.headers["x-modelsat-model"] == PHYSICIAN
        decision = first.headers["x-modelsat-decision"]
        judged = {"decision_id": decision, "score": 0.0, "source": "judge"}
        assert proxy.post(PATH, judged, key="sk-nobody").status_code >= 400, "not without a key: nothing is recorded"
        assert proxy.post(PATH, judged).status_code == 202
        assert proxy.post(PATH, judged).status_code == 409, "the first counts"
        assert proxy.post(PATH, {"decision_id": "nobody", "score": 1}).status_code == 404
        assert proxy.post(PATH, {"decision_id": decision, "score": 7}).status_code == 422
        for _ in range(40):
            answer = proxy.chat("smart", HEART)
            score = 0.0 if answer.headers["x-modelsat-model"] == PHYSICIAN else 1.0
            body = {"decision_id": answer.headers["x-modelsat-decision"], "score": score}
            assert proxy.post(PATH, body).status_code == 202
        assert proxy.chat("smart", HEART).headers["x-modelsat-model"] != PHYSICIAN, "it failed each time"


def test_the_decision_is_named_where_it_was_carried_out(proxy: Proxy, server: OpenAIServer) -> None:
    assert proxy.chat("smart", HEART).headers["x-modelsat-decision"]
    server.failures = {"f-physician": 500}
    other = proxy.chat("fragile", HEART)
    assert other.headers["x-modelsat-model"] == "openai/f-mathematician"
    assert "x-modelsat-decision" not in other.headers, "feedback on it would count for whom it did not reach"


def test_every_key_may_judge() -> None:
    from litellm.proxy.auth.route_checks import RouteChecks

    from litellm_modelsat.proxy import serve_feedback

    app: Any = type("App", (), {"router": type("Routes", (), {"routes": []})()})()
    serve_feedback(app, None)  # type: ignore[arg-type]
    assert [route.path for route in app.router.routes] == [PATH]
    assert RouteChecks.is_info_route(PATH)


async def test_the_sdk_learns(server: OpenAIServer, tmp_path: Path) -> None:
    router = litellm.Router(model_list=experts(server.url, "smart"), num_retries=0)
    strategy = attach(router, ["smart"], feedback=str(tmp_path / "feedback.sqlite"), timeout_ms=5000)
    metadata: dict[str, Any] = {}
    await router.acompletion("smart", messages=[{"role": "user", "content": HEART}], metadata=metadata)
    strategy.service.feedback(metadata["routing_decision"]["decision_id"], 0.0, "judge")
    state = strategy.service.groups["smart"].router.learning
    assert state is not None
    assert state.counted == 1
    with pytest.raises(UnknownDecisionError):
        strategy.service.feedback("nobody", 1.0)


def test_feedback_that_cannot_be_kept_stops_the_start(server: OpenAIServer) -> None:
    router = litellm.Router(model_list=experts(server.url, "smart"), num_retries=0)
    with pytest.raises(ConfigurationError, match="feedback"):
        attach(router, ["smart"], feedback={"store": "x.sqlite", "explor": 1})
    plain = attach(router, ["smart"])
    with pytest.raises(ConfigurationError, match="no feedback is kept"):
        plain.service.feedback("id", 1.0)
