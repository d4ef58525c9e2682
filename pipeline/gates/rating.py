"""The platform's own rating, taken at its word."""

from __future__ import annotations

from pipeline.domain.media import Media, Rating, Upload
from pipeline.gates import Gate, Verdict

NAME = "rating/1"

_WORDS = {
    Rating.INTIMATE: "the platform rates this upload intimate",
    Rating.NOT_INTIMATE: "the platform rates this upload not intimate",
    Rating.UNKNOWN: "the platform gave no rating",
}


def build() -> Gate:
    """The gate; it has no settings."""
    return PlatformRating()


class PlatformRating:
    """Says what the platform said with the upload."""

    @property
    def name(self) -> str:
        """See ``Gate``."""
        return NAME

    @property
    def looks(self) -> bool:
        """See ``Gate``."""
        return False

    def rate(self, upload: Upload, media: Media) -> Verdict:  # noqa: ARG002
        """See ``Gate``."""
        return Verdict(upload.rating, NAME, _WORDS[upload.rating])
