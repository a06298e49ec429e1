"""Where credentials may be sent.

An event names the URL that a file is read from. A forged event or a redirect could send a signature or a bearer token
to an attacker, so every URL, also of a redirect, is checked against the trusted origins before a request is signed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
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

        A URL with a backslash, a control character, a user name or a password is refused on every host.
        """
        origin = _origin(url)
        if origin is None:
            raise UntrustedOrigin("the location is not a plain http(s) URL, so nothing is read from it")
        if not any(rule.allows(*origin) for rule in self._rules):
            scheme, host, port = origin
            raise UntrustedOrigin(
                f"{scheme}://{host}:{port} is not a trusted origin, so no credentials are sent there; "
                "if it is the service's, add it to RECORDING_TRUSTED_ORIGINS"
            )


class _Rule(NamedTuple):
    scheme: str
    host: str
    wildcard: bool
    port: int | None

    def allows(self, scheme: str, host: str, port: int) -> bool:
        return (
            scheme == self.scheme
            and (host.endswith("." + self.host) if self.wildcard else host == self.host)
            and self.port in {None, port}
        )


def _rule(pattern: str) -> _Rule:
    match = _PATTERN.fullmatch(pattern.strip())
    if match is None:
        raise ValueError(f"{pattern!r} is not an origin such as https://*.asm.skype.com")
    scheme = match["scheme"].lower()
    port = None if match["port"] == "*" else int(match["port"] or _DEFAULT_PORTS[scheme])
    return _Rule(scheme, match["host"].lower(), match["wildcard"] is not None, port)


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
