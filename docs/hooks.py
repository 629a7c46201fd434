"""What MkDocs makes of this folder besides its pages: generated reference, links into the repository.

* ``changelog.md``, ``reference/cli.md`` and ``reference/settings.md`` are written from ``CHANGELOG.md``, from the
  command line itself and from the settings' own classes.
* A notebook becomes a page: its text, its code, and the output that ``scripts/notebooks`` kept.
* A link that leaves this folder (``../CONTRIBUTING.md``) becomes one to the repository; a missing file is a warning,
  which fails a strict build.
* The roles of docstrings (``:class:`~modelsat.Router```) become links, where the reference has the name.
"""

from __future__ import annotations

import inspect
import json
import logging
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from griffe import Docstring, DocstringSectionKind
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click
from typer.main import get_command

from litellm_modelsat.settings import GroupSettings, ModelSettings
from litellm_modelsat.settings import Settings as ProxySettings
from modelsat import RouterConfig
from modelsat.cli import app
from modelsat.request import Constraints
from modelsat.server.settings import ServerSettings

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page
    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/modelsat/modelsat/blob/main"
SETTINGS = (
    ("Router", RouterConfig, "Keyword arguments of `Router`, `ModelSATRouter` and `ModelSATMiddleware`."),
    ("Constraints", Constraints, "The fields of `constraints`, in Python and in YAML."),
    ("Server", ServerSettings, "Keys of the YAML file of `modelsat serve --config`, besides those of the router."),
    ("LiteLLM", ProxySettings, "Keys under `litellm_settings.modelsat` of LiteLLM's configuration."),
    ("LiteLLM: a group", GroupSettings, "Keys under `groups.NAME`, or `routing_strategy_args`."),
    ("LiteLLM: a deployment", ModelSettings, "Keys under `model_info.modelsat` of a deployment."),
)
_LINK = re.compile(r"(?<=\]\()((?:\.\./)+[^)#\s]+)(?=[)#])")
_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):<code>~?([\w.]+)</code>")
_log = logging.getLogger("mkdocs.hooks.modelsat")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and a page in place of each notebook."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8").replace("](docs/", "](")
    pages = {"changelog.md": changelog, "reference/cli.md": _commands(), "reference/settings.md": _settings()}
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        pages[notebook.src_uri.replace(".ipynb", ".md")] = _notebook(notebook.content_string)
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn links that leave the folder into links to the repository."""
    folder = posixpath.dirname(f"docs/{page.file.src_uri}")

    def target(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        if path.startswith("docs/"):
            return match[1]
        if path.startswith("..") or not (ROOT / path).exists():
            _log.warning("%s links to %s, which the repository does not hold", page.file.src_uri, match[1])
        return f"{REPOSITORY}/{path}"

    return _LINK.sub(target, markdown).replace(".ipynb)", ".md)")


def on_page_content(html: str, **_: Any) -> str:
    """Turn the roles of docstrings into links; a name without an entry stays code."""

    def link(role: re.Match[str]) -> str:
        module, _, name = role[1].rpartition(".")
        code = f"<code>{name}</code>"
        return f'<autoref identifier="{role[1]}" optional>{code}</autoref>' if module else code

    return _ROLE.sub(link, html)


def _notebook(text: str) -> str:
    parts = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        parts.append(f"```python\n{source}\n```" if cell["cell_type"] == "code" else source)
        shown = "".join("".join(output.get("text", "")) for output in cell.get("outputs", ()))
        if shown.strip():
            parts.append(f"```text\n{shown.rstrip()}\n```")
    return "\n\n".join(parts)


def _commands() -> str:
    """Every command with its options, as Typer itself documents them."""
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=command.make_context("modelsat", ["--help"], resilient_parsing=True))
    text = text.replace("# `modelsat`", "# Command line\n\nEvery command, as `--help` shows it.", 1)
    return re.sub(r"\[(?:/|/?(?:bold|dim))\]", "", text)


def _settings() -> str:
    lines = ["# Settings", "", "Every option, its default and its meaning, from the classes that check them."]
    for title, model, where in SETTINGS:
        lines += ["", f"## {title}", "", where, ""]
        described = _described(model)
        for name, field in model.model_fields.items():
            if name in described:
                default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
                lines += [f"`{name}`", f":   {described[name]}  ", f"    Default: `{default}`", ""]
    return "\n".join(lines)


def _described(model: type[BaseModel]) -> dict[str, str]:
    """What a class's docstring says of its fields."""
    sections = Docstring(inspect.getdoc(model) or "", parser="google").parsed
    found = [section.value for section in sections if section.kind is DocstringSectionKind.attributes]
    return {entry.name: " ".join(entry.description.split()) for section in found for entry in section}
