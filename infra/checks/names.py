"""Whether the names in Bicep are those of the code, and its settings the same everywhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from infra.checks.bicep import at, entries, line, string, text, walk
from infra.checks.code import SETTING
from infra.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

    from infra.checks.bicep import BicepFile, Declaration
    from infra.checks.code import Code

LOG_EVENT = re.compile(r"'((?!odata\.)[a-z]+\.[a-z_]+)'")
POISON = re.compile(r"\b([a-z][a-z0-9-]*)-poison\b")

# The platform's own settings: they are in Bicep or local.settings.json, and are no settings of the app's own.
PLATFORM = re.compile(r"AzureWebJobs\w+|APPLICATIONINSIGHTS_\w+|PYTHON_\w+|FUNCTIONS_\w+|AZURE_CLIENT_ID|WEBSITE_\w+")
# Two ways to say one thing: an identity in Azure, a connection string or a key where there is none.
ALTERNATIVES = {"ACS_CONNECTION_STRING": "ACS_ENDPOINT", "ARCHIVE_TOPIC_KEY": "ARCHIVE_TOPIC_ENDPOINT"}


def check_names(root: Path, files: Mapping[Path, BicepFile], code: Code) -> Iterator[Finding]:
    """Compare functions, queues, containers, event types and log events."""
    main, events = files.get(root / "infra/main.bicep"), files.get(root / "infra/events.bicep")
    if main is not None:
        containers = {code.defaults.get("ARCHIVE_CONTAINER", "")}
        yield from _constant(main, "var", "archiveContainerName", containers, "the default of ARCHIVE_CONTAINER")
        yield from _constant(
            main, "var", "operationsContainerName", {code.constants.get("OPERATIONS", "")}, "OPERATIONS of the code"
        )
        for name in ("eventFunctionName", "callFunctionName"):
            yield from _constant(main, "var", name, _triggered(code, "event grid"), "an Event Grid function")
        yield from _constant(main, "var", "intakeFunctionName", _triggered(code, "queue"), "a queue's function")
    if events is not None:
        for name in ("functionName", "callFunctionName"):
            yield from _constant(events, "param", name, _triggered(code, "event grid"), "an Event Grid function")
        yield from _event_types(events, code)
    if main is not None and events is not None:
        dead_letters = main.of("var").get("deadLetterContainerName")
        allowed = {string(dead_letters.value) or ""} if dead_letters else set()
        yield from _constant(events, "param", "deadLetterContainerName", allowed, "main.bicep's dead-letter container")
    for path in (root / "infra/modules/alerts.bicep", root / "infra/workbook.json"):
        yield from _queries(path, code)


def _triggered(code: Code, trigger: str) -> set[str]:
    return {name for name, found in code.functions.items() if found == trigger}


def _constant(file: BicepFile, kind: str, name: str, allowed: set[str], meaning: str) -> Iterator[Finding]:
    found = file.of(kind).get(name)
    if found is None:
        yield Finding(file.path, 0, "name", f"{kind} {name} is not here any more; the check needs it")
    elif (value := string(found.value)) not in allowed:
        known = ", ".join(sorted(allowed)) or "none"
        yield Finding(file.path, line(found.node), "name", f"{name} is {value!r}, which is not {meaning}: {known}")


def _event_types(file: BicepFile, code: Code) -> Iterator[Finding]:
    for subscription in file.of("resource").values():
        types = at(subscription.value, "properties", "filter", "includedEventTypes")
        if types is None or _is_off(file, subscription):
            continue
        for node in types.named_children:
            if (name := string(node)) not in code.event_types:
                yield Finding(file.path, line(node), "name", f"no code takes {name} events")


def _is_off(file: BicepFile, subscription: Declaration) -> bool:
    """Whether a subscription is only made when a function is named, and none is."""
    destination = at(subscription.value, "properties", "destination", "properties", "resourceId")
    named = {text(node) for node in walk(destination) if node.type == "identifier"} if destination else set()
    parameters = file.of("param")
    return subscription.conditional and any(string(parameters[name].value) == "" for name in named & set(parameters))


def _queries(path: Path, code: Code) -> Iterator[Finding]:
    for number, content in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        for event in LOG_EVENT.findall(content):
            if event not in code.log_events:
                yield Finding(path, number, "name", f"no code logs {event}, so the query never finds any")
        for queue in POISON.findall(content):
            if queue not in code.queues:
                yield Finding(path, number, "name", f"{queue} is no queue of the code")


def check_settings(root: Path, files: Mapping[Path, BicepFile], code: Code) -> Iterator[Finding]:
    """Compare the settings of Bicep, local.settings.json.example and docs/deploy.md with shared/config/settings.py."""
    path = root / "infra/modules/app.bicep"
    app = files.get(path)
    settings = app.of("resource").get("settings") if app else None
    properties = at(settings.value, "properties") if settings else None
    found = {key: line(prop) for key, _, prop in entries(properties)} if properties else {}
    wanted = _canonical(code.settings)
    for where, names in {
        path: found,
        root / "local.settings.json.example": _local_settings(root / "local.settings.json.example"),
        root / "docs/deploy.md": _documented_settings(root / "docs/deploy.md"),
    }.items():
        have = _canonical(names)
        for name in sorted(wanted - have):
            yield Finding(where, 0, "setting", f"{name} of shared/config/settings.py is missing")
        for name in sorted(have - wanted):
            yield Finding(where, names.get(name, 0), "setting", f"shared/config/settings.py reads no {name}")
    yield from _connections(path, found, code)
    main, values = files.get(root / "infra/main.bicep"), files.get(root / "infra/main.bicepparam")
    if main is not None:
        yield from _setting_defaults(main, properties, code)
    if main is not None and values is not None:
        yield from _parameter_defaults(main, values)


def _local_settings(path: Path) -> dict[str, int]:
    return dict.fromkeys(json.loads(path.read_text(encoding="utf-8"))["Values"], 0) if path.exists() else {}


def _documented_settings(path: Path) -> dict[str, int]:
    """Return the settings that begin a row of a table under the heading "Settings", with their lines."""
    found, inside = {}, False
    for number, content in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        inside = content.strip("# ") == "Settings" if content.startswith("#") else inside
        for name in re.findall(r"`(\w+)`", content.split("|")[1]) if inside and content.startswith("|") else ():
            if SETTING.fullmatch(name):
                found[name] = number
    return found


def _canonical(names: Iterable[str]) -> set[str]:
    bases = {name.partition("__")[0] for name in names if not PLATFORM.fullmatch(name)}
    return {ALTERNATIVES.get(name, name) for name in bases}


def _setting_defaults(main: BicepFile, properties: Node | None, code: Code) -> Iterator[Finding]:
    """Compare the defaults of the parameters that settings are filled from with those in the code."""
    parameters = main.of("param")
    for key, value, _ in entries(properties) if properties else ():
        names = [text(part) for part in walk(value) if part.type == "identifier" and text(part) in parameters]
        parameter = parameters[names[0]] if names else None
        if parameter is None or parameter.value is None or key not in code.defaults:
            continue
        given, wanted = string(parameter.value) or text(parameter.value), code.defaults[key]
        if given != wanted:
            message = f"{parameter.name} defaults to {given}, {key} in shared/config/settings.py to {wanted}"
            yield Finding(main.path, line(parameter.node), "setting", message)


def _parameter_defaults(main: BicepFile, values: BicepFile) -> Iterator[Finding]:
    """Compare what main.bicepparam falls back to with main.bicep's own defaults, which hold without azd."""
    parameters = main.of("param")
    for name, value in values.of("param").items():
        parameter = parameters.get(name)
        literals = [string(node) or "" for node in walk(value.node) if node.type == "string"]
        if parameter is None or parameter.value is None or len(literals) != 2:
            continue
        default = string(parameter.value)
        wanted = text(parameter.value) if default is None else default
        if literals[1] != wanted:
            message = f"{name} falls back to {literals[1]!r}, main.bicep to {wanted!r}"
            yield Finding(values.path, line(value.node), "setting", message)


def _connections(path: Path, found: dict[str, int], code: Code) -> Iterator[Finding]:
    for connection in sorted(code.connections):
        for part in ("blobServiceUri", "queueServiceUri", "credential", "clientId"):
            if f"{connection}__{part}" not in found:
                yield Finding(
                    path, 0, "setting", f"{connection}__{part} is missing; bindings connect with {connection}"
                )
