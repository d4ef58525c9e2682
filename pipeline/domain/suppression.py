"""Tables for the public in which no small figure can be read, nor worked out from the others.

A figure from 1 to 9 could point at a person, so it is left out. Where that figure could be worked
out from its row or column and their sums, further figures are left out (*complementary
suppression*), until every small figure could still be another one. Whether it could is not guessed
but searched for: left-out figures can change by passing a unit around a cycle of them, up in one
and down in the next, without any of them falling below nought. All left-out figures look alike.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SMALLEST = 10
"""Figures below this, and above nought, are left out."""

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Table:
    """Figures by row and column; ``None`` where one is left out.

    A row or column named ``all`` at the end is a sum. A table of one row is named so itself.
    """

    name: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    figures: tuple[tuple[int | None, ...], ...]

    @property
    def left_out(self) -> int:
        """How many figures are left out."""
        return sum(figure is None for row in self.figures for figure in row)


def published(
    name: str,
    rows: Sequence[str],
    columns: Sequence[str],
    counts: Mapping[tuple[str, str], int],
    smallest: int = SMALLEST,
) -> Table:
    """The table of these counts with sums, without figures that are small or give one away."""
    single = len(rows) == 1
    inner = [[counts.get((row, column), 0) for column in columns] for row in rows]
    whole = [[*line, sum(line)] for line in inner]
    whole.append([sum(column) for column in zip(*whole, strict=True)])
    # The sums of one row's columns are that row again: they are not shown at all.
    unseen = {(1, at) for at in range(len(columns) + 1)} if single else set()
    hidden = _hidden(whole, unseen, smallest)
    shown = whole[:1] if single else whole
    figures = tuple(
        tuple(None if (r, c) in hidden else figure for c, figure in enumerate(line))
        for r, line in enumerate(shown)
    )
    names = tuple(rows) if single else (*rows, "all")
    return Table(name, names, (*columns, "all"), figures)


def apart(name: str, counts: Mapping[str, int], smallest: int = SMALLEST) -> Table:
    """Figures that do not add up to anything, side by side; small ones are left out."""
    shown = tuple(None if 0 < count < smallest else count for count in counts.values())
    return Table(name, ("all",), tuple(counts), (shown,))


def _hidden(whole: list[list[int]], unseen: set[Place], smallest: int) -> set[Place]:
    """Places to leave out: the small ones, and as many more as it takes to keep them unknown."""
    every = {(r, c) for r, line in enumerate(whole) for c in range(len(line))}
    small = {(r, c) for r, c in every if 0 < whole[r][c] < smallest} - unseen
    hidden = small | unseen
    while True:
        known = sorted(place for place in small if not may_differ(whole, hidden, place))
        if not known or not every - hidden:
            return hidden
        hidden |= _more(whole, hidden, every, known[0])


def _more(
    whole: list[list[int]], hidden: set[Place], every: set[Place], known: Place
) -> set[Place]:
    """What to leave out for a figure that is known: the cheapest rectangle that hides it.

    Cheap is what tells least: no noughts, no sums, small figures. Where no rectangle is enough
    (all others of its row or column are nought), the cheapest single figure goes, and so on.
    """
    last = (len(whole) - 1, len(whole[0]) - 1)

    def cost(places: Iterable[Place]) -> tuple[int, int, int, list[Place]]:
        new = sorted(places)
        noughts = sum(whole[r][c] == 0 for r, c in new)
        sums = sum(r == last[0] or c == last[1] for r, c in new)
        return noughts, sums, sum(whole[r][c] for r, c in new), new

    corners = [
        {(known[0], c), (r, known[1]), (r, c)} - hidden
        for r, c in every
        if r != known[0] and c != known[1]
    ]
    enough = [new for new in corners if new and may_differ(whole, hidden | new, known)]
    return min(enough or [{place} for place in every - hidden], key=cost)


def may_differ(whole: list[list[int]], hidden: set[Place], place: Place) -> bool:
    """Whether a left-out figure could be another, as far as the shown figures and sums tell.

    With sums counted negative, every row and column adds up to nought: a unit that goes up in one
    place must go down in another of its column, up in one of that row, and so back to the start.
    """
    rows, columns = len(whole), len(whole[0])

    def is_sum(where: Place) -> bool:
        return (where[0] == rows - 1) != (where[1] == columns - 1)

    def may(where: Place, *, up: bool) -> bool:
        # A figure may always grow; it may shrink unless it is nought. A sum's sign is turned.
        return (up != is_sum(where)) or whole[where[0]][where[1]] > 0

    by_column: dict[int, list[Place]] = defaultdict(list)
    by_row: dict[int, list[Place]] = defaultdict(list)
    for where in hidden - {place}:
        by_column[where[1]].append(where)
        by_row[where[0]].append(where)
    for up in (True, False):
        if not may(place, up=up):
            continue
        reached, todo = set(), [place[1]]
        while todo:  # columns that must give the unit back
            column = todo.pop()
            if column in reached:
                continue
            reached.add(column)
            for where in by_column[column]:
                if not may(where, up=not up):
                    continue
                if where[0] == place[0]:
                    return True
                todo += [on[1] for on in by_row[where[0]] if may(on, up=up)]
    return False
