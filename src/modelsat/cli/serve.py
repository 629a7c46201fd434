"""``modelsat serve``: the router and the network behind HTTP."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelsat.cli.console import (
    ModelsOption,
    PolicyWeightsOption,
    ProfilesOption,
    RayAddressOption,
    RayOption,
    RulesOption,
    errors,
    examples,
    split_names,
)
from modelsat.errors import ConfigurationError, MissingDependencyError

if TYPE_CHECKING:
    from modelsat.server.settings import ServerSettings

EXAMPLES = examples(
    "modelsat serve --models gpt-5,claude-sonnet-4,Qwen3-8B",
    "MODELSAT_API_KEYS=$(cat key) modelsat serve --config server.yaml --host 0.0.0.0 --port 8080",
    'modelsat serve --models gpt-4o,gpt-4o-mini --policy "cheapest(target=0.8)" --fallback gpt-4o',
    "modelsat serve --models gpt-5,claude-sonnet-4 --ray --ray-address auto --replicas 2:16",
)
_NEEDED = ("fastapi", "uvicorn", "prometheus_client", "jinja2")


def serve(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE.yaml", help="Settings; options replace them.")
    ] = None,
    models: ModelsOption = None,
    profiles: ProfilesOption = None,
    policy: Annotated[str | None, typer.Option(help='How the choice is made; "best" if not given.')] = None,
    weights: PolicyWeightsOption = None,
    fallback: Annotated[str | None, typer.Option(help="Model that answers when routing fails.")] = None,
    rules: RulesOption = None,
    feedback: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Where feedback is kept: a file, or redis://host:port.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if not given.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; 8080 if not given, 0 takes a free one.")] = None,
    api_keys_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="API keys, one per line; or set MODELSAT_API_KEYS. Without keys, everyone is served."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Maximum prompts per pass of the network; 32 by default.")
    ] = None,
    batch_wait_ms: Annotated[
        float | None, typer.Option(help="Longest wait for further prompts before a pass, in ms; 0 by default.")
    ] = None,
    max_waiting: Annotated[
        int | None, typer.Option(help="Maximum prompts in flight, beyond which requests get 429; 256 by default.")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(metavar="URL", help="Address of another `modelsat serve` that holds the network.")
    ] = None,
    rate_limit: Annotated[float | None, typer.Option(help="Requests per second for each key or address.")] = None,
    log_decisions: Annotated[
        bool | None, typer.Option("--log-decisions/--no-log-decisions", help="One line per decision in the log; on.")
    ] = None,
    ui: Annotated[bool | None, typer.Option("--ui/--no-ui", help="The page under /, to try and watch; on.")] = None,
    ray: RayOption = False,
    ray_address: RayAddressOption = None,
    replicas: Annotated[
        str, typer.Option(metavar="MIN:MAX", help="Replicas of the network with --ray; more as its queue grows.")
    ] = "1:4",
) -> None:
    """Serve decisions and scores over HTTP (needs the extra "serve").

    The weights are loaded before the server listens. SIGTERM lets requests in flight finish.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise MissingDependencyError.for_extra(f"modelsat serve (without {', '.join(missing)} so far)", "serve")
    from modelsat.server.app import create_app
    from modelsat.server.run import bind
    from modelsat.server.run import serve as run
    from modelsat.server.settings import ServerSettings, read_settings

    # what is both an option and a setting, by its name
    given = {name: value for name, value in context.params.items() if name in ServerSettings.model_fields}
    settings = read_settings(config, {**given, "candidates": split_names(models) or None})
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if ray:
        _serve_on_ray(settings, ray_address, replicas)
        return
    with bind(settings) as listening:
        app = create_app(settings)
        listening.listen(2048)  # before it is said that it serves
        host_name, port_number = listening.getsockname()[:2]
        router = app.state.decider.router
        page = "  (with a page; --no-ui turns it off)" if settings.ui else ""
        _announce(
            f"serving {len(router.names)} candidates with {router.versions['weights']} on "
            f"http://{host_name}:{port_number}{page}"
        )
        run(app, settings, listening)


def _serve_on_ray(settings: ServerSettings, address: str | None, replicas: str) -> None:
    from modelsat.server.cluster.connection import connect
    from modelsat.server.run import bind
    from modelsat.storage.checkpoint import open_checkpoint

    least, _, most = replicas.partition(":")
    if not (least.isdigit() and (most or least).isdigit() and 1 <= int(least) <= int(most or least)):
        raise ConfigurationError(f"--replicas {replicas!r}: write MIN:MAX, e.g. 1:4")
    if address is None:  # what can be checked here is checked before a cluster is started
        open_checkpoint(settings.network)
        bind(settings).close()
    started = connect(address)
    from modelsat.server.cluster.application import RaySettings
    from modelsat.server.cluster.run import serve_on_ray

    cluster = RaySettings(min_replicas=int(least), max_replicas=int(most or least))
    serve_on_ray(settings, cluster, stay=started, say=_announce)


def _announce(text: str) -> None:
    errors().print(text, highlight=False, markup=False, soft_wrap=True)
