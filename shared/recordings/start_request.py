"""A start request: its body, and the Idempotency-Key that makes it safe to repeat."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool, StrictInt, ValidationError

from shared.core import limits
from shared.core.errors import Fault, InvalidRequest
from shared.core.media_formats import Format
from shared.core.models import ReceivedModel, UtcDatetime
from shared.events.recording_files import ChannelType, ContentType
from shared.recordings.request_fields import (
    Channels,
    ContainerAddress,
    Content,
    FileFormat,
    Identifier,
    RawId,
    WebAddress,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic_core import ErrorDetails

LOCATORS = {
    "server_call_id": "serverCallId",
    "group_call_id": "groupCallId",
    "room_id": "roomId",
    "call_connection_id": "callConnectionId",
}
"""The fields of which exactly one names the call: the SDK's name, and the name in JSON."""

COMBINATIONS = (
    (ContentType.AUDIO_VIDEO, ChannelType.MIXED, Format.MP4),
    (ContentType.AUDIO, ChannelType.MIXED, Format.MP3),
    (ContentType.AUDIO, ChannelType.MIXED, Format.WAV),
    (ContentType.AUDIO, ChannelType.UNMIXED, Format.WAV),
)
"""What the service can record: content, channel, format. The first that fits what a request leaves open is taken."""

CHANNELS = 5
"""Most channels of an unmixed recording; the service puts a participant on each."""

IDEMPOTENCY_KEY = r"[\x21-\x7e]{1,255}"
"""The characters and length of an Idempotency-Key."""

_TYPES = ("recordingContentType", "recordingChannelType", "recordingFormatType")


class Sent(ReceivedModel):
    """Base of what callers send.

    An unknown field is refused: with `pauseonstart` for `pauseOnStart`, a recording would run that should not.
    """

    model_config = ConfigDict(extra="forbid")


class Affinity(Sent):
    """Which channel of an unmixed recording a participant is on."""

    channel: Annotated[StrictInt, Field(ge=0, lt=CHANNELS)]
    participant: RawId


class ExternalStorage(Sent):
    """The caller's own container, which the service writes to instead of its temporary storage.

    The managed identity of the ACS resource needs the role Storage Blob Data Contributor on it.
    """

    recording_storage_kind: Literal["azureBlobStorage"] = "azureBlobStorage"
    recording_destination_container_url: ContainerAddress


class Consent(Sent):
    """Why the call may be recorded, and who agreed."""

    basis: Annotated[str, Field(min_length=1, max_length=limits.LONGEST_BASIS)]
    obtained_from: Annotated[list[RawId], Field(min_length=1, max_length=350)]
    obtained_at: UtcDatetime
    reference: Annotated[str, Field(max_length=limits.LONGEST_IDENTIFIER)] | None = None


def _described(schema: dict[str, Any]) -> None:
    """Add to the schema what types cannot express, and leave out null, which is accepted and means absent."""
    for field in schema["properties"].values():
        alternatives = [schema for schema in field.pop("anyOf", ()) if schema.get("type") != "null"]
        field.pop("default", None)
        field.update(alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives})
    schema["oneOf"] = [{"required": [name]} for name in LOCATORS.values()]
    schema["examples"] = [
        {"serverCallId": "aHR0cHM6Ly9jb252LXVzZWEtMDguY29udi5za3lwZS5jb20"},
        {
            "groupCallId": "9a1f6f52-3a6e-4b57-8a57-2f4f5f1c0b10",
            "recordingContentType": "audio",
            "recordingChannelType": "unmixed",
            "recordingFormatType": "wav",
            "channelAffinity": [{"channel": 0, "participant": {"rawId": "8:acs:alice"}}],
        },
    ]


