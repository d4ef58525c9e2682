"""A request with an idempotency key is answered once, and the same answer given again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from pipeline.domain.ids import PlatformId
from pipeline.domain.screening import Screening
from pipeline.errors import IdempotencyMismatch, Unavailable
from pipeline.journeys.screen_upload import summary
from pipeline.storage.idempotency import Claim, Earlier, Idempotency, Taken
from pipeline.storage.vault import Secrets
from services.api.problems import Declined, retry_after
from services.api.schemas import ScreeningAnswered

log = structlog.get_logger()

LONGEST_KEY = 255


class Replay:
    """Answers by idempotency key. Only answers are remembered; a problem may be tried again."""

    def __init__(self, idempotency: Idempotency, secrets: Secrets) -> None:
        self._idempotency, self._secrets = idempotency, secrets

    def once(
        self,
        platform: PlatformId,
        key: str | None,
        request: Callable[[], Iterable[bytes]],
        screen: Callable[[], Screening],
    ) -> tuple[ScreeningAnswered, bool]:
        """The answer to an upload, and whether it was given before.

        A process that dies between screening and remembering lets the same request be screened
        again, once its claim has aged: it joins the case that the first one opened.
        """
        if key is None:
            return _answer(screen()), False
        said, replayed = self.document(
            platform, key, request, lambda: _answer(screen()).model_dump(mode="json")
        )
        return ScreeningAnswered.model_validate(said), replayed

    def bind(self, platform: PlatformId, key: str, request: Iterable[bytes]) -> None:
        """Say what request a key is of, where its parts are answered one by one.

        Raises ``IdempotencyMismatch`` when it came with another one.
        """
        self.document(platform, key, lambda: request, dict)

    def document(
        self,
        platform: PlatformId,
        key: str | None,
        request: Callable[[], Iterable[bytes]],
        work: Callable[[], Mapping[str, Any]],
        status: int = 200,
    ) -> tuple[Mapping[str, Any], bool]:
        """What is kept of an answer, and whether it was given before.

        ``request`` yields all that makes the request what it is.
        """
        if key is None:
            return work(), False
        claim = self._idempotency.claim(
            platform,
            self._secrets.digest("idempotency-key", key.encode()).hex(),
            self._secrets.digest("idempotency-request", _digest(request())),
        )
        if isinstance(claim, Earlier):
            return claim.answer, True
        if claim is Taken.OTHER_REQUEST:
            raise IdempotencyMismatch(
                "this idempotency key came with another request; use a new key for a new request"
            )
        if not isinstance(claim, Claim):
            raise Declined(
                409,
                "in_progress",
                "the same request is being answered; ask again for its answer",
                headers=retry_after(1),
            )
        try:
            said = work()
        except BaseException:
            self._give_up(claim)
            raise
        try:
            self._idempotency.answer(claim, status, said)
        except Unavailable:  # the answer stands and is recorded; only its memory is lost
            log.warning("idempotency.not_remembered")
        return said, False

    def _give_up(self, claim: Claim) -> None:
        try:
            self._idempotency.release(claim)
        except Unavailable:  # it ends by itself
            log.warning("idempotency.not_released")


def _answer(screening: Screening) -> ScreeningAnswered:
    return ScreeningAnswered.model_validate(summary(screening))


def _digest(parts: Iterable[bytes]) -> bytes:
    """One digest of several parts, each behind its length so that none runs into the next."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
