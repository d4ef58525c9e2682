"""The robustness report as one HTML file: a plot of recall by alteration, tables, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_COLOURS = {"PDQ within 31": "#9a9a9a", "hashes alone": "#2a6fdb", "with local features": "#0b8a5a"}
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;
text-align:right}td:first-child,th:first-child{text-align:left}.met{color:#0b6b45}.missed{color:#b00020}
svg text{font:12px system-ui,sans-serif;fill:#222}
"""


def page(document: Mapping[str, Any]) -> str:
    """The whole report; nothing in it is loaded from elsewhere."""
    rows = document["rows"]
    about = "".join(f"<li>{escape(str(note))}</li>" for note in document["notes"])
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Robustness</title>"
        f"<style>{_STYLE}</style><h1>Altered copies: what is still found</h1>"
        f"<ul>{about}</ul>{_targets(document['targets'])}"
        f"<h2>Methods</h2>{_table(document['methods'])}"
        f"<h2>Recall by alteration, reporting half</h2>{_plot(rows)}"
        f"<h2>Both halves</h2>{_table(rows)}</html>"
    )


def _plot(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bars from 0 to 1, one line an alteration, one colour a method."""
    left, wide, tall, gap = 240, 560, 7, 9
    step = tall * len(_COLOURS) + gap
    parts = [
        f'<text x="{left + 130 * at}" y="14" fill="{colour}">■ {escape(name)}</text>'
        for at, (name, colour) in enumerate(_COLOURS.items())
    ]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = left + wide * share
        bottom = 30 + step * len(rows)
        parts.append(f'<line x1="{x}" y1="24" x2="{x}" y2="{bottom}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{share:g}</text>')
    for at, row in enumerate(rows):
        top = 30 + step * at
        label = escape(str(row["alteration"]))
        parts.append(f'<text x="{left - 8}" y="{top + 14}" text-anchor="end">{label}</text>')
        for line, (name, colour) in enumerate(_COLOURS.items()):
            length = max(1.0, wide * float(row[name]))
            parts.append(
                f'<rect x="{left}" y="{top + line * tall}" width="{length:.1f}"'
                f' height="{tall - 1}" fill="{colour}"/>'
            )
    size = f'width="{left + wide + 40}" height="{60 + step * len(rows)}"'
    return (
        f'<svg {size} role="img" aria-label="Recall by alteration and method">'
        f"{''.join(parts)}</svg>"
    )


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape(_cell(row.get(column)))}</td>" for column in columns)
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _targets(targets: Sequence[Mapping[str, Any]]) -> str:
    body = "".join(
        f"<tr><td>{escape(str(target['name']))}</td><td>{_cell(target['value'])}</td>"
        f"<td>{_cell(target['goal'])}</td>"
        f'<td class="{"met" if target["met"] else "missed"}">'
        f"{'met' if target['met'] else 'not met'}</td></tr>"
        for target in targets
    )
    return f"<h2>Targets</h2><table><tr><th>target<th>measured<th>goal<th></tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
