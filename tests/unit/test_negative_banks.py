"""A negative bank takes back what is clearly worse than a known false match, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.bank import MARGIN, NEGATIVE, WITHIN, Bank, sift
from pipeline.domain.evidence import Hit, Owner, Source, Stretch
from pipeline.domain.ids import CaseId, EntryId, ItemId, PersonId
from pipeline.domain.media import WHOLE, View
from pipeline.domain.signal import Metric
from pipeline.errors import Invalid


def hit(distance: float, signal: str = "pdq", bank: str = "registered", entry: int = 1) -> Hit:
    owner = Owner(
        EntryId(entry), ItemId(UUID(int=entry)), PersonId(UUID(int=entry)), bank,
        Source.REGISTERED, None,
    )  # fmt: skip
    return Hit(signal, distance, WHOLE, 0, owner)


def false(distance: float, signal: str = "pdq") -> Hit:
    return hit(distance, signal, NEGATIVE, 9)


def test_what_is_clearly_further_off_than_a_known_false_match_is_taken_back() -> None:
    near = hit(2 + MARGIN + 1)
    assert sift([near, false(2)]) == ((), 1)
    assert sift([near]) == ((near,), 0)


@given(st.floats(0, 40), st.floats(0, 40))
def test_whoever_registers_the_very_picture_stays_protected(off: float, bank: float) -> None:
    hers = hit(off)
    kept, _ = sift([hers, false(bank)])
    assert off > bank + MARGIN or kept == (hers,)


def test_an_upload_that_is_only_like_a_false_match_is_not_taken_for_it() -> None:
    near = hit(30)
    assert sift([near, false(WITHIN["pdq"] + 1)]) == ((near,), 0)


def test_a_negative_bank_never_counts_as_a_match() -> None:
    assert sift([false(0)]) == ((), 0)


def test_what_a_person_upheld_files_faces_videos_and_other_views_are_not_taken_back() -> None:
    near = hit(30)
    case = CaseId(UUID(int=5))
    upheld = replace(near, owner=replace(near.owner, source=Source.UPHELD, case=case))
    part = replace(near, view=View("a part", ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))))
    video = replace(near, stretches=(Stretch((0, 1), None, 1, 1, 30),))
    face = replace(near, metric=Metric.INNER_PRODUCT)
    for kept in (upheld, part, video, face, hit(30, "phash"), hit(64, "orb")):
        assert sift([kept, false(0)]) == ((kept,), 0)


def test_a_bank_has_a_name_and_an_end() -> None:
    holder = PersonId(UUID(int=1))
    for name, days in (("", 30), ("x" * 101, 30), ("bank", 0), ("bank", 4000)):
        with pytest.raises(Invalid):
            Bank(name, holder, timedelta(days=days))
