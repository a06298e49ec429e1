"""local.settings.json.example, copied, is all that a Functions host on this machine needs."""

from __future__ import annotations

import json
from pathlib import Path

from local.acs.options import DEFAULT_ACCESS_KEY
from local.provisioning import ARCHIVE_CONTAINER, DEAD_LETTER_CONTAINER
from shared.config.settings import Settings

VALUES = json.loads((Path(__file__).resolve().parents[3] / "local.settings.json.example").read_text())["Values"]


def test_the_settings_are_valid_and_lead_to_the_local_parts() -> None:
    settings = Settings.from_environment(VALUES)
    assert (settings.service.endpoint, settings.service.access_key) == ("http://127.0.0.1:7080", DEFAULT_ACCESS_KEY)
    assert (settings.container, settings.dead_letter_container) == (ARCHIVE_CONTAINER, DEAD_LETTER_CONTAINER)
    assert settings.storage.connection_string == "UseDevelopmentStorage=true"
    settings.trusted_origins.check("http://127.0.0.1:7080/v1/objects/x/content/video")
