"""What every answer of a service with pages carries, and which requests are let in at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import Denied

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
EVERYWHERE: Mapping[str, str] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": (
        "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), "
        "fullscreen=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), "
        "payment=(), picture-in-picture=(), publickey-credentials-get=(), serial=(), usb=()"
    ),
    "x-robots-tag": "noindex, nofollow",
}


NAMELESS: frozenset[str | None] = frozenset({None, "null"})
"""Origins that name no site."""


class Guard:
    """Puts the security headers on every answer, the one to an unforeseen error included.

    ``broken`` makes that one here: Starlette's own handler stands outside of all middleware.
    ``headers`` says what a path's answers carry; one that an answer set itself is replaced.
    """

    def __init__(
        self,
        app: ASGIApp,
        broken: Callable[[Request, Exception], Response],
        headers: Callable[[str], Mapping[str, str]] = lambda _: EVERYWHERE,
    ) -> None:
        self._app, self._broken, self._headers = app, broken, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def guarded(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers(scope["path"]))
                static = scope["path"].startswith("/static/")
                headers["cache-control"] = "no-cache" if static else "no-store"
            await send(message)

        try:
            await self._app(scope, receive, guarded)
        except Exception as error:
            if started:
                raise
            await self._broken(Request(scope), error)(scope, receive, guarded)


def require_same_site(headers: Headers, nameless: frozenset[str | None] = NAMELESS) -> None:
    """Refuse a request that another site's page sent; raises ``Denied``.

    Browsers send ``Sec-Fetch-Site`` over TLS and on this machine. Elsewhere ``Origin`` must name
    this host, or be one of the ``nameless``: under the policy ``no-referrer`` a form's is
    ``null``. Where somebody is signed in, the session's token is asked for beside this, always.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        allowed = site == "same-origin"
    else:
        named = urlsplit(origin or "").netloc
        allowed = origin in nameless or (named != "" and named == headers.get("host"))
    if not allowed:
        raise Denied("this request came from another site; open our page and try again there")
