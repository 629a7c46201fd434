"""Routers and decisions elsewhere: copies, other processes, accounts without a home, checkpoints of agents."""

from __future__ import annotations

import copy
import json
import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelsat.capability.profile import CapabilityProfile
from modelsat.errors import ConfigurationError
from modelsat.feedback import open_store
from modelsat.inference.base import ScoreCache
from modelsat.policies import Choice, PolicyRequest, Scored
from modelsat.router import Router, RoutingDecision
from tests.fakes import FakeScorer
from tests.postgres import MISSING, PostgreSQL, binary

HERE = Path(__file__).resolve().parents[2]
ROUTE = "from modelsat import Router; print(Router(['gpt-4o-mini', 'gpt-4o']).route('hi').model)"
NO_ENTRY = (
    "import pwd\ndef gone(uid): raise KeyError(f'getpwuid(): uid not found: {uid}')\npwd.getpwuid = gone\n" + ROUTE
)


def options() -> dict[str, Any]:
    return {
        "policy": "cheapest(target=0.8)",
        "constraints": {"deny_models": ["o3"]},
        "facts": {"gpt-4o": {"context_window": 100_000}},
        "fallback": "gpt-4o-mini",
        "cache": ScoreCache(size=7),
        "envelopes": ["acme"],
    }


@pytest.mark.parametrize("again", [copy.deepcopy, copy.copy, lambda router: pickle.loads(pickle.dumps(router))])
def test_a_router_is_copied_as_what_it_was_made_of(again: Any) -> None:
    router = Router(["gpt-4o-mini", "gpt-4o", "o3"], **options())
    before = router.route("What is the capital of Australia?")
    other = again(router)
    assert repr(other) == repr(Router(["gpt-4o-mini", "gpt-4o", "o3"], **options()))
    after = other.route("What is the capital of Australia?")
    varies = {"id", "elapsed_ms"}
    assert after.model_dump(exclude=varies) == before.model_dump(exclude=varies)


def test_a_copy_shares_a_scorer_that_cannot_be_copied(profiles: list[CapabilityProfile]) -> None:
    scorer = FakeScorer()  # it holds a lock
    router = Router(profiles, scorer=scorer)
    other = copy.deepcopy({"router": router})["router"]
    assert other.route("hello").scores == router.route("hello").scores
    assert scorer.calls == [["hello"], ["hello"]]


def test_a_pool_of_processes() -> None:
    router = Router(["gpt-4o-mini", "gpt-4o"])
    here = router.route("hi")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        there = pool.submit(router.route, "hi").result()
    assert there.model == here.model
    assert there.scores == pytest.approx(here.scores)


def test_a_router_with_feedback_goes_elsewhere_by_the_name_of_its_store(tmp_path: Path) -> None:
    file = str(tmp_path / "feedback.sqlite")
    router = pickle.loads(pickle.dumps(Router(["gpt-4o-mini", "gpt-4o"], feedback=file)))
    router.feedback(router.route("hi").id, 1.0)
    with pytest.raises(ConfigurationError, match="name the store's file or address"):
        pickle.dumps(Router(["gpt-4o-mini", "gpt-4o"], feedback=open_store(file)))


