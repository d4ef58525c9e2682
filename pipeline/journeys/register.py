"""A person joins: her images are hashed where they are, and only sealed hashes are kept.

The images are read, hashed and forgotten; nothing of them is written anywhere. What comes back is
a case number and a PIN, shown once, with which she can follow her case and leave.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from pipeline.domain.consent import HASHES_TEXT, Consent, ConsentState, Purpose
from pipeline.domain.evidence import Source
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import PersonId
from pipeline.domain.media import Frame, Media, Side
from pipeline.domain.signal import Signals, pack
from pipeline.errors import Invalid, Refused
from pipeline.media.crops import registered_crops, slot_of_view
from pipeline.ports import Clock, NewEntry, Pins, Store, Unit
from pipeline.signals import SignalType

BANK = "registered"

_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_DIGITS = "0123456789"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: protected by which signals, or why not."""

    name: str
    signals: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What the person is given, once. Neither the PIN nor a way to make a new one is kept."""

    case_number: str
    pin: str = field(repr=False)
    outcomes: tuple[Outcome, ...]


def register(
    store: Store,
    pins: Pins,
    clock: Clock,
    decode: Callable[[bytes], Media],
    signals: Sequence[SignalType],
    images: Iterable[tuple[str, bytes]],
    generic: Mapping[str, GenericBank] = MappingProxyType({}),
    consent_text: str = HASHES_TEXT,
) -> Registration:
    """Register a person's images, given as (name, bytes).

    An image that cannot be read, or says too little to be told from others, is named with its
    reason; the rest goes on. Raises ``Invalid`` when nothing is left to register.
    """
    outcomes: list[Outcome] = []
    items: list[list[Signals]] = []
    for name, body in images:
        try:
            media = decode(body)
        except Refused as refused:
            outcomes.append(Outcome(name, problem=refused.message))
            continue
        found, problems = [], []
        for signal in signals:
            codes, problem = codes_of(signal, media.frames[0], generic.get(signal.space.name))
            if codes is not None:
                found.append(codes)
            else:
                problems.append(problem)
        if not found:
            outcomes.append(Outcome(name, problem=f"{problems[0]}; not registered"))
            continue
        items.append(found)
        outcomes.append(Outcome(name, tuple(one.space.name for one in found)))
    if not items:
        reasons = "; ".join(f"{one.name}: {one.problem}" for one in outcomes)
        raise Invalid(f"none of these images could be registered ({reasons or 'none was given'})")
    number, pin = new_case_number(), new_pin()
    consent = Consent(Purpose.HASHES, consent_text).to(ConsentState.GIVEN, clock())
    digest = pins.digest(pin)
    with store.transaction() as unit:
        person = unit.registry.add_person(number, digest, consent)
        unit.vault.create(person, kind="person")
        for found in items:
            add_item(unit, person, found)
        unit.audit.append(
            "service:register",
            "person.registered",
            f"person:{person}",
            {"items": len(items), "consent": consent_text},
        )
    return Registration(number, pin, tuple(outcomes))


def add_item(unit: Unit, person: PersonId, found: Sequence[Signals]) -> None:
    """Seal one item's codes under the person's key and put them in force."""
    entries = [
        NewEntry(
            signals.space.key,
            len(signals),
            unit.vault.seal(
                person,
                f"entries.{signals.space.key}",
                pack(signals, [slot_of_view(view) for view in signals.views]),
            ),
        )
        for signals in found
    ]
    unit.registry.add_item(person, BANK, Source.REGISTERED, entries)


def normal_case_number(text: str) -> str:
    """A case number as it is stored, from how somebody typed it: case, spaces, O for 0, I for 1."""
    plain = "".join(symbol for symbol in text.upper() if symbol.isalnum())
    return plain.translate(str.maketrans("OIL", "011"))


def shown_case_number(stored: str) -> str:
    """A case number as it is shown: groups of four."""
    return "-".join(stored[at : at + 4] for at in range(0, len(stored), 4))


def codes_of(
    signal: SignalType, frame: Frame, bank: GenericBank | None
) -> tuple[Signals | None, str]:
    """An item's codes under one signal: of the whole picture, and of its crops where it has them.

    None, with the reason, when the whole picture cannot be told from others. A crop that cannot
    (a sky, a wall) is left out by itself.
    """
    frames = registered_crops(frame) if signal.asks_parts else (frame,)
    computed = signal.compute(frames, Side.REGISTERED)
    telling = computed.quality >= signal.minimum_quality
    common = bank.generic(computed.codes) if bank else np.zeros(len(computed), np.bool_)
    if not telling[0]:
        return None, "too plain to be told from other pictures"
    if common[0]:
        return None, "it looks like many other pictures (a sky, a wall, text)"
    keep = np.flatnonzero(telling & ~common)
    views = tuple(computed.views[row] for row in keep)
    return Signals(computed.space, computed.codes[keep], computed.quality[keep], views), ""


def new_case_number() -> str:
    """A case number that nobody can guess: 60 random bits."""
    return "".join(secrets.choice(_SYMBOLS) for _ in range(12))


def new_pin() -> str:
    """A PIN of eight digits; guesses are slowed down."""
    return "".join(secrets.choice(_DIGITS) for _ in range(8))
