from __future__ import annotations

import json
from itertools import product

import pytest
from azure.communication.callautomation import RecordingChannel, RecordingContent, RecordingFormat

from shared.core.errors import InvalidRequest
from shared.core.limits import LARGEST_START
from shared.core.media_formats import Format
from shared.events.recording_files import ChannelType, ContentType
from shared.recordings.start_request import COMBINATIONS, parse_start


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
    )
    assert parse_start(body).audio_channel_participant_ordering == ["8:acs:a", "8:acs:b"]


UNMIXED = {"recordingChannelType": "unmixed"}
AFFINITY = [{"channel": 0, "participant": "8:acs:a"}, {"channel": 1, "participant": {"rawId": "8:acs:b"}}]


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"recordingContentType": 1, "pauseOnStart": "yes"}, ["recordingContentType", "pauseOnStart"]),
        ({"channelAffinity": [{"channel": 5}]}, ["channelAffinity/0/channel", "channelAffinity/0/participant"]),
        ({"channelAffinity": [{"channel": True, "participant": {}}]}, 2),
        (
            {**UNMIXED, "channelAffinity": [AFFINITY[0], AFFINITY[0]]},
            ["channelAffinity/1/channel", "channelAffinity/1/participant"],
        ),
        ({**UNMIXED, "channelAffinity": [AFFINITY[0]] * 6}, ["channelAffinity"]),
        ({**UNMIXED, "audioChannelParticipantOrdering": ["a", {"rawId": "a"}]}, ["audioChannelParticipantOrdering/1"]),
        ({**UNMIXED, "audioChannelParticipantOrdering": list("abcdef")}, ["audioChannelParticipantOrdering"]),
        ({**UNMIXED, "audioChannelParticipantOrdering": [""]}, ["audioChannelParticipantOrdering/0"]),
        ({"roomId": "r", "recordingFormatType": "ogg"}, ["roomId", "recordingFormatType"]),
        ({"externalStorage": {}}, ["externalStorage/recordingDestinationContainerUrl"]),
        ({"externalStorage": {"recordingStorageKind": "other", "recordingDestinationContainerUrl": "https://a/b"}}, 1),
        ({"recordingStateCallbackUri": "https://user:password@example.com"}, ["recordingStateCallbackUri"]),
        ({"recordingStateCallbackUri": "https://["}, ["recordingStateCallbackUri"]),
        ({"consent": {"basis": "law"}}, ["consent/obtainedFrom", "consent/obtainedAt"]),
    ],
)
def test_every_fault_is_named_by_its_place(fields: dict[str, object], paths: list[str] | int) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_start(start(**fields))
    found = [fault.path for fault in raised.value.faults]
    assert len(found) == paths if isinstance(paths, int) else found == paths
    assert raised.value.field == found[0]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://account.blob.core.windows.net/container?sv=2024&sig=secret", "without a SAS"),
        ("https://account.blob.core.windows.net", "a container's address"),
        ("https://account.blob.core.windows.net/container/folder", "a container's address"),
        ("https:///container", "a container's address"),
    ],
)
def test_external_storage_is_a_container_without_credentials(address: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words) as raised:
        parse_start(start(externalStorage={"recordingDestinationContainerUrl": address}))
    assert "secret" not in str(raised.value)


CONSENT = {"basis": "law", "obtainedAt": "2026-11-22T09:00:00Z", "obtainedFrom": ["8:acs:a"]}


@pytest.mark.parametrize(
    ("fields", "path", "words"),
    [
        ({"pauseonstart": True}, "pauseonstart", "did you mean pauseOnStart"),
        ({"recordingContent": "audio"}, "recordingContent", "did you mean recordingContentType"),
        ({"callLocator": {}}, "callLocator", "no such field"),
        ({"consent": {**CONSENT, "refrence": "ticket 1"}}, "consent/refrence", "did you mean reference"),
        ({**UNMIXED, "channelAffinity": [{**AFFINITY[0], "chanel": 1}]}, "channelAffinity/0/chanel", "mean channel"),
    ],
)
def test_a_misspelt_field_is_refused_lest_a_recording_runs_that_should_be_paused(
    fields: dict[str, object], path: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as raised:
        parse_start(start(**fields))
    assert [fault.path for fault in raised.value.faults] == [path]


def test_the_nearest_combinations_are_named() -> None:
    with pytest.raises(InvalidRequest, match="nearest to this: audioVideo/mixed/mp4, audio/unmixed/wav"):
        parse_start(start(recordingContentType="audioVideo", recordingChannelType="unmixed"))
    with pytest.raises(InvalidRequest, match="audioVideo/any/wav cannot be recorded"):
        parse_start(start(recordingContentType="audioVideo", recordingFormatType="wav"))


def test_channels_are_given_by_affinity_and_ordering() -> None:
    request = parse_start(start(**UNMIXED, channelAffinity=AFFINITY, audioChannelParticipantOrdering=["8:acs:c"]))
    assert [(entry.channel, entry.participant) for entry in request.channel_affinity or ()] == [
        (0, "8:acs:a"),
        (1, "8:acs:b"),
    ]


def test_what_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="longer"):
        parse_start(b" " * (LARGEST_START + 1))
    consent = {"basis": "law", "obtainedAt": "2026-11-22T09:00:00Z", "obtainedFrom": [f"{n:0200}" for n in range(200)]}
    with pytest.raises(InvalidRequest) as raised:
        parse_start(start(consent=consent))
    assert raised.value.field == "consent"
