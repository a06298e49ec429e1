"""The body of a start request, and what makes one invalid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from local.acs.media_types import COMBINATIONS, MAX_CHANNELS, ChannelType, ContentType, FormatType
from local.acs.recordings import RecordingOptions
from local.acs.versions import has_storage

if TYPE_CHECKING:
    from enum import StrEnum

    from pydantic import ValidationError


class InvalidStartError(Exception):
    """The request is well-formed and cannot be fulfilled; the message says why."""


def _any_case(enum: type[StrEnum]) -> BeforeValidator:
    """Take the values of an enum however they are cased, as the service does."""
    known = {value.lower(): value for value in enum}
    return BeforeValidator(lambda value: known.get(value.lower(), value) if isinstance(value, str) else value)


class _ServiceModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


class Locator(_ServiceModel):
    """Names a call by one of its ids."""

    kind: str | None = None
    server_call_id: str | None = None
    group_call_id: str | None = None
    room_id: str | None = None

    def found(self) -> tuple[str, str]:
        """Return the locator's kind and its id, empty where it holds none; raises InvalidStartError."""
        ids = {
            "serverCallLocator": self.server_call_id,
            "groupCallLocator": self.group_call_id,
            "roomCallLocator": self.room_id,
        }
        kind = self.kind or next((name for name, value in ids.items() if value), "serverCallLocator")
        if kind not in ids:
            raise InvalidStartError(f"callLocator.kind must be one of {', '.join(ids)}, not {kind}.")
        return kind, ids[kind] or ""


class Identifier(_ServiceModel):
    """Names a participant."""

    raw_id: str | None = None
    communication_user: dict[str, Any] | None = None
    phone_number: dict[str, Any] | None = None

    def value(self) -> str:
        """Return the raw id; raises InvalidStartError."""
        if self.raw_id:
            return self.raw_id
        if self.communication_user and self.communication_user.get("id"):
            return str(self.communication_user["id"])
        if self.phone_number and self.phone_number.get("value"):
            return f"4:{self.phone_number['value']}"
        raise InvalidStartError("A participant needs rawId, communicationUser.id or phoneNumber.value.")


class Affinity(_ServiceModel):
    """Puts a participant on a channel."""

    channel: Annotated[int, Field(ge=0, lt=MAX_CHANNELS)]
    participant: Identifier


class StartRequest(_ServiceModel):
    """What a client sends to start a recording."""

    call_locator: Locator | None = None
    call_connection_id: str | None = None
    recording_state_callback_uri: str | None = None
    recording_content_type: Annotated[ContentType, _any_case(ContentType)] | None = None
    recording_channel_type: Annotated[ChannelType, _any_case(ChannelType)] | None = None
    recording_format_type: Annotated[FormatType, _any_case(FormatType)] | None = None
    audio_channel_participant_ordering: tuple[Identifier, ...] | None = None
    channel_affinity: tuple[Affinity, ...] | None = None
    pause_on_start: bool | None = None
    external_storage: dict[str, Any] | None = None

    def locator(self) -> tuple[str, str]:
        """Return which id names the call, and the id; raises InvalidStartError unless there is just one."""
        if (self.call_locator is None) == (not self.call_connection_id):
            raise InvalidStartError("Exactly one of callLocator and callConnectionId must be given.")
        if self.call_locator is None:
            return "callConnectionId", self.call_connection_id or ""
        return self.call_locator.found()


def combination(
    content: ContentType | None,
    channel: ChannelType | None,
    media_format: FormatType | None,
    *,
    preferred: FormatType = FormatType.MP4,
) -> tuple[ContentType, ChannelType, FormatType]:
    """Return a valid combination that agrees with what was given, one in the `preferred` format if there is one.

    Raises
    ------
    InvalidStartError
        When there is none.
    """
    for valid in sorted(COMBINATIONS, key=lambda known: known[2] is not preferred):
        if all(given in (None, value) for given, value in zip((content, channel, media_format), valid, strict=True)):
            return valid
    asked = "/".join(str(given or "any") for given in (content, channel, media_format))
    choices = ", ".join("/".join(valid) for valid in COMBINATIONS)
    raise InvalidStartError(
        f"The combination {asked} cannot be recorded; content/channel/format must be one of {choices}."
    )


def recording_options(
    request: StartRequest, version: str, *, preferred: FormatType = FormatType.MP3
) -> RecordingOptions:
    """Return what is to be recorded.

    Parameters
    ----------
    version
        The api-version; those before 2024 ignore pauseOnStart and externalStorage.
    preferred
        The format where none was asked for.

    Raises
    ------
    InvalidStartError
        When the request asks for what cannot be recorded.
    """
    content, channel, media_format = combination(
        request.recording_content_type,
        request.recording_channel_type,
        request.recording_format_type,
        preferred=preferred,
    )
    with_storage = has_storage(version)
    ordering = tuple(identifier.value() for identifier in request.audio_channel_participant_ordering or ())
    affinity = tuple((entry.channel, entry.participant.value()) for entry in request.channel_affinity or ())
    if (ordering or affinity) and request.recording_channel_type is ChannelType.MIXED:
        raise InvalidStartError(
            "audioChannelParticipantOrdering and channelAffinity do not go with recordingChannelType mixed."
        )
    if len({number for number, _ in affinity}) < len(affinity):
        raise InvalidStartError("channelAffinity names a channel twice.")
    return RecordingOptions(
        content_type=content,
        channel_type=channel,
        format=media_format,
        pause_on_start=bool(request.pause_on_start) and with_storage,
        ordering=ordering,
        affinity=affinity,
        callback_uri=request.recording_state_callback_uri,
        external_storage=_storage(request.external_storage) if with_storage else None,
        api_version=version,
    )


def _storage(storage: dict[str, Any] | None) -> dict[str, Any] | None:
    if storage is None:
        return None
    match storage.get("recordingStorageKind"):
        case "azureBlobStorage" if not storage.get("recordingDestinationContainerUrl"):
            raise InvalidStartError("externalStorage of kind azureBlobStorage needs recordingDestinationContainerUrl.")
        case "azureBlobStorage" | "azureCommunicationServices":
            return storage
        case other:
            kinds = "azureBlobStorage or azureCommunicationServices"
            raise InvalidStartError(f"externalStorage.recordingStorageKind must be {kinds}, not {other}.")


def faults_in_words(error: ValidationError) -> str:
    """Return what is wrong with a body, naming the fields."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['msg'].removeprefix('Value error, ')}"
        for fault in error.errors()
    )
