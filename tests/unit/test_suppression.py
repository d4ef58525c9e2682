"""No small figure of a public table can be read or worked out: all tables are tried."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.suppression import SMALLEST, Table, may_differ, published

COUNTS = st.one_of(st.integers(0, 4), st.sampled_from([0, 0, 5]))


def table(inner: list[list[int]], smallest: int = 3) -> Table:
    rows = [f"r{at}" for at in range(len(inner))]
    columns = [f"c{at}" for at in range(len(inner[0]))]
    counts = {
        (rows[r], columns[c]): value for r, line in enumerate(inner) for c, value in enumerate(line)
    }
    return published("t", rows, columns, counts, smallest)


def consistent(shown: Table, most: int) -> list[list[list[int]]]:
    """Every table of figures up to ``most`` that looks like this one."""
    sums = len(shown.figures) > 1
    inner = [line[:-1] for line in (shown.figures[:-1] if sums else shown.figures)]
    free = [(r, c) for r, line in enumerate(inner) for c, v in enumerate(line) if v is None]
    found = []
    for values in itertools.product(range(most + 1), repeat=len(free)):
        filled = [[v or 0 for v in line] for line in inner]
        for (r, c), value in zip(free, values, strict=True):
            filled[r][c] = value
        said = [line[-1] for line in shown.figures]
        across = [sum(line) for line in filled]
        if sums:
            across.append(sum(across))
        if any(told not in (None, real) for told, real in zip(said, across, strict=True)):
            continue
        down = [sum(column) for column in zip(*filled, strict=True)]
        if sums and any(
            told not in (None, real)
            for told, real in zip(shown.figures[-1][:-1], down, strict=True)
        ):
            continue
        found.append(filled)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(COUNTS, min_size=2, max_size=2), min_size=2, max_size=3))
def test_each_small_figure_could_be_another_in_some_table_that_looks_the_same(
    inner: list[list[int]],
) -> None:
    shown = table(inner)
    free = sum(v is None for one in shown.figures[:-1] for v in one[:-1])
    possible = consistent(shown, most=6) if free <= 4 else []
    for r, line in enumerate(inner):
        for c, value in enumerate(line):
            if 0 < value < 3:
                assert shown.figures[r][c] is None
                assert free > 4 or len({other[r][c] for other in possible}) > 1


@settings(max_examples=60, deadline=None)
@given(st.lists(COUNTS, min_size=2, max_size=4))
def test_a_single_row_gives_no_small_figure_away_by_its_sum(line: list[int]) -> None:
    shown = table([line])
    possible = consistent(shown, most=6)
    for c, value in enumerate(line):
        if 0 < value < 3:
            assert len({other[0][c] for other in possible}) > 1


def test_a_single_small_figure_takes_another_of_its_row_and_of_its_column_with_it() -> None:
    shown = table([[1, 20, 30], [40, 50, 60], [70, 80, 90]])
    hidden = {(r, c) for r, row in enumerate(shown.figures) for c, v in enumerate(row) if v is None}
    assert hidden == {(0, 0), (0, 1), (1, 0), (1, 1)}, "a rectangle, the smallest there is"
    assert shown.figures[-1][-1] == 441


def test_noughts_are_no_hiding_place() -> None:
    shown = table([[1, 0], [0, 20]])
    possible = consistent(shown, most=30)
    assert len({other[0][0] for other in possible}) > 1


def test_large_figures_and_noughts_are_shown_as_they_are() -> None:
    shown = published("t", ["a"], ["x", "y"], {("a", "x"): SMALLEST})
    assert shown.figures == ((10, 0, 10),)
    assert shown.rows == ("a",)
    assert shown.left_out == 0


def test_all_small_leaves_nothing_but_noughts() -> None:
    shown = published("t", ["a", "b"], ["x", "y"], {("a", "x"): 1, ("b", "y"): 2})
    assert all(figure in (None, 0) for row in shown.figures for figure in row)
    assert shown.figures[0][0] is None


@pytest.mark.parametrize(
    ("hidden", "can"),
    [
        ({(0, 0)}, False),
        ({(0, 0), (0, 1)}, False),
        ({(0, 0), (0, 1), (1, 0), (1, 1)}, True),
        ({(0, 0), (0, 2), (2, 0), (2, 2)}, True),
    ],
)
def test_a_figure_may_differ_only_around_a_cycle(hidden: set[tuple[int, int]], can: bool) -> None:
    whole = [[1, 5, 6], [5, 5, 10], [6, 10, 16]]
    assert may_differ(whole, hidden, (0, 0)) is can
