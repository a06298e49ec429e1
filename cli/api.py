"""The app's HTTP API as the commands use it: an answer, or one sentence that says why there is no answer."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode

from cli.deployment import Deployment, base_url
from cli.errors import CommandError, Unreachable, UsageError
from cli.text import one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from cli.deployment import Answer

PASSING = frozenset({429, 500, 502, 503, 504})
"""Status codes after which the same request may succeed."""

_TRIES = 5
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


class Refused(CommandError):  # noqa: N818 - named for what it is
    """The app refused a request.

    Parameters
    ----------
    answer
        What it answered. A request that is invalid ends the command as wrong options do.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(sentence(answer))
        self.status = answer.status
        self.retry_after = answer.retry_after
        self.exit_code = 2 if answer.status == 400 and _members(answer).get("errors") else 1


@dataclass(frozen=True, slots=True)
class Api:
    """Asks the app."""

    deployment: Deployment

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | None] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return the answer, which is a good one.

        Parameters
        ----------
        path
            Below `/api/`; ids in it come from `segment`.

        Raises
        ------
        Refused
            The app refused the request.
        Unreachable
            There is no answer, or it is not an answer of this app.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        whole = f"/api/{path}{f'?{urlencode(given)}' if given else ''}"
        answer = await self.deployment.ask(method, whole, body=body, headers=headers)
        if not 200 <= answer.status < 300:
            raise Refused(answer)
        if not isinstance(answer.body, dict):
            raise Unreachable(f"{self.deployment.url} answered {answer.status}, but not as this app does: check --url")
        return answer

    async def ask_again(self, method: str, path: str, *, query: Mapping[str, str | None] | None = None) -> Answer:
        """Send a request that can be repeated, and repeat it a few times if that may help; otherwise as `ask`."""
        pause = _FIRST_PAUSE
        for _ in range(_TRIES - 1):
            try:
                return await self.ask(method, path, query=query)
            except Refused as error:
                if error.status not in PASSING:
                    raise
                wait = error.retry_after or pause
            except Unreachable:
                wait = pause
            await asyncio.sleep(min(wait, _LONGEST_PAUSE))
            pause *= 2
        return await self.ask(method, path, query=query)


@asynccontextmanager
async def connected(url: str | None, key: str | None, *, patience: float = 60) -> AsyncIterator[Api]:
    """Open the connections to a deployment.

    Raises
    ------
    UsageError
        No address is given, or none that a key may be sent to.
    """
    if not url:
        raise UsageError("say which deployment: --url (or RECORDINGS_URL)")
    async with Deployment(base_url(url, "--url"), key, patience) as deployment:
        yield Api(deployment)


def segment(identifier: str) -> str:
    """Return an id as a part of a path."""
    return quote(identifier, safe="")


def sentence(answer: Answer) -> str:
    """Return a refusal as one line: what is wrong, in which field, and when to try again."""
    members = _members(answer)
    if answer.status in {401, 403} and not members:
        return "the key does not open this function: give a function key with --key, better RECORDINGS_KEY"
    if answer.status == 404 and not members:
        return "the app has no such function: check that --url is the app's address, and that this version is deployed"
    detail = _faults(members) or one_line(members.get("detail") or members.get("title") or "")
    if not detail:
        return f"the app answered {answer.status} and does not say why"
    field = members.get("field")
    named = f"{one_line(field)}: " if field and str(field) not in detail else ""
    code = f" (the service's code {one_line(members['code'])})" if members.get("code") else ""
    later = f"; try again in {answer.retry_after:.0f} s" if answer.retry_after else ""
    title = members.get("title")
    lead = f"{one_line(title)}: " if title and not members.get("errors") else ""
    return f"{lead}{named}{detail}{code}{later}"


def _faults(members: Mapping[str, Any]) -> str:
    errors = members.get("errors")
    found = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    return "; ".join(one_line(f"{_field(str(error.get('pointer', '')))}: {error.get('detail', '')}") for error in found)


def _field(pointer: str) -> str:
    """Return a JSON pointer, given as a URI fragment, in a readable form."""
    return unquote(pointer).removeprefix("#").removeprefix("/") or "the body"


def _members(answer: Answer) -> Mapping[str, Any]:
    """Return the members of a problem; none where the answer is not one of the app's."""
    return answer.body if isinstance(answer.body, dict) and "type" in answer.body else {}
