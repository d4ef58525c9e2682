"""The table of problem codes is whole, true, and the README's."""

from __future__ import annotations

import re
from pathlib import Path

from services import api
from services.api.codes import CODES, codes_table
from services.api.problems import _OF_STATUS, _STATUSES, TITLES

README = Path(__file__).parents[2] / "README.md"
SOURCES = "\n".join(
    file.read_text(encoding="utf-8") for file in Path(api.__file__).parent.glob("*.py")
)


def test_every_code_has_a_row_and_every_row_a_code() -> None:
    assert set(CODES) == set(TITLES), "describe it in services/api/codes.py"


def test_every_code_comes_with_the_statuses_that_the_table_says() -> None:
    said = {
        (code, int(status))
        for status, code in re.findall(r'Declined\(\s*(\d{3}),\s*"(\w+)"', SOURCES)
    }
    said |= {(code, status) for status, code in _OF_STATUS.items()}
    said |= {(kind.code, status) for kind, status in _STATUSES if kind.code in TITLES}
    told = {(code, status) for code, (statuses, _) in CODES.items() for status in statuses}
    assert {one for one in said if one not in told} == set()
    # What is left is raised by name from the pipeline: one of its errors has this code.
    from pipeline.errors import ConsentryError

    kinds, waiting = {}, [ConsentryError]
    while waiting:
        kind = waiting.pop()
        kinds[kind.code] = kind
        waiting += kind.__subclasses__()
    for code, status in told - said:
        statuses = [at for one, at in _STATUSES if issubclass(kinds[code], one)]
        assert statuses[0] == status, code


def test_the_readme_tells_of_every_code_as_the_code_has_it() -> None:
    told = README.read_text(encoding="utf-8")
    (table,) = re.findall(r"<!-- codes:begin -->\n(.*?)<!-- codes:end -->", told, re.DOTALL)
    assert table == codes_table(), (
        "paste the output of services.api.codes.codes_table() between the README's markers"
    )
