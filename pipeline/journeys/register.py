"""A person joins: her images are hashed where they are, and only sealed hashes are kept.

The images are read, hashed and forgotten; nothing of them is written anywhere. What comes back is
a case number and a PIN, shown once, with which she can follow her case and leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import BinaryIO

import numpy as np

from pipeline.domain.consent import FEATURES_TEXT, HASHES_TEXT, Consent, ConsentState, Purpose
from pipeline.domain.evidence import Source
from pipeline.domain.film import FilmCodes
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import EntryId, PersonId
from pipeline.domain.media import Frame, Media, Side
from pipeline.domain.signal import Signals, pack
from pipeline.errors import Invalid, Refused
from pipeline.journeys.align_features import sealed
from pipeline.journeys.register_film import Filmer, FilmSigns
from pipeline.journeys.see_copies import sealed_vector, vectors_of
from pipeline.journeys.sign_in import Credentials, grouped, new_credentials, plain, recovery_print
from pipeline.media.crops import registered_crops, slot_of_view
from pipeline.media.features import Described, describe
from pipeline.packs import CopyModel
from pipeline.ports import Clock, NewEntry, Pins, Store, StoredFeatures, Unit
from pipeline.signals import SignalType

BANK = "registered"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image: protected by which signals, or why not."""

    name: str
    signals: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What the person is given, once. Neither the PIN nor the recovery code is kept."""

    case_number: str
    pin: str = field(repr=False)
    outcomes: tuple[Outcome, ...]
    recovery: str = field(repr=False)


def register(
    store: Store,
    pins: Pins,
    clock: Clock,
    decode: Callable[[bytes], Media],
    signals: Sequence[SignalType],
    images: Iterable[tuple[str, bytes]],
    generic: Mapping[str, GenericBank] = MappingProxyType({}),
    consent_text: str = HASHES_TEXT,
    *,
    features: bool = False,
    copies: Sequence[CopyModel] = (),
    videos: Iterable[tuple[str, BinaryIO | FilmCodes]] = (),
    filmer: Filmer | None = None,
    progress: Callable[[str, float], None] = lambda _name, _done: None,
) -> Registration:
    """Register a person's images, given as (name, bytes), and videos, as (name, open file).

    A video may also be stretches that were hashed elsewhere.
    ``features`` says that she opted in to local features, which is a consent of its own and goes
    for the vectors of ``copies``, the deployment's copy-detection packs, too.
    An image that cannot be read, or says too little to be told from others, is named with its
    reason; the rest goes on. Raises ``Invalid`` when nothing is left to register.
    """
    outcomes: list[Outcome] = []
    items: list[tuple[list[Signals], Traces]] = []
    films: list[FilmSigns] = []
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
        items.append((found, traces_of(media.frames[0], copies) if features else NO_TRACES))
        outcomes.append(Outcome(name, tuple(one.space.name for one in found)))
    if filmer is not None:
        films = list(_films(filmer, videos, progress, outcomes))
    if not items and not films:
        reasons = "; ".join(f"{one.name}: {one.problem}" for one in outcomes)
        raise Invalid(f"nothing of this could be registered ({reasons or 'none was given'})")
    given = new_credentials()
    digest = pins.digest(given.pin)
    with store.transaction() as unit:
        consent = Consent(Purpose.HASHES, consent_text).to(ConsentState.GIVEN, clock())
        person = join(unit, given, digest, consent)
        if features:
            opted = Consent(Purpose.FEATURES, FEATURES_TEXT).to(ConsentState.GIVEN, clock())
            unit.registry.put_consent(person, opted)
        for found, traces in items:
            add_item(unit, person, found, traces)
        if filmer is not None:
            for signs in films:
                filmer.add(unit, person, signs)
        unit.audit.append(
            "service:register",
            "person.registered",
            f"person:{person}",
            {
                "items": len(items) + len(films),
                "consent": consent_text,
                "features": features,
            },
        )
    return Registration(given.case_number, given.pin, tuple(outcomes), given.recovery)


def _films(
    filmer: Filmer,
    videos: Iterable[tuple[str, BinaryIO | FilmCodes]],
    progress: Callable[[str, float], None],
    outcomes: list[Outcome],
) -> Iterator[FilmSigns]:
    """What is kept of each video; one that cannot be registered is named with its reason."""
    for name, file in videos:
        try:
            if isinstance(file, FilmCodes):
                signs = FilmSigns(filmer.telling(file))
            else:
                signs = filmer.signs(file, partial(progress, name))
        except (Refused, Invalid) as problem:
            outcomes.append(Outcome(name, problem=str(problem)))
            continue
        outcomes.append(Outcome(name, (filmer.signal.space.name,)))
        yield signs


def join(unit: Unit, given: Credentials, pin_digest: str, consent: Consent) -> PersonId:
    """A new person with her first consent and a key of her own."""
    code = recovery_print(unit.vault.fingerprint, given.recovery)
    person = unit.registry.add_person(given.case_number, pin_digest, consent, code)
    unit.vault.create(person, kind="person")
    return person


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """What is kept of a picture beyond its hashes, for people who opted in: features, vectors."""

    described: Described | None = field(default=None, repr=False)
    vectors: tuple[Signals, ...] = field(default=(), repr=False)


NO_TRACES = Traces()


def traces_of(frame: Frame, copies: Sequence[CopyModel]) -> Traces:
    """A picture's local features, and its vector by each copy-detection pack."""
    return Traces(describe(frame), vectors_of(copies, frame))


def sealed_traces(
    unit: Unit, person: PersonId, traces: Traces
) -> list[tuple[NewEntry, StoredFeatures | None]]:
    """The entries that a picture's traces become, with what an alignment needs beside."""
    features = sealed(unit, person, traces.described) if traces.described is not None else []
    return [*features, *((sealed_vector(unit, person, one), None) for one in traces.vectors)]


def keep_beside(
    unit: Unit,
    ids: Sequence[EntryId],
    kept: Sequence[tuple[NewEntry, StoredFeatures | None]],
) -> None:
    """Keep what alignments need of entries that have just been added."""
    for entry, (_, rest) in zip(ids, kept, strict=True):
        if rest is not None:
            unit.features.add(entry, rest)


def add_item(
    unit: Unit, person: PersonId, found: Sequence[Signals], traces: Traces = NO_TRACES
) -> None:
    """Seal one item's codes, and its traces if any, under the person's key; put them in force."""
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
    kept = sealed_traces(unit, person, traces)
    _, ids = unit.registry.add_item(
        person, BANK, Source.REGISTERED, [*entries, *(entry for entry, _ in kept)]
    )
    keep_beside(unit, ids[len(entries) :], kept)


normal_case_number = plain
shown_case_number = grouped


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
    views = tuple(computed.views[int(row)] for row in keep)
    return Signals(computed.space, computed.codes[keep], computed.quality[keep], views), ""
