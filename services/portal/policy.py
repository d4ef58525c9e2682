"""What the browser may do on each page: as little as that page needs."""

from __future__ import annotations

from collections.abc import Mapping

from services.portal.device import WORKER_HEADERS
from services.web.guard import EVERYWHERE

_CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Our own forms name this host as their origin, so that another site's form can be told apart.
_PAGE = {**EVERYWHERE, "content-security-policy": _CONTENT, "referrer-policy": "same-origin"}
_COMPUTING = {
    **_PAGE,
    "content-security-policy": (
        f"{_CONTENT}; connect-src 'self'; worker-src 'self'; media-src blob:"
    ),
}
_CAMERA = {
    **_COMPUTING,
    "permissions-policy": EVERYWHERE["permissions-policy"].replace("camera=()", "camera=(self)"),
}
_ENDINGS: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("/begin/5", _COMPUTING),
    ("/case/add", _COMPUTING),
    ("/photo", _CAMERA),
)


def headers_of(path: str) -> Mapping[str, str]:
    """The headers of a path's answers."""
    if path == "/device/worker.js":
        return {**EVERYWHERE, **WORKER_HEADERS}
    return next((found for ending, found in _ENDINGS if path.endswith(ending)), _PAGE)
