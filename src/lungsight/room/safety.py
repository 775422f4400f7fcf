"""What stands before every request: who may ask, from which page, and what a browser may do with the answer.

A server on loopback is open to every web page that the browser shows, by DNS rebinding; so the ``Host`` is checked,
and on every write the ``Origin``.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lungsight.room.problems import problem

FEWEST_CHARACTERS = 16
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
    "cache-control": "no-store",
}
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_API = "/v1"
#: Who asks without a session: a program.
PROGRAM = "program"


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        key: of the store, by which sessions are signed.
        token: that every request needs; empty for none.
        names: the host names under which the room may be asked; IP addresses are safe from rebinding.
        any_address: whether any IP address may stand in ``Host``: the room listens on all of them.
    """

    key: bytes
    token: str = ""
    names: frozenset[str] = frozenset()
    any_address: bool = False

    @classmethod
    def to(cls, key: bytes, host: str, token: str = "", names: Iterable[str] = ()) -> Access:
        """Access to a room that listens on ``host``."""
        wildcard = host in ("0.0.0.0", "::")
        known = {"localhost", "127.0.0.1", "::1", host.lower(), *(name.lower() for name in names)}
        return cls(key, token, frozenset(known), wildcard)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie: two rooms on one machine have different ones."""
        return f"lungsight-{sha256(self.key).hexdigest()[:8]}"

    def new_session(self) -> str:
        """The value of a new cookie."""
        session = secrets.token_hex(6)
        return f"{session}.{self._mac(session)}"

    def session(self, cookie: str) -> str | None:
        """The session of a cookie that this room gave; None for any other."""
        session, _, mac = cookie.partition(".")
        return session if session and hmac.compare_digest(mac.encode(), self._mac(session).encode()) else None

    def is_token(self, given: str) -> bool:
        """Whether it is the token."""
        return bool(self.token) and hmac.compare_digest(given.encode(), self.token.encode())

    def is_host(self, stated: str) -> bool:
        """Whether the room may be asked under the name in a ``Host`` header."""
        name = _without_port(stated)
        return name in self.names or (self.any_address and _is_address(name))

    def _mac(self, session: str) -> str:
        return hmac.new(self.key, f"session\0{session}\0{self.token}".encode(), "sha256").hexdigest()[:32]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


class Safety:
    """The middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and guard its answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)
        session = self._session(headers)
        answer = self._refusal(scope, headers) or self._without_token(scope, headers, session)
        by_program = headers.get("authorization") is not None or scope["path"].startswith(_API)
        gives = session is None and answer is None and not by_program
        cookie = self._access.new_session() if gives else None
        who = session or (cookie.partition(".")[0] if cookie else PROGRAM)
        scope.setdefault("state", {})["reader"] = who
        await (answer or self._app)(scope, receive, self._guarded(send, cookie))

    def _guarded(self, send: Send, cookie: str | None) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                if cookie is not None:
                    headers.append("set-cookie", _cookie(self._access.cookie, cookie))
            await send(message)

        return guarded

    def _session(self, headers: Headers) -> str | None:
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return None
        mine = cookies.get(self._access.cookie)
        return None if mine is None else self._access.session(mine.value)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._access.is_host(host):
            return problem(421, "This room isn't asked under that name.", "Open the address that it printed.")
        if scope["method"] in _READING:
            return None
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return problem(403, "Another web page asked for this.", "Only the room's own pages may change anything.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return problem(403, "Another web page asked for this.", "Only the room's own pages may change anything.")
        return None

    def _without_token(self, scope: Scope, headers: Headers, session: str | None) -> Response | None:
        """The answer to a request that lacks the token, or that brings it in the address."""
        if not self._access.token:
            return None
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if session is not None or (scheme.lower() == "bearer" and self._access.is_token(given.strip())):
            return None
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] == "GET" and self._access.is_token(dict(asked).get("token", "")):
            rest = urlencode([pair for pair in asked if pair[0] != "token"])
            answer: Response = RedirectResponse("/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else ""), 303)
            answer.headers.append("set-cookie", _cookie(self._access.cookie, self._access.new_session()))
            return answer
        answer = problem(
            401, "This room asks for a token.", "Open the address with the token that it was started with."
        )
        answer.headers["www-authenticate"] = "Bearer"
        return answer


def _cookie(name: str, value: str) -> str:
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict"


def _without_port(host: str) -> str:
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if name.count(":") == 1 else name


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
