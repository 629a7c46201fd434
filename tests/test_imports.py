"""Importing the package stays light, and its exports resolve."""

from __future__ import annotations

import subprocess
import sys

import pytest

import modelsat

HEAVY = ("torch", "transformers", "langchain", "langchain_core", "onnxruntime", "ray", "sklearn", "pandas")


def loaded_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after ``statement``."""
    script = f"{statement}\nimport sys\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_import_modelsat_loads_next_to_nothing() -> None:
    loaded = loaded_after("import modelsat")
    assert loaded.isdisjoint({*HEAVY, "numpy", "pydantic", "pyarrow"})


@pytest.mark.parametrize(
    "statement", ["from modelsat import Router, RoutingDecision, CapabilityProfile", "import modelsat.router"]
)
def test_the_router_loads_no_network_and_no_framework(statement: str) -> None:
    assert loaded_after(statement).isdisjoint(HEAVY)


def test_a_router_of_profiles_is_built_without_the_network() -> None:
    statement = (
        "from modelsat import CapabilityProfile, Router\n"
        "Router([CapabilityProfile.from_benchmarks('a', {'MMLU': 0.5})]).names"
    )
    assert loaded_after(statement).isdisjoint(HEAVY)


def test_every_export_resolves() -> None:
    for name in modelsat.__all__:
        assert getattr(modelsat, name) is not None
    assert set(modelsat.__all__) <= set(dir(modelsat))


def test_version() -> None:
    assert modelsat.__version__.split(".")[0].isdigit()


def test_an_unknown_export_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Rooter'"):
        _ = modelsat.Rooter
