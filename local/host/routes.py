"""HTTP routes of functions: ASP.NET route templates matched against the path as the client sent it.

A path is split at its slashes first and each segment is decoded after, except ``%2F``, which stays as it is: so does
the web server of the real host, and a function that expects slashes in a segment decodes them itself.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from local.host.errors import AppLoadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_INTEGER = re.compile(r"[+-]?\d+")
_CONSTRAINTS: dict[str, Callable[[str, str], bool]] = {
    "int": lambda value, _: bool(_INTEGER.fullmatch(value)) and -(2**31) <= int(value) < 2**31,
    "long": lambda value, _: bool(_INTEGER.fullmatch(value)) and -(2**63) <= int(value) < 2**63,
    "bool": lambda value, _: value.lower() in ("true", "false"),
    "alpha": lambda value, _: bool(re.fullmatch(r"[A-Za-z]*", value)),
    "guid": lambda value, _: _is_guid(value),
    "decimal": lambda value, _: bool(re.fullmatch(r"[+-]?\d+(\.\d+)?", value)),
    "double": lambda value, _: bool(re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value)),
    "float": lambda value, _: bool(re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value)),
    "length": lambda value, bounds: _within(len(value), bounds, exact=True),
    "minlength": lambda value, bound: len(value) >= int(bound),
    "maxlength": lambda value, bound: len(value) <= int(bound),
    "min": lambda value, bound: bool(_INTEGER.fullmatch(value)) and int(value) >= int(bound),
    "max": lambda value, bound: bool(_INTEGER.fullmatch(value)) and int(value) <= int(bound),
    "range": lambda value, bounds: bool(_INTEGER.fullmatch(value)) and _within(int(value), bounds),
    "regex": lambda value, pattern: re.search(pattern, value, re.IGNORECASE) is not None,
    "required": lambda value, _: value != "",
}


def _is_guid(value: str) -> bool:
    try:
        uuid.UUID(value)
    except ValueError:
        return False
    return True


def _within(number: int, bounds: str, *, exact: bool = False) -> bool:
    low, _, high = bounds.partition(",")
    if not high:
        return number == int(low) if exact else number >= int(low)
    return int(low) <= number <= int(high)


@dataclass(slots=True, frozen=True)
class _Parameter:
    name: str
    constraints: tuple[tuple[str, str], ...]
    optional: bool
    catch_all: bool
    default: str | None

    def accepts(self, value: str) -> bool:
        return all(_CONSTRAINTS[kind](value, argument) for kind, argument in self.constraints)


@dataclass(slots=True, frozen=True)
class _Segment:
    """One segment of a template: literals and parameters in turn, ``file-{name}.{ext}`` for example."""

    parts: tuple[str | _Parameter, ...]
    pattern: re.Pattern[str]

    @property
    def parameters(self) -> list[_Parameter]:
        return [part for part in self.parts if isinstance(part, _Parameter)]

    @property
    def lone(self) -> _Parameter | None:
        match self.parts:
            case (_Parameter() as parameter,):
                return parameter
            case _:
                return None

    @property
    def precedence(self) -> int:
        """Order of ASP.NET's inbound precedence: literal, constrained, plain, then catch-all."""
        lone = self.lone
        if not self.parameters:
            return 1
        if lone is None:
            return 2
        if lone.catch_all:
            return 4 if lone.constraints else 5
        return 2 if lone.constraints else 3


