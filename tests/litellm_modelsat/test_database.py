"""Keys and teams out of a real database: who may call what is LiteLLM's to say, before and after the ranking."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.litellm_modelsat.conftest import HEART, MATHEMATICIAN, NUMBER_THEORY, PHYSICIAN, deployment, experts
from tests.litellm_modelsat.database import Database, missing
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@dataclass(frozen=True)
class Gateway:
    """A proxy and its database."""

    proxy: Proxy
    database: Database

    def made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the proxy's own management made."""
        response = self.proxy.post(path, body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def key(self, **fields: Any) -> str:
        """A virtual key."""
        return str(self.made("/key/generate", fields)["key"])

    def team(self, **fields: Any) -> str:
        """A team's id."""
        return str(self.made("/team/new", fields)["team_id"])


def configuration(url: str) -> dict[str, Any]:
    """Groups in two versions, one that modelsat ranks and a plain one, to see what LiteLLM itself does."""

    def halves(name: str, group: str) -> list[dict[str, Any]]:
        """Only one deployment belongs to the access group."""
        free = {"access_groups": [group]}
        return [
            deployment(url, name, "openai/mathematician", MATHEMATICIAN),
            deployment(url, name, "openai/physician", PHYSICIAN, free),
        ]

    def owned(name: str) -> list[dict[str, Any]]:
        """One deployment is a team's own."""
        return [
            deployment(url, name, "openai/mathematician", MATHEMATICIAN, {"team_id": "mathematicians"}),
            deployment(url, name, "openai/physician", PHYSICIAN),
        ]

    return {
        "model_list": [
            *experts(url, "smart"),
            *halves("shared", "free"),
            *halves("shared-plain", "free-plain"),
            *owned("owned"),
            *owned("owned-plain"),
            deployment(url, "large", "openai/gpt-4o"),
            deployment(url, "small", "openai/gpt-4o-mini"),
        ],
        "router_settings": {
            "routing_groups": [
                {"group_name": "ladder", "models": ["large", "small"], "routing_strategy": "simple-shuffle"}
            ],
        },
        "litellm_settings": {
            "callbacks": ["litellm_modelsat.proxy.handler"],
            "modelsat": {"timeout_ms": 5000, "groups": dict.fromkeys(("smart", "shared", "owned", "ladder"))},
        },
        "general_settings": {
            "master_key": MASTER_KEY,
            "store_model_in_db": True,
            "proxy_batch_write_at": 1,
        },
    }


@pytest.fixture(scope="module")
def gateway(provider: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    with (
        Database() as database,
        Proxy(folder, configuration(provider.url), variables=database.variables) as proxy,
    ):
        made = Gateway(proxy, database)
        made.team(team_id="mathematicians", models=["owned", "owned-plain"])
        yield made


def ask(gateway: Gateway, group: str, prompt: str, key: str) -> httpx.Response:
    return gateway.proxy.chat(group, prompt, key)


def test_a_key_that_may_call_the_group_reaches_all_of_it(gateway: Gateway, server: OpenAIServer) -> None:
    key = gateway.key(models=["smart"])
    answers = [ask(gateway, "smart", prompt, key).headers["x-modelsat-model"] for prompt in (NUMBER_THEORY, HEART)]
    assert answers == ["openai/mathematician", "openai/physician"]


@pytest.mark.parametrize("models", [["large"], ["mathematician"], ["openai/mathematician", "openai/physician"]])
def test_a_key_that_may_call_the_models_but_not_the_group_is_refused_unranked(
    gateway: Gateway, server: OpenAIServer, models: list[str]
) -> None:
    key = gateway.key(models=models)
    refused = [ask(gateway, group, HEART, key) for group in ("smart", "shared", "shared-plain")]
    assert {response.status_code for response in refused} <= {401, 403}
    assert not any("x-modelsat-model" in response.headers for response in refused)
    assert server.requests == []


def test_an_access_group_leaves_its_own_deployments(gateway: Gateway, server: OpenAIServer) -> None:
    key = gateway.key(models=["free", "free-plain"])
    ranked = [ask(gateway, "shared", NUMBER_THEORY, key) for _ in range(4)]
    plain = [ask(gateway, "shared-plain", NUMBER_THEORY, key) for _ in range(4)]
    assert {response.status_code for response in ranked + plain} == {200}
    assert set(server.models_called) == {"physician"}, "in both, though the other would have been ranked first"
    everything = gateway.key(models=["shared"])
    assert ask(gateway, "shared", NUMBER_THEORY, everything).headers["x-modelsat-model"] == "openai/mathematician"


def test_a_teams_models_hold_for_its_keys(gateway: Gateway, server: OpenAIServer) -> None:
    team = gateway.team(models=["free"])
    key = gateway.key(team_id=team)
    assert ask(gateway, "shared", NUMBER_THEORY, key).status_code == 200
    assert server.models_called == ["physician"]
    assert ask(gateway, "smart", NUMBER_THEORY, key).status_code in (401, 403)


def test_a_deployment_of_a_team_answers_that_team_alone(gateway: Gateway, server: OpenAIServer) -> None:
    inside, outside = gateway.key(team_id="mathematicians"), gateway.key(models=["owned", "owned-plain"])
    for group in ("owned", "owned-plain"):
        answers = [ask(gateway, group, NUMBER_THEORY, outside) for _ in range(4)]
        assert {response.status_code for response in answers} == {200}, answers[0].text
    assert set(server.models_called) == {"physician"}
    server.reset()
    assert ask(gateway, "owned", NUMBER_THEORY, inside).status_code == 200
    assert server.models_called == ["mathematician"]


def test_a_routing_group_is_a_name_of_its_own(gateway: Gateway, server: OpenAIServer) -> None:
    may, may_not = gateway.key(models=["ladder"]), gateway.key(models=["large", "small"])
    assert ask(gateway, "ladder", NUMBER_THEORY, may).headers["x-modelsat-model"] in ("large", "small")
    assert ask(gateway, "ladder", NUMBER_THEORY, may_not).status_code in (401, 403)


def test_a_key_that_is_changed_is_heard(gateway: Gateway, server: OpenAIServer) -> None:
    key = gateway.key(models=["large"])
    assert ask(gateway, "smart", HEART, key).status_code in (401, 403)
    gateway.made("/key/update", {"key": key, "models": ["smart"]})
    assert ask(gateway, "smart", HEART, key).headers["x-modelsat-model"] == "openai/physician"


def test_a_deployment_out_of_the_database_joins_its_group(gateway: Gateway, server: OpenAIServer) -> None:
    entry = deployment(server.url, "smart", "openai/polymath", {"MATH-500": 0.97, "AIME 2024": 0.9, "MedQA": 0.95})
    made = gateway.made("/model/new", entry)
    try:
        assert ask(gateway, "smart", NUMBER_THEORY, MASTER_KEY).headers["x-modelsat-model"] == "openai/polymath"
    finally:
        gateway.made("/model/delete", {"id": made["model_id"]})


def test_a_deployment_that_is_changed_in_place_is_read_anew(gateway: Gateway, server: OpenAIServer) -> None:
    best = {"MATH-500": 0.97, "AIME 2024": 0.9, "MedQA": 0.95}
    cheap = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    dear = {"input_cost_per_token": 1e-4, "output_cost_per_token": 2e-4}
    made = gateway.made("/model/new", deployment(server.url, "smart", "openai/polymath", best, **cheap))

    def decided() -> dict[str, Any]:
        response = ask(gateway, "smart", NUMBER_THEORY, MASTER_KEY)
        [line] = gateway.proxy.decisions(120, call_id=response.headers["x-litellm-call-id"])
        return line

    def changed(key: str, before: dict[str, Any]) -> dict[str, Any]:
        """A decision whose ``key`` differs: LiteLLM reads its database every few seconds."""
        deadline = time.monotonic() + 120
        while (line := decided())[key] == before[key] and time.monotonic() < deadline:
            time.sleep(1)
        return line

    try:
        first = decided()
        assert (first["answered"], first["outcome"]) == ("openai/polymath", "carried_out")
        info = {"id": made["model_id"]}
        gateway.made("/model/update", deployment(server.url, "smart", "openai/polymath", best, info, **dear))
        dearer = changed("costs", first)
        assert dearer["costs"]["openai/polymath"] == pytest.approx(100 * first["costs"]["openai/polymath"], rel=0.01)
        poor = {"model_info": {"modelsat": dict.fromkeys(best, 0.2)}}
        patched = gateway.proxy.client.patch(
            f"/model/{made['model_id']}/update", json=poor, headers={"Authorization": f"Bearer {MASTER_KEY}"}
        )
        assert patched.status_code == 200, patched.text
        poorer = changed("scores", dearer)
        assert poorer["scores"]["openai/polymath"] < first["scores"]["openai/polymath"] - 0.2
        assert poorer["answered"] == "openai/mathematician"
        assert poorer["costs"]["openai/polymath"] == pytest.approx(dearer["costs"]["openai/polymath"], rel=0.2)
    finally:
        gateway.made("/model/delete", {"id": made["model_id"]})


def test_the_spend_logs_hold_the_decision(gateway: Gateway, server: OpenAIServer) -> None:
    response = ask(gateway, "smart", HEART, gateway.key(models=["smart"]))
    [line] = gateway.proxy.decisions(120, call_id=response.headers["x-litellm-call-id"])
    statement = f"SELECT metadata FROM \"LiteLLM_SpendLogs\" WHERE metadata::text LIKE '%{line['id']}%'"
    deadline = time.monotonic() + 120
    while not (rows := gateway.database.query(statement)) and time.monotonic() < deadline:
        time.sleep(0.5)
    [(metadata,)] = rows
    said = metadata["spend_logs_metadata"]["modelsat"]
    assert (said["routed_model"], said["decision_id"]) == ("openai/physician", line["id"])
    documented = (ROOT / "docs" / "litellm.md").read_text("utf-8")
    (statement,) = re.findall(r"```sql\n(.*?)```", documented, re.DOTALL)
    ranked = {(row[0], row[1]): row[2] for row in gateway.database.query(statement)}
    assert ranked["openai/physician", "smart"] >= 1