@pytest.mark.parametrize("how", ["patched", "setpriv"])
def test_without_a_home(how: str) -> None:
    """An account without HOME and without an entry in the list of users, as containers run under."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE / "src")}
    command = [sys.executable, "-c", NO_ENTRY]
    if how == "setpriv":
        if shutil.which("setpriv") is None or os.geteuid():
            pytest.skip("only root may become another user")
        command = ["setpriv", "--reuid", "54321", "--clear-groups", sys.executable, "-c", ROUTE]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd="/", check=False)
    assert ran.stdout == "gpt-4o\n", ran.stderr
    assert ran.stderr.count("there is no home folder") == 1
    assert len(ran.stderr.splitlines()) == 1
    folder = ran.stderr.partition("kept in ")[2].partition(" ")[0]
    assert not Path(folder).exists(), "the temporary folder goes with the process"


def test_the_cache_folder_alone_will_do(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "MODELSAT_CACHE_DIR": str(tmp_path / "cache")}
    ran = subprocess.run(
        [sys.executable, "-c", NO_ENTRY], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (ran.stdout, ran.stderr) == ("gpt-4o\n", "")


@pytest.mark.parametrize(
    "mounted",
    [
        "mount --bind / / && mount -o remount,bind,ro /",
        "mount -t tmpfs -o size=4k,mode=777 tmpfs {home} && head -c 4096 /dev/zero > {home}/full",
    ],
    ids=["read-only", "full"],
)
def test_where_nothing_can_be_written(mounted: str, tmp_path: Path) -> None:
    """A file system that is read-only, and a disk that is full: what is not in the package is encoded, not kept."""
    inside = mounted.format(home=tmp_path)
    inner = ["unshare", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*inner, inside], capture_output=True, check=False).returncode:
        pytest.skip("only root may mount")
    script = (
        "from modelsat import CapabilityProfile, Router\n"
        "mine = CapabilityProfile.from_benchmarks('mine', {'MMLU': 0.123, 'GSM8K': 0.2})\n"
        "print(Router(['gpt-4o', mine]).route('hi').model)"
    )
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*inner, f'{inside}; exec "$0" "$@"', sys.executable, "-c", script]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout == "gpt-4o\n", ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(ran.stderr.splitlines()) <= 1, "one warning"


class OfNumPy:
    """A policy that a user wrote with NumPy."""

    name = "numpy"

    def choose(self, candidates: Any, request: PolicyRequest) -> Choice:
        best: Scored = candidates[int(np.argmax([candidate.score for candidate in candidates]))]
        return Choice(best.name, "the largest", threshold=np.float64(0.5))


def foreign(value: Any, path: str = "decision") -> list[str]:
    """Where ``value`` holds anything that is not plain Python."""
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in foreign(inner, f"{path}.{key}")]
    if isinstance(value, (list, tuple)):
        return [found for inner in value for found in foreign(inner, path)]
    plain = value is None or type(value) in (str, bool, int, float)
    return [] if plain else [f"{path}: {type(value)}"]


def test_decisions_hold_plain_python_only(profiles: list[CapabilityProfile], tmp_path: Path) -> None:
    facts: Any = {"strong": {"input_usd_per_mtok": np.float64(3), "output_usd_per_mtok": np.float64(9)}}
    counted: Any = {"policy": OfNumPy(), "scorer": FakeScorer(), "facts": facts}
    decisions = [
        Router(profiles, **counted).route("hello"),
        Router(profiles, **counted, feedback=str(tmp_path / "feedback.sqlite")).route("hello"),
    ]
    learned = Router(profiles, **counted, feedback=str(tmp_path / "feedback.sqlite"))
    for _ in range(30):
        learned.feedback(learned.route("hello").id, 0.0)
    decisions.append(learned.route("hello"))
    for decision in decisions:
        assert foreign(decision.model_dump()) == []
        json.dumps(decision.model_dump())


SAME = {"InMemorySaver": "same", "SqliteSaver": "same"}


def test_a_decision_in_the_state_of_a_graph(tmp_path: Path) -> None:
    """Strictly, in another process since LangGraph reads the variable once."""
    pytest.importorskip("langgraph.checkpoint.sqlite", reason="needs langgraph-checkpoint-sqlite")
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"}
    script, file = str(Path(__file__).with_name("graph.py")), str(tmp_path / "state.sqlite")
    command = [sys.executable, "-W", "ignore", script, file]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=HERE, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"{SAME}\n"


@pytest.mark.filterwarnings("ignore")
def test_a_decision_in_the_state_of_a_graph_that_is_not_strict(tmp_path: Path) -> None:
    pytest.importorskip("langgraph.checkpoint.sqlite", reason="needs langgraph-checkpoint-sqlite")
    from tests.router.graph import kept

    assert kept(str(tmp_path / "state.sqlite")) == SAME


@pytest.mark.filterwarnings("ignore")
def test_a_decision_in_the_state_of_a_graph_in_postgresql(tmp_path: Path) -> None:
    pytest.importorskip("langgraph.checkpoint.postgres", reason="needs langgraph-checkpoint-postgres")
    if binary("initdb") is None:
        pytest.skip(MISSING)
    from tests.router.graph import kept

    with PostgreSQL("graphs") as server:
        assert kept(str(tmp_path / "state.sqlite"), server.url) == {**SAME, "PostgresSaver": "same"}


def test_a_decision_as_plain_data_comes_back_as_itself() -> None:
    decision = Router(["gpt-4o-mini", "gpt-4o", "o3"], **options()).route("hi")
    assert RoutingDecision.model_validate(decision.model_dump()) == decision
    assert RoutingDecision.model_validate_json(decision.model_dump_json()) == decision
    assert pickle.loads(pickle.dumps(decision)) == decision
