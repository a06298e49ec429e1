"""The types of the values in a request: what each accepts, and its schema in the API's description."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from shared.core.limits import LONGEST_IDENTIFIER
from shared.core.media_formats import Format
from shared.core.models import ReceivedModel
from shared.events.recording_files import ChannelType, ContentType, control_api_spelling


class Participant(ReceivedModel):
    """A participant as the service writes one; what else it says of them is not needed."""

    raw_id: Annotated[str, Field(min_length=1, max_length=LONGEST_IDENTIFIER)]


def _raw_id(value: object) -> object:
    return value.get("rawId") if isinstance(value, Mapping) else value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("must be an http or https address with a host and without credentials")
    return value


def _container_address(value: str) -> str:
    parts = urlsplit(value)
    if not parts.hostname or parts.username is not None or not re.fullmatch(r"/[^/]+/?", parts.path):
        raise ValueError("must be a container's address: https://{account}.blob.core.windows.net/{container}")
    if parts.query or parts.fragment:
        raise ValueError("must come without a SAS: the service writes with the managed identity of the ACS resource")
    return value


Identifier = Annotated[str, Field(min_length=1, max_length=LONGEST_IDENTIFIER)]
RawId = Annotated[Identifier, BeforeValidator(_raw_id, json_schema_input_type=Identifier | Participant)]
"""A participant: `"8:acs:…"`, or the service's own form `{"rawId": "8:acs:…"}`."""

WebAddress = Annotated[
    str,
    Field(pattern=r"^https?://", max_length=LONGEST_IDENTIFIER, json_schema_extra={"format": "uri"}),
    AfterValidator(_web_address),
]
ContainerAddress = Annotated[
    str,
    Field(pattern=r"^https://", max_length=LONGEST_IDENTIFIER, json_schema_extra={"format": "uri"}),
    AfterValidator(_container_address),
]

# Strings, not enums: any case is accepted, and an error names the whole combination.
Content = Annotated[
    str, AfterValidator(control_api_spelling), WithJsonSchema({"type": "string", "enum": [*ContentType]})
]
Channels = Annotated[
    str, AfterValidator(control_api_spelling), WithJsonSchema({"type": "string", "enum": [*ChannelType]})
]
FileFormat = Annotated[str, AfterValidator(control_api_spelling), WithJsonSchema({"type": "string", "enum": [*Format]})]
