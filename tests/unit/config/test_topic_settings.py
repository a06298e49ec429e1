from __future__ import annotations

import pytest

from shared.config.connections import Topic
from shared.config.settings import Settings
from shared.core.errors import SettingsError

NEEDED = {
    "ACS_CONNECTION_STRING": "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0",
    "ARCHIVE_STORAGE": "UseDevelopmentStorage=true",
}
ENDPOINT = "https://topic.westeurope-1.eventgrid.azure.net/api/events"


def test_events_and_deletion_are_off_by_default() -> None:
    settings = Settings.from_environment(NEEDED)
    assert (settings.topic, settings.delete_source) == (None, False)


@pytest.mark.parametrize(
    ("given", "topic"),
    [
        ({"ARCHIVE_TOPIC_ENDPOINT": ENDPOINT}, Topic(ENDPOINT, None)),
        ({"ARCHIVE_TOPIC_ENDPOINT": ENDPOINT, "ARCHIVE_TOPIC_KEY": "k"}, Topic(ENDPOINT, "k")),
        (
            {"ARCHIVE_TOPIC_ENDPOINT": "http://127.0.0.1:7090/topics/x/api/events", "ARCHIVE_TOPIC_KEY": "k"},
            Topic("http://127.0.0.1:7090/topics/x/api/events", "k"),
        ),
        ({"ARCHIVE_TOPIC_ENDPOINT": ""}, None),
    ],
)
def test_a_topic_has_an_address_and_perhaps_a_key(given: dict[str, str], topic: Topic | None) -> None:
    assert Settings.from_environment(NEEDED | given).topic == topic


@pytest.mark.parametrize("value", ["true", "True", "TRUE"])
def test_deletion_is_on_however_true_is_written(value: str) -> None:
    assert Settings.from_environment(NEEDED | {"DELETE_SOURCE_AFTER_ARCHIVE": value}).delete_source


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"DELETE_SOURCE_AFTER_ARCHIVE": "yes"}, "DELETE_SOURCE_AFTER_ARCHIVE"),
        ({"ARCHIVE_TOPIC_ENDPOINT": "topic.example.net"}, "ARCHIVE_TOPIC_ENDPOINT"),
        ({"ARCHIVE_TOPIC_ENDPOINT": "http://127.0.0.1:7090/api/events"}, "ARCHIVE_TOPIC_KEY"),
        ({"ARCHIVE_TOPIC_KEY": "secret"}, "ARCHIVE_TOPIC_ENDPOINT"),
    ],
)
def test_a_wrong_value_is_named_and_no_key_shown(given: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as raised:
        Settings.from_environment(NEEDED | given)
    assert "secret" not in str(raised.value)


def test_the_key_is_in_no_representation() -> None:
    settings = Settings.from_environment(
        NEEDED | {"ARCHIVE_TOPIC_ENDPOINT": ENDPOINT, "ARCHIVE_TOPIC_KEY": "top-secret"}
    )
    assert "top-secret" not in repr(settings)
