"""Files of this machine through the pipeline, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from pipeline import plugins
from pipeline.domain.media import Rating, Side, Upload
from pipeline.errors import Refused
from pipeline.journeys.screen_film import Step
from pipeline.journeys.screen_upload import summary
from pipeline.media.sandbox import DecoderPool
from pipeline.signals import SignalType
from services.accounts import platform_named
from services.films import kind_of, screen_film
from services.settings import Settings
from services.wiring import World, decoder_pool


@dataclass(frozen=True, slots=True)
class Tools:
    """What hashing a file needs; no database."""

    decoders: DecoderPool
    pdq: SignalType
    phash: SignalType


def tools(settings: Settings) -> Tools:
    """The pipeline's own decoder and signals."""
    return Tools(
        decoder_pool(settings),
        cast(SignalType, plugins.build("signals", "pdq")),
        cast(SignalType, plugins.build("signals", "phash")),
    )


def hash_file(computing: Tools, path: Path) -> dict[str, Any]:
    """``path``, ``pdq`` (64 hex digits), ``quality``, ``phash``; or ``refused`` with its reason."""
    answer: dict[str, Any] = {
        "path": str(path), "pdq": None, "quality": None, "phash": None, "refused": None,
    }  # fmt: skip
    try:
        media = computing.decoders.decode(_read(path, computing.decoders.images.bytes))
    except Refused as refused:
        return {**answer, "refused": refused.reason.value, "message": refused.message}
    pdq = computing.pdq.compute(media.frames[:1], Side.REGISTERED)
    phash = computing.phash.compute(media.frames[:1], Side.REGISTERED)
    return {
        **answer,
        "pdq": pdq.codes[0].tobytes().hex(),
        "quality": int(pdq.quality[0]),
        "phash": phash.codes[0].tobytes().hex(),
    }


def screen_files(
    world: World,
    platform: str,
    paths: Iterable[Path],
    rating: Rating,
    watching: Callable[[Path, Step], None] = lambda _path, _step: None,
    early: Callable[[str], None] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Screen files as one platform: what the API would answer, with the file's ``path``.

    The content id is the file's absolute path, so that screening a file again joins its case.
    ``watching`` hears how far a video has been looked at, ``early`` what is certain before its end.
    """
    where = platform_named(world, platform)
    with world.live("cli") as live:
        screener = world.screener(live)
        for path in paths:
            upload = Upload(str(path.resolve())[-512:], None, rating)
            if kind_of(path) is not None:
                found = screen_film(
                    world, world.projector(live), where, upload, path, partial(watching, path),
                    early,
                )  # fmt: skip
                yield {"path": str(path), **found}
                continue
            body = _read(path, world.settings.max_bytes)
            yield {"path": str(path), **summary(screener.screen_file(where, upload, body))}


def _read(path: Path, most: int) -> bytes:
    """At most one byte more than may be: enough for the decoder to refuse it by name."""
    with path.open("rb") as file:
        return file.read(most + 1)
