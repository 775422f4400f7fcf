"""The API keeps to its description, whatever it is asked: by schemathesis, over loopback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from lungsight.room.application import description
from room.conftest import png
from room.running import Running, running

#: Never ends, or takes seconds for each phantom.
_LEFT_OUT = ("/v1/events", "/v1/phantoms")
_CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("rooms") / "store", "--model", package) as room:
        for seed in range(3):
            room.ask(f"/v1/images?name={seed}.png", "POST", png(seed))
        room.until_done()
        yield room


SCHEMA = schemathesis.openapi.from_dict(description())
OPERATIONS = {
    f"{operation.method.upper()} {operation.path}": operation
    for operation in (result.ok() for result in SCHEMA.get_all_operations())
    if operation.path not in _LEFT_OUT
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_keeps_to_its_description(name: str, served: Running) -> None:
    known = served.ask("/v1/images")["images"]

    @given(case=OPERATIONS[name].as_strategy())
    @settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        if known and "image_id" in case.path_parameters and case.method != "DELETE":
            case.path_parameters["image_id"] = known[0]["id"]  # one that is there
        case.call_and_validate(base_url=served.address.rstrip("/"), checks=_CHECKS, timeout=60)

    ask()


def test_every_operation_and_key_is_described() -> None:
    api = description()
    operations = [operation for path in api["paths"].values() for operation in path.values()]
    assert len(operations) >= 22
    assert all(operation["description"] and operation["tags"] for operation in operations)
    for operation in operations:
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert set(errors) >= {"401", "421"}
        assert all(set(answer["content"]) == {"application/problem+json"} for answer in errors.values())
    assert all(schema.get("description") for schema in api["components"]["schemas"].values())
