"""Numbers for the public: true, of whole months, and none from which a person could be read."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import UTC, date, datetime
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from pipeline.domain.case import Ground, State
from pipeline.errors import Invalid
from pipeline.journeys import appeal, review
from pipeline.journeys.public_numbers import PublicNumbers, public_numbers
from pipeline.journeys.sync_exchange import add_exchange, give_up_exchange, sync
from pipeline.journeys.withdraw import leave
from services.cli import app
from services.report import as_csv, as_html, as_json
from tests.integration.test_following import enter, join
from tests.integration.test_partner_lists import hash_of
from tests.world import Town, jpeg, picture

LONG = date(2000, 1, 1), date(2100, 1, 1)


def counted(town: Town, smallest: int = 1) -> PublicNumbers:
    """All months there are, with nothing left out unless ``smallest`` says so."""
    import pipeline.domain.suppression as suppression

    before = suppression.published.__defaults__, suppression.apart.__defaults__
    suppression.published.__defaults__ = suppression.apart.__defaults__ = (smallest,)
    try:
        return public_numbers(town.world.store, lambda: datetime(2100, 1, 2, tzinfo=UTC), *LONG)
    finally:
        suppression.published.__defaults__, suppression.apart.__defaults__ = before


def lived(town: Town, tmp_path) -> None:
    """Two people come, one leaves; three uploads, a notice's worth of decisions, and an appeal."""
    town.rules(undo_seconds=0, second_looks=0)
    join(town, 1)
    left = join(town, 2)
    board, ada = town.platform("Board"), town.reviewer("ada")
    one, two = (town.screen(board, jpeg(picture(seed), 50)).case for seed in (1, 2))
    assert one is not None
    town.screen(board, jpeg(picture(9)))
    town.clock.forward(hours=30)
    town.uphold(one, ada)
    town.screen(board, jpeg(picture(1), 50))
    town.clock.forward(hours=30)
    town.dismiss(two, ada)
    asked = appeal.by_uploader(town.world.desk, board, one, "It is mine.")
    claim = review.claim(town.world.desk, asked, town.reviewer("ben"))
    review.decide(
        town.world.desk, asked, claim.token, State.OVERTURNED, Ground.DECISION_WRONG, "So it is."
    )
    leave(town.world.store, town.clock, enter(town, left))
    for name in ("kept", "gone"):
        file = tmp_path / f"{name}.csv"
        file.write_text(f"pdq,{hash_of(town, 5)}\npdq,{hash_of(town, 6)}\n")
        settings = {"source": str(file)}
        add_exchange(town.world.lists(), town.world.pins, name, "ndjson", settings)
        sync(town.world.lists(), name)
    give_up_exchange(town.world.lists(), "gone")


def shown(numbers: PublicNumbers, name: str) -> dict[str, dict[str, int | None]]:
    table = numbers.table(name)
    return {
        row: {c: v for c, v in zip(table.columns, line, strict=True) if v}
        for row, line in zip(table.rows, table.figures, strict=True)
    }


def test_what_happened_is_counted_and_lists_are_nobody(town: Town, tmp_path) -> None:
    lived(town, tmp_path)
    numbers = counted(town)
    assert shown(numbers, "people") == {"all": {"registered": 2, "withdrawn": 1}}
    assert shown(numbers, "uploads") == {"all": {"clear": 1, "review": 2, "known": 1, "all": 4}}
    cases = shown(numbers, "cases")
    assert cases["hash"] == {"upheld": 1, "dismissed": 1, "all": 2}
    assert cases["all"] == cases["hash"]
    hours = shown(numbers, "hours")
    assert hours["hash"] == {"48h": 1, "later": 1, "all": 2}
    assert shown(numbers, "appeals")["uploader"] == {"overturned": 1, "all": 1}
    assert shown(numbers, "lists") == {"all": {"ndjson": 2}}


def test_a_small_town_shows_no_figure_at_all_but_noughts(town: Town, tmp_path) -> None:
    lived(town, tmp_path)
    numbers = counted(town, 10)
    figures = [v for table in numbers.tables for line in table.figures for v in line]
    assert set(figures) == {0, None}
    for text in (as_json(numbers), as_csv(numbers), as_html(numbers)):
        assert "Board" not in text
        assert "ada" not in text.replace("data", "")


def test_a_report_covers_whole_months_that_are_over(town: Town) -> None:
    now = lambda: datetime(2026, 3, 20, tzinfo=UTC)  # noqa: E731
    for begin, end in (
        (date(2026, 1, 2), date(2026, 2, 1)),
        (date(2026, 1, 1), date(2026, 1, 31)),
        (date(2026, 2, 1), date(2026, 2, 1)),
        (date(2026, 3, 1), date(2026, 4, 1)),
    ):
        with pytest.raises(Invalid):
            public_numbers(town.world.store, now, begin, end)
    assert public_numbers(town.world.store, now, date(2026, 2, 1), date(2026, 3, 1)).tables


def test_three_forms_say_the_same(town: Town, tmp_path) -> None:
    lived(town, tmp_path)
    numbers = counted(town)
    said = json.loads(as_json(numbers, "Example"))
    lines = list(csv.DictReader(io.StringIO(as_csv(numbers))))
    assert len(lines) == sum(
        len(row) for table in said["tables"].values() for row in table.values()
    )
    for line in lines:
        figure = said["tables"][line["table"]][line["row"]][line["column"]]
        assert line["figure"] == ("" if figure is None else str(figure))
    page = as_html(numbers, "Ex<ample")
    assert "Ex&lt;ample" in page
    assert not re.search(r"(?:src|href)=", page), "needs nothing else"
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(charts) == len(numbers.tables)
    for chart in charts:
        assert ET.fromstring(chart).findall("rect") is not None


def test_an_operator_writes_a_report_from_the_command_line(
    town: Town, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(town.world.settings.home))
    file = tmp_path / "report.html"
    words = ["report", "transparency", "--from", "2026-01", "--to", "2026-03"]
    done = CliRunner().invoke(app, [*words, "--out", str(file)])
    assert done.exit_code == 0, done.output
    assert "2026-01-01 to 2026-03-31" in file.read_text()
    told = CliRunner().invoke(app, [*words, "--as", "json"])
    assert json.loads(told.stdout)["before"] == "2026-04-01"
    assert CliRunner().invoke(app, [*words[:-1], "2199-01"]).exit_code != 0
