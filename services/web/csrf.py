"""Tokens that prove a request was made from our own page.

A session has its own token, kept with it. Before there is a session, the login form carries the
digest of a random cookie that only our page can have set beside it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from pipeline.errors import Denied

HEADER = "x-csrf-token"
FIELD = "csrf"


def new_token() -> str:
    """256 random bits, as text."""
    return secrets.token_urlsafe(32)


def of_cookie(cookie: str) -> str:
    """The token that belongs to a login page's cookie."""
    return hashlib.sha256(b"login-form|" + cookie.encode()).hexdigest()


def require(given: str, expected: str) -> None:
    """Raise ``Denied`` unless the token is the expected one."""
    if not given or not hmac.compare_digest(given.encode(), expected.encode()):
        raise Denied("this form is out of date; go back, reload the page and send it again")
