"""What an import brings in, and what is said where something is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import langchain_modelsat


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_import_is_light() -> None:
    heavy = ("torch", "transformers", "onnxruntime", "langchain_core", "langchain", "langgraph", "numpy")
    loaded = run(f"import langchain_modelsat, sys; print([name for name in {heavy!r} if name in sys.modules])")
    assert loaded.strip() == "[]"


def test_the_router_needs_no_network_to_be_imported() -> None:
    heavy = ("torch", "onnxruntime", "tokenizers")
    code = (
        f"from langchain_modelsat import ModelSATRouter; import sys; print([n for n in {heavy!r} if n in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_every_name_can_be_imported() -> None:
    for name in langchain_modelsat.__all__:
        assert getattr(langchain_modelsat, name) is not None
    assert {*langchain_modelsat.__all__, "ModelSATDecisionModel"} <= set(dir(langchain_modelsat))


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = langchain_modelsat.Nonsense


@pytest.mark.parametrize("missing", ["langchain", "langchain_core"])
def test_a_missing_package_is_named(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from modelsat.errors import MissingDependencyError\n"
        "try:\n    from langchain_modelsat import ModelSATMiddleware\n"
        "except MissingDependencyError as error:\n    print(error)"
    )
    assert run(code).strip() == 'ModelSATMiddleware needs an optional dependency: pip install "modelsat[langchain]"'
