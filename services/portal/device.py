"""The worker in which a person's browser turns her pictures into codes, as one response.

A worker obeys the policy of its own response. This one forbids every connection, scripts included,
so that nothing in it could send a picture anywhere, even to us in the query of an import. That is
why the modules under ``static/device`` are joined here into one text: a worker that imports would
have to be allowed to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType

from fastapi import Response

WORKER_MODULES = (
    "problems",
    "formats",
    "colours",
    "crops",
    "grids",
    "reference",
    "pdq",
    "shrink",
    "pixels",
    "frames",
    "worker",
)
"""Modules of the worker, each after those it imports."""

WORKER_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }
)

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.M)
_EXPORT = re.compile(r"^export (?=(?:async function|function|const|class) (\w+))", re.M)


def worker_response() -> Response:
    """The worker's script under its policy; serve it at any path of the pages' own origin."""
    return Response(worker_script(), media_type="text/javascript", headers=dict(WORKER_HEADERS))


@cache
def worker_script() -> str:
    """All modules of the worker, each in a scope of its own, with its exports before it."""
    folder = resources.files("services.portal") / "static" / "device"
    parts, known = [], set[str]()
    for name in WORKER_MODULES:
        text = (folder / f"{name}.js").read_text("utf-8")
        unknown = set(_IMPORT.findall(text)) - known
        text = _IMPORT.sub("", text)
        if unknown or re.search(r"^(import|export)\b", _EXPORT.sub("", text), re.M):
            raise ValueError(f"{name}.js imports or exports in a way that cannot be joined")
        names = ", ".join(_EXPORT.findall(text))
        body = _EXPORT.sub("", text)
        parts.append(f"const {{ {names} }} = (() => {{\n{body}return {{ {names} }};\n}})();\n")
        known.add(name)
    return '"use strict";\n' + "\n".join(parts)
