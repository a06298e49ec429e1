"""The OpenAPI 3.1 document, made from the models of requests and answers."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from shared.api import problems
from shared.api.problems import ProblemBody
from shared.api.routes import HEADERS, ROUTES
from shared.core import errors
from shared.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel
    from pydantic.json_schema import JsonSchemaMode

    from shared.api.problems import ProblemKind
    from shared.api.routes import Parameter, Route, Success

_INTRODUCTION = (
    "Controls call recordings of Azure Communication Services (ACS), and reports their state. "
    "Errors are problem details (RFC 9457) with a stable `type`."
)
_TAGS = {
    "recordings": "Start, pause, resume and stop recordings, and get their state.",
    "archive": "List and verify archived recordings.",
    "operation": "For operators and probes.",
    "webhooks": "Called by Azure Communication Services.",
}
_KEY = "A function key of this function, or a host key."
_SECURITY: list[dict[str, list[str]]] = [{"functionKey": []}, {"functionKeyInQuery": []}]

_EXAMPLES = {
    problems.INVALID_REQUEST: errors.InvalidRequest(
        "channelAffinity/0/channel: Input should be less than 5",
        field="channelAffinity/0/channel",
        faults=(errors.Fault("channelAffinity/0/channel", "Input should be less than 5"),),
    ),
    problems.BODY_TOO_LARGE: errors.BodyTooLarge(262_144),
    problems.NOT_FOUND: errors.ServiceError(404, "8522", "Recording not found."),
    problems.NOT_ARCHIVED: errors.NotArchived(),
    problems.NO_FINDING: errors.IncidentNotFound(),
    problems.NO_CALLBACK: errors.UnknownCallback(),
    problems.CONSENT_REQUIRED: errors.ConsentRequired(),
    problems.WRONG_STATE: errors.WrongState("pause", "paused"),
    problems.ALREADY_RECORDING: errors.ServiceError(
        400, errors.ALREADY_RECORDING, "Only one recording of a given type is supported in a call."
    ),
    problems.NOTHING_TO_RETRY: errors.NothingToRetry(
        "no event has come for this recording; when one comes, the recording is archived"
    ),
    problems.UNREADABLE: errors.ManifestUnreadable("2026/11/22/eyJQ/manifest.json"),
    problems.REFUSED: errors.ServiceError(400, "8501", "Action is invalid when call is not in Established state"),
    problems.CONFLICT: errors.ServiceError(409, "Conflict", "The request conflicts with another."),
    problems.PRECONDITION: errors.ServiceError(412, "PreconditionFailed", "A precondition is not met."),
    problems.KEY_REUSED: errors.IdempotencyConflict(),
    problems.TOO_MANY: errors.ServiceError(429, "TooManyRequests", "Too many requests.", retry_after=30),
    problems.INTERNAL: errors.ArchiverError("the cause"),
    problems.CREDENTIALS: errors.ServiceError(401, "Unauthorized", "The signature is wrong."),
    problems.SERVICE_FAILED: errors.ServiceError(500, "9999", "Internal error."),
    problems.SERVICE_UNAVAILABLE: errors.ServiceError(503, "ServiceUnreachable", "the service cannot be reached"),
    problems.STORAGE_UNAVAILABLE: errors.StorageUnavailable(
        "the app's storage refused, or did not answer: ServerBusy", retry_after=5
    ),
    problems.SETTINGS: errors.SettingsError("the settings are wrong: ACS_ENDPOINT or ACS_CONNECTION_STRING is missing"),
}
"""An error of each kind, for the examples."""


@cache
def document() -> str:
    """Return the document as JSON."""
    return json.dumps(build(), ensure_ascii=False)


def build() -> dict[str, Any]:
    """Return the document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Recording archiver",
            "version": VERSION,
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The function app."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "examples": {
                kind.name: {"summary": kind.title, "value": problems.problem(_EXAMPLES[kind]).body}
                for kind in problems.KINDS
            },
            "headers": HEADERS,
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key", "description": _KEY},
                "functionKeyInQuery": {"type": "apiKey", "in": "query", "name": "code", "description": _KEY},
            },
        },
    }


class _Untitled(GenerateJsonSchema):
    """Leaves out titles, which only repeat a field's name."""

    def field_title_should_be_set(self, _: Any) -> bool:
        return False


def _schemas() -> dict[str, Any]:
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(ProblemBody, "validation"): None}
    for route in ROUTES:
        if isinstance(route.request, type):
            wanted[route.request, "validation"] = None
        for success in route.successes:
            if success.body is not None:
                wanted[success.body, "validation" if success.sparse else "serialization"] = None
    _, definitions = models_json_schema(
        list(wanted), ref_template="#/components/schemas/{model}", schema_generator=_Untitled
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return dict(sorted(schemas.items()))


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.function,
        "tags": [route.tag],
        "summary": route.summary,
        "description": route.description,
        "security": [] if route.anonymous else _SECURITY,
        "parameters": [_parameter(parameter) for parameter in route.parameters],
        "responses": _responses(route),
    }
    if route.request is not None:
        schema = _reference(route.request) if isinstance(route.request, type) else route.request
        content = {"application/json": {"schema": schema}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "description": parameter.description,
        "required": parameter.where == "path",
        "schema": parameter.schema,
        **({"example": parameter.example} if parameter.example is not None else {}),
    }


def _responses(route: Route) -> dict[str, Any]:
    responses = {str(success.status): _success(success) for success in route.successes}
    if not route.anonymous:
        responses["401"] = {"description": "No function key, or a wrong one. The platform answers, without a body."}
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in route.problems:
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in by_status.items():
        response = _problem(kinds)
        if str(status) in responses:
            response["content"] |= responses[str(status)].get("content", {})
            response["description"] = f"{responses[str(status)]['description']} Or: {response['description']}"
        responses[str(status)] = response
    return dict(sorted(responses.items()))


def _success(success: Success) -> dict[str, Any]:
    response: dict[str, Any] = {"description": success.description}
    if success.body is not None:
        media: dict[str, Any] = {"schema": _reference(success.body)}
        if success.example is not None:
            media["example"] = success.example
        response["content"] = {"application/json": media}
    if success.headers:
        response["headers"] = _headers(success.headers)
    if success.links:
        parameters = {"recordingId": "$response.body#/recordingId"}
        response["links"] = {name: {"operationId": name, "parameters": parameters} for name in success.links}
    return response


def _problem(kinds: Sequence[ProblemKind]) -> dict[str, Any]:
    description = " ".join(f"`{kind.name}`: {kind.title}. {kind.meaning}" for kind in kinds)
    examples = {kind.name: {"$ref": f"#/components/examples/{kind.name}"} for kind in kinds}
    response: dict[str, Any] = {
        "description": description,
        "content": {problems.MEDIA_TYPE: {"schema": _reference(ProblemBody), "examples": examples}},
    }
    if any(kind.status in {429, 502, 503} for kind in kinds):
        response["headers"] = _headers(("Retry-After",))
    return response


def _headers(names: Iterable[str]) -> Mapping[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
