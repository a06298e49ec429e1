"""Writes docs/api.md from the OpenAPI document: `python -m docs.api`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.api.openapi import build
from shared.api.problems import KINDS, MEDIA_TYPE
from shared.recordings.states import ALLOWED, LEADS_TO, MEANINGS, RETRY_AFTER, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TARGET = Path(__file__).with_name("api.md")

_OPENING = """\
# The HTTP API

<!-- Made from the code by `python -m docs.api`; do not edit. -->

The same as OpenAPI 3.1: `GET /api/openapi.json`, which needs no key.

**Keys.** Send a function key as the header `x-functions-key`, or as the query parameter `code`. Without one, or with a
wrong one, the platform answers 401 without a body.

**Errors** are problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), `application/problem+json`, with a
`type` that stays, and the members that its kind needs: `errors` names each wrong field, `state` a recording's state,
`code` and `serviceMessage` are the service's own words.

**Repeating.** A start with an `Idempotency-Key` can be sent again for 48 hours: the answer is the first one's, and one
recording is made. A busy service (429, 5xx) is asked again for up to 15 seconds before its answer is passed on with its
`Retry-After`.
"""

_OPERATIONS = """\
The state beside 202 is the one it leads to. In `unknown` the service decides; what it refuses is answered with its own
code. `GET` answers 200 in every state. Starting again in a call that is being recorded is answered with 409
`already-recording`; once the recording has ended and the call goes on, with 201 and a new recording.
"""


def main() -> None:
    """Write the page."""
    TARGET.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page's text."""
    document = build()
    parts = [
        _OPENING,
        _states(),
        _operations(),
        "## Routes\n",
        *(
            _route(path, method, route)
            for path, methods in document["paths"].items()
            for method, route in methods.items()
        ),
        "## Objects\n",
        *(_object(name, schema) for name, schema in document["components"]["schemas"].items()),
        _problems(),
    ]
    return "\n".join(parts)


def _states() -> str:
    rows = [(f"`{state}`", MEANINGS[state], RETRY_AFTER.get(state, "")) for state in State]
    return "## States\n\n" + _table(("state", "meaning", "Retry-After, seconds"), rows)


def _operations() -> str:
    rows = [
        (f"`{state}`", *(f"202 `{LEADS_TO[op]}`" if state in ALLOWED[op] else "409" for op in ALLOWED))
        for state in State
    ]
    return (
        f"## What can be done in which state\n\n{_table(('state', *(str(op) for op in ALLOWED)), rows)}\n{_OPERATIONS}"
    )


def _route(path: str, method: str, route: dict[str, Any]) -> str:
    key = "" if route["security"] else " No key is needed."
    lines = [f"### {method.upper()} {path}\n", f"{route['summary']}. {route['description']}{key}\n"]
    if route["parameters"]:
        rows = [(f"`{p['name']}`", p["in"], p["description"], _constraints(p["schema"])) for p in route["parameters"]]
        lines.append(_table(("parameter", "in", "meaning", "form"), rows))
    if "requestBody" in route:
        lines.append(f"Body: {_type(route['requestBody']['content']['application/json']['schema'])}\n")
    answers = [(status, _answered(response), _when(response)) for status, response in route["responses"].items()]
    lines.append(_table(("answer", "body", "when"), answers))
    lines += _examples(route)
    return "\n".join(lines)


def _examples(route: dict[str, Any]) -> Iterator[str]:
    for status, response in route["responses"].items():
        example = response.get("content", {}).get("application/json", {}).get("example")
        if example is not None:
            yield f"{status}:\n\n```json\n{json.dumps(example, indent=2)}\n```\n"


def _answered(response: dict[str, Any]) -> str:
    bodies = [_type(media["schema"]) for media in response.get("content", {}).values()]
    headers = [f"`{name}`" for name in response.get("headers", {})]
    return ", ".join(dict.fromkeys([*bodies, *headers]))


def _when(response: dict[str, Any]) -> str:
    problems = response.get("content", {}).get(MEDIA_TYPE, {}).get("examples", ())
    return ", ".join(f"`{name}`" for name in problems) or _flat(response["description"])


def _object(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}\n", f"{_flat(schema.get('description', ''))}\n"]
    if "enum" in schema:
        lines.append(", ".join(f"`{value}`" for value in schema["enum"]) + "\n")
    if "properties" in schema:
        required = set(schema.get("required", ()))
        rows = [
            (f"`{field}`", _type(about), "yes" if field in required else "", _meaning(about))
            for field, about in schema["properties"].items()
        ]
        lines.append(_table(("member", "type", "always there", "meaning"), rows))
    lines += [f"```json\n{json.dumps(example, indent=2)}\n```\n" for example in schema.get("examples", ())]
    return "\n".join(lines)


def _problems() -> str:
    rows = [(f"`{kind.type}`", kind.status, kind.title, kind.meaning) for kind in KINDS]
    return "## Problem types\n\n" + _table(("type", "status", "title", "meaning"), rows)


def _meaning(schema: dict[str, Any]) -> str:
    return " ".join(part for part in (_flat(schema.get("description", "")), _constraints(schema)) if part)


def _type(schema: dict[str, Any]) -> str:  # noqa: PLR0911 - a return for each form of a schema
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": alternatives}:
            return " or ".join(dict.fromkeys(_type(alternative) for alternative in alternatives))
        case {"allOf": [only]}:
            return _type(only)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values} if len(values) < 8:
            return " \\| ".join(f"`{value}`" for value in values)
        case {"type": kind}:
            return str(kind)
        case _:
            return "any"


def _constraints(schema: dict[str, Any]) -> str:
    known = {
        "pattern": "matches `{}`",
        "format": "{}",
        "minLength": "at least {} characters",
        "maxLength": "at most {} characters",
        "minimum": "at least {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "below {}",
        "maxItems": "at most {} items",
        "minItems": "at least {} items",
    }
    return ", ".join(text.format(schema[name]).replace("|", "\\|") for name, text in known.items() if name in schema)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
