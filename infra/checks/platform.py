"""Whether Bicep keeps to what the platform takes: settings on Flex Consumption, known roles, a whole workbook."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from infra.checks.bicep import at, entries, line, string, text, walk
from infra.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

    from infra.checks.bicep import BicepFile

# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
NOT_ON_FLEX = re.compile(
    r"ENABLE_ORYX_BUILD|SCM_DO_BUILD_DURING_DEPLOYMENT|FUNCTIONS_(EXTENSION_VERSION|WORKER_RUNTIME(_VERSION)?|"
    r"WORKER_PROCESS_COUNT|MAX_HTTP_CONCURRENCY|WORKER_DYNAMIC_CONCURRENCY_ENABLED)|"
    r"WEBSITE_(CONTENT\w+|DNS_SERVER|MAX_DYNAMIC_APPLICATION_SCALE_OUT|NODE_DEFAULT_VERSION|RUN_FROM_PACKAGE|"
    r"SKIP_CONTENTSHARE_VALIDATION|VNET_ROUTE_ALL)"
)
SITE_CONFIG_NOT_ON_FLEX = {"linuxFxVersion", "pythonVersion", "alwaysOn", "functionAppScaleLimit",
                           "minimumElasticInstanceCount", "preWarmedInstanceCount", "vnetRouteAllEnabled"}  # fmt: skip

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "communicationandemailserviceowner": "09976791-48a7-449e-bb21-39d1a415f350",
    "eventgriddatasender": "d5a91429-5739-47e2-a06b-3470a27159e7",
    "monitoringmetricspublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "storageblobdatacontributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "storageblobdataowner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "storageblobdatareader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "storagequeuedatacontributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "storagetabledatacontributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SKIP = re.compile(r"checkov:skip=(\w+):?(.*)")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
_SHORTEST_REASON = 20


def check_platform(root: Path, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    """Check settings, roles, the runtime's version, skips, and the workbook."""
    for file in files.values():
        yield from _roles(file)
        yield from _skips(file)
        for resource in file.of("resource").values():
            kind = (resource.target or "").partition("@")[0]
            if kind == "Microsoft.Web/sites/config":
                yield from _settings(file, resource.value)
            if kind == "Microsoft.Web/sites":
                yield from _site(root, file, resource.value)
    yield from _workbook(root, files)


def _settings(file: BicepFile, value: Node | None) -> Iterator[Finding]:
    properties = at(value, "properties")
    for key, _, prop in entries(properties) if properties is not None else ():
        if NOT_ON_FLEX.fullmatch(key):
            yield Finding(file.path, line(prop), "platform", f"{key} must not be set on Flex Consumption")


def _site(root: Path, file: BicepFile, value: Node | None) -> Iterator[Finding]:
    config = at(value, "properties", "siteConfig")
    for key, entry, prop in entries(config) if config is not None else ():
        if key in SITE_CONFIG_NOT_ON_FLEX:
            yield Finding(file.path, line(prop), "platform", f"siteConfig.{key} must not be set on Flex Consumption")
        if key == "appSettings":
            yield Finding(
                file.path,
                line(entry),
                "platform",
                "settings belong into the appsettings resource, where they are checked",
            )
    version = at(value, "properties", "functionAppConfig", "runtime", "version")
    wanted = (root / ".python-version").read_text(encoding="utf-8").strip()
    if version is not None and string(version) != wanted:
        yield Finding(
            file.path,
            line(version),
            "platform",
            f"the runtime is Python {string(version)}, .python-version says {wanted}",
        )


def _roles(file: BicepFile) -> Iterator[Finding]:
    for node in walk(file.root):
        if node.type != "string" or not _GUID.fullmatch(string(node) or ""):
            continue
        prop = node.parent
        key = text(prop.named_children[0]) if prop is not None and prop.type == "object_property" else ""
        if ROLES.get(key.lower()) != string(node):
            yield Finding(
                file.path,
                line(node),
                "name",
                f"{string(node)} is not the id of a built-in role {key!r} known to infra/checks/platform.py",
            )


def _skips(file: BicepFile) -> Iterator[Finding]:
    for number, content in enumerate(file.path.read_text(encoding="utf-8").splitlines(), 1):
        for rule, reason in _SKIP.findall(content):
            if len(reason.strip()) < _SHORTEST_REASON:
                yield Finding(file.path, number, "checkov", f"{rule} is skipped without a reason")


def _workbook(root: Path, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    path, module = root / "infra/workbook.json", files.get(root / "infra/modules/workbook.bicep")
    if not path.exists() or module is None:
        return
    content = path.read_text(encoding="utf-8")
    try:
        workbook = json.loads(content)
    except ValueError as error:
        yield Finding(path, getattr(error, "lineno", 0), "workbook", f"is not JSON: {error}")
        return
    if workbook.get("version") != "Notebook/1.0" or not workbook.get("items"):
        yield Finding(path, 0, "workbook", "has no items, or another version than Notebook/1.0")
    names = [item.get("name") for item in workbook.get("items", [])]
    for name in sorted({name for name in names if names.count(name) > 1}, key=str):
        yield Finding(path, 0, "workbook", f"two items are called {name}")
    filled = set(_PLACEHOLDER.findall(text(module.root)))
    for name in sorted(set(_PLACEHOLDER.findall(content)) ^ filled):
        yield Finding(path, 0, "workbook", f"{{{{{name}}}}} is in one of workbook.json and workbook.bicep only")
