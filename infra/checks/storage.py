"""Whether the queues and containers of the code are in the accounts of their connections, with the app's roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infra.checks.bicep import at, entries, line, text
from infra.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

    from infra.checks.bicep import BicepFile, Declaration
    from infra.checks.code import Code

APP_PRINCIPAL = "identity.outputs.appPrincipalId"
_STORAGE = "Microsoft.Storage/storageAccounts"
_QUEUE = f"{_STORAGE}/queueServices/queues"
_CONTAINER = f"{_STORAGE}/blobServices/containers"
_ROLES = {_QUEUE: "storageQueueDataContributor", _CONTAINER: "storageBlobDataContributor"}
_ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
_ADDRESS = "ServiceUri"
_ARCHIVE = f"ARCHIVE_STORAGE__blob{_ADDRESS}"

type Part = tuple[str, str]
"""The name of an account, and that of a queue or a container in it, both as they stand in main.bicep."""


@dataclass(frozen=True, slots=True)
class _Module:
    """A module with the arguments that main.bicep gives it; main.bicep itself has none."""

    file: BicepFile
    given: Mapping[str, Node]
    main: BicepFile

    def meaning(self, node: Node | None) -> str:
        """Return what `node` stands for: parameters and variables replaced, and what Azure computes left as it is."""
        if node is None:
            return ""
        if node.type == "string":
            return "".join(
                self.meaning(part.named_children[0]) if part.type == "interpolation" else text(part)
                for part in node.named_children
            )
        if node.type == "identifier":
            return self._named(text(node))
        if node.type == "member_expression":
            owner, member = text(node.named_children[0]), text(node.named_children[-1])
            if owner in self.given:
                return self._main().meaning(at(self.given[owner], member))
        return text(node)

    def _named(self, name: str) -> str:
        if name in self.given:
            return self._main().meaning(self.given[name])
        variable = self.file.of("var").get(name)
        return self.meaning(variable.value) if variable is not None else name

    def _main(self) -> _Module:
        return _Module(self.main, {}, self.main)

    def resources(self, kind: str) -> Iterator[Declaration]:
        """Yield the resources of a type, whatever the version."""
        for resource in self.file.of("resource").values():
            if (resource.target or "").partition("@")[0] == kind:
                yield resource

    def account(self) -> str:
        """Return the name of the module's storage account."""
        return next((self.meaning(at(found.value, "name")) for found in self.resources(_STORAGE)), "")

    def scopes(self, role: str) -> Iterator[str]:
        """Yield the symbols of what the app has a role on."""
        for assignment in self.resources(_ASSIGNMENT):
            scope, given = at(assignment.value, "scope"), at(assignment.value, "properties", "roleDefinitionId")
            principal = self.meaning(at(assignment.value, "properties", "principalId"))
            if scope is not None and given is not None and role in text(given) and principal == APP_PRINCIPAL:
                yield text(scope)

    def part(self, resource: Declaration) -> Part:
        """Return where a queue or a container is."""
        top: Declaration | None = resource
        seen = []
        while top is not None and top not in seen:
            seen.append(top)
            top = self.file.of("resource").get(text(parent)) if (parent := at(top.value, "parent")) else None
        return self.meaning(at(seen[-1].value, "name")), self.meaning(at(resource.value, "name"))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The queues, or the containers, of all modules.

    Attributes
    ----------
    role
        The role that lets the app read and change what is in one.
    made
        Where each is made.
    allowed
        Those on which the app has the role.
    """

    role: str
    made: Mapping[Part, tuple[BicepFile, Declaration]]
    allowed: set[Part]

    @classmethod
    def of(cls, modules: Mapping[str, _Module], kind: str) -> _Parts:
        """Return the resources of type `kind`."""
        role, allowed = _ROLES[kind], set()
        made: dict[Part, tuple[BicepFile, Declaration]] = {}
        for module in modules.values():
            parts = {resource.name: resource for resource in module.resources(kind)}
            made |= {module.part(found): (module.file, found) for found in parts.values() if not found.existing}
            allowed |= {module.part(parts[scope]) for scope in module.scopes(role) if scope in parts}
        return cls(role, made, allowed)

    def check(self, part: Part, key: str, root: Path) -> Iterator[Finding]:
        """Yield what is wrong with the one that the code looks for in the account that setting `key` leads to."""
        name = part[1]
        if part not in self.made:
            other = next((found for (_, known), found in self.made.items() if known == name), None)
            message = f"{name} is not made in the account that {key} leads to"
            if other is None:
                yield Finding(root / "infra/main.bicep", 0, "storage", f"{message}, nor in another")
            else:
                yield Finding(other[0].path, line(other[1].node), "storage", f"{message}, but in another")
        if part not in self.allowed:
            message = f"the app has no {self.role} on {name} in the account that {key} leads to"
            yield Finding(root / "infra/modules/roles.bicep", 0, "storage", message)


def check_storage(root: Path, files: Mapping[Path, BicepFile], code: Code) -> Iterator[Finding]:
    """Compare the queues and containers of the code with those in Bicep, by account; and where the dead letters are."""
    main = files.get(root / "infra/main.bicep")
    if main is None:
        return
    modules = dict(_modules(main, files))
    accounts = {}
    for key, address, finding in _addresses(root, modules):
        if finding is not None:
            yield finding
        else:
            accounts[key] = modules[address.partition(".")[0]].account()
    for kind, wanted in ((_QUEUE, _queues(code)), (_CONTAINER, _containers(code))):
        parts = _Parts.of(modules, kind)
        for name, key in sorted(wanted):
            if key in accounts:  # a missing address is a finding of check_settings
                yield from parts.check((accounts[key], name), key, root)
        if kind == _QUEUE:
            for (_, name), (file, resource) in parts.made.items():
                if name in {known for known, _ in wanted}:
                    continue
                message = f"{name} is neither a queue of the code nor the poison queue of one"
                yield Finding(file.path, line(resource.node), "storage", message)
    yield from _dead_letters(root, code, accounts)


def _queues(code: Code) -> set[tuple[str, str]]:
    """Return each queue and each poison queue with the setting that leads to its account."""
    return {
        (name, f"{binding.connection}__queue{_ADDRESS}")
        for binding in code.bindings
        for name in (binding.queue, f"{binding.queue}-poison")
    }


def _containers(code: Code) -> set[tuple[str, str]]:
    names = {code.defaults.get("ARCHIVE_CONTAINER"), code.defaults.get("DEAD_LETTER_CONTAINER")}
    return {(name, _ARCHIVE) for name in names | {code.constants.get("OPERATIONS")} if name}


def _modules(main: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[tuple[str, _Module]]:
    for name, module in main.of("module").items():
        file = files.get((main.path.parent / (module.target or "")).resolve())
        params = at(module.value, "params")
        if file is not None:
            given = {key: value for key, value, _ in entries(params)} if params is not None else {}
            yield name, _Module(file, given, main)


def _addresses(root: Path, modules: Mapping[str, _Module]) -> Iterator[tuple[str, str, Finding | None]]:
    """Yield each setting with an address of storage, the address, and a finding where it is not that of the service."""
    path = root / "infra/modules/app.bicep"
    app = next((module for module in modules.values() if module.file.path == path), None)
    settings = app.file.of("resource").get("settings") if app is not None else None
    properties = at(settings.value, "properties") if settings is not None else None
    if app is None or properties is None:
        return
    for key, value, prop in entries(properties):
        if not key.endswith(_ADDRESS):
            continue
        address, service = app.meaning(value), key.partition("__")[2].removesuffix(_ADDRESS)
        name, _, output = address.partition(".outputs.")
        found = modules[name].file.of("output").get(output) if name in modules else None
        if found is not None and found.value is not None and text(found.value).endswith(f".primaryEndpoints.{service}"):
            yield key, address, None
        else:
            message = f"{key} is {address}, which is not the {service} address of an account"
            yield key, address, Finding(path, line(prop), "storage", message)


def _dead_letters(root: Path, code: Code, accounts: Mapping[str, str]) -> Iterator[Finding]:
    """Event Grid drops a dead letter that it cannot store for 4 hours: what refuses its events has to lie elsewhere.

    https://learn.microsoft.com/azure/event-grid/manage-event-delivery#set-dead-letter-location
    """
    for binding in sorted(code.bindings):
        account = accounts.get(f"{binding.connection}__queue{_ADDRESS}")
        if code.functions[binding.function] == "event grid" and account and account == accounts.get(_ARCHIVE):
            message = (
                f"{binding.function} queues events with {binding.connection}, in the account of the dead letters: "
                "a failure of that account would lose them"
            )
            yield Finding(root / "functions", 0, "storage", message)
