"""Videos between their upload and their answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.domain.ids import PlatformId, ScreeningId
from pipeline.domain.media import Rating, Upload
from pipeline.ports import PendingFilm
from pipeline.storage import Queries


class PgFilms:
    """See ``pipeline.ports.Films``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(self, film: PendingFilm) -> None:
        """See the port."""
        self._queries.run(
            "film_add",
            id=film.id,
            platform=film.platform,
            content_id=film.upload.content_id,
            uploader=film.upload.uploader,
            rating=film.upload.rating.value,
            medium=film.medium,
            size=film.size,
            mime=film.mime,
            job=film.job,
            received_at=film.received_at,
            digests=film.digests,
        )

    def get(self, screening: ScreeningId, platform: PlatformId | None = None) -> PendingFilm | None:
        """See the port."""
        row = self._queries.one("film_get", id=screening)
        if row is None or (platform is not None and row["platform"] != platform):
            return None
        return _film(row)

    def progress(
        self, screening: ScreeningId, done: float, frames: int, expected: int | None
    ) -> None:
        """See the port."""
        self._queries.run(
            "film_progress", id=screening, done=done, frames=frames, expected=expected
        )

    def keep(self, screening: ScreeningId, place: bytes) -> None:
        """See the port."""
        self._queries.run("film_keep", id=screening, kept=place)

    def forget_places(self) -> None:
        """See the port."""
        self._queries.run("films_forget_places")

    def early(self, screening: ScreeningId, certain: bytes | None) -> bool:
        """See the port."""
        return self._queries.run("film_early", id=screening, certain=certain) == 1

    def end(self, screening: ScreeningId) -> bool:
        """See the port."""
        return self._queries.run("film_end", id=screening) == 1

    def given_up(self, limit: int) -> list[PendingFilm]:
        """See the port."""
        return [_film(row) for row in self._queries.all("films_given_up", limit=limit)]


def _film(row: Mapping[str, Any]) -> PendingFilm:
    return PendingFilm(
        id=row["id"],
        platform=row["platform"],
        upload=Upload(row["content_id"], row["uploader"], Rating(row["rating"])),
        medium=row["medium"],
        size=row["size"],
        mime=row["mime"],
        job=row["job"],
        received_at=row["received_at"],
        done=row["done"],
        frames=row["frames"],
        expected=row["expected"],
        digests=row["digests"],
        certain=row["certain"],
        kept=row["kept"],
    )
