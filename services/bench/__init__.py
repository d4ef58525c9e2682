"""The frame of ``consentry bench``: one report for people and for machines.

A bench measures and fills a ``Report``; the frame adds the machine, the versions and the seed,
prints a table or one JSON object on standard output, and ends with the targets. Peers are
measured in the same run, because machines are shared and only ratios can be trusted. Progress
goes to standard error.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

_PACKAGES = (
    "consentry",
    "numpy",
    "numba",
    "faiss-cpu",
    "opencv-python-headless",
    "pillow",
    "imagehash",
    "onnxruntime",
    "psycopg",
    "av",
    "insightface",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure that a bench should reach. ``at_least`` tells which side of the goal is good."""

    name: str
    value: float | None
    goal: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        """Whether it does; a figure that could not be measured does not."""
        if self.value is None:
            return False
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def document(self) -> dict[str, Any]:
        """The target as JSON-ready data."""
        return {"name": self.name, "value": self.value, "goal": self.goal, "met": self.met}


@dataclass(slots=True)
class Report:
    """What a bench measured: rows of one table, notes, targets."""

    name: str
    seed: int
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The report as one object that ends in ``targets``."""
        return {
            "bench": self.name,
            "seed": self.seed,
            "machine": machine(),
            "versions": versions(),
            "rows": [dict(row) for row in self.rows],
            "notes": self.notes,
            **self.extra,
            "targets": [target.document() for target in self.targets],
        }


def from_document(name: str, seed: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """A bench's own document completed by the frame's parts, ending in ``targets``."""
    body = {key: value for key, value in document.items() if key != "targets"}
    return {
        "bench": name,
        "seed": seed,
        "machine": machine(),
        "versions": versions(),
        **body,
        "targets": list(document.get("targets", [])),
    }


def machine() -> dict[str, Any]:
    """What this was measured on: processor, cores that may be used, memory, system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def versions() -> dict[str, str]:
    """The versions of the packages that decide about speed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def show(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a report: a table for people, or one JSON object on standard output."""
    if as_json:
        print(json.dumps(document, indent=1, default=_plain))  # noqa: T201 - the machine's door
        return
    console = Console(width=None if sys.stdout.isatty() else 200)
    about = document["machine"]
    console.print(
        f"[bold]{document['bench']}[/] on {about['processor']}, {about['cores']} cores,"
        f" seed {document['seed']}"
    )
    if document.get("rows"):
        console.print(_table(document["rows"]))
    for note in document.get("notes", []):
        console.print(f"[dim]{note}[/]")
    if document.get("targets"):
        console.print(_targets(document["targets"]))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = Table()
    for column in columns:
        numbers = any(isinstance(row.get(column), int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    return table


def _targets(targets: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="targets")
    for column in ("target", "measured", "goal", ""):
        table.add_column(column, justify="left" if column == "target" else "right")
    for target in targets:
        verdict = "[green]met[/]" if target["met"] else "[red]not met[/]"
        table.add_row(target["name"], _cell(target["value"]), _cell(target["goal"]), verdict)
    return table


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
