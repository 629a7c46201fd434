"""As a user has it: processes of their own, HF_ENDPOINT and a token in the environment; the examples of docs/hub.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelsat import ProfileStore
from modelsat.storage.checkpoint import locate
from tests.fakes import make_profile
from tests.hub_server import FakeHub

DOCS = Path(__file__).parents[2] / "docs" / "hub.md"


def modelsat(hub: FakeHub, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_writer", "HF_HUB_DISABLE_XET": "1", **variables}
    command = [sys.executable, "-m", "modelsat", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, **given})


def test_weights_of_a_process(hub: FakeHub) -> None:
    pushed = modelsat(hub, "weights", "push", locate("modelsat-nano"), "org/nano", "--private")
    assert pushed.returncode == 0, pushed.stderr
    pinned = pushed.stdout.split()[-1]
    arguments = ("route", "What is 17 * 23?", "--models", "gpt-5,gpt-4o-mini", "--weights", pinned)
    routed = modelsat(hub, *arguments)
    assert routed.returncode == 0, routed.stderr
    assert "Traceback" not in pushed.stderr + routed.stderr
    offline = modelsat(hub, *arguments, HF_HUB_OFFLINE="1", HF_TOKEN="")
    assert offline.returncode == 0, offline.stderr
    nobody = modelsat(hub, "weights", "download", "org/nano@v9", HF_TOKEN="hf_nobody")
    assert nobody.returncode == 2
    assert "token was not accepted" in nobody.stderr
    assert "Traceback" not in nobody.stderr


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's, on uploads
@pytest.mark.parametrize("block", blocks(), ids=lambda block: re.sub(r"\W+", "-", block)[:40])
def test_the_examples_run(hub: FakeHub, monkeypatch: pytest.MonkeyPatch, block: str) -> None:
    if "ModelSATModel" in block:
        pytest.importorskip("torch", reason="needs the extra 'torch'")
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    commit = hub.repository(
        "org/my-router", {path.name: path.read_bytes() for path in locate("modelsat-nano").iterdir()}
    )
    hub.repositories["model", "org/my-router"].names["v1"] = commit
    store = ProfileStore.default()
    shared = store.save(make_profile("some-model")).read_bytes()
    store.delete("some-model")
    profiles = hub.repository("org/profiles", {"profiles/some-model.json": shared}, kind="dataset")
    exec(block.replace("5f0c9a...", profiles), {})
