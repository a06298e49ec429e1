"""HTTP triggers: routes and keys in front, the function's response behind."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web
from multidict import CIMultiDict

from local.host.protocol import RpcHttp, RpcHttpCookie, TypedData
from local.host.routes import RouteTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.host.functions import Function
    from local.host.invocations import Invoker
    from local.host.keys import Keys

_NOT_COPIED = frozenset({"content-length", "transfer-encoding", "connection", "date"})
_SAME_SITE = {
    RpcHttpCookie.SameSite.Lax: "Lax",
    RpcHttpCookie.SameSite.Strict: "Strict",
    RpcHttpCookie.SameSite.ExplicitNone: "None",
}


def presented_key(request: web.Request) -> str | None:
    """Return the key a caller shows: header ``x-functions-key``, else query parameter ``code``."""
    return request.headers.get("x-functions-key") or request.query.get("code")


class HttpFunctions:
    """Answers requests by HTTP functions.

    Parameters
    ----------
    functions
        Those with an HTTP trigger that are not disabled.
    prefix
        host.json's routePrefix.
    keys
        What opens them; None where keys are not asked for.
    invoker
        Runs them.

    Raises
    ------
    AppLoadError
        A route is malformed, or two functions have the same one.
    """

    def __init__(self, functions: Iterable[Function], prefix: str, keys: Keys | None, invoker: Invoker) -> None:
        self._keys = keys
        self._invoker = invoker
        self._routes: RouteTable[Function] = RouteTable()
        for function in functions:
            self._routes.add(function.name, function.route(prefix), function.methods, function)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request: 404 where no function has its path and method, 401 without a key that opens it."""
        found = self._routes.find(request.method, request.rel_url.raw_path)
        if found is None:
            return web.Response(status=404)
        function, route_values = found
        if not self._may(function, presented_key(request)):
            return web.Response(status=401)
        outcome = await self._invoker.run(
            function,
            TypedData(http=await _incoming(request, route_values)),
            trace_parent=request.headers.get("traceparent", ""),
            trace_state=request.headers.get("tracestate", ""),
        )
        if outcome.error is not None:
            return web.Response(status=500)
        if outcome.http is not None:
            return outgoing(outcome.http)
        return _plain(outcome.return_value)

    def _may(self, function: Function, key: str | None) -> bool:
        if self._keys is None or function.auth_level == "anonymous":
            return True
        if function.auth_level == "admin":
            return self._keys.opens_everything(key)
        return self._keys.opens_function(key, function.name)


async def _incoming(request: web.Request, route_values: dict[str, str]) -> RpcHttp:
    """Turn a request into what the worker takes: lower-case header names, several values joined with commas."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
    query: dict[str, str] = {}
    for name, value in request.query.items():
        if value:
            query[name] = f"{query[name]},{value}" if name in query else value
    body = await request.read()
    return RpcHttp(
        method=request.method,
        url=f"{request.scheme}://{request.host}{request.rel_url.raw_path_qs}",
        headers=headers,
        query=query,
        params=route_values,
        body=TypedData(bytes=body) if body else TypedData(),
    )


def outgoing(response: RpcHttp) -> web.Response:
    """Turn a function's response into the server's."""
    headers: CIMultiDict[str] = CIMultiDict(
        (name, value) for name, value in response.headers.items() if name.lower() not in _NOT_COPIED
    )
    for cookie in response.cookies:
        headers.add("Set-Cookie", _set_cookie(cookie))
    body = response.body.value()
    return web.Response(
        status=int(response.status_code),
        headers=headers,
        body=body.encode() if isinstance(body, str) else body or b"",
    )


def _plain(value: TypedData | None) -> web.Response:
    """Answer with what is no HTTP response: a text as it is, else 200 or 204 as the real host does."""
    content = value.value() if value is not None else None
    if content is None:
        return web.Response(status=204)
    if isinstance(content, bytes):
        return web.Response(body=content)
    return web.Response(text=str(content))


def _set_cookie(cookie: RpcHttpCookie) -> str:
    parts = [f"{cookie.name}={cookie.value}"]
    if cookie.expires is not None:
        moment = datetime.fromtimestamp(cookie.expires.value.seconds, UTC)
        parts.append(f"expires={format_datetime(moment, usegmt=True)}")
    if cookie.max_age is not None:
        parts.append(f"max-age={int(cookie.max_age.value)}")
    if cookie.domain is not None and cookie.domain.value:
        parts.append(f"domain={cookie.domain.value}")
    if cookie.path is not None and cookie.path.value:
        parts.append(f"path={cookie.path.value}")
    if cookie.secure is not None and cookie.secure.value:
        parts.append("secure")
    if cookie.same_site in _SAME_SITE:
        parts.append(f"samesite={_SAME_SITE[cookie.same_site]}")
    if cookie.http_only is not None and cookie.http_only.value:
        parts.append("httponly")
    return "; ".join(parts)
