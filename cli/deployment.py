"""A deployment of the app, as its HTTP API shows it."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import aiohttp

from cli.errors import Unreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType


def is_local(host: str) -> bool:
    """Return whether a host's name or address means this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(given: str, option: str) -> str:
    """Return an address that secrets may be sent to, without the path `/api`.

    Raises
    ------
    UsageError
        It is no address, or neither https nor on this machine.
    """
    try:
        parts = urlsplit(given.strip())
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"} or "@" in parts.netloc:
        raise UsageError(f"{option} takes an address such as https://<app>.azurewebsites.net")
    if parts.scheme == "http" and not is_local(host):
        raise UsageError(f"{option} is {parts.scheme}://{parts.netloc}: a key would be sent unencrypted; use https")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('/api')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A status with its JSON body; None if the body is not JSON. `retry_after` is in seconds, if the answer has it."""

    status: int
    body: Any
    retry_after: float | None = None


@dataclass(slots=True)
class Deployment:
    """Asks a deployment; `async with` opens and closes the connections.

    Attributes
    ----------
    url
        From `base_url`.
    key
        The function key, or None.
    patience
        Seconds that one answer may take.
    """

    url: str
    key: str | None = field(repr=False)
    patience: float = 60.0
    _session: aiohttp.ClientSession = field(init=False, repr=False)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.patience), trust_env=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Parameters
        ----------
        path
            Below the app's address, with a leading slash.
        key
            In place of the deployment's own.

        Raises
        ------
        Unreachable
            There is no answer.
        """
        shown = key or self.key
        sent = {**(headers or {}), **({"x-functions-key": shown} if shown else {})}
        try:
            async with self._session.request(
                method, f"{self.url}{path}", headers=sent, json=body, allow_redirects=False
            ) as answer:
                later = answer.headers.get("Retry-After", "")
                text = await answer.text(errors="replace")
                return Answer(answer.status, _json(text), float(later) if later.isdecimal() else None)
        except TimeoutError as error:
            raise Unreachable(f"{self.url} gave no answer within {self.patience:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Unreachable(f"{self.url} cannot be reached ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
    if isinstance(cause, OSError) and cause.errno is not None and cause.errno in errno.errorcode:
        return os.strerror(cause.errno)
    return str(cause or type(error).__name__)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
