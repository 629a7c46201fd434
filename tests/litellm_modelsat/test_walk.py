"""LiteLLM obeys: the best answers, then the next best, whatever else it checks. On whichever LiteLLM is installed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import litellm
import pytest

from litellm_modelsat import ModelSATRoutingStrategy
from litellm_modelsat.records import end_forgotten
from tests.litellm_modelsat import test_sdk
from tests.litellm_modelsat.conftest import HEART, MATHEMATICIAN, NUMBER_THEORY, PHYSICIAN, deployment, experts
from tests.litellm_modelsat.test_sdk import turn, weights
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")
__all__ = ["weights"]
Made = tuple[Any, ModelSATRoutingStrategy]
plain = test_sdk.make


@pytest.fixture
def make(plain: Callable[..., Made]) -> Iterator[Callable[..., Made]]:
    """Makes a router with a strategy attached; at the end, none of its decisions may have been ignored."""
    made: list[ModelSATRoutingStrategy] = []

    def build(*args: Any, **kwargs: Any) -> Made:
        router, strategy = plain(*args, **kwargs)
        made.append(strategy)
        return router, strategy

    yield build
    outcomes = [outcome for strategy in made for _, outcome in strategy.service.metrics.outcomes]
    assert "ignored" not in outcomes


def ladder(url: str) -> list[dict[str, Any]]:
    """Six models under one name; :func:`rungs` says in which order they come."""
    levels = [{"MMLU": share, "MedQA": share, "MATH-500": share} for share in (0.2, 0.4, 0.6, 0.8)]
    return [
        deployment(url, "smart", f"openai/m{n}", figures)
        for n, figures in enumerate([PHYSICIAN, MATHEMATICIAN, *levels])
    ]


def rungs(strategy: ModelSATRoutingStrategy, prompt: str, group: str = "smart") -> list[str]:
    scores = strategy.service.groups[group].router.route(turn(prompt)).scores
    return [name.removeprefix("openai/") for name in sorted(scores, key=lambda name: -scores[name])]


async def test_each_of_forty_requests_is_answered_by_the_first(make: Any, server: OpenAIServer) -> None:
    router, strategy = make(ladder(server.url))
    best = {prompt: rungs(strategy, prompt)[0] for prompt in (HEART, NUMBER_THEORY)}
    for _ in range(20):
        for prompt, model in best.items():
            assert (await router.acompletion(model="smart", messages=turn(prompt))).model == model
            assert router.completion(model="smart", messages=turn(prompt)).model == model
    await reported(strategy, 80)
    assert strategy.service.metrics.outcomes == {("smart", "carried_out"): 80}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_retries_walk_down_the_ranking(make: Any, server: OpenAIServer, stream: bool) -> None:
    router, strategy = make(ladder(server.url), router={"num_retries": 4, "disable_cooldowns": True})
    order = rungs(strategy, HEART)
    server.failures = dict.fromkeys(order[:3], 500)
    answer = await router.acompletion(model="smart", messages=turn(HEART), stream=stream)
    if stream:
        assert [chunk async for chunk in answer]
    assert server.models_called == order[:4]
    server.requests.clear()
    assert router.completion(model="smart", messages=turn(HEART)).model == order[3]
    assert server.models_called == order[:4]
    await reported(strategy, 2)
    assert strategy.service.metrics.outcomes == {("smart", "lower_ranked"): 2}


async def test_when_all_have_failed_it_starts_from_the_top(make: Any, server: OpenAIServer) -> None:
    router, strategy = make(router={"num_retries": 3, "disable_cooldowns": True})
    order = rungs(strategy, HEART)
    server.failures = dict.fromkeys(order, 500)
    with pytest.raises(litellm.InternalServerError):
        await router.acompletion(model="smart", messages=turn(HEART))
    assert server.models_called == [*order, *order]


async def test_equal_deployments_are_all_tried_before_the_next_model(make: Any, server: OpenAIServer) -> None:
    twins = [deployment(server.url, "smart", "openai/physician", PHYSICIAN, {"id": f"twin-{n}"}) for n in range(3)]
    router, _ = make([*twins, *experts(server.url, "smart")[:1]], router={"num_retries": 3, "disable_cooldowns": True})
    for _ in range(20):
        await router.acompletion(model="smart", messages=turn(HEART))
    assert set(server.models_called) == {"physician"}
    server.reset()
    server.failures = {"physician": 500}
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "mathematician"
    assert server.models_called == ["physician", "physician", "physician", "mathematician"]


async def test_weighted_failover_walks_without_retries(make: Any, server: OpenAIServer) -> None:
    router, strategy = make(ladder(server.url), router={"num_retries": 0, "enable_weighted_failover": True})
    order = rungs(strategy, HEART)
    server.failures = dict.fromkeys(order[:3], 500)
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == order[3]
    assert server.models_called == order[:4]


async def test_a_group_falls_back_to_another_which_is_ranked_too(make: Any, server: OpenAIServer) -> None:
    models = [*experts(server.url, "smart"), *experts(server.url, "spare", "s-")]
    router, _ = make(models, router={"num_retries": 1, "fallbacks": [{"smart": ["spare"]}], "disable_cooldowns": True})
    server.failures = {"physician": 500, "mathematician": 500, "s-physician": 500}
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "s-mathematician"
    assert server.models_called == ["physician", "mathematician", "s-physician", "s-mathematician"]
    server.requests.clear()
    assert router.completion(model="smart", messages=turn(HEART)).model == "s-mathematician"
    assert server.models_called == ["physician", "mathematician", "s-physician", "s-mathematician"]


async def test_fallbacks_can_be_rehearsed(make: Any, server: OpenAIServer) -> None:
    models = [*experts(server.url, "smart"), *experts(server.url, "spare", "s-")]
    router, _ = make(models, router={"num_retries": 0, "fallbacks": [{"smart": ["spare"]}]})
    answer = await router.acompletion(model="smart", messages=turn(HEART), mock_testing_fallbacks=True)
    assert answer.model == "s-physician"
    assert server.models_called == ["s-physician"]


async def test_tags_leave_the_best_of_those_that_carry_them(make: Any, server: OpenAIServer) -> None:
    models = ladder(server.url)
    for entry in models[:4]:
        entry["litellm_params"]["tags"] = ["team-a"]
    router, strategy = make(models, router={"enable_tag_filtering": True, "num_retries": 1, "disable_cooldowns": True})
    tagged = [name for name in rungs(strategy, HEART) if name not in ("m4", "m5")]
    assert rungs(strategy, HEART)[0] not in tagged
    asked = {"model": "smart", "messages": turn(HEART)}
    assert (await router.acompletion(**asked, metadata={"tags": ["team-a"]})).model == tagged[0]
    server.reset()
    server.failures = {tagged[0]: 500}
    assert (await router.acompletion(**asked, metadata={"tags": ["team-a"]})).model == tagged[1]


async def test_litellms_context_check_leaves_the_best_that_is_wide_enough(make: Any, server: OpenAIServer) -> None:
    models = experts(server.url, "smart", "w-")  # LiteLLM keeps what is said of a model for the life of the process
    models[1]["model_info"]["max_input_tokens"] = 200  # its figure; ours is larger, so that we would take it
    models[1]["model_info"]["modelsat"] = {"benchmarks": PHYSICIAN, "facts": {"context_window": 100_000}}
    router, _ = make(models, router={"enable_pre_call_checks": True})
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "w-physician"
    assert router.completion(model="smart", messages=turn(HEART)).model == "w-physician"
    long = turn(f"{'word ' * 1_000}\n\n{HEART}")
    assert (await router.acompletion(model="smart", messages=long)).model == "w-mathematician"
    assert router.completion(model="smart", messages=long).model == "w-mathematician"


async def test_session_affinity_keeps_its_deployment(make: Any, server: OpenAIServer) -> None:
    router, _ = make(router={"optional_pre_call_checks": ["session_affinity"]})
    kept = {"metadata": {"session_id": "s-1"}}
    assert (await router.acompletion(model="smart", messages=turn(HEART), **kept)).model == "physician"
    await asyncio.sleep(0.2)  # LiteLLM pins the session once the answer is logged
    kept = {"metadata": {"session_id": "s-1"}}
    assert (await router.acompletion(model="smart", messages=turn(NUMBER_THEORY), **kept)).model == "physician"
    assert (await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))).model == "mathematician"


async def test_a_stream_that_breaks_before_its_first_token_is_answered(make: Any, server: OpenAIServer) -> None:
    models = [*experts(server.url, "smart"), deployment(server.url, "backup", "openai/backup")]
    router, strategy = make(models, groups=["smart"], router={"fallbacks": [{"smart": ["backup"]}]})
    server.broken = {"physician"}
    stream = await router.acompletion(model="smart", messages=turn(HEART), stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert server.models_called[0] == "physician"
    # Up to 1.109 LiteLLM does not try such a stream again inside its group; then its fallbacks answer.
    assert text in ("this is mathematician speaking to you", "this is backup speaking to you")
    assert strategy.fallbacks.total() == 0


async def test_half_an_answer_is_a_failure(make: Any, server: OpenAIServer, caplog: pytest.LogCaptureFixture) -> None:
    """Up to 1.108 LiteLLM ends such a stream with "stop"; later ones raise, once something was sent."""
    caplog.set_level(logging.INFO, "modelsat.decisions")
    router, strategy = make(router={"num_retries": 0, "disable_cooldowns": True})
    asked = {"model": "smart", "messages": turn(HEART), "stream": True}
    assert [chunk async for chunk in await router.acompletion(**asked)]
    await reported(strategy, 1)
    server.cut = {"physician": 3}
    with contextlib.suppress(litellm.APIConnectionError):
        assert [chunk async for chunk in await router.acompletion(**asked)]
    await reported(strategy, 2)
    assert strategy.service.metrics.outcomes == {("smart", "carried_out"): 1, ("smart", "failed"): 1}
    lines = [json.loads(record.message) for record in caplog.records if record.name == "modelsat.decisions"]
    assert [line.get("answered") for line in lines] == ["openai/physician", None]
    assert lines[1]["error"] in ("IncompleteAnswerError", "RemoteProtocolError")


async def test_a_caller_who_gives_up_is_no_failure(make: Any, server: OpenAIServer) -> None:
    router, strategy = make()
    server.delays = {"physician": 1.0}
    asked = asyncio.ensure_future(router.acompletion(model="smart", messages=turn(HEART)))
    while not server.requests:
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    del asked
    server.delays = {}
    assert (await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))).model == "mathematician"
    await reported(strategy, 2)
    assert strategy.service.metrics.outcomes == {("smart", "unreported"): 1, ("smart", "carried_out"): 1}
    assert strategy.fallbacks.total() == 0


async def test_requests_that_share_one_metadata_mapping_are_ranked_each(make: Any, server: OpenAIServer) -> None:
    router, _ = make(router={"num_retries": 2, "disable_cooldowns": True})
    shared: dict[str, Any] = {"team": "a"}
    server.failures = {"mathematician": 500}
    for prompt, models in ((NUMBER_THEORY, 2), (HEART, 1), (NUMBER_THEORY, 2), (HEART, 1)):
        server.requests.clear()
        await router.acompletion(model="smart", messages=turn(prompt), metadata=shared)
        assert server.models_called == ["mathematician", "physician"][-models:]


async def reported(strategy: ModelSATRoutingStrategy, count: int) -> None:
    """Wait until LiteLLM has said who answered, which it does a moment later."""
    for _ in range(200):
        if sum(strategy.service.metrics.outcomes.values()) >= count:
            return
        await asyncio.sleep(0.05)
        gc.collect()
        end_forgotten()
