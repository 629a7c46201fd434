"""``modelsat doctor``: what is wrong with a set-up, and what to do about it."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer
from rich.markup import escape
from rich.table import Column

from modelsat._files import read_yaml
from modelsat.cli.console import JSONOption, ProfilesOption, examples, grid, load_registry, output, say, split_names
from modelsat.errors import ConfigurationError, ModelSATError, UnknownModelError

if TYPE_CHECKING:
    from modelsat.capability.registry import Registry

EXAMPLES = examples(
    "modelsat doctor",
    "modelsat doctor config.yaml",
    "modelsat doctor --models openai/gpt-5,azure/my-deployment,ollama/qwen3:8b --json",
)
_PROMPTS = (
    "hi",
    "Write a Python function that merges two sorted lists.",
    "Prove that there are infinitely many primes congruent to 3 modulo 4.",
)
_USUAL = ("gpt-4o-mini", "gpt-5")
"""Decided between where no models are given."""
_SOON_DAYS = 60
State = Literal["ok", "warning", "error"]
_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "error": "bold red"}


class Finding(NamedTuple):
    """The result of a check; an ``error`` where requests cannot be routed as meant."""

    check: str
    state: State
    found: str
    todo: str = ""


def doctor(
    config: Annotated[
        Path | None, typer.Argument(metavar="[CONFIG.yaml]", help="A LiteLLM configuration; its models are checked.")
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--models", "-m", metavar="A,B,C", help="Models to check, as you call them.")
    ] = None,
    profiles: ProfilesOption = None,
    weights: Annotated[str, typer.Option(metavar="NAME|DIR", help="Weights to check.")] = "modelsat-nano",
    as_json: JSONOption = False,
) -> None:
    """Check a set-up: versions, cache folder, weights, registry, names and prices of models, and three decisions.

    Nothing is sent anywhere. Ends with 1 if something is an error, with 0 if there are warnings alone.
    """
    registry, extra = load_registry(profiles)
    names = dict.fromkeys([*split_names(models), *(profile.model for profile in extra)])
    if config is not None:
        names.update(dict.fromkeys(_configured(config)))
    about = list(_models(list(names), registry))
    usable = [finding.check for finding in about if finding.state != "error"]
    findings = [*_versions(), _cache(), _registry(), *about, *_decisions(usable, registry, weights)]
    if as_json:
        typer.echo(json.dumps([finding._asdict() for finding in findings], indent=2))
    else:
        _show(findings)
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)


def _configured(path: Path) -> list[str]:
    """Names of the models that a LiteLLM configuration calls; what their profiles are lent from goes before."""
    content = read_yaml(path, "a LiteLLM configuration")
    found: list[str] = []
    for included in content.get("include") or ():
        found += _configured(path.parent / str(included))
    for number, entry in enumerate(content.get("model_list") or (), 1):
        parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
        if not isinstance(parameters, dict) or not parameters.get("model"):
            raise ConfigurationError(f"{path}: entry {number} of model_list has no litellm_params.model")
        information = entry.get("model_info") or {}
        own = information.get("modelsat") or {}
        lent = own.get("profile") if isinstance(own, dict) else None
        found.append(str(lent or information.get("base_model") or parameters["model"]))
    if not found:
        raise ConfigurationError(f"{path} has no model_list: give the configuration of a LiteLLM proxy")
    return found


def _versions() -> Iterator[Finding]:
    """Every installed package against what this release asks for; a missing one counts where the base needs it."""
    from packaging.requirements import Requirement

    yield Finding("Python", "ok", f"{platform.python_version()}, modelsat {version('modelsat')}")
    met = []
    for requirement in map(Requirement, requires("modelsat") or ()):
        optional = "extra ==" in str(requirement.marker)
        if requirement.name == "modelsat" or (
            requirement.marker and not optional and not requirement.marker.evaluate()
        ):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            if not optional:
                yield Finding("packages", "error", f"{requirement.name} is missing", "pip install --upgrade modelsat")
            continue
        if requirement.specifier.contains(installed, prereleases=True):
            met.append(requirement.name)
        else:
            wanted = f"{requirement.name}{requirement.specifier}"
            state: State = "warning" if optional else "error"
            yield Finding("packages", state, f"{requirement.name} {installed}, not tested", f"pip install '{wanted}'")
    yield Finding("packages", "ok", f"{len(set(met))} installed packages are versions this release works with")


def _cache() -> Finding:
    from modelsat.storage.cache import ENVIRONMENT_VARIABLE, cache_directory

    folder = cache_directory()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            size = sum(entry.stat().st_size for entry in folder.rglob("*") if entry.is_file())
    except OSError as error:
        todo = f"name a folder that this user may write to in ${ENVIRONMENT_VARIABLE}"
        return Finding("cache folder", "warning", f"{folder} cannot be written: {error.strerror or error}", todo)
    return Finding("cache folder", "ok", f"{folder}, {size / 1e6:,.1f} MB")


def _registry() -> Finding:
    from modelsat.capability.registry import OLD_DAYS, Registry

    base = Registry.base()
    days = (date.today() - date.fromisoformat(base.date)).days
    found = f"{len(base):,} models, figures of {base.date}"
    if days > OLD_DAYS:
        return Finding("registry", "warning", f"{found}: {days} days old", "modelsat models update")
    return Finding("registry", "ok", found)


def _models(names: Sequence[str], registry: Registry) -> Iterator[Finding]:
    for name in names:
        identity, price = _identity(name, registry), _price(name)
        states: tuple[State, ...] = ("error", "warning", "ok")
        worst = next(state for state in states if state in (identity.state, price.state))
        todo = "; ".join(filter(None, (identity.todo, price.todo)))
        yield Finding(name, worst, f"{identity.found}, {price.found}", todo)


def _identity(name: str, registry: Registry) -> Finding:
    """Check that the registry knows a model, or can estimate it from a relative or its price."""
    from modelsat.candidates.candidate import estimated
    from modelsat.capability.efforts import split_effort

    try:
        return Finding(name, "ok", f"known as {registry.find(name).model}")
    except UnknownModelError:
        guess = estimated(split_effort(name)[0], registry)
    todo = f"say what it is (--like {name}=KNOWN; `modelsat models` lists what is known), or measure it (modelsat test)"
    if guess is None:
        return Finding(name, "error", "not known, and nothing to estimate it from", todo)
    return Finding(name, "warning", "not known: estimated", todo)


def _price(name: str) -> Finding:
    """Check that requests to a model have a price, and that its provider does not shut it down soon."""
    from modelsat.candidates import known_facts
    from modelsat.capability.efforts import split_effort

    facts = known_facts(split_effort(name)[0])
    if facts.input_usd_per_mtok is None or facts.output_usd_per_mtok is None:
        todo = "give input_usd_per_mtok and output_usd_per_mtok (facts=, --facts), or input_cost_per_token in LiteLLM"
        return Finding(name, "warning", "no price", todo)
    found = f"${facts.input_usd_per_mtok:g} and ${facts.output_usd_per_mtok:g} per million tokens"
    if facts.deprecated_on is not None:
        found += f", ends {facts.deprecated_on}"
        if (date.fromisoformat(facts.deprecated_on) - date.today()).days < _SOON_DAYS:
            return Finding(name, "warning", found, f"move to {facts.successor or 'a successor'}")
    return Finding(name, "ok", found)


def _decisions(names: Sequence[str], registry: Registry, weights: str) -> Iterator[Finding]:
    """Three prompts, from easy to hard, through the whole router."""
    from modelsat.router import Router

    chosen = list(names) if len(names) > 1 else list(dict.fromkeys([*names, *_USUAL]))
    try:
        router = Router(chosen, registry=registry, weights=weights, unknown_models="estimate")
        for prompt in _PROMPTS:
            decision = router.route(prompt)
            best = decision.scores[decision.model]
            shown = prompt if len(prompt) <= 40 else f"{prompt[:39]}…"
            found = f"{shown!r}: {decision.model}, P(success) {best:.2f}, {decision.elapsed_ms:.0f} ms"
            yield Finding("decision", "ok", found)
    except ModelSATError as error:
        yield Finding("decision", "error", " ".join(str(error).split()), "settle this first: no request is routed so")


def _show(findings: Sequence[Finding]) -> None:
    table = grid(Column(no_wrap=True), Column(no_wrap=True), Column(overflow="fold"), show_header=False)
    for finding in findings:
        table.add_row(f"[{_STYLES[finding.state]}]{finding.state}[/]", escape(finding.check), escape(finding.found))
        if finding.todo:
            table.add_row("", "", f"[bold]→ {escape(finding.todo)}[/]")
    output().print(table)
    worth = sum(bool(finding.todo) for finding in findings)
    say(f"\n{worth} things to do" if worth else "\nNothing to do.")
