"""The files in ``deploy``, as far as they can be checked without a container engine or a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from modelsat.server import ServerSettings

yaml = pytest.importorskip("yaml", reason='needs the extra "serve"')

DEPLOY = Path(__file__).parents[2] / "deploy"
GROUP = {"rayStartParams", "template"}
# Fields of RayService by KubeRay's own types (rayservice_types.go and raycluster_types.go of ray.io/v1); not its CRD.
CLUSTER = {
    "headGroupSpec",
    "workerGroupSpecs",
    "rayVersion",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headServiceAnnotations",
    "suspend",
}
WORKERS = GROUP | {"groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "scaleStrategy"}
HEAD = GROUP | {"serviceType", "headService", "enableIngress"}


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text("utf-8"))


def test_the_ray_service_has_the_fields_of_its_types() -> None:
    manifest = read("kuberay.yaml")
    assert (manifest["apiVersion"], manifest["kind"]) == ("ray.io/v1", "RayService")
    assert set(manifest["spec"]) <= {"serveConfigV2", "rayClusterConfig", "serveService"}
    cluster = manifest["spec"]["rayClusterConfig"]
    assert set(cluster) <= CLUSTER
    head, workers = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert GROUP <= set(head) <= HEAD
    for group in workers:
        assert GROUP | {"groupName", "minReplicas", "maxReplicas"} <= set(group) <= WORKERS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (head, *workers):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        assert [container["image"] for container in group["template"]["spec"]["containers"]] == ["modelsat-ray:latest"]


def test_the_serve_config_is_one_that_ray_accepts() -> None:
    schema = pytest.importorskip("ray.serve.schema", reason='needs the extra "ray"')
    from modelsat.server.cluster.application import NAME, RaySettings

    manifest = read("kuberay.yaml")
    config = schema.ServeDeploySchema(**yaml.safe_load(manifest["spec"]["serveConfigV2"]))
    (application,) = config.applications
    assert application.name == NAME
    ServerSettings.of(application.args["settings"])
    cluster = RaySettings(**application.args["ray"])
    pods = manifest["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]
    cpus = pods["maxReplicas"] * int(pods["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    assert cluster.max_replicas * cluster.replica_cpus <= cpus, "the workers hold every replica"


def test_the_image_is_slim_without_root_and_without_torch() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    last = text[text.rindex("FROM ") :]
    assert "-slim" in last.splitlines()[0]
    assert "\nUSER 10001\n" in last
    assert "ARG EXTRA=serve\n" in text
    assert "torch" not in text.replace("no torch", "")
    assert "weights/*/model.safetensors" in (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8")


def test_compose_holds_no_secret_and_names_what_is_there() -> None:
    compose = read("compose.yaml")
    services = compose["services"]
    assert set(services) == {"scorer", "litellm", "prometheus", "grafana"}
    for service in services.values():
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).resolve().is_file()
        for volume in service.get("volumes", ()):
            assert (DEPLOY / volume.partition(":")[0]).is_file()
        for value in service.get("environment", {}).values():
            assert value.startswith("${") or value in ("true", "false"), "given from outside"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert read("litellm.yaml")["litellm_settings"]["modelsat"]["scorer"] == "http://scorer:8080"
    proxy = next(job for job in read("prometheus.yaml")["scrape_configs"] if job["job_name"] == "litellm")
    (secret,) = services["prometheus"]["secrets"]
    assert proxy["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
    assert compose["secrets"] == {secret: {"environment": "LITELLM_MASTER_KEY"}}
    assert {entry["source"] for entry in services["grafana"]["configs"]} == set(compose["configs"])
    provider = yaml.safe_load(compose["configs"]["grafana_dashboards"]["content"])["providers"][0]
    (board,) = services["grafana"]["volumes"]
    assert board.split(":")[1].startswith(provider["options"]["path"])
    source = yaml.safe_load(compose["configs"]["grafana_source"]["content"])["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    targets = {t for job in read("prometheus.yaml")["scrape_configs"] for t in job["static_configs"][0]["targets"]}
    assert targets == {"scorer:8080", "litellm:4000"}


def test_every_alert_is_of_a_metric_that_there_is_and_is_documented() -> None:
    from litellm_modelsat.records import COUNTERS, PREFIX
    from modelsat.feedback.loop import FeedbackState
    from modelsat.server.metrics import FeedbackCollector, Metrics

    metrics = Metrics()
    state = FeedbackState("store", None, 0, 0, 0, 0, 0, 0, 1.0, 0, ())
    metrics.registry.register(FeedbackCollector(lambda: state))
    known = set(re.findall(r"^# TYPE (\w+)", metrics.text().decode(), re.M)) | {"up"}
    known |= {f"{name}_bucket" for name in known} | {f"{PREFIX}_{name}_total" for name in COUNTERS}
    known |= {"modelsat_drifts_total"}
    alerts = read("helm/modelsat/files/alerts.yaml")["groups"][0]["rules"]
    operations = (DEPLOY.parent / "docs" / "operations.md").read_text("utf-8")
    for alert in alerts:
        named = set(re.findall(r"\b(?:litellm_)?modelsat_\w+|\bup\b", re.sub(r'"[^"]*"', "", alert["expr"])))
        assert named, alert["alert"]
        assert named <= known, alert["alert"]
        assert f"`{alert['alert']}`" in operations


def test_the_charts_values_are_those_that_its_templates_read() -> None:
    chart = DEPLOY / "helm" / "modelsat"
    values = yaml.safe_load((chart / "values.yaml").read_text("utf-8"))
    templates = {file.name: file.read_text("utf-8") for file in (chart / "templates").iterdir()}
    read_there = set(re.findall(r"\.Values\.(\w+(?:\.\w+)*)", "\n".join(templates.values())))
    whole = {"settings", "rules", "replicas", "resources", "nodeSelector", "tolerations", "affinity"}
    given = {name for name in values if name in whole}
    given |= {f"{name}.{part}" for name, entry in values.items() if name not in whole for part in entry}
    assert read_there == given
    ServerSettings.of(values["settings"])
    mounts = set(re.findall(r"name: (\w+), mountPath", templates["deployment.yaml"]))
    assert mounts == set(re.findall(r"^        - name: (\w+)$", templates["deployment.yaml"], re.M)) - {"modelsat"}
    for name, text in templates.items():
        opened, closed = (
            len(re.findall(r"{{-? *" + word + r"\b", text)) for word in ("(?:if|with|range|define)", "end")
        )
        assert opened == closed, name
    assert (chart / "files" / "alerts.yaml").is_file()


def test_the_chart_is_checked_by_the_workflow_with_pinned_versions() -> None:
    workflow = yaml.safe_load((DEPLOY.parent / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    job = workflow["jobs"]["chart"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+", job["env"]["KUBECONFORM"])
    assert re.fullmatch(r"v\d+\.\d+\.\d+", job["steps"][1]["with"]["version"])
    assert job["steps"][-1]["run"] == "scripts/chart"
    assert os.access(DEPLOY.parent / "scripts" / "chart", os.X_OK)


def test_the_chart_is_one_that_helm_accepts_and_its_settings_are_ours() -> None:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("needs helm on the PATH")
    chart = str(DEPLOY / "helm" / "modelsat")
    keys = ["--set", "apiKeys.existingSecret=keys,monitoring.alerts=true,monitoring.serviceMonitor=true"]
    subprocess.run([helm, "lint", "--strict", chart, *keys], check=True, capture_output=True)
    made = subprocess.run([helm, "template", "r", chart, *keys], check=True, capture_output=True, text=True).stdout
    documents = {document["kind"]: document for document in yaml.safe_load_all(made) if document}
    settings = yaml.safe_load(documents["ConfigMap"]["data"]["server.yaml"])
    assert ServerSettings.of(settings).feedback["store"] == "/var/lib/modelsat/feedback.sqlite"
    assert documents["PrometheusRule"]["spec"]["groups"][0]["rules"]
    refused = subprocess.run([helm, "template", "r", chart], capture_output=True, text=True, check=False)
    assert "set apiKeys.existingSecret" in refused.stderr