class RouteTemplate:
    """A route template such as ``recordings/{id:int}/{*rest}``.

    Parameters
    ----------
    text
        The template with its prefix, without a leading slash. Supported are literals, parameters, inline constraints
        (int, long, guid, length, regex and the others of ASP.NET), defaults, optional parameters and a catch-all.

    Raises
    ------
    ValueError
        The template is malformed or names an unknown constraint.
    """

    def __init__(self, text: str) -> None:
        self.text = text.strip("/")
        self._segments = [_parse_segment(segment) for segment in _split(self.text)]
        for segment in self._segments[:-1]:
            if segment.lone is not None and segment.lone.catch_all:
                raise ValueError("a catch-all parameter stands at the end")
        names = [parameter.name.lower() for segment in self._segments for parameter in segment.parameters]
        if len(names) != len(set(names)):
            raise ValueError("a parameter's name occurs twice")

    @property
    def precedence(self) -> tuple[int, ...]:
        """Sort key: the more specific template comes first."""
        return tuple(segment.precedence for segment in self._segments)

    @property
    def shape(self) -> str:
        """The template without parameter names: two templates of one shape match the same paths."""
        return re.sub(r"\{(\*{0,2})[^:}=?]*", r"{\1", self.text.lower())

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Match a path as the client sent it.

        Returns
        -------
        dict of str to str, or None
            Decoded values by parameter name; None where the path does not match.
        """
        given = raw_path.strip("/").split("/") if raw_path.strip("/") else []
        values: dict[str, str] = {}
        for index, segment in enumerate(self._segments):
            lone = segment.lone
            if lone is not None and lone.catch_all:
                return self._catch_all(lone, given[index:], values)
            if index >= len(given) or given[index] == "":
                if not self._fill(segment, values):
                    return None
                continue
            matched = _match_segment(segment, decode_segment(given[index]))
            if matched is None:
                return None
            values |= matched
        return values if len(given) <= len(self._segments) else None

    @staticmethod
    def _catch_all(parameter: _Parameter, rest: list[str], values: dict[str, str]) -> dict[str, str] | None:
        value = "/".join(decode_segment(segment) for segment in rest)
        if not value:
            if parameter.default is not None:
                values[parameter.name] = parameter.default
            return values
        return values | {parameter.name: value} if parameter.accepts(value) else None

    @staticmethod
    def _fill(segment: _Segment, values: dict[str, str]) -> bool:
        lone = segment.lone
        if lone is None or not (lone.optional or lone.default is not None):
            return False
        if lone.default is not None:
            values[lone.name] = lone.default
        return True


@dataclass(slots=True)
class RouteTable[T]:
    """Templates with their methods and what they lead to, most specific first."""

    _routes: list[tuple[RouteTemplate, frozenset[str] | None, str, T]] = field(default_factory=list)

    def add(self, owner: str, template: str, methods: Iterable[str] | None, target: T) -> None:
        """Add a route.

        Parameters
        ----------
        owner
            The function, for messages.
        methods
            The methods it answers; None for all of them.

        Raises
        ------
        AppLoadError
            The template is malformed, or another function answers the same route and method.
        """
        try:
            parsed = RouteTemplate(template)
        except ValueError as exc:
            raise AppLoadError(f"Function '{owner}': the route '{template}' cannot be used: {exc}.") from exc
        allowed = frozenset(method.upper() for method in methods) if methods else None
        for other, others, taken, _ in self._routes:
            if other.shape == parsed.shape and (others is None or allowed is None or others & allowed):
                raise AppLoadError(
                    f"Function '{owner}': the route '{template}' is already that of function "
                    f"'{taken}'; "
                    "give one of them another route or other methods."
                )
        self._routes.append((parsed, allowed, owner, target))
        self._routes.sort(key=lambda route: route[0].precedence)

    def find(self, method: str, raw_path: str) -> tuple[T, dict[str, str]] | None:
        """Find what answers a request.

        A path that matches with a method that does not finds nothing: the real host answers 404, not 405.
        """
        for template, methods, _, target in self._routes:
            if methods is not None and method.upper() not in methods:
                continue
            values = template.match(raw_path)
            if values is not None:
                return target, values
        return None


def decode_segment(raw: str) -> str:
    """Decode one path segment as Kestrel does: every escape but ``%2F``."""
    return "".join(
        piece if piece.lower() == "%2f" else unquote(piece, errors="replace") for piece in re.split(r"(%2[fF])", raw)
    )


def _match_segment(segment: _Segment, value: str) -> dict[str, str] | None:
    found = segment.pattern.fullmatch(value)
    if found is None:
        return None
    values = {parameter.name: found.group(f"p{i}") for i, parameter in enumerate(segment.parameters)}
    if not all(parameter.accepts(values[parameter.name]) for parameter in segment.parameters):
        return None
    return values


def _split(text: str) -> list[str]:
    """Split a template at the slashes that stand outside of braces."""
    segments, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if depth < 0:
            raise ValueError("a brace is closed that was not opened")
        if char == "/" and depth == 0:
            segments.append(text[start:index])
            start = index + 1
    if depth:
        raise ValueError("a brace is opened and not closed")
    segments.append(text[start:])
    if segments == [""]:
        return []
    if "" in segments:
        raise ValueError("a segment is empty")
    return segments


def _parse_segment(text: str) -> _Segment:
    parts: list[str | _Parameter] = []
    pattern = ""
    index = 0
    while index < len(text):
        if text[index] == "{":
            end = _closing(text, index)
            parameter = _parse_parameter(text[index + 1 : end])
            pattern += f"(?P<p{sum(isinstance(part, _Parameter) for part in parts)}>.+?)"
            parts.append(parameter)
            index = end + 1
        else:
            end = text.find("{", index)
            end = len(text) if end < 0 else end
            parts.append(text[index:end])
            pattern += f"(?i:{re.escape(text[index:end])})"
            index = end
    return _Segment(tuple(parts), re.compile(pattern, re.DOTALL))


def _closing(text: str, start: int) -> int:
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index
    raise ValueError("a brace is opened and not closed")


def _parse_parameter(text: str) -> _Parameter:
    stars = len(text) - len(text.lstrip("*"))
    text = text[stars:]
    optional = text.endswith("?")
    text = text.removesuffix("?")
    name, *constraint_texts = re.split(r":(?![^(]*\))", text)
    default: str | None = None
    if "=" in (constraint_texts[-1] if constraint_texts else name) and not (
        constraint_texts and constraint_texts[-1].startswith("regex(")
    ):
        if constraint_texts:
            constraint_texts[-1], default = constraint_texts[-1].split("=", 1)
        else:
            name, default = name.split("=", 1)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_\-]*", name):
        raise ValueError(f"'{name}' is no name for a parameter")
    return _Parameter(name, tuple(_parse_constraint(c) for c in constraint_texts), optional, stars > 0, default)


def _parse_constraint(text: str) -> tuple[str, str]:
    found = re.fullmatch(r"([a-z]+)(?:\((.*)\))?", text, re.DOTALL)
    if found is None or found.group(1) not in _CONSTRAINTS:
        raise ValueError(f"'{text}' is no constraint this host knows")
    # Braces of a regex are doubled in a template.
    return found.group(1), (found.group(2) or "").replace("{{", "{").replace("}}", "}")
