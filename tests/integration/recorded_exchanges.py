"""Recorded exchanges of the real service: how they are read, and how an answer is compared with one.

`tests/payloads/acs-exchanges/README.md` describes the files.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parents[1] / "payloads" / "acs-exchanges"

#: What a placeholder between angle brackets stands for inside a string.
FORMS = {
    "guid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "recording id": r"[A-Za-z0-9_-]+",
    "document id": r"0-[a-z]+-d\d+-[0-9a-f]{32}",
    "utc time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,6}[1-9])?Z",
    "offset time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,6}[1-9])?\+00:00",
    "http date": r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT",
    "origin": r"https?://[^/?]+",
    "other origin": r"https?://[^/?]+",
    "json": r"application/json(?:; charset=utf-8)?",
    "digits": r"\d+",
    "text": r".+",
}
#: The form of what is captured under a name; everything else may be any text without a slash.
CAPTURED = {"recordingId": "recording id", "documentId": "document id", "total": "digits", "last": "digits"}
_TOKENS = re.compile(r"\$(\w+)|<([a-z ]+)>")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, or one event that the service posted."""

    session: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Name that no other exchange has."""
        return f"{self.session}: {self.content['name']}"


@dataclass(frozen=True, slots=True)
class Session:
    """One recorded test run: what was there before, and its exchanges in order."""

    name: str
    given: dict[str, Any]
    exchanges: list[Exchange]
    callbacks: list[Exchange]
    callbacks_complete: bool
    sources: list[dict[str, str]]

    @property
    def all(self) -> list[Exchange]:
        """The exchanges and the callbacks."""
        return [*self.exchanges, *self.callbacks]


def sessions() -> list[Session]:
    """Return every recorded session."""
    return [_session(path) for path in sorted(FOLDER.glob("*.json")) if path.name != "unmet.json"]


def _session(path: Path) -> Session:
    content = json.loads(path.read_text())
    return Session(
        path.stem,
        content["given"],
        [Exchange(path.stem, one) for one in content["exchanges"]],
        [Exchange(path.stem, one) for one in content.get("callbacks", ())],
        content.get("callbacksComplete", False),
        content["sources"],
    )


def unmet() -> dict[str, str]:
    """Return the names of the exchanges that the emulator does not reproduce, with the reasons."""
    reasons: dict[str, str] = json.loads((FOLDER / "unmet.json").read_text())
    return reasons


class UnknownNameError(Exception):
    """A request needs what no earlier answer of its session brought."""


@dataclass(slots=True)
class Names:
    """What `$name` stands for in a session: given, or captured from an answer."""

    known: dict[str, str] = field(default_factory=dict)

    def filled[T](self, value: T) -> T:
        """Return the value with every `$name` in it replaced; raises UnknownNameError."""
        if isinstance(value, str):
            return _TOKENS.sub(self._value, value)  # type: ignore[return-value]  # a str for a str
        if isinstance(value, list):
            return [self.filled(one) for one in value]  # type: ignore[return-value]
        if isinstance(value, dict):
            return {key: self.filled(one) for key, one in value.items()}  # type: ignore[return-value]
        return value

    def _value(self, token: re.Match[str]) -> str:
        if token[1] not in self.known:
            raise UnknownNameError(f"there is no {token[0]}")
        return self.known[token[1]]

    def differences(self, expected: Any, found: Any, where: str) -> Iterator[str]:
        """Yield in words where a value is not what was recorded; captures the names that are new."""
        match expected:
            case str():
                yield from self._text(expected, found, where)
            case dict():
                yield from self._members(expected, found, where)
            case list():
                if not isinstance(found, list) or len(found) != len(expected):
                    yield f"{where} is {found!r}, not a list of {len(expected)}"
                    return
                for number, (one, other) in enumerate(zip(expected, found, strict=True)):
                    yield from self.differences(one, other, f"{where}[{number}]")
            case _:
                if type(found) is not type(expected) or found != expected:
                    yield f"{where} is {found!r}, not {expected!r}"

    def _members(self, expected: dict[str, Any], found: Any, where: str) -> Iterator[str]:
        if not isinstance(found, dict):
            yield f"{where} is {found!r}, not an object"
            return
        for key in expected.keys() - found.keys():
            yield f"{where} has no {key}"
        for key in found.keys() - expected.keys():
            yield f"{where} has {key}"
        for key in [key for key in expected if key in found]:
            yield from self.differences(expected[key], found[key], f"{where}.{key}")

    def _text(self, expected: str, found: Any, where: str) -> Iterator[str]:
        if expected == "<integer>":
            if type(found) is not int:
                yield f"{where} is {found!r}, not a whole number"
        elif expected == "<fraction>":
            if type(found) is not float:
                yield f"{where} is {found!r}, not a number with a fraction"
        elif not isinstance(found, str) or (matched := self._pattern(expected).fullmatch(found)) is None:
            shown = _TOKENS.sub(lambda token: self.known.get(token[1], token[0]) if token[1] else token[0], expected)
            yield f"{where} is {found!r}, not {shown!r}"
        else:
            for name, value in matched.groupdict().items():
                self.known[name] = value
                if name == "recordingId":
                    yield from self._inside(value, where)

    def _inside(self, recording_id: str, where: str) -> Iterator[str]:
        """Check that an id is base64url without padding of an object with two guids; captures the first of them."""
        try:
            inside = json.loads(base64.urlsafe_b64decode(recording_id + "=" * (-len(recording_id) % 4)))
        except ValueError:
            yield f"{where}: {recording_id} is not base64url of JSON"
            return
        if not isinstance(inside, dict) or list(inside) != ["PlatformEndpointId", "ResourceSpecificId"]:
            yield f"{where}: {recording_id} holds {inside!r}"
        elif not all(re.fullmatch(FORMS["guid"], one) for one in inside.values()):
            yield f"{where}: {recording_id} holds {inside!r}, not two guids"
        else:
            self.known["platformEndpointId"] = inside["PlatformEndpointId"]

    def _pattern(self, template: str) -> re.Pattern[str]:
        parts: list[str] = []
        named: set[str] = set()
        position = 0
        for token in _TOKENS.finditer(template):
            parts.append(re.escape(template[position : token.start()]))
            position = token.end()
            if token[2]:
                parts.append(f"(?:{FORMS[token[2]]})")
            elif (name := token[1]) in self.known:
                parts.append(re.escape(self.known[name]))
            elif name in named:
                parts.append(f"(?P={name})")
            else:
                named.add(name)
                parts.append(f"(?P<{name}>{FORMS[CAPTURED[name]] if name in CAPTURED else '[^/]+'})")
        return re.compile("".join([*parts, re.escape(template[position:])]))


def header_differences(
    names: Names, expected: Mapping[str, str | None], found: Mapping[str, str], version: str
) -> Iterator[str]:
    """Yield in words which headers are not as recorded; None stands for a header that is not there."""
    for name, wanted in expected.items():
        value = found.get(name)
        if wanted is None or value is None:
            if wanted is not value:
                yield f"header {name} is {value!r}, not {wanted!r}"
        elif wanted == "<versions>":
            if version not in [one.strip() for one in value.split(",")]:
                yield f"header {name} is {value!r}, without {version}"
        else:
            yield from names.differences(wanted, value, f"header {name}")
