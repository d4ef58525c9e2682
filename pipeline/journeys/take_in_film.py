"""A video comes in, piece by piece, and gets a place in the line.

It is sealed under a key of its own as it comes, and its digests are computed on the way, so that
nobody ever holds more of it than a piece. The digests are sealed with it: whoever shreds its key
has destroyed both. It lies so until ``screen_film`` has answered it.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pipeline.domain.digest import Digests
from pipeline.domain.ids import MediaId, PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Upload
from pipeline.domain.screening import Answer, Form, Progress, Screening, Verdict
from pipeline.ports import Blobs, Clock, PendingFilm, Store, Unit, Writing

KIND = "film"
ATTEMPTS = 3

_DIGESTS, _CERTAIN = "pending_films.digests", "pending_films.certain"
_SHA256 = 32


@dataclass(frozen=True, slots=True)
class Taken:
    """A video that lies sealed: its name, size and digests."""

    medium: MediaId
    size: int
    digests: Digests = field(repr=False)


class Incoming:
    """A video while it comes. Used by one thread at a time."""

    def __init__(self, store: Store, blobs: Blobs, now: datetime) -> None:
        """Make its key and begin its blob. Raises ``Unavailable``."""
        self._store, self._blobs = store, blobs
        self.medium = MediaId(uuid7(now, secrets.token_bytes(10)))
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        with store.transaction() as unit:
            unit.vault.create(self.medium, kind="media")
            key = unit.vault.key(self.medium)
        try:
            self._writing: Writing | None = blobs.begin(self.medium, key)
        except BaseException:
            self._writing = None
            self.abandon()
            raise

    def write(self, piece: bytes) -> None:
        """The next bytes. Raises ``Unavailable``; whoever gives up then calls ``abandon``."""
        assert self._writing is not None
        self._sha256.update(piece)
        self._md5.update(piece)
        self._writing.write(piece)

    def finish(self) -> Taken:
        """It is whole, and on the disk for good."""
        assert self._writing is not None
        size = self._writing.finish()
        return Taken(self.medium, size, Digests(self._sha256.digest(), self._md5.digest()))

    def abandon(self) -> None:
        """Leave nothing of it, finished or not."""
        if self._writing is not None:
            self._writing.abandon()
        discard(self._store, self._blobs, self.medium)


def take_in(store: Store, blobs: Blobs, now: datetime, body: Iterable[bytes]) -> Taken:
    """A whole video, sealed."""
    incoming = Incoming(store, blobs, now)
    try:
        for piece in body:
            incoming.write(piece)
        return incoming.finish()
    except BaseException:
        incoming.abandon()
        raise


def enlist(
    store: Store,
    clock: Clock,
    platform: PlatformId,
    upload: Upload,
    taken: Taken,
    mime: str | None,
    given: tuple[ScreeningId, datetime] | None = None,
    also: Callable[[Unit], None] = lambda _: None,
) -> Screening:
    """Put a video in the line; the answer that says so, with the screening's id.

    ``given`` are the id and the time of an upload that was promised an answer before it was here;
    ``also`` is called in the same transaction. Where this fails nobody can say whether it was
    recorded, so its file is left to ``sweep_orphans``, which asks.
    """
    now = clock()
    screening, received = given or (ScreeningId(uuid7(now, secrets.token_bytes(10))), now)
    clear = taken.digests.sha256 + taken.digests.md5
    with store.transaction() as unit:
        job = unit.jobs.add(KIND, {"screening": str(screening)}, max_attempts=ATTEMPTS)
        film = PendingFilm(
            screening, platform, upload, taken.medium, taken.size, mime, job, received,
            digests=unit.vault.seal(taken.medium, _DIGESTS, clear),
        )  # fmt: skip
        unit.films.add(film)
        also(unit)
    return waiting(film, "", 0)


def accept(
    store: Store,
    blobs: Blobs,
    clock: Clock,
    platform: PlatformId,
    upload: Upload,
    body: Iterable[bytes],
    mime: str | None,
) -> Screening:
    """Take in a video that is here already, and put it in the line."""
    taken = take_in(store, blobs, clock(), body)
    return enlist(store, clock, platform, upload, taken, mime)


def digests_of(unit: Unit, film: PendingFilm) -> Digests | None:
    """What was computed while it came; None of a video from before that was done."""
    if film.digests is None:
        return None
    clear = unit.vault.unseal(film.medium, _DIGESTS, film.digests)
    return Digests(clear[:_SHA256], clear[_SHA256:])


def early_of(unit: Unit, film: PendingFilm) -> tuple[Answer, ...]:
    """What is certain of it already."""
    if film.certain is None:
        return ()
    said = json.loads(unit.vault.unseal(film.medium, _CERTAIN, film.certain))
    return tuple(Answer.read(document) for document in said)


def keep_early(unit: Unit, film: PendingFilm, matches: Sequence[Answer]) -> bool:
    """Keep what is certain, sealed with the upload; false when something was kept already."""
    clear = json.dumps([match.document() for match in matches]).encode()
    return unit.films.early(film.id, unit.vault.seal(film.medium, _CERTAIN, clear))


def waiting(
    film: PendingFilm, policy: str, index_sequence: int, early: tuple[Answer, ...] = ()
) -> Screening:
    """What can be said of a video that has no answer yet, ``early`` of what is certain already."""
    return Screening(
        id=film.id,
        platform=film.platform,
        upload=film.upload,
        form=Form.FILE,
        verdict=Verdict.PENDING,
        policy=policy,
        index_seq=index_sequence,
        received_at=film.received_at,
        milliseconds=0.0,
        bytes=film.size,
        mime=film.mime,
        matches=early,
        progress=Progress(film.frames, film.expected, film.done),
    )


def discard(store: Store, blobs: Blobs, medium: MediaId) -> None:
    """Nobody needs this file any more."""
    with store.transaction() as unit:
        unit.vault.shred(medium)
    blobs.destroy(medium)
