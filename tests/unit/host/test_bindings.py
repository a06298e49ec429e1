"""What becomes of bindings: functions from metadata, messages from outputs, connections from settings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.host.errors import AppLoadError, SettingsError
from local.host.functions import Function, from_metadata
from local.host.outputs import messages_of
from local.host.protocol import TypedData
from local.host.storage import DEVELOPMENT_STORAGE, connection_string, decode_message, encode_message


def function(*bindings: dict[str, Any], **environment: str) -> Function:
    raw = [json.dumps(binding) for binding in bindings]
    return from_metadata("f", "id", raw, asynchronous=True, environment=environment)


HTTP = {"type": "httpTrigger", "direction": "IN", "name": "req"}
QUEUE = {"type": "queueTrigger", "direction": "IN", "name": "msg", "queueName": "%Q%", "connection": "S"}


def test_names_in_percent_signs_are_resolved_and_the_declared_bindings_kept() -> None:
    made = function(QUEUE, Q="real")
    assert made.trigger["queueName"] == "real"
    assert made.bindings[0]["queueName"] == "%Q%"


def test_the_name_is_the_default_route_and_function_the_default_level() -> None:
    made = function(HTTP)
    assert (made.route("api"), made.route(""), made.methods, made.auth_level) == ("api/f", "f", None, "function")


@pytest.mark.parametrize(
    ("bindings", "reason"),
    [
        ([], "has no trigger"),
        ([HTTP, {**QUEUE, "queueName": "q"}], "has two triggers"),
        ([HTTP, {"type": "blob", "direction": "OUT", "name": "b"}], "the binding 'b' of type 'blob' is not available"),
        ([HTTP, {"type": "queue", "direction": "IN", "name": "b"}], "the binding 'b' of type 'queue' is not available"),
    ],
)
def test_what_the_host_cannot_run_is_refused_by_name(bindings: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(AppLoadError, match=reason):
        function(*bindings)


@pytest.mark.parametrize(
    ("value", "messages"),
    [
        (TypedData(string="a"), ["a"]),
        (TypedData(bytes=b"\xff"), [b"\xff"]),
        (TypedData(json='["a", "b"]'), ["a", "b"]),
        (TypedData(json="[]"), []),
        (TypedData(json='[{"x": 1}]'), ['{"x": 1}']),
        (TypedData(json='{"id": null, "body": "text"}'), ["text"]),
        (TypedData(json='{"id": 1, "body": "text", "more": 2}'), ['{"id": 1, "body": "text", "more": 2}']),
    ],
)
def test_an_output_is_one_message_for_each_item(value: TypedData, messages: list[str | bytes]) -> None:
    assert messages_of(value) == messages


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["base64", "none"]))
def test_a_message_reads_back_in_its_encoding(content: str, encoding: str) -> None:
    assert decode_message(encode_message(content, encoding), encoding) == content


@given(st.binary())
def test_bytes_travel_in_base64(content: bytes) -> None:
    decoded = decode_message(encode_message(content, "base64"), "base64")
    assert (decoded.encode() if isinstance(decoded, str) else decoded) == content


@pytest.mark.parametrize("text", ["{plain}", "YQ", "Y Q=="])
def test_what_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_message(text, "base64")


@pytest.mark.parametrize(
    ("name", "environment", "found"),
    [
        ("S", {"S": "text"}, "text"),
        ("S", {"AzureWebJobsS": "text"}, "text"),
        ("", {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, DEVELOPMENT_STORAGE),
    ],
)
def test_connections_are_found_as_the_functions_host_finds_them(
    name: str, environment: dict[str, str], found: str
) -> None:
    assert connection_string(name, environment, "here") == found


def test_a_connection_by_identity_is_refused_with_the_way_out() -> None:
    with pytest.raises(SettingsError, match="here: 'S' is an identity-based connection"):
        connection_string("S", {"S__queueServiceUri": "https://x"}, "here")


def test_typed_data_has_the_field_of_its_kind_only() -> None:
    value = TypedData(json='{"a": 1}')
    assert (value.WhichOneof("data"), value.value()) == ("json", {"a": 1})
    with pytest.raises(AttributeError):
        getattr(value, "string")  # noqa: B009 - that it raises is what the library relies on
    assert TypedData().WhichOneof("data") is None
