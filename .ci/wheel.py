"""Check what a wheel holds and what PyPI will show:  python .ci/wheel.py WHEEL  (needs readme_renderer[md])."""

from __future__ import annotations

import re
import sys
import zipfile
from email import message_from_string
from fnmatch import fnmatch
from pathlib import Path

from readme_renderer.markdown import render

ROOT = Path(__file__).resolve().parents[1]
LIMIT_MB = 60
DATA = (
    "*/py.typed",
    "modelsat/candidates/data/*.json",
    "modelsat/capability/data/*.json",
    "modelsat/capability/data/registry.jsonl",
    "modelsat/cli/data/*.json",
    "modelsat/lab/evaluation/templates/*.j2",
    "modelsat/request/data/*.json",
    "modelsat/router/data/selection.json",
    "modelsat/server/page/static/*.css",
    "modelsat/server/page/static/*.js",
    "modelsat/server/page/static/htmx.LICENSE",
    "modelsat/server/page/static/icon.svg",
    "modelsat/server/page/templates/*.j2",
    "modelsat/weights/modelsat-nano/MANIFEST.json",
    "modelsat/weights/modelsat-nano/README.md",
    "modelsat/weights/modelsat-nano/capabilities.safetensors",
    "modelsat/weights/modelsat-nano/config.json",
    "modelsat/weights/modelsat-nano/fields.safetensors",
    "modelsat/weights/modelsat-nano/model.onnx",
    "modelsat/weights/modelsat-nano/psi.onnx",
    "modelsat/weights/modelsat-nano/tokenizer.json",
    "modelsat-*.dist-info/*",
)
"""What is in the wheel besides modules."""


def contents(names: list[str]) -> list[str]:
    """What is wrong with the names of the files."""
    modules = [name for name in names if re.match(r"(modelsat|langchain_modelsat|litellm_modelsat)/.*\.py$", name)]
    rest = sorted(set(names) - set(modules))
    strangers = [f"{name} does not belong into the wheel" for name in rest if not any(fnmatch(name, p) for p in DATA)]
    missing = [f"the wheel lacks {p}" for p in DATA if not any(fnmatch(name, p) for name in rest)]
    return strangers + missing


def page(description: str) -> list[str]:
    """What is wrong with the page on PyPI."""
    html = render(description)
    if html is None:
        return ["PyPI would not render README"]
    links = re.findall(r'(?:href|src)="(.*?)"', html)
    pictures = re.findall(r'<img[^>]* src="(.*?)"', html)
    found = [f"PyPI's page has the relative link {link}" for link in links if not link.startswith(("https://", "#"))]
    return found + ([] if pictures else ["PyPI's page shows no picture"])


def versions(version: str) -> list[str]:
    """Files that name another version."""
    places = {
        "CITATION.cff": rf"^version: {re.escape(version)}$",
        "CHANGELOG.md": rf"^## \[{re.escape(version)}\]",
        "deploy/helm/modelsat/Chart.yaml": rf"^appVersion: {re.escape(version)}$",
    }
    texts = {place: (ROOT / place).read_text("utf-8") for place in places}
    return [
        f"{place} does not name {version}" for place, line in places.items() if not re.search(line, texts[place], re.M)
    ]


def main() -> None:
    """Print what the wheel is, and stop if something is wrong."""
    path = Path(sys.argv[1])
    with zipfile.ZipFile(path) as wheel:
        names = wheel.namelist()
        named = next(name for name in names if name.endswith("/METADATA"))
        metadata = message_from_string(wheel.read(named).decode("utf-8"))
    size = path.stat().st_size / 1e6
    sys.stdout.write(f"{path.name}: {size:.1f} MB, {len(names)} files\n")
    wrong = contents(names) + page(str(metadata.get_payload())) + versions(metadata["Version"])
    if size > LIMIT_MB:
        wrong.append(f"the wheel is larger than {LIMIT_MB} MB")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
