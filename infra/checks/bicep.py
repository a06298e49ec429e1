"""Bicep files as tree-sitter reads them: declarations, literals, and where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PARAMETER = re.compile(r"^param (\w+)(?= *=)", re.MULTILINE)
_DECLARATIONS = {
    "parameter_declaration": "param",
    "variable_declaration": "var",
    "resource_declaration": "resource",
    "module_declaration": "module",
    "output_declaration": "output",
}


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bicep.language()))


def text(node: Node) -> str:
    """Return the source of `node`."""
    return (node.text or b"").decode()


def line(node: Node) -> int:
    """Return the line that `node` begins on, from 1."""
    return node.start_point[0] + 1


def walk(node: Node) -> Iterator[Node]:
    """Yield `node` and everything below it, in the file's order."""
    yield node
    for child in node.children:
        yield from walk(child)


def string(node: Node | None) -> str | None:
    """Return the value of a string literal; None for an expression, an interpolated string too."""
    if node is None or node.type != "string":
        return None
    parts = node.named_children
    if any(part.type not in {"string_content", "escape_sequence"} for part in parts):
        return None
    return "".join(text(part).removeprefix("\\") if part.type == "escape_sequence" else text(part) for part in parts)


def entries(node: Node) -> Iterator[tuple[str, Node, Node]]:
    """Yield key, value and the property itself of an object literal."""
    for prop in node.named_children:
        if prop.type != "object_property":
            continue
        parts = [child for child in prop.named_children if child.type != "comment"]
        if len(parts) < 2:
            continue
        key = string(parts[0]) if parts[0].type == "string" else text(parts[0])
        if key is not None:
            yield key, parts[-1], prop


def at(node: Node | None, *keys: str) -> Node | None:
    """Return the value under `keys` of nested object literals, or None."""
    for key in keys:
        if node is None or node.type != "object":
            return None
        node = next((value for name, value, _ in entries(node) if name == key), None)
    return node


@dataclass(slots=True)
class Declaration:
    """A param, var, resource, module or output.

    Attributes
    ----------
    kind, name
        `param`, `var`, `resource`, `module` or `output`, and its symbol.
    node
        All of it.
    target
        A resource's type or a module's path.
    value
        Its value or default, past any `if` and `for`; an object literal for resources and modules.
    optional
        Whether a param has a default or takes null.
    conditional
        Whether an `if` decides on it.
    existing
        Whether a resource is only referred to, not made.
    allowed
        Whether a param takes only the values that its `@allowed` lists.
    """

    kind: str
    name: str
    node: Node
    target: str | None
    value: Node | None
    optional: bool
    conditional: bool
    existing: bool
    allowed: bool


@dataclass(slots=True)
class BicepFile:
    """One parsed file."""

    path: Path
    root: Node
    declarations: list[Declaration] = field(default_factory=list)

    @classmethod
    def parse(cls, path: Path) -> BicepFile:
        """Read and parse `path`; syntax errors are in the tree, see `errors`.

        In a .bicepparam file parameters have values and no types, which the grammar does not know: they are read as
        variables, which have the same form; their kind is `param` all the same.
        """
        source = path.read_text(encoding="utf-8")
        given: set[str] = set()
        if path.suffix == ".bicepparam":
            given = set(_PARAMETER.findall(source))
            source = _PARAMETER.sub(r"var   \1", source)
        file = cls(path, _parser().parse(source.encode()).root_node)
        file.declarations = [_declared(node) for node in file.root.named_children if node.type in _DECLARATIONS]
        for found in file.declarations:
            if found.name in given:
                found.kind = "param"
        return file

    def of(self, kind: str) -> dict[str, Declaration]:
        """Return the declarations of a kind by their names."""
        return {found.name: found for found in self.declarations if found.kind == kind}

    def errors(self) -> Iterator[Node]:
        """Yield what could not be parsed."""
        for node in walk(self.root):
            if node.type == "ERROR" or node.is_missing:
                yield node


def _declared(node: Node) -> Declaration:
    parts = [child for child in node.named_children if child.type not in {"comment", "decorators"}]
    has_default = any(child.type == "=" for child in node.children)
    value: Node | None = parts[-1] if has_default and parts else None
    conditional = False
    while value is not None and value.type in {"if_statement", "for_statement"}:
        conditional = conditional or value.type == "if_statement"
        value = value.named_children[-1] if value.named_children else None
    kind, before = _DECLARATIONS[node.type], node.prev_named_sibling
    return Declaration(
        kind=kind,
        name=text(parts[0]) if parts else "",
        node=node,
        target=string(parts[1]) if kind in {"resource", "module"} and len(parts) > 1 else None,
        value=value,
        optional=has_default or "?" in text(node).partition("=")[0],
        conditional=conditional,
        existing=any(child.type == "existing" for child in node.children),
        allowed=before is not None and before.type == "decorators" and "@allowed(" in text(before),
    )
