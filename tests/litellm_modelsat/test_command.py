"""``litellm-modelsat``: the configuration one would write, checked, derived, and run with two workers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from litellm_modelsat.command import check, main, write
from litellm_modelsat.configuration import SOURCE, service_of, source_file
from modelsat.errors import ConfigurationError
from tests.litellm_modelsat.conftest import HEART, MATHEMATICIAN, NUMBER_THEORY, PHYSICIAN, deployment, experts
from tests.litellm_modelsat.proxies import MASTER_KEY, Proxy
from tests.openai_server import OpenAIServer
from tests.snippets import newcomer, run_page

QUICKSTARTS = Path(__file__).parents[2] / "docs/quickstarts"
URL = "http://127.0.0.1:9/v1"
# Workers that start on a busy machine are to be left alone for longer than uvicorn's 5 seconds.
TWO_WORKERS = ("--num_workers", "2", "--timeout_worker_healthcheck", "60")


def written(url: str, **changes: Any) -> dict[str, Any]:
    """A configuration as one would expect it to work."""
    base: dict[str, Any] = {
        "model_list": [
            *experts(url, "smart"),
            deployment(url, "doctor", "openai/d-physician", PHYSICIAN),
            deployment(url, "professor", "openai/d-mathematician", MATHEMATICIAN),
        ],
        "router_settings": {
            "routing_strategy": "modelsat",
            "routing_strategy_args": {"policy": "best", "timeout_ms": 2000},
            "routing_groups": [
                {
                    "group_name": "faculty",
                    "models": ["doctor", "professor"],
                    "routing_strategy": "modelsat",
                    "routing_strategy_args": {"policy": "best", "fallback": "doctor"},
                }
            ],
        },
        "general_settings": {"master_key": MASTER_KEY},
    }
    return {**base, **changes}


@pytest.fixture(scope="module")
def two_workers(provider: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("two")
    with Proxy(folder, written(provider.url), command=True, options=TWO_WORKERS) as proxy:
        yield proxy


def test_two_workers_route_alike(two_workers: Proxy, server: OpenAIServer) -> None:
    answers = [
        two_workers.client.post(
            "/v1/chat/completions",
            json={"model": group, "messages": [{"role": "user", "content": prompt}]},
            # A connection each, so that both workers get some.
            headers={"Authorization": f"Bearer {MASTER_KEY}", "Connection": "close"},
        ).headers["x-modelsat-model"]
        for group in ("smart", "faculty")
        for prompt in (NUMBER_THEORY, HEART)
        for _ in range(6)
    ]
    expected = ["openai/mathematician"] * 6 + ["openai/physician"] * 6 + ["professor"] * 6 + ["doctor"] * 6
    assert answers == expected


@pytest.mark.filterwarnings("ignore")
def test_the_quick_start(
    two_workers: Proxy, provider: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = newcomer(tmp_path, monkeypatch, provider.url)
    found = run_page(QUICKSTARTS / "litellm.md", Path.cwd(), environment, running={"4000": two_workers.port})
    assert "Nothing to do." in found["said"]
    assert "x-modelsat-model: openai/mathematician" in found["said"]
    assert provider.models_called[-1].startswith("gpt-5.6-"), "the SDK's"
    assert check(Path("config.yaml"))["litellm_settings"]["modelsat"]["groups"].keys() == {"smart"}
    assert check(Path("groups.yaml"))["litellm_settings"]["modelsat"]["groups"].keys() == {"smart", "careful"}


def test_the_quick_start_of_coding_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = newcomer(tmp_path, monkeypatch, URL)
    run_page(QUICKSTARTS / "coding-agents.md", Path.cwd(), environment, running={"4000": 9})
    settings = check(Path("coding.yaml"))["litellm_settings"]["modelsat"]
    assert settings["groups"]["coding"]["policy"]["per"] == "turn"


def test_sigterm_lets_a_stream_end(two_workers: Proxy, server: OpenAIServer) -> None:
    server.chunk_delay_s = 0.2
    server.answers = {"physician": "the right coronary artery it is most likely"}
    body = {"model": "smart", "stream": True, "messages": [{"role": "user", "content": HEART}]}
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    with two_workers.client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as response:
        lines = response.iter_lines()
        first = next(line for line in lines if line)
        stopping = threading.Thread(target=two_workers.stop)
        stopping.start()
        rest = list(lines)
    stopping.join()
    assert first.startswith("data: ")
    assert rest[-1] == "data: [DONE]" or rest[-2] == "data: [DONE]"
    assert two_workers.process is not None
    assert two_workers.process.returncode in (0, -15)


def run(tmp_path: Path, configuration: Any, *options: str) -> tuple[int, Path]:
    """The exit status of the command, which is not let go on to the proxy."""
    file = tmp_path / "config.yaml"
    file.write_text(configuration if isinstance(configuration, str) else yaml.safe_dump(configuration), "utf-8")
    try:
        main(["--config", str(file), "--print-config", *options])
    except SystemExit as stop:
        return int(stop.code or 0), file
    return 0, file


def test_the_derived_configuration_is_what_the_stock_proxy_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = written(URL)
    given["model_list"][0]["litellm_params"]["api_key"] = "sk-secret-1"
    given["model_list"][1]["litellm_params"]["api_key"] = "os.environ/PROVIDER_KEY"
    status, _ = run(tmp_path, given)
    output = capsys.readouterr().out
    assert status == 0
    assert "sk-secret-1" not in output
    assert MASTER_KEY not in output
    derived = yaml.safe_load(output)
    assert derived["model_list"][1]["litellm_params"]["api_key"] == "os.environ/PROVIDER_KEY"
    assert derived["router_settings"]["routing_strategy"] == "simple-shuffle"
    assert "routing_strategy_args" not in derived["router_settings"]
    assert derived["router_settings"]["routing_groups"][0]["routing_strategy"] == "simple-shuffle"
    assert derived["litellm_settings"]["callbacks"] == ["litellm_modelsat.proxy.handler"]
    assert derived["litellm_settings"]["modelsat"] == {
        "timeout_ms": 2000,
        "groups": {"smart": {"policy": "best"}, "faculty": {"policy": "best", "fallback": "doctor"}},
    }
    status, _ = run(tmp_path, derived)
    assert yaml.safe_load(capsys.readouterr().out) == derived, "a derived configuration is left as it is"


def args(strategy: str = "modelsat", **changes: Any) -> dict[str, Any]:
    return written(URL, router_settings={"routing_strategy": strategy, "routing_strategy_args": changes})


def callback(**changes: Any) -> dict[str, Any]:
    settings = {"callbacks": ["litellm_modelsat.proxy.handler"], "modelsat": changes}
    return {**written(URL, router_settings={}), "litellm_settings": settings}


NAMELESS = [deployment(URL, "smart", "openai/house-7b"), deployment(URL, "smart", "openai/gpt-4o")]
ODD_FIGURES = [deployment(URL, "smart", "openai/a", {"MMLU": 1.7}), deployment(URL, "smart", "openai/gpt-4o")]
TYPING_ERROR = [deployment(URL, "smart", "openai/a", {"profil": "gpt-4o", "name": "a"}), *NAMELESS]
UNKNOWN_PROFILE = [deployment(URL, "smart", "openai/a", {"profile": "gpt-99"}), *NAMELESS]
LONELY = [deployment(URL, "smart", "openai/gpt-4o"), deployment(URL, "other", "openai/gpt-4o-mini")]
EMBEDDINGS = [
    deployment(URL, "smart", "openai/text-embedding-3-small"),
    deployment(URL, "smart", "openai/text-embedding-3-large"),
]


@pytest.mark.parametrize(
    ("configuration", "path", "told"),
    [
        (args(policy="fastest"), "", "unknown policy 'fastest'"),
        (args(polcy="best"), "router_settings.routing_strategy_args.polcy", "unknown key; known here: policy, target"),
        (
            args(policy="cheapest", target=1.5),
            "router_settings.routing_strategy_args.target",
            "less than or equal to 1",
        ),
        (args(timeout_ms=0), "router_settings.routing_strategy_args.timeout_ms", "greater than 0"),
        (args(weights="/nowhere"), "router_settings.routing_strategy_args.weights", "/nowhere"),
        (args(fallback="gpt-5"), "router_settings.routing_strategy_args.fallback", "none of the group's candidates"),
        (
            args(constraints={"allow_modles": ["a"]}),
            "router_settings.routing_strategy_args.constraints",
            "allow_modles",
        ),
        (callback(groups={"clever": {}}), "litellm_settings.modelsat.groups.clever", "no deployment goes by the name"),
        (callback(groups={"doctor": {}}), "litellm_settings.modelsat.groups.doctor", "has one deployment only"),
        (callback(), "litellm_settings.modelsat.groups", "is missing"),
        (
            callback(groups={"smart": {"models": {"x": "gpt-4o"}}}),
            "litellm_settings.modelsat.groups.smart.models.x",
            "no",
        ),
        ({**callback(groups={"smart": None}), "model_list": NAMELESS}, "litellm_settings", "no capability profile"),
        ({**callback(groups={"smart": None}), "model_list": UNKNOWN_PROFILE}, "litellm_settings", "gpt-99"),
        ({**callback(groups={"smart": None}), "model_list": ODD_FIGURES}, "litellm_settings", "1.7"),
        ({**callback(groups={"smart": None}), "model_list": EMBEDDINGS}, "litellm_settings", "answers no prompts"),
        (
            {**callback(groups={"smart": None}), "model_list": TYPING_ERROR},
            "model_list[0].model_info.modelsat.profil",
            "unknown key; known here: name, profile, benchmarks, facts",
        ),
        (args(strategy="modelsta"), "router_settings.routing_strategy", "'modelsta' is unknown: write modelsat"),
        (
            {**written(URL, router_settings={}), "litellm_settings": {"modelsat": {"groups": {"smart": None}}}},
            "litellm_settings.modelsat",
            "add the line 'callbacks: [litellm_modelsat.proxy.handler]'",
        ),
        (
            {**callback(groups={"any": None}), "model_list": [deployment(URL, "any", "openai/*")] * 2},
            "litellm_settings.modelsat.groups.any",
            "the caller names it",
        ),
        ({**args(), "model_list": LONELY}, "router_settings.routing_strategy", "no model_name of model_list has two"),
    ],
)
def test_a_mistake_is_told_by_file_line_and_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], configuration: dict[str, Any], path: str, told: str
) -> None:
    status, file = run(tmp_path, configuration)
    error = capsys.readouterr().err
    assert status == 2
    assert told in error
    assert path in error
    lines = file.read_text("utf-8").splitlines()
    where = next(part for part in error.split() if part.startswith(str(file)))
    line = int(where.split(":")[1])
    assert 1 <= line <= len(lines)
    last = path.rpartition(".")[2].partition("[")[0]
    if path.startswith(("router_settings.routing_strategy_args", "model_list[0]")):
        assert last in lines[line - 1]


@pytest.mark.parametrize(("text", "told"), [("a: [", "is not YAML"), ("- a", "must hold a mapping")])
def test_a_file_of_another_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    assert run(tmp_path, text)[0] == 2
    assert told in capsys.readouterr().err


def test_a_missing_file_and_a_missing_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in (["--config", str(tmp_path / "none.yaml")], "cannot read"), ([], "--config is missing"):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2
        assert told in capsys.readouterr().err


def test_a_deployment_without_profile_may_stand_at_the_mean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    given = {**callback(groups={"smart": None}, unknown_models="mean"), "model_list": NAMELESS}
    assert run(tmp_path, given)[0] == 0
    assert "ranked by the mean of its group" in caplog.text


def test_included_files_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = written(URL)
    (tmp_path / "models.yaml").write_text(json.dumps({"model_list": given.pop("model_list")}), "utf-8")
    status, _ = run(tmp_path, {"include": ["models.yaml"], **given})
    assert status == 0
    derived = yaml.safe_load(capsys.readouterr().out)
    assert "smart" in derived["litellm_settings"]["modelsat"]["groups"]
    assert "include" not in derived, "an included routing_strategy would win over the derived one"


def test_a_mistake_in_an_included_file_is_told_by_that_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {**callback(groups={"smart": None}), "model_list": NAMELESS[1:]}
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "models.yaml").write_text(yaml.safe_dump({"model_list": TYPING_ERROR[:1]}), "utf-8")
    status, _ = run(tmp_path, {"include": ["more/models.yaml"], **given})
    error = capsys.readouterr().err
    assert status == 2
    lines = (tmp_path / "more" / "models.yaml").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if "profil:" in text)
    assert f"more/models.yaml:{line}: model_list[1].model_info.modelsat.profil: unknown key" in error


def test_functions_beside_the_configuration_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_agents_here.py").write_text("def stuck(conversation):\n    return 0\n", "utf-8")
    assert run(tmp_path, args(escalation="own_agents_here.stuck"))[0] == 0
    assert run(tmp_path, args(escalation="own_agents_here.nothing"))[0] == 2
    assert "routing_strategy_args.escalation: cannot load 'own_agents_here.nothing'" in capsys.readouterr().err


def test_mistakes_in_a_proxy_on_a_derived_file_name_the_users_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    given = args(fallback="openai/mathematician")
    file.write_text(yaml.safe_dump(given, sort_keys=False), "utf-8")
    derived = check(file)
    derived["litellm_settings"]["modelsat"]["groups"]["smart"]["fallback"] = "nobody"
    monkeypatch.setenv(SOURCE, str(file))
    with pytest.raises(ConfigurationError) as caught:
        service_of(derived, source_file(str(write(derived, file))), load=False)
    line = next(n for n, text in enumerate(file.read_text("utf-8").splitlines(), 1) if "fallback" in text)
    assert str(caught.value).startswith(f"{file}:{line}: router_settings.routing_strategy_args.fallback: 'nobody'")
