"""The examples of traces, run as a reader would, against a collector on the loopback interface."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs an exporter of OTLP")
pytest.importorskip("langchain_openai")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.loopback import LoopbackServer

EXAMPLES = Path(__file__).parents[1] / "examples"
BATCHES = {
    "use_multipart_endpoint": False,
    "size_limit": 100,
    "size_limit_bytes": 20_000_000,
    "scale_up_nthreads_limit": 2,
    "scale_up_qsize_trigger": 1000,
    "scale_down_nempty_trigger": 4,
}
"""How LangSmith wants runs: in batches of JSON."""
KEYS = {"LANGFUSE_PUBLIC_KEY": "pk-lf-1", "LANGFUSE_SECRET_KEY": "sk-lf-2"}


class Collector(LoopbackServer):
    """Takes spans by OTLP, and runs as LangSmith does.

    Attributes:
        spans: Name and attributes of every span, by the path that it came to.
        headers: The headers that came with them, by path.
        runs: LangSmith's runs, by id; what came later is added.
    """

    def __init__(self) -> None:
        self.spans: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        super().__init__(_Handler)

    @property
    def address(self) -> str:
        """The address without a path."""
        return self.url.removesuffix("/v1")


class _Handler(BaseHTTPRequestHandler):
    state: Collector

    def do_GET(self) -> None:
        self._answer({"batch_ingest_config": BATCHES})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if "traces" in self.path:
            found = self.state.spans.setdefault(self.path, [])
            self.state.headers[self.path] = {name.lower(): value for name, value in self.headers.items()}
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    found += [(span.name, {a.key: _value(a.value) for a in span.attributes}) for span in scope.spans]
        else:
            content = json.loads(body)
            for run in (*content.get("post", ()), *content.get("patch", ())):
                self.state.runs.setdefault(run["id"], {}).update({k: v for k, v in run.items() if v is not None})
        self._answer({})

    def _answer(self, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    found = getattr(value, kind)
    return [_value(entry) for entry in found.values] if kind == "array_value" else found


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector that has heard all examples, which ran at the same time."""
    folder = tmp_path_factory.mktemp("examples")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "LANGFUSE_", "LANGSMITH_", "LANGCHAIN_"))}
    kept |= {"MODELSAT_CACHE_DIR": str(folder), "MODELSAT_THREADS": "1"}
    with Collector() as running:
        own = {
            "trace_otlp": {"OTEL_EXPORTER_OTLP_ENDPOINT": running.address},
            "trace_langfuse": {"LANGFUSE_HOST": running.address, **KEYS},
            "trace_langsmith": {
                "LANGSMITH_TRACING": "true",
                "LANGSMITH_ENDPOINT": running.address,
                "LANGSMITH_API_KEY": "lsv2-none",
                "LANGSMITH_DISABLE_RUN_COMPRESSION": "true",
            },
        }
        with ExitStack() as stack:
            started = {name: stack.enter_context(_example(name, {**kept, **own[name]})) for name in own}
            for name, process in started.items():
                said, _ = process.communicate(timeout=120)
                assert process.returncode == 0, f"{name}: {said}"
                assert "Traceback" not in said, f"{name}: {said}"
        yield running


@contextmanager
def _example(name: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(EXAMPLES / f"{name}.py")]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def test_otlp_gets_a_span_for_every_decision(collector: Collector) -> None:
    routed = [said for name, said in collector.spans["/v1/traces"] if name == "modelsat.route"]
    assert len(routed) == 2
    assert {said["gen_ai.conversation.id"] for said in routed} == {"conversation-1"}
    assert all(said["gen_ai.request.model"] in said["modelsat.candidates"] for said in routed)
    assert all(0 < said["modelsat.score"] < 1 for said in routed)
    assert "Australia" not in str(collector.spans), "no prompt"


def test_langfuse_gets_what_it_reads(collector: Collector) -> None:
    path = "/api/public/otel/v1/traces"
    ((_, said),) = [entry for entry in collector.spans[path] if entry[0] == "modelsat.route"]
    assert said["session.id"] == "conversation-1"
    assert said["openinference.span.kind"] == "CHAIN"
    assert said["gen_ai.request.model"]
    keys = base64.b64encode(b"pk-lf-1:sk-lf-2").decode()
    assert collector.headers[path]["authorization"] == f"Basic {keys}"
    ((_, whole),) = [entry for entry in collector.spans[path] if entry[0] != "modelsat.route"]
    assert whole["langfuse.trace.name"] == "support"


def test_langsmith_gets_the_router_and_below_it_the_model(collector: Collector) -> None:
    runs = list(collector.runs.values())
    (root,) = [run for run in runs if not run.get("parent_run_id")]
    assert root["name"] == "support"
    assert root["extra"]["metadata"]["thread_id"] == "conversation-1"
    below = {run["name"]: run for run in runs if run.get("parent_run_id") == root["id"]}
    assert set(below) == {"ModelSATSelector", "ChatOpenAI"}
    asked = below["ChatOpenAI"]["extra"]["metadata"]
    assert asked["modelsat_route"] == asked["ls_model_name"]
    assert asked["modelsat_decision"]
    assert root["run_type"] == "chain", "its tokens are counted once, below"
    assert "routing_decision" in json.dumps(root["outputs"])
