"""Keys: what opens what, and what is cut out of texts."""

from __future__ import annotations

import ast
import hmac
import inspect
import re
from pathlib import Path

import pytest

from shared.config.settings import Settings
from shared.core import log
from shared.core.errors import SettingsError
from shared.core.redaction import redacted
from shared.recordings import callbacks

ROOT = Path(__file__).parents[3]
SECURITY = (ROOT / "docs" / "security.md").read_text()
MINIMAL = {
    "ACS_CONNECTION_STRING": "endpoint=https://x.communication.azure.com/;accesskey=a2V5",
    "ARCHIVE_STORAGE": "UseDevelopmentStorage=true",
}
DEFAULT = "FUNCTION"
ANONYMOUS = {"health", "openapi_document", "recording_state_callback"}


def http_functions() -> dict[str, str]:
    """The level of each HTTP function, as it stands in the source: an app can be indexed only once a process."""
    found = {}
    for path in (ROOT / "functions").glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            for decorator in getattr(function, "decorator_list", ()):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "blueprint.route":
                    levels = [ast.unparse(word.value) for word in decorator.keywords if word.arg == "auth_level"]
                    found[function.name] = levels[0].rpartition(".")[2] if levels else DEFAULT  # type: ignore[attr-defined] # it has decorators
    return found


def test_every_function_takes_a_key_but_those_that_cannot() -> None:
    functions = http_functions()
    assert {name for name, level in functions.items() if level == "ANONYMOUS"} == ANONYMOUS
    assert {level for name, level in functions.items() if name not in ANONYMOUS} == {DEFAULT}
    assert f"http_auth_level=func.AuthLevel.{DEFAULT}" in (ROOT / "function_app.py").read_text()


def test_every_function_is_in_one_group_of_keys() -> None:
    groups = re.findall(r"^\| `(?:control|operators)` \|([^|]*)\|", SECURITY, re.MULTILINE)
    named = [name for group in groups for name in re.findall(r"`(\w+)`", group)]
    assert sorted(named) == sorted(set(http_functions()) - ANONYMOUS)


def test_every_line_of_the_threat_model_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)
    assert len(named) > 30
    missing = [f"{path}::{name}" for path, name in named if not re.search(rf"def {name}\(", (ROOT / path).read_text())]
    assert missing == []


def test_tokens_are_compared_in_constant_time() -> None:
    source = inspect.getsource(callbacks.Callbacks.take)
    assert "hmac.compare_digest(" in source
    assert hmac.compare_digest(callbacks._hash("\ud800"), callbacks._hash("\ud800"))  # no token breaks the comparison


SECRET = "bm90LWEtcmVhbC1zZWNyZXQtYXQtYWxs+/=="


@pytest.mark.parametrize(
    "text",
    [
        f"HMAC-SHA256 SignedHeaders=x-ms-date;host&Signature={SECRET}",
        f"The MAC signature found in the HTTP request 'SharedKey account:{SECRET}' is not",
        f"SharedKeyLite account:{SECRET}",
        f"endpoint=https://x/;accesskey={SECRET};more",
        f"AccountName=a;AccountKey={SECRET}",
        f"https://x/?sv=2021&sig={SECRET}&se=2027",
        f"Authorization: Bearer {SECRET}",
    ],
)
def test_credentials_are_removed_from_logs(text: str, caplog: pytest.LogCaptureFixture) -> None:
    assert SECRET not in redacted(text)
    log.error("refused", reason=text)
    record = caplog.records[-1]
    assert SECRET not in record.getMessage()
    assert SECRET not in str(vars(record))


@pytest.mark.parametrize("text", ["the service answered 403 code=8522", "a design=good", "no bearer", ""])
def test_ordinary_texts_stay_as_they_are(text: str) -> None:
    assert redacted(text) == text


RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/communicationServices/mine"


@pytest.mark.parametrize(("given", "wanted"), [("", None), (RESOURCE, RESOURCE), (RESOURCE + "/", RESOURCE)])
def test_the_resources_id_is_read(given: str, wanted: str | None) -> None:
    assert Settings.from_environment(MINIMAL | {"ACS_RESOURCE_ID": given}).resource_id == wanted


@pytest.mark.parametrize("given", ["mine", "https://x.communication.azure.com", RESOURCE + "/x", RESOURCE[1:]])
def test_an_id_of_another_form_is_named(given: str) -> None:
    with pytest.raises(SettingsError, match="ACS_RESOURCE_ID"):
        Settings.from_environment(MINIMAL | {"ACS_RESOURCE_ID": given})


def test_settings_show_no_secret() -> None:
    key = "c2VjcmV0LWtleQ=="
    environment = {
        "ACS_CONNECTION_STRING": f"endpoint=https://x.communication.azure.com/;accesskey={key}",
        "ARCHIVE_STORAGE": f"AccountName=a;AccountKey={key}",
        "ARCHIVE_TOPIC_ENDPOINT": "https://t.example/api/events",
        "ARCHIVE_TOPIC_KEY": key,
    }
    assert key not in repr(Settings.from_environment(environment))
