"""Whatever is sent to the API, it answers with something that its OpenAPI document tells of, and never with 5xx."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from services.tokens import Role
from tests.command import running
from tests.over_http import Asker, application, tokens_for

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOKENS: dict[Role, str] = {}
URL: list[str] = []
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
        URL.append(up.http)
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


def test_every_answer_is_a_documented_one(document: Any) -> None:
    for operation in (found.ok() for found in document.get_all_operations()):
        ask_anything(operation)


def ask_anything(operation: Any) -> None:
    """Whatever the generator makes up for this operation, in a role that may ask."""
    headers = {"Authorization": f"Bearer {TOKENS[operation.definition.raw['x-roles'][0]]}"}

    @given(case=operation.as_strategy(), receipt=st.sampled_from([*KNOWN, None]))
    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def ask(case: Any, receipt: str | None) -> None:
        if receipt and "receipt" in case.path_parameters:  # else hardly any command would find a case
            case.path_parameters["receipt"] = receipt
        case.call_and_validate(headers=headers, checks=CHECKS, timeout=60)

    ask()


@pytest.mark.usefixtures("document")
def test_the_backbone_is_as_well_afterwards_as_before() -> None:
    assert httpx.get(f"{URL[0]}/readyz").json() == {"ok": True, "reasons": []}
