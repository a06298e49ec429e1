"""host.json, local.settings.json and app settings, as the Functions host understands them.

host.json may be overridden by settings named ``AzureFunctionsJobHost__extensions__queues__batchSize`` and the like; the
process environment wins over local.settings.json. Sources: the host.json and local.settings.json references of the
Azure Functions documentation.
"""

from __future__ import annotations

import json
import logging
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from local.host.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from pathlib import Path

OVERRIDE_PREFIX = "azurefunctionsjobhost__"
DEFAULT_FUNCTION_TIMEOUT = 30 * 60.0
# `func start` is a development environment, for which the queues extension polls every 2 s at least, not every minute.
LOCAL_MAX_POLLING_INTERVAL = 2.0

LEVELS = {
    "trace": logging.DEBUG - 5,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


@dataclass(slots=True, frozen=True)
class QueueSettings:
    """host.json's `extensions.queues`.

    Parameters
    ----------
    batch_size
        Messages fetched at once, 1 to 32.
    new_batch_threshold
        The next batch is fetched when so few messages are left in work.
    max_dequeue_count
        Tries before a message goes to the poison queue.
    visibility_timeout
        Seconds until a message that failed is tried again.
    max_polling_interval
        Seconds between two polls of an empty queue, at most.
    message_encoding
        ``base64`` or ``none``.
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    visibility_timeout: float = 0.0
    max_polling_interval: float = LOCAL_MAX_POLLING_INTERVAL
    message_encoding: str = "base64"


@dataclass(slots=True, frozen=True)
class HostSettings:
    """What host.json says, with its overrides.

    Parameters
    ----------
    route_prefix
        What precedes every HTTP route, without slashes; may be empty.
    function_timeout
        Seconds an invocation may take; None for no limit.
    queues
        The queues extension.
    log_levels
        Lowest level shown, by category prefix in lower case; ``default`` is the rest.
    """

    route_prefix: str = "api"
    function_timeout: float | None = DEFAULT_FUNCTION_TIMEOUT
    queues: QueueSettings = field(default_factory=QueueSettings)
    log_levels: dict[str, int] = field(default_factory=lambda: {"default": logging.INFO})


@dataclass(slots=True, frozen=True)
class LocalSettings:
    """What local.settings.json says: app settings, and the port to listen on if it names one."""

    values: dict[str, str] = field(default_factory=dict)
    port: int | None = None


def read_host_settings(root: Path, environment: Mapping[str, str]) -> HostSettings:
    """Read host.json in `root` and lay the overrides of `environment` over it.

    Raises
    ------
    SettingsError
        host.json is missing, no JSON, or a value is out of its range.
    """
    path = root / "host.json"
    if not path.is_file():
        raise SettingsError(f'{path} is missing: a function app has a host.json, at least {{"version": "2.0"}}.')
    raw = _read_object(path)
    if str(raw.get("version", "")) != "2.0":
        raise SettingsError(f'host.json: "version" is "2.0", not {json.dumps(raw.get("version"))}.')
    for name, value in environment.items():
        if name.lower().startswith(OVERRIDE_PREFIX):
            _override(raw, name[len(OVERRIDE_PREFIX) :].split("__"), value)
    return _host_settings(raw)


def read_local_settings(root: Path) -> LocalSettings:
    """Read local.settings.json in `root`; without one there are no local settings.

    Raises
    ------
    SettingsError
        The file is encrypted, no JSON, or holds something else than texts.
    """
    path = root / "local.settings.json"
    if not path.is_file():
        return LocalSettings()
    raw = _read_object(path)
    if raw.get("IsEncrypted") is True:
        raise SettingsError(
            f'{path} is encrypted ("IsEncrypted": true) and only the Azure Functions Core Tools can read it: '
            'run "func settings decrypt", or set IsEncrypted to false.'
        )
    values = raw.get("Values", {})
    if not isinstance(values, dict):
        raise SettingsError(f'{path}: "Values" is an object of names and texts.')
    for name, value in values.items():
        if not isinstance(value, str):
            raise SettingsError(
                f'{path}: the value of "{name}" is a text in quotes, not {json.dumps(value)}; app settings are texts.'
            )
    port = (raw.get("Host") or {}).get("LocalHttpPort")
    if port is not None and not isinstance(port, int):
        raise SettingsError(f'{path}: "Host.LocalHttpPort" is a number.')
    return LocalSettings(dict(values), port)


def apply_local_settings(settings: LocalSettings, environment: MutableMapping[str, str]) -> None:
    """Put app settings into `environment` where it does not have them already, as `func start` does."""
    for name, value in settings.values.items():
        environment.setdefault(name, value)
    environment.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    environment.setdefault("FUNCTIONS_WORKER_RUNTIME", "python")


def resolve(text: str, environment: Mapping[str, str], where: str) -> str:
    """Replace every ``%Name%`` in a binding attribute by the app setting of that name.

    Parameters
    ----------
    where
        What the text belongs to, for the message.

    Raises
    ------
    SettingsError
        There is no such setting.
    """

    def replacement(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environment:
            raise SettingsError(f"{where}: %{name}% does not resolve, because there is no app setting '{name}'.")
        return environment[name]

    return re.sub(r"%([^%]+)%", replacement, text)


def is_disabled(function: str, environment: Mapping[str, str]) -> bool:
    """Whether the app setting ``AzureWebJobs.<function>.Disabled`` switches a function off."""
    return environment.get(f"AzureWebJobs.{function}.Disabled", "").strip().lower() in {"true", "1"}


def parse_timespan(text: object, where: str) -> float:
    """Seconds of a .NET TimeSpan, ``[d.]hh:mm:ss[.fffffff]``.

    Raises
    ------
    SettingsError
        `text` is something else; `where` names the setting.
    """
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2}):(\d{1,2})(\.\d{1,7})?", str(text).strip())
    if not isinstance(text, str) or match is None:
        raise SettingsError(f'{where}: a time is written "hh:mm:ss", not {json.dumps(text)}.')
    days, hours, minutes, seconds, fraction = match.groups()
    if int(hours) > 23 or int(minutes) > 59 or int(seconds) > 59:
        raise SettingsError(f'{where}: "{text}" is no time; the ranges are 0-23, 0-59, 0-59 (days as "1.00:00:00").')
    whole = ((int(days or 0) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return whole + float(fraction or 0)


def format_timespan(seconds: float) -> str:
    """Write `seconds` as ``hh:mm:ss``, with milliseconds where there are any."""
    milliseconds = round(seconds * 1000)
    rest, milliseconds = divmod(milliseconds, 1000)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}" + (f".{milliseconds:03}" if milliseconds else "")


def _host_settings(raw: dict[str, Any]) -> HostSettings:
    extensions = _section(raw, "extensions")
    prefix = _get(_section(extensions, "http"), "routePrefix", "api")
    if not isinstance(prefix, str):
        raise SettingsError("host.json: extensions.http.routePrefix is a text, empty for none.")
    timeout = _get(raw, "functionTimeout", None)
    return HostSettings(
        route_prefix=prefix.strip("/"),
        function_timeout=_function_timeout(timeout),
        queues=_queue_settings(_section(extensions, "queues")),
        log_levels=_log_levels(_section(_section(raw, "logging"), "logLevel")),
    )


def _function_timeout(value: object) -> float | None:
    if value is None:
        return DEFAULT_FUNCTION_TIMEOUT
    if value in ("-1", -1, "-00:00:00.0010000"):
        return None
    seconds = parse_timespan(value, "host.json: functionTimeout")
    if seconds <= 0:
        raise SettingsError('host.json: functionTimeout is longer than nothing, or "-1" for no limit.')
    return seconds


def _queue_settings(raw: dict[str, Any]) -> QueueSettings:
    where = "host.json: extensions.queues"
    batch_size = _whole(raw, "batchSize", 16, low=1, high=32, where=where)
    encoding = str(_get(raw, "messageEncoding", "base64")).lower()
    if encoding not in ("base64", "none"):
        raise SettingsError(f'{where}.messageEncoding is "base64" or "none", not "{encoding}".')
    default_interval = format_timespan(LOCAL_MAX_POLLING_INTERVAL)
    return QueueSettings(
        batch_size=batch_size,
        new_batch_threshold=_whole(raw, "newBatchThreshold", batch_size // 2, low=0, high=2**31 - 1, where=where),
        max_dequeue_count=_whole(raw, "maxDequeueCount", 5, low=1, high=2**31 - 1, where=where),
        visibility_timeout=parse_timespan(_get(raw, "visibilityTimeout", "00:00:00"), f"{where}.visibilityTimeout"),
        max_polling_interval=max(
            0.1, parse_timespan(_get(raw, "maxPollingInterval", default_interval), f"{where}.maxPollingInterval")
        ),
        message_encoding=encoding,
    )


def _log_levels(raw: dict[str, Any]) -> dict[str, int]:
    levels = {"default": logging.INFO}
    for category, name in raw.items():
        if str(name).lower() not in LEVELS:
            raise SettingsError(
                f"host.json: logging.logLevel.{category} is one of {', '.join(n.capitalize() for n in LEVELS)}, "
                f'not "{name}".'
            )
        levels[category.lower()] = LEVELS[str(name).lower()]
    return levels


def _whole(raw: dict[str, Any], name: str, default: int, *, low: int, high: int, where: str) -> int:
    value = _get(raw, name, default)
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not low <= number <= high:
        raise SettingsError(f"{where}.{name} is a whole number from {low} to {high}, not {json.dumps(value)}.")
    return number


def _get(raw: dict[str, Any], name: str, default: object) -> Any:
    """Look a JSON property up without regard to case, as .NET configuration does."""
    return next((value for key, value in raw.items() if key.lower() == name.lower()), default)


def _section(raw: dict[str, Any], name: str) -> dict[str, Any]:
    section = _get(raw, name, {})
    if not isinstance(section, dict):
        raise SettingsError(f'host.json: "{name}" is an object.')
    return section


def _override(raw: dict[str, Any], path: list[str], value: str) -> None:
    *sections, last = path
    for name in sections:
        key = next((k for k in raw if k.lower() == name.lower()), name)
        if not isinstance(raw.get(key), dict):
            raw[key] = {}
        raw = raw[key]
    raw[next((k for k in raw if k.lower() == last.lower()), last)] = value


def _read_object(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path} is not readable as JSON: {exc}.") from exc
    if not isinstance(raw, dict):
        raise SettingsError(f"{path} holds a JSON object.")
    return raw
