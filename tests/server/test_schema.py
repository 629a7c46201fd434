"""Schemathesis against the OpenAPI description: nothing that fits or misses it is answered with a 5xx."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.server.conftest import Served

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")

EXAMPLES = {"/v1/route": 60, "/v1/score": 60, "/v1/feedback": 30}
"""Requests for each endpoint that takes a body; the others get a few."""
QUICK = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def description(served: Served) -> Any:
    return schemathesis.openapi.from_url(f"{served.address}/openapi.json")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_as_described(description: Any, mode: Any) -> None:
    from schemathesis.specs.openapi import checks

    # What a schema cannot say: conversations need a user, and bodies may be too large before they are looked into.
    beyond = [checks.positive_data_acceptance, checks.negative_data_rejection]
    operations = [result.ok() for result in description.get_all_operations()]
    assert len(operations) == 7
    for operation in operations:
        if mode is schemathesis.GenerationMode.NEGATIVE and operation.path not in EXAMPLES:
            continue

        @settings(max_examples=EXAMPLES.get(operation.path, 3), **QUICK)
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case: Any) -> None:
            case.call_and_validate(excluded_checks=beyond)

        check()
