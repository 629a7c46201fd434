"""Ray, on a cluster of two CPUs that is started once: replicas die and change under load, bulk scores, training."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from modelsat.capability import Registry
from modelsat.cli import app
from modelsat.errors import ConfigurationError, MissingDependencyError
from modelsat.inference import Scores
from modelsat.router import Router
from modelsat.server import ServerSettings
from modelsat.server.cluster.connection import connect
from modelsat.storage.checkpoint import locate
from tests.server.servers import free_port

psutil = pytest.importorskip("psutil", reason="needs psutil")
ray = pytest.importorskip("ray", reason='needs the extra "ray"')

pytestmark = pytest.mark.filterwarnings("ignore")
CANDIDATES = ["gpt-4o", "gpt-4o-mini"]
PROMPTS = [f"What is {number} times {number}?" for number in range(30)]


def test_an_unexpected_error_reaches_the_requests_of_its_pass_alone(caplog: pytest.LogCaptureFixture) -> None:
    from modelsat.server.cluster.application import Network

    class Service:
        def score(self, texts: list[str], named: tuple[str, ...], definitions: object) -> Scores:
            if named == ("broken",):
                raise RuntimeError("the text of a prompt")
            return Scores(np.full((len(texts), 1), 0.5, np.float32), "v1")

    network = object.__new__(Network)
    network._service = Service()  # type: ignore[assignment]
    good, broken = network._score([(["a"], ("known",), []), (["b"], ("broken",), [])])
    assert isinstance(good, Scores)
    assert str(broken) == "the network failed: RuntimeError"
    assert "a pass of 1 requests failed: RuntimeError" in caplog.text
    assert "prompt" not in caplog.text


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    patch.setenv("MODELSAT_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
    assert connect(num_cpus=2, object_store_memory=200 << 20)
    assert not connect(), "connected already"
    yield
    ray.shutdown()
    patch.undo()


@pytest.fixture
def deploy(cluster: None) -> Iterator[Callable[[str], str]]:
    """Deploy with the given weights; returns the address. The CPUs are free for other tests afterwards."""
    from modelsat.server.cluster.application import RaySettings
    from modelsat.server.cluster.run import deploy as run

    port = free_port()

    def call(weights: str) -> str:
        settings = ServerSettings(candidates=CANDIDATES, port=port, weights=weights, request_timeout_s=60)
        run(settings, RaySettings(min_replicas=2, max_replicas=2, replica_cpus=0.4, front_cpus=0.4))
        return f"http://127.0.0.1:{port}"

    yield call
    from ray import serve

    serve.shutdown()


class Load:
    """Clients that ask without a pause until they are stopped."""

    def __init__(self, address: str, clients: int = 4) -> None:
        self.statuses: Counter[int] = Counter()
        self.weights: set[str] = set()
        self._address, self._stop = address, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def answered(self, count: int) -> None:
        """Wait until there were ``count`` more answers."""
        target, deadline = sum(self.statuses.values()) + count, time.monotonic() + 120
        while sum(self.statuses.values()) < target:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._stop.is_set():
                answer = client.post(f"{self._address}/v1/route", json={"messages": "Why is the sky blue?"})
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.weights.add(answer.json()["versions"]["weights"])


def replicas() -> list[psutil.Process]:
    """Processes of the network's replicas on the cluster that these tests started."""
    name = "ray::ServeReplica:modelsat:network"
    return [child for child in psutil.Process().children(recursive=True) if name in " ".join(child.cmdline())]


def test_replicas_die_and_weights_change_under_load(deploy: Callable[[str], str], tmp_path: Path) -> None:
    address = deploy("modelsat-nano")
    near = Router(CANDIDATES)
    for prompt in PROMPTS[:3]:
        decision = httpx.post(f"{address}/v1/route", json={"messages": prompt}, timeout=60).json()
        assert decision["scores"] == pytest.approx(near.route(prompt).scores, abs=1e-6)
        assert decision["versions"] == near.versions
    own = Router(["gpt-5", "claude-sonnet-4"], scorer=address).route("Why is the sky blue?")
    assert not own.fallback, "profiles that the cluster had never seen"
    before = replicas()
    assert len(before) == 2
    with Load(address) as load:
        load.answered(10)
        before[0].kill()
        load.answered(60)
    assert set(load.statuses) == {200}
    newer = shutil.copytree(locate("modelsat-nano"), tmp_path / "modelsat-next")
    with Load(address) as load:
        load.answered(5)
        deploy(str(newer))
        load.answered(20)
    assert set(load.statuses) == {200}
    assert {version.partition("@")[0] for version in load.weights} == {"modelsat-nano", "modelsat-next"}


