"""Settings of the server, from a YAML file and options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from modelsat._files import read_yaml
from modelsat.errors import ConfigurationError
from modelsat.policies.resolve import weights_for
from modelsat.router.config import RouterConfig


class ServerSettings(RouterConfig):
    """Everything ``modelsat serve`` takes; every field may stand in the YAML file, most are options too.

    What decides has the names and meanings of :class:`~modelsat.RouterConfig`: ``policy``, ``constraints``,
    ``fallback``, ``strict``, ``weights``, ``scorer`` (another ``modelsat serve`` that holds the network, for servers
    that only decide), ``feedback`` (``/v1/feedback`` answers 409 without it) and ``cache_dir``.

    Attributes:
        candidates: Model names, or ``{name of the choice: model name}``; every profile of ``profiles`` if not given.
        profiles: JSON file with capability profiles of your own; they override shipped ones.
        facts: What is known of candidates (prices, context window, ...), by candidate.
        cache: Whether the scores of a text are kept for ten minutes.
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        api_keys_file: File with one API key a line; keys may also stand in ``$MODELSAT_API_KEYS``, comma-separated.
        max_head_bytes: Largest head of a request, its path and headers.
        max_body_bytes: Largest request body.
        trusted_proxies: Addresses of proxies whose ``X-Forwarded-For`` says who asks, comma-separated; none by default,
            so that nobody escapes the rate limit by a header.
        max_prompts: Most prompts of one request to ``/v1/score``.
        rate_limit: Requests a second for each key (for each address, without keys); unlimited if not given.
        rate_burst: Requests that may come at once, above ``rate_limit``; twice the limit if not given.
        request_timeout_s: Seconds after which a request is answered with 504.
        body_timeout_s: Seconds a client may take to send a head or a body.
        keep_alive_s: Seconds an idle connection is kept.
        shutdown_timeout_s: Seconds that requests in flight have to finish after SIGTERM.
        max_waiting: Prompts in flight above which requests are answered with 429.
        batch_size: Most prompts of one pass of the network.
        batch_wait_ms: Longest wait for company while the network is idle.
        threads: Decisions that are worked on at the same time.
        log_decisions: Write one line a decision to the log; prompts are never in it.
        metrics: Serve Prometheus metrics under ``/metrics``.
        docs: Serve the documentation under ``/docs``.
        ui: Serve the page under ``/``.
        ui_weights: Names or folders of weights that the page tries and replays requests with, besides the server's own
            and modelsat-nano.
        ui_tests: Whether the page starts aptitude tests, which call models with this server's keys; by default where it
            listens on the loopback interface alone.
        ui_questions: Parquet file with the questions of those tests, in the columns of MMLU-Pro; the data set on the
            Hub if not given.
    """

    label: ClassVar[str] = "settings of the server"

    candidates: list[str] | dict[str, str] = Field(default_factory=list)
    profiles: Path | None = None
    facts: dict[str, dict[str, Any]] | None = None
    cache: bool = True
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    api_keys_file: Path | None = None
    max_head_bytes: int = Field(default=1 << 16, ge=1024)
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    trusted_proxies: str = ""
    max_prompts: int = Field(default=256, ge=1)
    rate_limit: float | None = Field(default=None, gt=0)
    rate_burst: int | None = Field(default=None, ge=1)
    request_timeout_s: float = Field(default=10.0, gt=0)
    body_timeout_s: float = Field(default=10.0, gt=0)
    keep_alive_s: int = Field(default=5, ge=1)
    shutdown_timeout_s: int = Field(default=30, ge=1)
    max_waiting: int = Field(default=256, ge=1)
    batch_size: int = Field(default=32, ge=1)
    batch_wait_ms: float = Field(default=0.0, ge=0, le=1000)
    threads: int = Field(default=64, ge=1)
    log_decisions: bool = True
    metrics: bool = True
    docs: bool = True
    ui: bool = True
    ui_weights: list[str] = Field(default_factory=list)
    ui_tests: bool | None = None
    ui_questions: Path | None = None

    @model_validator(mode="after")
    def _has_candidates(self) -> ServerSettings:
        if not self.candidates and self.profiles is None:
            raise ValueError("there are no candidates: give --models gpt-5,claude-sonnet-4 or --profiles FILE.json")
        return self

    @property
    def network(self) -> str:
        """Name or folder of the weights: those given, or those that the policy file was fitted to, or modelsat-nano."""
        return str(weights_for(self.weights, self.policy))


def read_settings(path: Path | None, options: Mapping[str, Any]) -> ServerSettings:
    """Settings from a YAML file, replaced by the options that are not ``None``.

    Raises:
        ConfigurationError: The file is missing or not a YAML mapping, or a setting is unknown or makes no sense; the
            message names it.
    """
    content = {} if path is None else read_yaml(path, hint="one a line: `candidates: [gpt-5, claude-sonnet-4]`")
    content.update({name: value for name, value in options.items() if value is not None})
    where = f"{path} and the options" if path is not None else "the options"
    return ServerSettings.of(content, f"{ServerSettings.label} ({where})")


def api_keys(settings: ServerSettings) -> tuple[str, ...]:
    """The API keys that the server accepts; none lets everyone in.

    Raises:
        ConfigurationError: The file cannot be read, or holds no key.
    """
    keys = [key.strip() for key in os.environ.get("MODELSAT_API_KEYS", "").split(",")]
    path = settings.api_keys_file
    if path is not None:
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeError) as error:
            raise ConfigurationError(f"cannot read API keys from {path}: {type(error).__name__}") from None
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            raise ConfigurationError(f"{path} holds no API key: write one a line")
        keys.extend(found)
    return tuple(dict.fromkeys(key for key in keys if key))
