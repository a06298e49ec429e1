from __future__ import annotations

import pytest

from shared.api.problems import problem
from shared.core.errors import ArchiverError, Fault, InvalidRequest, ServiceError, SettingsError, WrongState


def test_a_wrong_field_is_named() -> None:
    result = problem(InvalidRequest("roomId: too long", field="roomId"))
    assert result.status == 400
    assert result.body == {
        "type": "urn:recording-archiver:problem:invalid-request",
        "title": "The request is wrong",
        "status": 400,
        "detail": "roomId: too long",
        "field": "roomId",
    }


@pytest.mark.parametrize(
    ("status", "answered", "name"),
    [
        (400, 400, "refused-by-service"),
        (401, 502, "service-credentials"),
        (403, 502, "service-credentials"),
        (404, 404, "recording-not-found"),
        (409, 409, "conflict-at-service"),
        (412, 412, "precondition-at-service"),
        (429, 429, "too-many-requests"),
        (500, 502, "service-failed"),
        (502, 502, "service-failed"),
        (503, 503, "service-unavailable"),
    ],
)
def test_the_services_errors_keep_their_code_and_message(status: int, answered: int, name: str) -> None:
    result = problem(ServiceError(status, "8522", "Recording not found.", retry_after=1.5))
    assert result.status == result.body["status"] == answered
    assert result.body["type"] == f"urn:recording-archiver:problem:{name}"
    assert (result.body["code"], result.body["serviceMessage"]) == ("8522", "Recording not found.")
    assert result.headers == {"Retry-After": "2"}


@pytest.mark.parametrize(("error", "status"), [(SettingsError("x"), 503), (ArchiverError("x"), 500)])
def test_every_other_error_has_an_answer_too(error: ArchiverError, status: int) -> None:
    assert problem(error).status == status


def test_every_fault_of_the_body_has_a_pointer_to_it() -> None:
    faults = (Fault("channelAffinity/0/channel", "too large"), Fault("roomId", "too long"), Fault("a b%~1ü", "unknown"))
    result = problem(InvalidRequest("several", field="channelAffinity/0/channel", faults=faults))
    assert result.body["errors"] == [
        {"pointer": "#/channelAffinity/0/channel", "detail": "too large"},
        {"pointer": "#/roomId", "detail": "too long"},
        {"pointer": "#/a%20b%25~1%C3%BC", "detail": "unknown"},
    ]


def test_a_fault_of_the_whole_body_points_to_all_of_it() -> None:
    """RFC 6901: the empty pointer is the document; `/` would be a field without a name."""
    result = problem(InvalidRequest("no JSON", faults=(Fault("", "no JSON"),)))
    assert result.body["errors"] == [{"pointer": "#", "detail": "no JSON"}]


def test_a_wrong_state_is_named() -> None:
    result = problem(WrongState("pause", "paused"))
    assert (result.status, result.body["state"]) == (409, "paused")


@pytest.mark.parametrize(("code", "message"), [("8553", "?"), ("400", "Only one recording of a given type …")])
def test_a_call_that_is_recorded_already_is_a_conflict(code: str, message: str) -> None:
    result = problem(ServiceError(400, code, message))
    assert (result.status, result.body["code"], result.body["serviceStatus"]) == (409, code, 400)
    assert result.body["type"].endswith(":already-recording")
