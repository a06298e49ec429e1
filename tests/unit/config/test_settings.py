from __future__ import annotations

import pytest

from shared.config.settings import Settings
from shared.core.errors import SettingsError, UntrustedOrigin

KEY = {"ACS_CONNECTION_STRING": "endpoint=https://contoso.communication.azure.com/;accesskey=c2VjcmV0"}
ACCOUNT = {"ARCHIVE_STORAGE": "UseDevelopmentStorage=true"}


def test_defaults_are_the_documented_ones() -> None:
    settings = Settings.from_environment({**KEY, **ACCOUNT})
    assert (settings.container, settings.retention_hours, settings.block_mib, settings.concurrency) == (
        "recordings",
        24,
        8,
        8,
    )
    settings.trusted_origins.check("https://us-storage.asm.skype.com/v1/objects/x")
    with pytest.raises(UntrustedOrigin):
        settings.trusted_origins.check("http://127.0.0.1:7080/v1/objects/x")


def test_the_connection_strings_parts_are_read() -> None:
    service = Settings.from_environment({**KEY, **ACCOUNT}).service
    assert (service.endpoint, service.access_key) == ("https://contoso.communication.azure.com", "c2VjcmV0")


def test_an_endpoint_means_a_managed_identity() -> None:
    settings = Settings.from_environment(
        {
            "ACS_ENDPOINT": "https://contoso.communication.azure.com",
            "ARCHIVE_STORAGE__blobServiceUri": "https://a.blob.core.windows.net",
            "ARCHIVE_STORAGE__queueServiceUri": "https://a.queue.core.windows.net",
            "ARCHIVE_STORAGE__tableServiceUri": "https://a.table.core.windows.net",
            "ARCHIVE_STORAGE__clientId": "id",
        }
    )
    assert settings.service.access_key is None
    assert settings.storage.connection_string is None
    assert settings.storage.table_uri == "https://a.table.core.windows.net"
    assert settings.storage.client_id == "id"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACS_CONNECTION_STRING", "endpoint=https://contoso.communication.azure.com/"),
        ("ACS_CONNECTION_STRING", "endpoint=contoso;accesskey=c2VjcmV0"),
        ("ACS_CONNECTION_STRING", "endpoint=https://contoso.communication.azure.com/;accesskey=not base64"),
        ("ACS_ENDPOINT", "https://contoso.communication.azure.com"),
        ("ARCHIVE_STORAGE", "nonsense"),
        ("ARCHIVE_CONTAINER", "Recordings"),
        ("ARCHIVE_CONTAINER", "a--b"),
        ("RECORDING_RETENTION_HOURS", "0"),
        ("RECORDING_RETENTION_HOURS", "a day"),
        ("RECORDING_TRUSTED_ORIGINS", "*.asm.skype.com"),
        ("COPY_BLOCK_MIB", "-1"),
        ("COPY_CONCURRENCY", "1000"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({**KEY, **ACCOUNT, name: value})


def test_every_fault_is_named_in_one_message() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"COPY_BLOCK_MIB": "x", "ARCHIVE_CONTAINER": "-"})
    for name in (
        "ACS_ENDPOINT",
        "ARCHIVE_STORAGE__blobServiceUri",
        "ARCHIVE_STORAGE__tableServiceUri",
        "COPY_BLOCK_MIB",
        "ARCHIVE_CONTAINER",
    ):
        assert name in str(raised.value)


def test_secrets_are_in_no_message_and_no_representation() -> None:
    secret = "c2VjcmV0"
    settings = Settings.from_environment({**KEY, "ARCHIVE_STORAGE": f"AccountName=a;AccountKey={secret}"})
    assert secret not in repr(settings)
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"ACS_CONNECTION_STRING": f"accesskey={secret}", "ARCHIVE_STORAGE": secret})
    assert secret not in str(raised.value)
