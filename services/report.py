"""``consentry report``: numbers for the public, as JSON, CSV or a page with charts."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import date
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.domain.suppression import Table
from pipeline.errors import Invalid
from pipeline.journeys.public_numbers import PublicNumbers, public_numbers
from services.settings import Settings
from services.web.charts import Chart, bars

app = typer.Typer(no_args_is_help=True, help="Numbers for the public.")


class Form(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"


@app.callback()
def group() -> None:
    """Numbers for the public, none of which could point at a person."""


@app.command()
def transparency(
    since: Annotated[str, typer.Option("--from", help="The first month, such as 2026-01.")],
    until: Annotated[str, typer.Option("--to", help="The last month, such as 2026-03.")],
    form: Annotated[Form, typer.Option("--as", help="How it is written.")] = Form.HTML,
    out: Annotated[Path | None, typer.Option(help="A file; without it, standard output.")] = None,
) -> None:
    """What came in, what was decided, how fast, and what was wrong, of whole months.

    Figures from 1 to 9 are left out, and so are those from which one of them could be worked out.
    """
    from services.logs import configure
    from services.wiring import now, open_world

    settings = Settings(log_level="warning")
    configure(settings)
    first, last = _month(since), _month(until)
    with open_world(settings) as world:
        numbers = public_numbers(world.store, now, first, _next(last))
    text = {Form.JSON: as_json, Form.CSV: as_csv, Form.HTML: as_html}[form](
        numbers, settings.organisation
    )
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, encoding="utf-8")


def as_json(numbers: PublicNumbers, organisation: str = "") -> str:
    """The report as one JSON object; a figure that is left out is null."""
    document: dict[str, Any] = {
        "form": "consentry-transparency/1",
        "organisation": organisation or None,
        "from": numbers.since.isoformat(),
        "before": numbers.until.isoformat(),
        "made_at": numbers.made_at.isoformat(),
        "smallest_figure": numbers.smallest,
        "tables": {
            table.name: {
                row: dict(zip(table.columns, line, strict=True))
                for row, line in zip(table.rows, table.figures, strict=True)
            }
            for table in numbers.tables
        },
    }
    return json.dumps(document, indent=2) + "\n"


def as_csv(numbers: PublicNumbers, organisation: str = "") -> str:  # noqa: ARG001
    """The report as lines of table, row, column, figure; a figure that is left out is empty."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n")
    write.writerow(["from", "before", "table", "row", "column", "figure"])
    for table in numbers.tables:
        for row, line in zip(table.rows, table.figures, strict=True):
            for column, figure in zip(table.columns, line, strict=True):
                shown = "" if figure is None else figure
                write.writerow([numbers.since, numbers.until, table.name, row, column, shown])
    return text.getvalue()


_TITLES = {
    "people": ("People", "Who came, who asked to have their face recognised, and who left."),
    "uploads": ("Uploads screened", "By the answer that the platform got at once."),
    "cases": ("Cases", "By what they are about and how they stand now."),
    "hours": ("Time to a decision", "Of what was decided, against the law's 48 hours."),
    "appeals": ("Appeals", "By who disagreed, and what somebody else decided."),
    "actions": ("What platforms did", "As far as they told us."),
    "lists": ("Partners' lists", "Hashes that are held of partners today, by kind of list."),
}
_WORDS = {
    "all": "all",
    "registered": "registered",
    "asked_for_face": "asked for their face",
    "withdrawn": "withdrawn",
    "took_back_items": "took back single items",
    "clear": "clear",
    "review": "to a person",
    "known": "known: a repeat",
    "refused": "could not be read",
    "hash": "pictures and videos",
    "face": "faces",
    "notice": "notices",
    "upheld": "upheld: it must go",
    "dismissed": "dismissed: it stays",
    "reported": "reported to authorities",
    "undecided": "not decided yet",
    "1h": "within 1 hour",
    "6h": "within 6 hours",
    "24h": "within 24 hours",
    "48h": "within 48 hours",
    "later": "later than 48 hours",
    "uploader": "uploaders",
    "registered_side": "registered people",
    "stands": "the decision stood",
    "overturned": "overturned",
}

