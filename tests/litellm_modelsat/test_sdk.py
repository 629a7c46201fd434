"""``attach``: the SDK's router, sync and async, on whichever LiteLLM is installed."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from litellm_modelsat import ModelSATRoutingStrategy, attach
from modelsat import CapabilityProfile, Router
from modelsat.errors import ConfigurationError
from modelsat.feedback import Feedback
from modelsat.inference import load_scorer
from modelsat.policies.resolve import PolicyFile
from modelsat.storage.checkpoint import SHIPPED
from tests.fakes import FakeScorer
from tests.litellm_modelsat.conftest import HEART, MATHEMATICIAN, NUMBER_THEORY, PHYSICIAN, deployment, experts
from tests.openai_server import OpenAIServer

# What LiteLLM and its clients warn about is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")

Make = Callable[..., tuple[Any, ModelSATRoutingStrategy]]


@pytest.fixture(scope="module")
def weights() -> Any:
    return load_scorer(SHIPPED)


@pytest.fixture
def make(server: OpenAIServer, weights: Any) -> Iterator[Make]:
    """Makes a router with a strategy attached."""
    import litellm

    def build(models: list[dict[str, Any]] | None = None, router: Any = None, **kwargs: Any) -> Any:
        model_list = models if models is not None else experts(server.url, "smart")
        made = litellm.Router(model_list=model_list, **{"num_retries": 2, **(router or {})})
        return made, attach(made, **{"scorer": weights, "timeout_ms": 5000, **kwargs})

    yield build
    litellm.callbacks = []


def turn(prompt: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": prompt}]


@pytest.mark.parametrize(("prompt", "model"), [(NUMBER_THEORY, "mathematician"), (HEART, "physician")])
async def test_content_decides(make: Make, server: OpenAIServer, prompt: str, model: str) -> None:
    router, _ = make()
    assert router.completion(model="smart", messages=turn(prompt)).model == model
    assert (await router.acompletion(model="smart", messages=turn(prompt))).model == model
    stream = await router.acompletion(model="smart", messages=turn(prompt), stream=True)
    assert (
        "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == f"this is {model} speaking to you"
    )
    assert "".join(
        c.choices[0].delta.content or "" for c in router.completion(model="smart", messages=turn(prompt), stream=True)
    )
    await router.aresponses(model="smart", input=prompt)
    await router.atext_completion(model="smart", prompt=prompt)
    await router.aanthropic_messages(model="smart", messages=turn(prompt), max_tokens=50)
    assert set(server.models_called) == {model}
    assert len(server.models_called) == 7


async def test_litellms_own_strategy_answers_under_a_shadow(make: Make, server: OpenAIServer, tmp_path: Path) -> None:
    models = [
        deployment(server.url, "smart", "openai/mathematician", MATHEMATICIAN, weight=1),
        deployment(server.url, "smart", "openai/physician", PHYSICIAN, weight=0),
    ]
    loop = Feedback(tmp_path / "feedback.sqlite")
    router, strategy = make(models, groups={"smart": {"shadow": "litellm"}}, feedback=loop)
    assert router.completion(model="smart", messages=turn(HEART)).model == "mathematician"
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "mathematician"
    await until(lambda: loop.flush() and loop.store.counts().decisions == 2)
    kept = [(record.model, record.routed, record.arm) for record, _ in loop.store.decisions()]
    assert kept == [("openai/mathematician", "openai/physician", "shadow")] * 2
    assert not strategy.fallbacks


def test_a_policy_file_decides_as_in_the_router(make: Make, server: OpenAIServer, weights: Any, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    PolicyFile(policy="tradeoff(value_per_success=0.001)", constraints={"max_usd_per_request": 0.01}).save(path)
    benchmarks = {"mathematician": MATHEMATICIAN, "physician": PHYSICIAN}
    per_token = {"mathematician": (4e-7, 8e-7), "physician": (1e-7, 2e-7)}
    models = [
        deployment(
            server.url,
            "smart",
            f"openai/{name}",
            benchmarks[name],
            {"input_cost_per_token": into, "output_cost_per_token": out},
        )
        for name, (into, out) in per_token.items()
    ]
    facts = {
        name: {"input_usd_per_mtok": into * 1e6, "output_usd_per_mtok": out * 1e6}
        for name, (into, out) in per_token.items()
    }
    alone = Router(
        [CapabilityProfile.from_benchmarks(name, figures) for name, figures in benchmarks.items()],
        facts=facts,
        policy=path,
        scorer=weights,
    )
    router, _ = make(models, policy=str(path))
    prompts = [NUMBER_THEORY, HEART, "What is 17 + 25?", "Summarise the plot of Hamlet."]
    answered = [router.completion(model="smart", messages=turn(prompt)).model for prompt in prompts]
    assert answered == [alone.route(turn(prompt)).model for prompt in prompts]
    assert set(answered) == set(benchmarks)


async def test_the_second_best_answers_when_the_best_fails(make: Make, server: OpenAIServer) -> None:
    router, _ = make()
    server.failures = {"physician": 500}
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "mathematician"
    assert server.models_called == ["physician", "mathematician"]
    server.requests.clear()
    assert router.completion(model="smart", messages=turn(HEART)).model == "mathematician"


async def test_cooldowns_hold(make: Make, server: OpenAIServer) -> None:
    router, _ = make(router={"cooldown_time": 30})
    server.failures = {"physician": 429}
    await router.acompletion(model="smart", messages=turn(HEART))
    server.reset()
    await router.acompletion(model="smart", messages=turn(HEART))
    router.completion(model="smart", messages=turn(HEART))
    assert server.models_called == ["mathematician", "mathematician"]


async def test_declared_orders_walk_the_ranking(make: Make, server: OpenAIServer) -> None:
    models = experts(server.url, "smart")
    for order, entry in enumerate(models, start=1):
        entry["litellm_params"]["order"] = order
    router, _ = make(models, router={"num_retries": 0})
    server.failures = {"physician": 500}
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "mathematician"
    assert server.models_called == ["physician", "mathematician"]
    server.reset()
    assert router.completion(model="smart", messages=turn(HEART)).model == "physician"


async def test_litellms_fallbacks_come_last(make: Make, server: OpenAIServer) -> None:
    models = [*experts(server.url, "smart"), deployment(server.url, "backup", "openai/backup")]
    router, _ = make(models, router={"fallbacks": [{"smart": ["backup"]}]})
    server.failures = {"physician": 500, "mathematician": 500}
    assert (await router.acompletion(model="smart", messages=turn(HEART))).model == "backup"
    assert router.completion(model="smart", messages=turn(HEART)).model == "backup"


async def test_everything_else_stays_as_it_was(make: Make, server: OpenAIServer) -> None:
    models = [
        *experts(server.url, "smart"),
        deployment(server.url, "one", "openai/one", info={"id": "the-one"}),
        deployment(server.url, "two", "openai/two-a"),
        deployment(server.url, "two", "openai/two-b"),
    ]
    router, strategy = make(models, groups=["smart"])
    assert list(strategy.service.groups) == ["smart"]
    for _ in range(8):
        await router.acompletion(model="two", messages=turn(HEART))
    assert set(server.models_called) == {"two-a", "two-b"}
    assert (await router.acompletion(model="one", messages=turn(HEART))).model == "one"
    assert (await router.acompletion(model="the-one", messages=turn(HEART))).model == "one"
    assert router.completion(model="openai/one", messages=turn(HEART), specific_deployment=True).model == "one"
    assert strategy.fallbacks.total() == 0


@pytest.mark.parametrize(
    ("scorer", "cause"),
    [
        (FakeScorer(error=RuntimeError("secret prompt")), "RuntimeError"),
        (FakeScorer(transform=lambda scores: scores * float("nan")), "ScoringError"),
        (FakeScorer(delay_s=0.5), "timeout"),
    ],
    ids=["raises", "nan", "hangs"],
)
async def test_a_scorer_that_fails_costs_no_request(
    make: Make, server: OpenAIServer, caplog: pytest.LogCaptureFixture, scorer: FakeScorer, cause: str
) -> None:
    with caplog.at_level(logging.INFO, "modelsat"):
        router, strategy = make(scorer=_lazy(scorer), timeout_ms=100)
        assert (await router.acompletion(model="smart", messages=turn(HEART))).model in ("physician", "mathematician")
        time.sleep(0.6 if cause == "timeout" else 0)
        assert router.completion(model="smart", messages=turn(NUMBER_THEORY)).model in ("physician", "mathematician")
    assert strategy.fallbacks == {cause: 2}
    assert "secret prompt" not in caplog.text
    assert HEART not in caplog.text


@pytest.mark.parametrize("messages", [[], [{"role": "user"}], turn(""), turn([]), [{"role": "system", "content": "x"}]])
async def test_messages_that_hold_nothing(make: Make, server: OpenAIServer, messages: list[Any]) -> None:
    import litellm

    router, strategy = make()
    with contextlib.suppress(
        litellm.APIError, litellm.BadRequestError, litellm.InternalServerError, IndexError, KeyError
    ):
        await router.acompletion(model="smart", messages=messages, num_retries=0)  # LiteLLM itself may refuse them.
    assert set(strategy.fallbacks) <= {"InvalidRequestError"}


async def test_the_fallback_comes_first_when_routing_fails(make: Make, server: OpenAIServer) -> None:
    router, _ = make(scorer=_lazy(FakeScorer(error=RuntimeError())), fallback="openai/physician")
    for _ in range(4):
        await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))
        router.completion(model="smart", messages=turn(NUMBER_THEORY))
    assert set(server.models_called) == {"physician"}


async def test_a_deployment_that_joins_later_is_routed(make: Make, server: OpenAIServer) -> None:
    import litellm

    router, strategy = make()
    entry = deployment(
        server.url, "smart", "openai/genius", {"MMLU": 0.95, "MATH-500": 0.99, "MedQA": 0.95}, {"id": "g"}
    )
    added = litellm.types.router.Deployment(**entry)
    if hasattr(type(router), "apply"):
        from litellm.router_api import ChangeSet

        router.apply(ChangeSet(upsert=[added]))
    else:
        router.add_deployment(added)
    assert (await router.acompletion(model="smart", messages=turn(NUMBER_THEORY))).model == "genius"
    assert "openai/genius" in strategy.service.groups["smart"].names


async def test_routing_groups(make: Make, server: OpenAIServer) -> None:
    models = [*experts(server.url, "a")[:1], *experts(server.url, "b")[1:]]
    groups = [{"group_name": "both", "models": ["a", "b"], "routing_strategy": "simple-shuffle"}]
    router, strategy = make(models, router={"routing_groups": groups})
    assert strategy.service.groups["both"].names == ("a", "b")
    assert (await router.acompletion(model="both", messages=turn(HEART))).model == "physician"
    assert router.completion(model="both", messages=turn(NUMBER_THEORY)).model == "mathematician"


async def test_a_strategy_that_litellm_drops_is_missed(
    make: Make, server: OpenAIServer, weights: Any, caplog: pytest.LogCaptureFixture
) -> None:
    router, strategy = make()
    assert strategy.attached
    router.update_settings(routing_strategy="least-busy")
    assert not strategy.attached
    await router.acompletion(model="smart", messages=turn(HEART))
    await until(lambda: strategy.fallbacks == {"detached": 1})
    router.completion(model="smart", messages=turn(HEART))
    await until(lambda: strategy.fallbacks == {"detached": 2})
    [error] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert "'smart' is not routed by modelsat any more" in error
    assert "attach it again: attach(router, ...)" in error
    again = attach(router, scorer=weights)
    for prompt, model in ((NUMBER_THEORY, "mathematician"), (HEART, "physician")):
        assert (await router.acompletion(model="smart", messages=turn(prompt))).model == model
        assert router.completion(model="smart", messages=turn(prompt)).model == model
    assert strategy.fallbacks == {"detached": 2}
    assert again.fallbacks.total() == 0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what LiteLLM says a moment later."""
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.05)
    assert condition()


