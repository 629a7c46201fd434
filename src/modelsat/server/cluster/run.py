"""``modelsat serve --ray``: deploy, and stay if the cluster is our own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from modelsat.errors import ConfigurationError
from modelsat.server.cluster.application import NAME, RaySettings, application
from modelsat.server.settings import ServerSettings


def serve_on_ray(
    settings: ServerSettings, cluster: RaySettings, *, stay: bool, say: Callable[[str], None] = lambda text: None
) -> None:
    """Deploy on the cluster that this process is connected to.

    Deploying again with other weights or settings replaces the replicas one after the other, while the others answer.

    Args:
        settings: Settings of the server.
        cluster: How it spreads over the cluster.
        stay: Serve until SIGTERM or SIGINT, then end the application and the cluster; else leave them running.
        say: Told that it is up.

    Raises:
        ConfigurationError: The application did not come up.
    """
    import ray
    from ray import serve

    stop = _signals() if stay else threading.Event()
    try:
        deploy(settings, cluster)
        say(f"serving on Ray with {settings.network}, port {settings.port}")
        if stay:
            stop.wait()
    finally:
        if stay:
            serve.shutdown()
        ray.shutdown()


def deploy(settings: ServerSettings, cluster: RaySettings) -> None:
    """Run the application on the cluster that this process is connected to; returns once it answers.

    Raises:
        ConfigurationError: It did not come up, e.g. for unknown weights.
    """
    from ray import serve

    quiet = {"log_level": "WARNING", "enable_access_log": False}
    try:
        serve.start(http_options={"host": settings.host, "port": settings.port}, logging_config=quiet)
        serve.run(application(settings, cluster), name=NAME, route_prefix="/", logging_config=quiet)
    except RuntimeError as error:
        text = " ".join(str(error).split())
        raise ConfigurationError(f"the application did not come up on Ray: {text[-600:]}") from error


def _signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set, from now on."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    return stop
