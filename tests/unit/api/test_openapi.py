from __future__ import annotations

from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import function_app
from docs import api
from shared.api import openapi, problems
from shared.api.routes import ROUTES
from shared.recordings.start_request import StartRecording

DOCUMENT = openapi.build()
OPERATIONS = {
    operation["operationId"]: operation for methods in DOCUMENT["paths"].values() for operation in methods.values()
}


def schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}


def test_the_document_is_valid_openapi_3_1() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_http_function_is_described_with_its_route_its_method_and_its_key() -> None:
    described = {(route.function, route.path, route.method.upper(), route.anonymous) for route in ROUTES}
    found = set()
    for function in function_app.app.get_functions():
        for binding in function.get_bindings_dict()["bindings"]:
            if binding["type"] == "httpTrigger":
                path, level = f"/api/{binding['route']}", str(binding["authLevel"]).lower()
                found |= {
                    (
                        function.get_function_name(),
                        path,
                        str(getattr(method, "value", method)).upper(),
                        "anonymous" in level,
                    )
                    for method in binding["methods"]
                }
    assert described == found


def test_the_page_is_up_to_date() -> None:
    assert api.TARGET.read_text(encoding="utf-8") == api.page(), "run: python -m docs.api"


@pytest.mark.parametrize("function", list(OPERATIONS))
def test_examples_match_their_schemas(function: str) -> None:
    for response in OPERATIONS[function]["responses"].values():
        for media in response.get("content", {}).values():
            if "example" in media:
                OAS31Validator({**media["schema"], "components": DOCUMENT["components"]}).validate(media["example"])


@pytest.mark.parametrize("kind", problems.KINDS, ids=lambda kind: str(kind.name))
def test_every_problem_has_an_example_of_its_kind_and_happens_somewhere(kind: problems.ProblemKind) -> None:
    example = DOCUMENT["components"]["examples"][kind.name]["value"]
    OAS31Validator(schema("ProblemBody")).validate(example)
    assert (example["type"], example["status"]) == (kind.type, kind.status)
    assert any(kind in route.problems for route in ROUTES)


@pytest.mark.parametrize("example", DOCUMENT["components"]["schemas"]["StartRecording"]["examples"])
def test_examples_of_a_start_are_starts(example: dict[str, Any]) -> None:
    OAS31Validator(schema("StartRecording")).validate(example)
    assert not list(StartRecording.model_validate(example).faults())


def test_every_operation_documents_whether_it_needs_a_key() -> None:
    for route in ROUTES:
        operation = OPERATIONS[route.function]
        assert (operation["security"] == []) is route.anonymous
        assert ("401" in operation["responses"]) is not route.anonymous
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {(scheme["in"], scheme["name"]) for scheme in schemes.values()} == {
        ("header", "x-functions-key"),
        ("query", "code"),
    }


def test_every_operation_says_when_to_ask_again() -> None:
    for name in ("start_recording", "get_recording", "pause_recording", "resume_recording", "stop_recording"):
        responses = OPERATIONS[name]["responses"]
        assert all("Retry-After" in responses[status]["headers"] for status in ("429", "502", "503"))
    parameters = [parameter["name"] for parameter in OPERATIONS["start_recording"]["parameters"]]
    assert parameters == ["Idempotency-Key"]
