"""A person registers on her own device: codes arrive, the images stay where they are.

The same promises as in ``register``: what says too little to be told from others is refused by
name, codes are sealed under her key, and nothing else is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum

import numpy as np

from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.film import FilmCodes, prune
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import PersonId
from pipeline.domain.signal import Signals
from pipeline.errors import Conflict, Invalid
from pipeline.journeys.answer_again import Answer, answered, answered_in, keep
from pipeline.journeys.register import add_item, join
from pipeline.journeys.register_film import add_film, telling
from pipeline.journeys.sign_in import Credentials, new_credentials
from pipeline.media.crops import CROPS, view_of_slot
from pipeline.ports import Clock, Pins, Store, Unit
from pipeline.signals import SignalType

LONGEST = 3600
"""Seconds of the longest clip."""

MOST_ITEMS = 500
"""How many items one person may have: far more than anybody needs, few enough to bear."""


class Fate(StrEnum):
    """What became of one item that a device sent."""

    PROTECTED = "protected"
    TOO_PLAIN = "too_plain"
    """Nothing in it tells it from other pictures."""
    TOO_COMMON = "too_common"
    """Very many pictures look like it: a sky, a wall, text."""


@dataclass(frozen=True, slots=True)
class Still:
    """A picture as a device sends it: (slot, code, quality) of the whole (slot 0) and its crops."""

    codes: tuple[tuple[int, bytes, int], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as a device sends it: (seconds, code, quality) of its frames."""

    frames: tuple[tuple[float, bytes, int], ...] = field(repr=False)


Found = Signals | FilmCodes
"""What can be sealed of an item."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """What judges codes here: the signal that devices compute, and its generic bank."""

    signal: SignalType
    generic: GenericBank | None

    def judge(self, item: Still | Clip) -> tuple[Fate, Found | None]:
        """An item's codes that can be told from others, or why there are none."""
        return self._clip(item) if isinstance(item, Clip) else self._still(item)

    def _clip(self, item: Clip) -> tuple[Fate, FilmCodes | None]:
        stretches = prune(sorted(item.frames), self.signal.minimum_quality)
        if not len(stretches):
            return Fate.TOO_PLAIN, None
        kept = telling(stretches, self.generic)
        return (Fate.PROTECTED, kept) if len(kept) else (Fate.TOO_COMMON, None)

    def _still(self, item: Still) -> tuple[Fate, Signals | None]:
        slots = [slot for slot, _, _ in item.codes]
        codes = np.frombuffer(b"".join(code for _, code, _ in item.codes), np.uint8)
        codes = codes.reshape(len(slots), self.signal.space.stride)
        quality = np.array([quality for _, _, quality in item.codes], np.uint8)
        telling = quality >= self.signal.minimum_quality
        common = self.generic.generic(codes) if self.generic else np.zeros(len(slots), np.bool_)
        whole = slots.index(0)
        if not telling[whole]:
            return Fate.TOO_PLAIN, None
        if common[whole]:
            return Fate.TOO_COMMON, None
        keep = np.flatnonzero(telling & ~common)
        views = tuple(view_of_slot(slots[row]) for row in keep)
        return Fate.PROTECTED, Signals(self.signal.space, codes[keep], quality[keep], views)


@dataclass(frozen=True, slots=True)
class Joined:
    """What she is given, once, and what became of each item in the order in which they came."""

    given: Credentials
    fates: tuple[Fate, ...]


def register_codes(
    store: Store,
    pins: Pins,
    clock: Clock,
    gauge: Gauge,
    items: Sequence[Still | Clip],
    consent_text: str,
    message: bytes | None = None,
) -> Joined:
    """A new person with the items that can be protected; ``Invalid`` when there is none.

    ``message`` stands for what her device sent (``answer_again``): sent twice it is one person.
    """
    judged = [gauge.judge(checked(item, gauge)) for item in items]
    if all(found is None for _, found in judged):
        raise Invalid("none of these can be protected; choose others and try again")
    given = new_credentials()
    digest = pins.digest(given.pin)
    fates = tuple(fate for fate, _ in judged)
    with store.transaction() as unit:
        earlier = answered_in(unit, clock, message)
        if earlier is not None:
            return _joined(earlier)
        consent = Consent(Purpose.HASHES, consent_text).to(ConsentState.GIVEN, clock())
        person = join(unit, given, digest, consent)
        added = _add(unit, person, gauge, [found for _, found in judged])
        unit.audit.append(
            "service:portal",
            "person.registered",
            f"person:{person}",
            {"items": added, "consent": consent_text},
        )
        keep(unit, clock, person, message, {**asdict(given), "fates": fates})
    return Joined(given, fates)


def registered(store: Store, clock: Clock, message: bytes) -> Joined | None:
    """What was answered to this message already, where its answer may have been lost."""
    earlier = answered(store, clock, message)
    return None if earlier is None else _joined(earlier)


def _joined(answer: Answer) -> Joined:
    given = Credentials(answer["case_number"], answer["pin"], answer["recovery"])
    return Joined(given, tuple(Fate(fate) for fate in answer["fates"]))


def add_codes(
    store: Store,
    clock: Clock,
    gauge: Gauge,
    person: PersonId,
    items: Sequence[Still | Clip],
    message: bytes | None = None,
) -> tuple[Fate, ...]:
    """More items for somebody who is registered; raises ``Conflict`` when she has left."""
    judged = [gauge.judge(checked(item, gauge)) for item in items]
    fates = tuple(fate for fate, _ in judged)
    with store.transaction() as unit:
        earlier = answered_in(unit, clock, message)
        if earlier is not None:
            return tuple(Fate(fate) for fate in earlier["fates"])
        if not unit.registry.hold(person):
            raise Conflict("this case has been withdrawn; nothing can be added to it")
        if len(unit.following.items(person)) + len(items) > MOST_ITEMS:
            raise Invalid(f"one case has at most {MOST_ITEMS} items")
        added = _add(unit, person, gauge, [found for _, found in judged])
        unit.audit.append("person", "items.added", f"person:{person}", {"items": added})
        keep(unit, clock, person, message, {"fates": fates})
    return fates


def checked(item: Still | Clip, gauge: Gauge) -> Still | Clip:
    """The item, if it has the shape that a device sends; raises ``Invalid``."""
    rows: Sequence[tuple[float, bytes, int]]
    if isinstance(item, Clip):
        rows = item.frames
        if not rows or not all(0 <= time <= LONGEST for time, _, _ in rows):
            raise Invalid(f"a clip has frames within {LONGEST} seconds")
    else:
        rows = item.codes
        slots = [slot for slot, _, _ in item.codes]
        if 0 not in slots or len(set(slots)) != len(slots):
            raise Invalid("a picture has one code of the whole and at most one of each crop")
        if not all(0 <= slot < len(CROPS) for slot in slots):
            raise Invalid(f"a crop's slot is 0 to {len(CROPS) - 1}")
    if any(len(code) != gauge.signal.space.stride for _, code, _ in rows):
        raise Invalid(f"a code has {gauge.signal.space.width} bits")
    if not all(0 <= quality <= 100 for _, _, quality in rows):
        raise Invalid("a quality is 0 to 100")
    return item


def _add(unit: Unit, person: PersonId, gauge: Gauge, items: Sequence[Found | None]) -> int:
    """Seal what there is of each item; how many there were."""
    there = [found for found in items if found is not None]
    for found in there:
        if isinstance(found, FilmCodes):
            add_film(unit, person, found, gauge.signal, gauge.generic)
        else:
            add_item(unit, person, [found])
    return len(there)
