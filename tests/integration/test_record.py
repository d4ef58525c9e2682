"""Answers that concern nobody are stored all or none, one way to the database each time."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from pipeline.domain.ids import ScreeningId
from pipeline.errors import ConsentryError
from tests.world import Town, jpeg, picture


def test_a_batch_is_stored_whole_or_not_at_all(town: Town) -> None:
    board = town.platform()
    answered = town.screen(board, jpeg(picture(1)))
    fresh = [replace(answered, id=ScreeningId(uuid4())) for _ in range(3)]
    town.world.store.record(fresh[:2])
    assert town.query("SELECT count(*) FROM screenings") == [(3,)]
    with pytest.raises((psycopg.Error, ConsentryError)):
        town.world.store.record([fresh[2], fresh[0]])  # the second is there already
    assert town.query("SELECT count(*) FROM screenings") == [(3,)]
    town.world.store.record([fresh[2]])
    assert town.query("SELECT count(*) FROM screenings WHERE audited IS NULL") == [(4,)]
