from __future__ import annotations

import json
from itertools import product

import pytest
from azure.communication.callautomation import RecordingChannel, RecordingContent, RecordingFormat

from shared.errors import InvalidRequest
from shared.events import ChannelType, ContentType
from shared.media import Format
from shared.requests import COMBINATIONS, parse_start


def start(**fields: object) -> bytes:
    return json.dumps({"serverCallId": "s", **fields}).encode()


def test_the_types_are_the_sdks() -> None:
    assert {kind.value for kind in ContentType} == {kind.value for kind in RecordingContent}
    assert {kind.value for kind in ChannelType} == {kind.value for kind in RecordingChannel}
    assert {kind.value for kind in Format} == {kind.value for kind in RecordingFormat}


@pytest.mark.parametrize("name", ["serverCallId", "groupCallId", "roomId", "callConnectionId"])
def test_each_id_locates_the_call(name: str) -> None:
    request = parse_start(json.dumps({name: "id"}).encode())
    assert list(request.locator().values()) == ["id"]


@pytest.mark.parametrize("body", [b"{}", b'{"serverCallId": "a", "roomId": "b"}', b'{"serverCallId": null}'])
def test_exactly_one_id_is_given(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="serverCallId, groupCallId, roomId, callConnectionId"):
        parse_start(body)


@pytest.mark.parametrize(("content", "channel", "format_"), list(product(ContentType, ChannelType, Format)))
def test_only_what_the_service_can_record_is_asked_for(
    content: ContentType, channel: ChannelType, format_: Format
) -> None:
    body = start(recordingContentType=content, recordingChannelType=channel, recordingFormatType=format_)
    if (content, channel, format_) in COMBINATIONS:
        assert parse_start(body).combination() == (content, channel, format_)
    else:
        with pytest.raises(InvalidRequest, match="audio/unmixed/wav"):
            parse_start(body)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({}, ("audioVideo", "mixed", "mp4")),
        ({"recordingContentType": "audio"}, ("audio", "mixed", "mp3")),
        ({"recordingChannelType": "unmixed"}, ("audio", "unmixed", "wav")),
        ({"recordingFormatType": "wav"}, ("audio", "mixed", "wav")),
        ({"recordingFormatType": "MP3"}, ("audio", "mixed", "mp3")),
    ],
)
def test_what_is_left_open_is_filled_in(given: dict[str, str], taken: tuple[str, str, str]) -> None:
    assert parse_start(start(**given)).combination() == taken


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"recordingContentType": "video"}, "recordingContentType"),
        ({"recordingFormatType": "ogg"}, "recordingFormatType"),
        ({"recordingContentType": "audioVideo", "recordingFormatType": "wav"}, "recordingFormatType"),
        ({"recordingStateCallbackUri": "ftp://x"}, "recordingStateCallbackUri"),
        ({"channelAffinity": [{"channel": 9, "participant": "8:acs:x"}]}, "channelAffinity/0/channel"),
        ({"channelAffinity": [{"channel": 0, "participant": "8:acs:x"}]}, "channelAffinity"),
        ({"audioChannelParticipantOrdering": ["8:acs:x"]}, "audioChannelParticipantOrdering"),
        ({"pauseOnStart": "perhaps"}, "pauseOnStart"),
        ({"serverCallId": 7}, "serverCallId"),
        (
            {"externalStorage": {"recordingDestinationContainerUrl": "http://x"}},
            "externalStorage/recordingDestinationContainerUrl",
        ),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_start(start(**fields))
    assert raised.value.field == field


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_start(body)


def test_participants_come_as_raw_ids_or_in_the_services_own_form() -> None:
    body = start(
        recordingChannelType="unmixed",
        audioChannelParticipantOrdering=["8:acs:a", {"rawId": "8:acs:b", "communicationUser": {"id": "8:acs:b"}}],
        new="tolerated",
    )
    assert parse_start(body).audio_channel_participant_ordering == ["8:acs:a", "8:acs:b"]
