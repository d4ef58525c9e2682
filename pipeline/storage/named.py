"""Named queries, and on which schema each of them holds.

During a rolling upgrade code meets a schema that is older than it by up to one version. A query
that needs a migration of this version says so in the line under its name (the migration's name
without its number, which may still change while it is being written); one that stands for it until
that migration was run has the same name and says until when::

    -- name: screening_add
    -- since: policies
    -- The record of an answer, with what was near.
    INSERT ...

    -- name: screening_add
    -- until: policies
    -- The record of an answer.
    INSERT ...

What has no such stand-in is not there yet for as long: whoever asks is told to come again
(``NotYet``). For rows that cannot exist before the migration a stand-in is ``SELECT WHERE false``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pipeline.errors import Misconfigured
from pipeline.storage.migrate import migrations

_NAMED = re.compile(
    r"^-- name: (\w+)\n"
    r"(?:-- since: (\w+)\n)?(?:-- until: (\w+)\n)?"
    r"((?:--[^\n]*\n)+)"
    r"((?:(?!^-- name: ).*\n?)*)",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Named:
    """A query and the schemas that it holds on, from one migration to before another."""

    name: str
    since: int
    until: int | None
    text: bytes

    def holds(self, schema: int) -> bool:
        """Whether it can be asked on a schema that has come to this migration."""
        return self.since <= schema and (self.until is None or schema < self.until)


@cache
def all_queries() -> tuple[Named, ...]:
    """Every query of every file.

    Raises ``Misconfigured`` for one without a word, of a migration that there is not, or of two of
    one name on one schema.
    """
    numbers = {one.name[5:-4]: one.number for one in migrations()}
    found: list[Named] = []
    for file in sorted(
        (resources.files("pipeline.storage") / "queries").iterdir(), key=lambda file: file.name
    ):
        if not file.name.endswith(".sql"):
            continue
        text = file.read_text(encoding="utf-8")
        parts = _NAMED.findall(text)
        for name, since, until, _, body in parts:
            for migration in filter(None, (since, until)):
                if migration not in numbers:
                    raise Misconfigured(
                        f"query {name!r} in {file.name} names no migration with {migration!r}"
                    )
            one = Named(
                name,
                numbers[since] if since else 0,
                numbers[until] if until else None,
                body.strip().rstrip(";").encode(),
            )
            if any(_both_hold(one, other) for other in found):
                raise Misconfigured(
                    f"two queries are called {name!r}; rename one in {file.name}, or say since and"
                    " until which migration they hold"
                )
            found.append(one)
        if len(parts) != text.count("-- name: "):
            raise Misconfigured(f"a query in {file.name} has no line that says what it does")
    return tuple(found)


@cache
def queries(schema: int | None = None) -> Mapping[str, bytes]:
    """All queries that hold on a schema, by name; on this version's unless one is given."""
    at = len(migrations()) if schema is None else schema
    return {one.name: one.text for one in all_queries() if one.holds(at)}


def _both_hold(one: Named, other: Named) -> bool:
    return one.name == other.name and (
        (other.until is None or one.since < other.until)
        and (one.until is None or other.since < one.until)
    )