def test_copies_share_the_network(make: Make) -> None:
    _, strategy = make()
    assert copy.deepcopy(strategy) is strategy
    assert copy.deepcopy(strategy.service) is strategy.service


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"groups": ["clever"]}, r"attach\(...\).groups.clever: no deployment goes by the name"),
        ({"groups": {"smart": {"polcy": 1}}}, r"groups.smart.polcy: unknown key"),
        ({"policy": "fastest"}, "unknown policy 'fastest'"),
        ({"policy": 7}, r"attach\(\.\.\.\)\.policy: write a name"),
        ({"fallback": "x"}, "groups.smart.fallback: 'x' is none of"),
        ({"unknown_models": "guess"}, "unknown_models"),
        ({"scorer": None, "weights": "/nowhere"}, "weights"),
        ({"constraints": {"allow_regions": 5}}, "constraints"),
    ],
)
def test_a_mistake_is_told_at_once(make: Make, kwargs: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        make(**kwargs)


def test_a_router_without_a_group(make: Make, server: OpenAIServer) -> None:
    with pytest.raises(ConfigurationError, match="two or more deployments the same model_name"):
        make([deployment(server.url, "one", "openai/gpt-4o")])


def _lazy(scorer: FakeScorer) -> FakeScorer:
    """``scorer`` after a first call that works, which ``attach`` makes."""
    error, transform, delay = scorer.error, scorer.transform, scorer.delay_s
    scorer.error, scorer.transform, scorer.delay_s = None, None, 0.0
    plain = scorer.score

    def score(texts: Any, profiles: Any) -> Any:
        found = plain(texts, profiles)
        scorer.error, scorer.transform, scorer.delay_s = error, transform, delay
        return found

    scorer.score = score  # type: ignore[method-assign]
    return scorer
