"""Which hits are only roughly alike, and how many different pictures some uploads are."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest

from pipeline.domain.evidence import Hit, Owner, Source
from pipeline.domain.flood import (
    code_of,
    is_loose,
    is_parked,
    is_put_aside,
    unrelated,
    without_kept_out,
)
from pipeline.domain.ids import EntryId, ItemId, PersonId
from pipeline.domain.likeness import Likeness
from pipeline.domain.media import WHOLE
from pipeline.domain.policy import DEFAULT, Match, parse
from pipeline.domain.signal import Metric
from pipeline.domain.trace import in_all_turns
from pipeline.domain.witness import Witness
from pipeline.errors import Invalid

OWNER = Owner(
    EntryId(1), ItemId(UUID(int=1)), PersonId(UUID(int=1)), "registered", Source.REGISTERED, None
)
FACES = {"pack": Likeness(0.3, 0.5)}


def hit(distance: float, signal: str = "pdq", slot: int = 0, **of: object) -> Hit:
    return replace(Hit(signal, distance, WHOLE, slot, OWNER), **of)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "loose"),
    [
        (hit(12), False),
        (hit(13), True),
        (hit(13, witness=Witness.NEAR.value), True),
        (hit(25, witness=Witness.PARTS.value), False),
        (hit(40, witness=Witness.ALIGNMENT.value), False),
        (hit(0, "bytes", witness=Witness.BYTES.value), False),
        (hit(0.49, "pack", metric=Metric.INNER_PRODUCT), True),
        (hit(0.5, "pack", metric=Metric.INNER_PRODUCT), False),
        (hit(0.99, "unknown", metric=Metric.INNER_PRODUCT), True),
    ],
)
def test_a_copy_is_never_loose_and_what_is_roughly_alike_is(found: Hit, loose: bool) -> None:
    assert is_loose(found, FACES) is loose


def test_only_loose_hits_on_the_codes_in_question_are_put_aside() -> None:
    said = replace(OWNER, parked=frozenset({"pdq/7"}), kept_out=frozenset({"pdq/3"}))
    loose, close = hit(20, slot=7, owner=said), hit(5, slot=7, owner=said)
    other, out = hit(20, slot=0, owner=said), hit(20, slot=3, owner=said)
    assert code_of(loose) == "pdq/7"
    assert without_kept_out([loose, close, other, out], {}) == ((loose, close, other), 1)
    assert is_parked([Match(loose, 31)], {})
    for one in (close, other):
        assert not is_parked([Match(loose, 31), Match(one, 31)], {}), "something else speaks too"
    assert [is_put_aside(one, {}) for one in (loose, close, other, out)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_one_picture_in_many_forms_is_one_picture() -> None:
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (3, 32), np.uint8)
    copies = [one ^ np.packbits(np.arange(256) < 20) for one in pictures]
    turned = [in_all_turns(one.reshape(1, 32))[3, 0] for one in pictures]
    assert unrelated([*pictures, *copies, *turned]) == 3
    assert unrelated([*pictures, None, None]) == 5, "what nobody can compare counts by itself"
    assert unrelated([]) == 0


def test_a_policy_says_when_an_entry_floods() -> None:
    document = {**DEFAULT.document(), "flood": {"uploads": 4, "accounts": 2}}
    assert parse(document).flood.document() == {"uploads": 4, "accounts": 2, "hours": 24.0}
    assert parse(parse(document).document()) == parse(document)
    with pytest.raises(Invalid, match=r"flood\.hours"):
        parse({**document, "flood": {"hours": 0}})