def test_weights_that_do_not_load_are_told(cluster: None) -> None:
    from modelsat.server.cluster.data import ScoreTable

    profile = Registry.default().find("gpt-4o").model_dump()
    with pytest.raises(ConfigurationError, match=r"has modelsat-nano@.* where other@1 is needed"):
        ScoreTable("modelsat-nano", ["a"], [profile], version="other@1")


def test_bulk_scores_are_those_of_one_process(cluster: None, tmp_path: Path) -> None:
    items = tmp_path / "items"
    items.mkdir()
    for part in range(2):
        rows = range(part * 15, part * 15 + 15)
        table = pa.table({"item_id": [f"q{n}" for n in rows], "prompt": [PROMPTS[n] for n in rows]})
        pq.write_table(table, items / f"{part}.parquet")
    output = tmp_path / "scores"
    common = ["--models", ",".join(CANDIDATES), "--batch-size", "8"]
    asked = ["score", str(items), "--output", str(output), "--ray", *common]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    found = pq.read_table(output).to_pandas().set_index(["item_id", "model"])["p"]
    pq.write_table(pq.read_table(items), tmp_path / "items.parquet")
    here = tmp_path / "here.parquet"
    CliRunner().invoke(app, ["score", str(tmp_path / "items.parquet"), "--output", str(here), *common])
    expected = pq.read_table(here).to_pandas().set_index(["item_id", "model"])["p"]
    assert len(found) == len(expected) == 60
    np.testing.assert_allclose(found[expected.index], expected, atol=0.01)
    again = CliRunner().invoke(app, asked, env={"COLUMNS": "300"})
    assert again.exit_code == 2
    assert "exists" in again.stderr
    missing = CliRunner().invoke(app, ["score", str(tmp_path / "none"), "--output", str(output), "--ray", *common])
    assert missing.exit_code == 2
    assert "could not score" in missing.stderr


def test_evaluation_on_the_cluster_measures_the_same(cluster: None) -> None:
    pytest.importorskip("pandas", reason='needs the extra "eval"')
    from modelsat.lab.evaluation.routers import parse_router
    from modelsat.lab.outcomes import OutcomeTable
    from modelsat.lab.outcomes.names import find_profiles
    from modelsat.server.cluster.evaluation import distributed

    table = OutcomeTable(
        item_ids=np.arange(len(PROMPTS)),
        datasets=np.array(["d"] * len(PROMPTS)),
        tasks=np.array(["d"] * len(PROMPTS)),
        prompts=np.array(PROMPTS),
        models=tuple(CANDIDATES),
        scores=np.zeros((len(PROMPTS), 2)),
        costs=np.full((len(PROMPTS), 2), np.nan),
    )
    router = parse_router("modelsat-nano", find_profiles(CANDIDATES, []))
    there = distributed(router, workers=2)
    assert (there.name, there.version) == (router.name, router.version)
    counted: list[int] = []
    found = there.predict(table, counted.append)
    assert sum(counted) == len(PROMPTS)
    np.testing.assert_allclose(found, router.predict(table), atol=0.01)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelsat.server.cluster.connection.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "modelsat\[ray\]"'):
        connect()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.1.0\n    Python: 3.11.7\n"),
            r"other versions than Ray .* here: .*Ray: 2\.1\.0",
        ),
        (ConnectionError("Could not find any running Ray instance."), "cannot use a Ray cluster at 'auto'"),
    ],
)
def test_a_cluster_that_cannot_be_used(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_options: Any) -> None:
        raise error

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", fail)
    with pytest.raises(ConfigurationError, match=message) as raised:
        connect("auto")
    assert "\n" not in str(raised.value)


def test_training_in_two_processes(cluster: None, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason='needs the extra "train"')
    pytest.importorskip("accelerate", reason='needs the extra "train"')
    from tests.lab.training.conftest import QUICK, write_bases, write_recipe, write_world

    write_world(tmp_path, 80)
    stages = [{**QUICK, "max_steps": 2, "eval_strategy": "no", "save_strategy": "no", "load_best_model_at_end": False}]
    recipe = write_recipe(tmp_path, write_bases(tmp_path / "bases")["bert"], stages=stages)
    asked = ["train", str(recipe), "--output", str(tmp_path / "run"), "--no-export", "--ray", "--ray-workers", "2"]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    folder = tmp_path / "run" / "checkpoint"
    assert (folder / "model.safetensors").is_file()
    assert json.loads((folder / "config.json").read_text("utf-8"))["scale"]
