"""Where credentials may be sent.

A recording's event names the URL its file is read from. Whoever can forge an event, or redirect a download, would be
handed a signature or a bearer token, so every URL is checked against the trusted origins before anything is signed,
on the first request and on every redirect.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from shared.core.errors import UntrustedOrigin

if TYPE_CHECKING:
    from collections.abc import Iterable

_PATTERN = re.compile(
    r"(?P<scheme>https?)://(?P<wildcard>\*\.)?(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>\d{1,5}|\*))?",
    re.IGNORECASE,
)
_HOST = re.compile(r"[a-z0-9._-]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class TrustedOrigins:
    """The origins that credentials may be sent to.

    Parameters
    ----------
    patterns
        `scheme://host[:port]`; the host may begin with `*.`, which stands for one or more labels, and the port may be
        `*`. No port means the scheme's own.

    Raises
    ------
    ValueError
        A pattern has another form; the message quotes it.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules = [_rule(pattern) for pattern in patterns]

    def check(self, url: str) -> None:
        """Raise `UntrustedOrigin` unless `url` is on a trusted origin.

        The URL must be plain: a backslash, control character, user name or password is refused whatever the host.
        """
        origin = _origin(url)
        if origin is None:
            raise UntrustedOrigin("the location is not a plain http(s) URL, so nothing is read from it")
        if not any(rule(*origin) for rule in self._rules):
            scheme, host, port = origin
            raise UntrustedOrigin(
                f"{scheme}://{host}:{port} is not a trusted origin, so no credentials are sent there; "
                "if it is the service's, add it to RECORDING_TRUSTED_ORIGINS"
            )


class _Rule:
    def __init__(self, scheme: str, host: str, *, wildcard: bool, port: int | None) -> None:
        self._scheme = scheme
        self._host = host
        self._wildcard = wildcard
        self._port = port

    def __call__(self, scheme: str, host: str, port: int) -> bool:
        return (
            scheme == self._scheme
            and (host.endswith("." + self._host) if self._wildcard else host == self._host)
            and (self._port is None or port == self._port)
        )


def _rule(pattern: str) -> _Rule:
    match = _PATTERN.fullmatch(pattern.strip())
    if match is None:
        raise ValueError(f"{pattern!r} is not an origin such as https://*.asm.skype.com")
    scheme = match["scheme"].lower()
    port = None if match["port"] == "*" else int(match["port"] or _DEFAULT_PORTS[scheme])
    return _Rule(scheme, match["host"].lower(), wildcard=match["wildcard"] is not None, port=port)


def _origin(url: str) -> tuple[str, str, int] | None:
    if re.search(r"[\s\\\x00-\x1f\x7f]", url) or not url.isascii():
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not _HOST.fullmatch(parts.hostname or "") or "@" in parts.netloc:
        return None
    return parts.scheme, str(parts.hostname).lower(), port if port is not None else _DEFAULT_PORTS[parts.scheme]