_STYLE = """
:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1d2426;--soft:#566164;
--line:#d5d8d4;--bar:#1f5f68;--warm:#9a4b00}
@media(prefers-color-scheme:dark){:root{--page:#14191a;--card:#1d2425;--ink:#e6eae8;--soft:#a3aeae;
--line:#364041;--bar:#84c7cf;--warm:#f0b070}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);
font:1rem/1.5 system-ui,"Liberation Sans",sans-serif}
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;
margin:1rem 0}h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:0}
p{margin:.25rem 0 .75rem;color:var(--soft)}svg{display:block;width:100%;height:auto;min-width:36rem;
max-width:46rem}
svg text{fill:var(--ink);font-size:14px}svg rect{fill:var(--bar)}svg rect.warm{fill:var(--warm)}
svg rect.unknown{fill:none;stroke:var(--soft);stroke-dasharray:3 3}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{border-bottom:1px solid var(--line);padding:.35rem .5rem;text-align:right}
th:first-child{text-align:left}thead th{color:var(--soft);font-weight:600}
@media print{section{break-inside:avoid}}
"""


def as_html(numbers: PublicNumbers, organisation: str = "") -> str:
    """The report as one page that needs nothing else, charts drawn as SVG."""
    title = f"Transparency report{f' of {organisation}' if organisation else ''}"
    last = date.fromordinal(numbers.until.toordinal() - 1)
    parts = [_section(table) for table in numbers.tables if table.columns]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body><main>"
        f"<h1>{escape(title)}</h1><p>{numbers.since.isoformat()} to {last.isoformat()}. Figures"
        f" below {numbers.smallest} are left out (–), and so are others from which one of those"
        " could be worked out, so that no figure points at a person.</p>\n"
        f"{''.join(parts)}</main></body></html>\n"
    )


def _section(table: Table) -> str:
    title, words = _TITLES[table.name]
    charts = "".join(_drawn(chart, unknown) for chart, unknown in _charts(table))
    return (
        f"<section><h2>{title}</h2><p>{words}</p>"
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}: chart">{charts}</div>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{title}: table">'
        f"{_table(table)}</div></section>\n"
    )


def _charts(table: Table) -> list[tuple[Chart, frozenset[str]]]:
    """A chart a table: of its only row, or of the sums of its columns."""
    line = table.figures[-1]
    named = [
        (_word(table, column), figure)
        for column, figure in zip(table.columns, line, strict=True)
        if column != "all"
    ]
    unknown = frozenset(name for name, figure in named if figure is None)
    rows = [
        (name, float(figure or 0), "–" if figure is None else f"{figure:,}")
        for name, figure in named
    ]
    warm = (_WORDS["later"], _WORDS["overturned"])
    return [(bars(_TITLES[table.name][0], rows, warm=warm), unknown)]


def _drawn(chart: Chart, unknown: frozenset[str]) -> str:
    parts = [
        f'<svg viewBox="0 0 {chart.width} {chart.height}" role="img"'
        f' aria-label="{escape(chart.title)}; the figures stand in the table below">'
    ]
    for bar in chart.bars:
        middle = bar.y + 16
        kind = "unknown" if bar.label in unknown else ("warm" if bar.warm else "")
        width = 40 if bar.label in unknown else max(bar.width, 1 if bar.value else 0)
        parts.append(
            f'<text x="{chart.start - 10}" y="{middle}" text-anchor="end">'
            f"{escape(bar.label)}</text>"
            f'<rect class="{kind}" x="{chart.start}" y="{bar.y + 2}" width="{width}" height="18"'
            f' rx="3"/><text x="{chart.start + width + 8}" y="{middle}">{bar.words}</text>'
        )
    return "".join([*parts, "</svg>"])


def _table(table: Table) -> str:
    if len(table.rows) == 1:  # a list of figures reads better downwards
        pairs = zip(table.columns, table.figures[0], strict=True)
        lines = [
            f'<tr><th scope="row">{escape(_word(table, one))}</th><td>{_figure(figure)}</td></tr>'
            for one, figure in pairs
        ]
        return f"<table><tbody>{''.join(lines)}</tbody></table>"
    head = "".join(f'<th scope="col">{escape(_word(table, one))}</th>' for one in table.columns)
    lines = []
    for row, line in zip(table.rows, table.figures, strict=True):
        cells = "".join(f"<td>{_figure(one)}</td>" for one in line)
        lines.append(f'<tr><th scope="row">{escape(_word(table, row))}</th>{cells}</tr>')
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _figure(figure: int | None) -> str:
    return "–" if figure is None else f"{figure:,}"


def _word(table: Table, name: str) -> str:
    if table.name == "appeals" and name == "registered":
        return _WORDS["registered_side"]
    return _WORDS.get(name, name)


def _month(text: str) -> date:
    try:
        year, month = text.split("-")
        return date(int(year), int(month), 1)
    except ValueError:
        raise Invalid(f"{text!r} is no month; write it such as 2026-01") from None


def _next(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
