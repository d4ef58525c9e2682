"""A file is fetched from a platform's address: a picture into memory, a video into the vault.

Only hosts that an operator has entered for the platform are gone to (``pipeline.outside``), at the
moment of going, however long ago the address was named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from urllib.parse import urlsplit

import httpx

from pipeline import outside
from pipeline.domain.ids import PlatformId
from pipeline.errors import RefusalReason, Refused
from pipeline.journeys.take_in_film import Taken
from pipeline.media.moments import film_mime
from pipeline.ports import Store, Unit

PICTURE_SECONDS = 30.0
"""How long a file may be on its way, as long as nobody knows that it is a video."""
FILM_SECONDS = 300.0
"""How much longer one may whose first bytes are a video's."""

HEAD = 64 << 10
"""Bytes by which a video is known. A still GIF may turn out to move later; it is small."""


class FilmTooLarge(Refused):
    """A video with more bytes than are taken in."""

    def __init__(self, most: int) -> None:
        super().__init__(RefusalReason.TOO_MANY_BYTES, f"a video has at most {most} bytes here")


def is_private(unit: Unit, platform: PlatformId, url: str) -> bool:
    """Whether an address is on a host of a platform's that may be a private one.

    Raises ``Unreachable`` where it is on no host of the platform's at all.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        host = ""
    private = unit.platforms.hosts(platform).get(host)
    if private is None:
        raise outside.Unreachable(
            "this address is on a host that is not entered for you; ask the operator for:"
            " consentry platforms hosts"
        )
    return private


def host_for(
    store: Store, platform: PlatformId, url: str, whole: float | outside.Term | None = None
) -> httpx.Client:
    """What goes to a platform's address; raises ``Unreachable`` where that is on no host of its."""
    with store.transaction() as unit:
        private = is_private(unit, platform, url)
    return outside.client(private=private, whole=whole)


@contextmanager
def coming(
    store: Store, platform: PlatformId, url: str, term: outside.Term
) -> Iterator[Iterator[bytes]]:
    """The bytes at an address as they come until a term ends; then the connection is let go.

    Raises ``Unreachable``.
    """
    most = term.seconds + FILM_SECONDS
    with (
        host_for(store, platform, url, term) as http,
        closing(outside.pieces(http, url, seconds=most)) as pieces,
    ):
        yield pieces


def fetched(
    pieces: Iterable[bytes],
    picture: int,
    video: int,
    seal: Callable[[Iterator[bytes]], Taken],
    is_film: Callable[[], None],
) -> tuple[bytes, None] | tuple[Taken, str]:
    """What comes from an address: a picture's bytes, or a video that ``seal`` put away, its kind.

    Of a picture that is too large there is one byte more than may be: enough to refuse it by name.
    A video that is too large raises ``FilmTooLarge``, and ``seal`` leaves nothing of it.
    ``is_film`` is called as soon as it is known to be one.
    """
    stream, held = iter(pieces), bytearray()
    for piece in stream:
        held += piece
        if len(held) >= HEAD:
            break
    film = film_mime(bytes(held))
    if film is not None:
        is_film()
        return seal(_within(chain((bytes(held),), stream), video)), film
    for piece in stream:
        if len(held) > picture:
            break
        held += piece
    return bytes(held[: picture + 1]), None


def _within(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > most:
            raise FilmTooLarge(most)
        yield piece
