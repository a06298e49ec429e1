"""Whether Bicep files parse, and whether their symbols, modules, outputs and loaded files are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.checks.bicep import BicepFile, at, entries, line, string, text, walk
from infra.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tree_sitter import Node

    from infra.checks.bicep import Declaration

_NAMESPACES = frozenset({"az", "sys"})
_NOT_EXPRESSIONS = {"decorators", "type", "comment"}


def check_structure(files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    """Check every file; what follows a syntax error in a file is noise and left out."""
    for path, file in files.items():
        errors = [Finding(path, line(node), "syntax", _syntax(node)) for node in file.errors()]
        if errors:
            yield errors[0]
            continue
        yield from _symbols(file)
        if path.suffix == ".bicepparam":
            yield from _parameters_file(file, files)
        for module in file.of("module").values():
            yield from _module(file, module, files)
        yield from _outputs(file, files)
        yield from _loaded(file)


def _syntax(node: Node) -> str:
    return f"cannot be parsed near {text(node)[:40]!r}" if text(node) else f"a {node.type} is missing here"


def _symbols(file: BicepFile) -> Iterator[Finding]:
    known = frozenset(found.name for found in file.declarations if found.kind != "output") | _NAMESPACES
    used = list(_uses(file.root, frozenset()))
    for node in used:
        if text(node) not in known:
            yield Finding(file.path, line(node), "symbol", f"{text(node)} is not declared")
    if file.path.suffix == ".bicep":
        names = {text(node) for node in used}
        for found in file.declarations:
            if found.kind in {"param", "var"} and found.name not in names:
                yield Finding(file.path, line(found.node), "symbol", f"{found.kind} {found.name} is never used")


def _uses(node: Node, local: frozenset[str]) -> Iterator[Node]:
    """Yield the identifiers below `node` that stand for a symbol of the file; `local` are loop and lambda variables."""
    if node.type in _NOT_EXPRESSIONS:
        return
    children = list(node.named_children)
    if node.type in {"for_statement", "lambda_expression"}:
        local |= {text(name) for name in walk(children.pop(0)) if name.is_named}
    elif node.type in {"call_expression", "object_property"} or node.type.endswith("_declaration"):
        # The first child is a name: a function's, a key's, or that of what is declared.
        children = [child for child in children if child.type not in _NOT_EXPRESSIONS]
        if children[0].type == "identifier":
            children.pop(0)
    for child in children:
        if child.type != "identifier":
            yield from _uses(child, local)
        elif text(child) not in local:
            yield child


def _parameters_file(file: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    using = next((string(child) for node in file.root.named_children if node.type == "using_statement"
                  for child in node.named_children), None)  # fmt: skip
    template = files.get((file.path.parent / (using or "")).resolve())
    if template is None:
        yield Finding(file.path, 1, "module", f"{using!r}, whose parameters these are, does not exist")
        return
    given, wanted = file.of("param"), template.of("param")
    for name, found in given.items():
        if name not in wanted:
            yield Finding(file.path, line(found.node), "module", f"{using} has no parameter {name}")
        elif _is_int(found.value) and wanted[name].allowed:
            message = f"{name} takes only listed values, and int() has type int, which the compiler refuses (BCP033)"
            yield Finding(file.path, line(found.node), "types", f"{message}: index an object of the values instead")
    for name, found in wanted.items():
        if name not in given and not found.optional:
            yield Finding(file.path, 0, "module", f"{using} needs parameter {name}")


def _is_int(value: Node | None) -> bool:
    return value is not None and value.type == "call_expression" and text(value.named_children[0]) == "int"


def _module(file: BicepFile, module: Declaration, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    target = files.get((file.path.parent / (module.target or "")).resolve())
    if target is None:
        yield Finding(file.path, line(module.node), "module", f"{module.target} does not exist")
        return
    params = at(module.value, "params")
    given = {key: prop for key, _, prop in entries(params)} if params is not None else {}
    wanted = target.of("param")
    for name, prop in given.items():
        if name not in wanted:
            yield Finding(file.path, line(prop), "module", f"{module.target} has no parameter {name}")
    for name, found in wanted.items():
        if name not in given and not found.optional:
            yield Finding(file.path, line(module.node), "module", f"{module.target} needs parameter {name}")


def _outputs(file: BicepFile, files: Mapping[Path, BicepFile]) -> Iterator[Finding]:
    modules = file.of("module")
    for node in walk(file.root):
        if node.type != "member_expression" or node.named_children[0].type != "member_expression":
            continue
        inner, name = node.named_children[0], text(node.named_children[-1])
        module = modules.get(text(inner.named_children[0]))
        if module is None or text(inner.named_children[-1]) != "outputs":
            continue
        target = files.get((file.path.parent / (module.target or "")).resolve())
        if target is not None and name not in target.of("output"):
            yield Finding(file.path, line(node), "module", f"{module.target} has no output {name}")


def _loaded(file: BicepFile) -> Iterator[Finding]:
    for node in walk(file.root):
        if node.type == "call_expression" and text(node.named_children[0]).startswith("load"):
            name = next((string(child) for child in walk(node) if child.type == "string"), None)
            if name is not None and not (file.path.parent / name).is_file():
                yield Finding(file.path, line(node), "module", f"{name} does not exist")
