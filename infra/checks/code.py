"""What the code calls things: functions, queues, settings, event types, log events. Read from its source, never run."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTING = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?:__\w*)?")
_TRIGGERS = {
    "route": "http",
    "event_grid_trigger": "event grid",
    "queue_trigger": "queue",
    "timer_trigger": "timer",
    "blob_trigger": "blob",
}
_LOG_CALLS = {"info", "warning", "error"}
_EVENT_TYPE = re.compile(r"Microsoft\.Communication\.\w+")


@dataclass(frozen=True, slots=True, order=True)
class QueueBinding:
    """A function's trigger or output: its queue, and the setting that leads to the queue's account."""

    function: str
    queue: str
    connection: str


@dataclass(slots=True)
class Code:
    """The names in the code.

    Attributes
    ----------
    functions
        Each function's trigger by its name.
    bindings
        The queues of triggers and outputs.
    connections
        The settings that bindings name as their connections.
    event_types
        Types of events that the code knows.
    constants
        The constants of all modules that are texts, by their names.
    log_events
        Names of the structured log's events.
    settings
        Names in shared/config/settings.py; what belongs to a connection in the Functions convention (`NAME__part`)
        counts as `NAME`.
    defaults
        A setting's default, where it is a literal or a constant.
    """

    functions: dict[str, str] = field(default_factory=dict)
    bindings: set[QueueBinding] = field(default_factory=set)
    connections: set[str] = field(default_factory=set)
    event_types: set[str] = field(default_factory=set)
    constants: dict[str, str] = field(default_factory=dict)
    log_events: set[str] = field(default_factory=set)
    settings: set[str] = field(default_factory=set)
    defaults: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path) -> Code:
        """Read functions/ and shared/ under `root`."""
        modules = {
            path: ast.parse(path.read_text(encoding="utf-8"), str(path))
            for folder in ("functions", "shared")
            for path in sorted((root / folder).glob("**/*.py"))
        }
        constants = {name: value for module in modules.values() for name, value in _constants(module)}
        code = cls(constants=constants)
        for path, module in modules.items():
            for node in ast.walk(module):
                if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef):
                    code._add_function(node, constants)
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and _EVENT_TYPE.fullmatch(node.value):
                    code.event_types.add(node.value)
                if (event := _log_event(node)) is not None:
                    code.log_events.add(event)
            if path == root / "shared" / "config" / "settings.py":
                code._add_settings(module, constants)
        return code

    @property
    def queues(self) -> set[str]:
        """The queues that triggers and outputs name."""
        return {binding.queue for binding in self.bindings}

    def _add_function(self, node: ast.AsyncFunctionDef | ast.FunctionDef, constants: dict[str, str]) -> None:
        name, trigger, queues = node.name, None, set()
        for call in (found for found in node.decorator_list if isinstance(found, ast.Call)):
            kind = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            arguments = {keyword.arg: _value(keyword.value, constants) for keyword in call.keywords}
            if kind == "function_name":
                name = (_value(call.args[0], constants) if call.args else arguments.get("name")) or name
            trigger = _TRIGGERS.get(kind, trigger)
            if kind in {"queue_trigger", "queue_output"}:
                queues.add((arguments.get("queue_name") or "", arguments.get("connection") or ""))
            self.connections |= {value for value in [arguments.get("connection")] if value}
        if trigger:
            self.functions[name] = trigger
            self.bindings |= {QueueBinding(name, *found) for found in queues}

    def _add_settings(self, module: ast.Module, constants: dict[str, str]) -> None:
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and SETTING.fullmatch(node.value):
                self.settings.add(node.value.partition("__")[0])
            if isinstance(node, ast.Call) and len(node.args) > 1:
                name, default = (_value(argument, constants) for argument in node.args[:2])
                if name and default is not None and SETTING.fullmatch(name):
                    self.defaults[name] = default


def _constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value.value


def _value(node: ast.expr, constants: dict[str, str]) -> str | None:
    match node:
        case ast.Constant(value=str() | int() | float() as value):
            return str(value)
        case ast.Name(id=name):
            return constants.get(name)
    return None


def _log_event(node: ast.AST) -> str | None:
    match node:
        case ast.Call(
            func=ast.Attribute(value=ast.Name(id="log"), attr=attr), args=[ast.Constant(value=str() as event), *_]
        ):
            return event if attr in _LOG_CALLS else None
    return None
