"""Every way the pipeline refuses, in one hierarchy.

Each error says what happened and what to do next, and carries a stable ``code`` that the HTTP API
repeats word by word, so that a platform can build on it. No message may hold a hash, a template,
a PIN or a key.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class ConsentryError(Exception):
    """The root: whatever Consentry raises on purpose."""

    code: ClassVar[str] = "error"


class RefusalReason(StrEnum):
    """Why a file cannot be screened. The value is what a platform reads in the answer."""

    EMPTY = "empty"
    TOO_MANY_BYTES = "too_many_bytes"
    TOO_MANY_PIXELS = "too_many_pixels"
    SIDE_TOO_LONG = "side_too_long"
    UNSUPPORTED_TYPE = "unsupported_type"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LONG = "too_long"
    TOO_MANY_FRAMES = "too_many_frames"
    TOO_MANY_STREAMS = "too_many_streams"
    NO_VIDEO = "no_video"
    TIMED_OUT = "timed_out"
    TOO_MUCH_MEMORY = "too_much_memory"
    UNDECODABLE = "undecodable"
    UNREACHABLE = "unreachable"
    """The address that it lies at was not gone to, or gave nothing."""


class Refused(ConsentryError):
    """A file that will not be screened, with the reason by name and a sentence for people."""

    code = "refused"

    def __init__(self, reason: RefusalReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Unavailable(ConsentryError):
    """Something that screening needs is away for now; the same request may be sent again."""

    code = "unavailable"


class Busy(Unavailable):
    """More work than can be taken on at once."""

    code = "busy"


class IndexNotReady(Unavailable):
    """The index is still being rebuilt, or has lost touch with the change log."""

    code = "index_not_ready"


class Misconfigured(ConsentryError):
    """A setting, file or machine is not as it must be; the message says what to change."""

    code = "misconfigured"


class UnknownSchema(Misconfigured):
    """The database's schema is not the one this code was written for."""

    code = "unknown_schema"


class NotFound(ConsentryError):
    """There is no such thing, or it is not the caller's to see."""

    code = "not_found"


class Conflict(ConsentryError):
    """The world has moved on since the caller looked."""

    code = "conflict"


class IllegalTransition(Conflict):
    """A case or a consent cannot go from where it is to where it was asked to go."""

    code = "illegal_transition"


class LeaseLost(Conflict):
    """The reviewer's or worker's lease has ended or belongs to somebody else."""

    code = "lease_lost"


class IdempotencyMismatch(Conflict):
    """The same idempotency key came with another request."""

    code = "idempotency_mismatch"


class Denied(ConsentryError):
    """The caller has not proved who they are, or may not do this."""

    code = "denied"


class TooManyAttempts(Denied):
    """Too many wrong answers; ``retry_after`` seconds must pass first."""

    code = "too_many_attempts"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Resting(Denied):
    """A reviewer has seen enough for now, or a break is due: ``why`` and until when."""

    code = "resting"

    def __init__(self, message: str, why: str, until: datetime | None) -> None:
        super().__init__(message)
        self.why = why
        self.until = until


class Invalid(ConsentryError):
    """An argument is not usable; the message says what it should be."""

    code = "invalid"


class Tampered(ConsentryError):
    """Something sealed does not open, or a chain does not hold. Never ignore this one."""

    code = "tampered"
