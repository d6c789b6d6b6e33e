"""Whatever is sent to the API, it answers with something that its OpenAPI document tells of, and never with 5xx."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.tokens import Role
from tests.command import running
from tests.over_http import Asker, application, tokens_for

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOKENS: dict[Role, str] = {}
KNOWN: list[str] = []  # receipts of real cases, each in another stage


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    data = tmp_path_factory.mktemp("fuzz") / "data"
    TOKENS.update(tokens_for(data))
    with running(data, "--http", 0) as up:
        desk = Asker(up.http, TOKENS["desk"])
        for stages in ((), ("record",), ("record", "queue", "print")):
            receipt = str(desk.post("/api/cases", application()).json()["receipt"])
            for stage in stages:
                desk.post(f"/api/cases/{receipt}/{stage}")
            KNOWN.append(receipt)
        yield schemathesis.openapi.from_url(f"{up.http}/openapi.json").include(path_regex="^/api/")


def test_the_document_is_openapi_3_1_with_an_example_of_every_answer(document: Any) -> None:
    said = document.raw_schema
    assert said["openapi"].startswith("3.1.")
    assert set(said["components"]["securitySchemes"]) == {"bearer", "cookie"}
    operations = [one for path, methods in said["paths"].items() if path.startswith("/api/") for one in methods.values()]
    assert operations
    for operation in operations:
        bodies = [body for answer in operation["responses"].values() for body in answer.get("content", {}).values()]
        assert all("example" in body for body in bodies), operation["operationId"]


api = schemathesis.pytest.from_fixture("document")


@api.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_every_answer_is_a_documented_one(case: Any) -> None:
    role = case.operation.definition.raw["x-roles"][0]
    receipt = (case.path_parameters or {}).get("receipt")
    if isinstance(receipt, str) and len(receipt) % 2:  # else hardly any command would find a case
        case.path_parameters["receipt"] = KNOWN[len(receipt) % len(KNOWN)]
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKENS[role]}"}, checks=CHECKS)


def test_the_backbone_is_as_well_afterwards_as_before(document: Any) -> None:
    assert httpx.get(f"{document.base_url}/readyz").json() == {"ok": True, "reasons": []}
