"""A file's name is its plug-in's name: list a family, build one member."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any

from pipeline.errors import Misconfigured

FAMILIES = ("signals", "indexes", "gates", "exchanges", "actions", "packs")


def names(family: str) -> list[str]:
    """The members of a family, by name, sorted; files whose name starts with ``_`` are private."""
    package = _package(family)
    return sorted(
        found.name
        for found in pkgutil.iter_modules(package.__path__)
        if not found.name.startswith("_")
    )


def build(family: str, name: str, *args: Any, **settings: Any) -> Any:
    """Build one member by calling its module's ``build``; a wrong name lists the right ones."""
    there = names(family)
    if name not in there:
        raise Misconfigured(f"no {name!r} in pipeline.{family}; there are: {', '.join(there)}")
    module = importlib.import_module(f"pipeline.{family}.{name}")
    return module.build(*args, **settings)


def _package(family: str) -> ModuleType:
    if family not in FAMILIES:
        raise Misconfigured(f"no family {family!r}; there are: {', '.join(FAMILIES)}")
    return importlib.import_module(f"pipeline.{family}")