class StartRecording(Sent):
    """What to record. Exactly one of serverCallId, groupCallId, roomId and callConnectionId names the call.

    Content, channel and format are one of audioVideo/mixed/mp4, audio/mixed/mp3, audio/mixed/wav and
    audio/unmixed/wav; what is left open is filled in, in this order. A field of another name is refused.
    """

    model_config = ConfigDict(json_schema_extra=_described)

    server_call_id: Annotated[Identifier | None, Field(description="As CallStarted brings it.")] = None
    group_call_id: Annotated[Identifier | None, Field(description="Of a group call.")] = None
    room_id: Annotated[Identifier | None, Field(description="Of a call in a room.")] = None
    call_connection_id: Annotated[Identifier | None, Field(description="Of a Call Automation connection.")] = None
    recording_content_type: Content | None = None
    recording_channel_type: Channels | None = None
    recording_format_type: FileFormat | None = None
    recording_state_callback_uri: Annotated[
        WebAddress | None, Field(description="Where the service reports the recording's states.")
    ] = None
    audio_channel_participant_ordering: Annotated[
        list[RawId] | None,
        Field(max_length=CHANNELS, description="Who gets the first channel, the second, …; unmixed only."),
    ] = None
    channel_affinity: Annotated[
        list[Affinity] | None, Field(max_length=CHANNELS, description="Who is on which channel; unmixed only.")
    ] = None
    pause_on_start: Annotated[
        StrictBool | None, Field(description="Starts paused; unless it is resumed, no file is made.")
    ] = None
    external_storage: ExternalStorage | None = None
    consent: Consent | None = None

    def locator(self) -> dict[str, str]:
        """Return the call's id under the SDK's name.

        Raises
        ------
        InvalidRequest
            None, or more than one, is given.
        """
        given = {name: value for name in LOCATORS if (value := getattr(self, name)) is not None}
        if len(given) != 1:
            raise _refused(self._faults_of_locator())
        return given

    def combination(self) -> tuple[ContentType, ChannelType, Format]:
        """Return what to record, with what is left open filled in.

        Raises
        ------
        InvalidRequest
            The service cannot record this.
        """
        found = self._fitting()
        if found is None:
            raise _refused(self._faults_of_combination())
        return found

    def faults(self) -> Iterator[Fault]:
        """Yield what is wrong with the fields taken together."""
        yield from self._faults_of_locator()
        yield from self._faults_of_combination()
        yield from self._faults_of_channels()
        if self.consent is not None and _units(self.consent.model_dump_json(by_alias=True)) > limits.LONGEST_PROPERTY:
            yield Fault(
                "consent", f"is longer than {limits.LONGEST_PROPERTY} characters; refer to a document by its reference"
            )

    def _asked_types(self) -> dict[str, str | None]:
        asked = (self.recording_content_type, self.recording_channel_type, self.recording_format_type)
        return dict(zip(_TYPES, asked, strict=True))

    def _fitting(self) -> tuple[ContentType, ChannelType, Format] | None:
        asked = self._asked_types().values()
        return next((c for c in COMBINATIONS if all(a in {None, o} for a, o in zip(asked, c, strict=True))), None)

    def _faults_of_locator(self) -> Iterator[Fault]:
        given = [field for name, field in LOCATORS.items() if getattr(self, name) is not None]
        if len(given) != 1:
            message = f"give exactly one of {', '.join(LOCATORS.values())} to say which call; "
            yield Fault(given[1] if given else "serverCallId", message + f"{', '.join(given) or 'none'} given")

    def _faults_of_combination(self) -> Iterator[Fault]:
        if self._fitting() is not None:
            return
        asked = self._asked_types()
        given = {name: value for name, value in asked.items() if value is not None}
        columns = dict(zip(_TYPES, zip(*COMBINATIONS, strict=True), strict=True))
        wrong = next((name for name, value in given.items() if value not in columns[name]), next(reversed(given)))
        agreeing = [sum(value in given.values() for value in combination) for combination in COMBINATIONS]
        nearest = [c for c, count in zip(COMBINATIONS, agreeing, strict=True) if count == max(agreeing)]
        message = (
            f"{'/'.join(value or 'any' for value in asked.values())} cannot be recorded; "
            f"content/channel/format is one of {_listed(COMBINATIONS)}"
        )
        yield Fault(wrong, message + (f"; nearest to this: {_listed(nearest)}" if 0 < len(nearest) < 4 else ""))

    def _faults_of_channels(self) -> Iterator[Fault]:
        combination = self._fitting()
        ordering, affinity = self.audio_channel_participant_ordering or [], self.channel_affinity or []
        if combination is not None and ChannelType.UNMIXED not in combination:
            wrong = {"audioChannelParticipantOrdering": ordering, "channelAffinity": affinity}
            for name in (name for name, value in wrong.items() if value):
                yield Fault(name, f"{name} goes with recordingChannelType unmixed only, which is audio/unmixed/wav")
        for index in _repeated(ordering):
            yield Fault(f"audioChannelParticipantOrdering/{index}", "names a participant for the second time")
        for index in _repeated([entry.channel for entry in affinity]):
            yield Fault(f"channelAffinity/{index}/channel", "is another participant's channel already")
        for index in _repeated([entry.participant for entry in affinity]):
            yield Fault(f"channelAffinity/{index}/participant", "has a channel already")


