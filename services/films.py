"""Videos of this machine through the pipeline, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline import plugins
from pipeline.domain import vpdq
from pipeline.domain.film import FilmCodes, prune
from pipeline.domain.ids import PlatformId, ScreeningId, uuid7
from pipeline.domain.media import Side, Upload
from pipeline.domain.vpdq import FrameHash
from pipeline.journeys.screen_film import Projector, Step
from pipeline.journeys.screen_upload import summary
from pipeline.journeys.take_in_film import discard, take_in
from pipeline.media.films import SandboxedFilms
from pipeline.media.moments import Sampling, VideoLimits, film_mime
from pipeline.media.sandbox import DecoderPool
from pipeline.ports import PendingFilm
from pipeline.signals import SignalType
from services.settings import Settings
from services.wiring import World, now

_HEAD = 64 << 20
_CHUNK = 1 << 20


def kind_of(path: Path) -> str | None:
    """What kind of video or animation a file is; None for stills and all else."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
        if head.startswith(b"GIF8"):
            head += file.read(_HEAD)
    return film_mime(head)


def frame_hashes(
    decoders: DecoderPool, settings: Settings, path: Path, seconds: float
) -> Iterator[FrameHash]:
    """PDQ of a video's luma planes every so many seconds, every frame with 0.

    Raises ``Refused``.
    """
    signal = cast(SignalType, plugins.build("signals", "pdq"))
    films = SandboxedFilms(decoders, VideoLimits(), settings.video_seconds)
    sampling = Sampling(rate=1 / seconds if seconds else None, long=1e9, least=0)
    with path.open("rb") as file:
        for number, moment in enumerate(films(file, sampling)):
            computed = signal.compute([moment.frame], Side.REGISTERED)
            code, quality = computed.codes[0].tobytes(), int(computed.quality[0])
            yield FrameHash(number, quality, code, moment.time)


def read_vpdq(path: Path, least_quality: int) -> FilmCodes:
    """A partner's frames of one video, pruned like our own. Raises ``Invalid``."""
    with path.open(encoding="ascii", errors="replace") as lines:
        frames = ((one.time, one.code, one.quality) for one in vpdq.read(lines))
        return prune(frames, least_quality)


def screen_film(
    world: World,
    projector: Projector,
    platform: PlatformId,
    upload: Upload,
    path: Path,
    progress: Callable[[Step], None],
    early: Callable[[str], None],
) -> dict[str, Any]:
    """Screen one video here and now: what the API would answer in the end."""
    received = now()
    with path.open("rb") as file:
        taken = take_in(world.store, world.blobs, received, _chunks(file))
        film = PendingFilm(
            ScreeningId(uuid7(received, taken.medium.bytes[-10:])), platform, upload,
            taken.medium, taken.size, kind_of(path), 0, received,
        )  # fmt: skip
        try:
            answered = projector.screen(
                film,
                file,
                progress,
                lambda matches: early(f"{len(matches)} certain already"),
                same=taken.digests,
            )
        except BaseException:
            discard(world.store, world.blobs, taken.medium)
            raise
    return dict(summary(answered))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
    file.seek(0)