_FORMS: dict[str, type[Sent]] = {"channelAffinity": Affinity, "externalStorage": ExternalStorage, "consent": Consent}
"""The fields of a start that have fields of their own, all of which are known."""


def parse_start(body: bytes) -> StartRecording:
    """Read and check the body of a start request.

    Raises
    ------
    InvalidRequest
        Fields are missing or wrong; names every one.
    """
    if len(body) > limits.LARGEST_START:
        raise InvalidRequest(f"the body is longer than {limits.LARGEST_START} bytes")
    try:
        request = StartRecording.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise _refused(
            Fault("/".join(_escaped(part) for part in fault["loc"]), _explained(fault)) for fault in faults
        ) from None
    if found := tuple(request.faults()):
        raise _refused(found)
    return request


def parse_idempotency_key(value: str | None) -> str | None:
    """Check the header's value; None where it is absent.

    Raises
    ------
    InvalidRequest
        It is empty, too long, or holds other characters than visible ASCII.
    """
    if value is not None and re.fullmatch(IDEMPOTENCY_KEY, value) is None:
        raise InvalidRequest(
            "Idempotency-Key is 1 to 255 visible ASCII characters, such as a UUID", field="Idempotency-Key"
        )
    return value


def _refused(faults: Iterable[Fault]) -> InvalidRequest:
    found = tuple(faults)
    first = found[0]
    more = f" (and {len(found) - 1} more, see errors)" if len(found) > 1 else ""
    return InvalidRequest(f"{first.path or 'the body'}: {first.detail}{more}", field=first.path or None, faults=found)


def _explained(fault: ErrorDetails) -> str:
    """Return what is wrong, and for an unknown field the one that may be meant."""
    if fault["type"] != "extra_forbidden":
        return fault["msg"].removeprefix("Value error, ")
    *above, name = fault["loc"]
    form = _FORMS[str(above[0])] if above else StartRecording
    known = {alias.lower(): alias for field in form.model_fields.values() if (alias := field.alias) is not None}
    meant = get_close_matches(str(name).lower(), known, n=1)
    return f"there is no field of this name; did you mean {known[meant[0]]}?" if meant else "there is no such field"


def _repeated(values: Sequence[object]) -> list[int]:
    """Return the indexes of values that are repeated."""
    return [index for index, value in enumerate(values) if value in values[:index]]


def _listed(combinations: Iterable[tuple[str, ...]]) -> str:
    return ", ".join("/".join(combination) for combination in combinations)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _escaped(part: int | str) -> str:
    """Return one step of a JSON pointer (RFC 6901, section 3)."""
    return str(part).replace("~", "~0").replace("/", "~1")
