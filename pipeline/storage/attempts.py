"""Wrong PINs and passwords: waiting grows with failures, and always ends.

The subject is a keyed digest made by the caller, so the table names nobody. A failure must be
committed to count: whoever refuses does so after the transaction.
"""

from __future__ import annotations

from datetime import datetime

from pipeline.storage import Queries

BUSY_SECONDS = 1.0
"""The wait of whoever tries while another try of the same subject is being answered."""


class PgAttempts:
    """Failures within one transaction."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def wait(self, subject: bytes, now: datetime) -> float:
        """Seconds until the next try is allowed; 0 when it is.

        The subject is then ours until the transaction ends: a hundred guesses sent at once are not
        a hundred guesses for the price of one, all but the first are told to wait.
        """
        if not self._queries.value("attempts_alone", subject=subject):
            return BUSY_SECONDS
        return float(self._queries.value("attempts_wait", subject=subject, now=now) or 0)

    def failed(self, subject: bytes, now: datetime) -> None:
        """Count a wrong answer: three are free, then 2, 4, 8 s and so on up to 15 minutes.

        One failure is forgiven for each whole hour in which the subject could have tried.
        """
        self._queries.run("attempts_failed", subject=subject, now=now)

    def cleared(self, subject: bytes) -> None:
        """The right answer was given."""
        self._queries.run("attempts_cleared", subject=subject)

    def purge(self, now: datetime) -> int:
        """Forget those whose failures are all forgiven; how many."""
        return self._queries.run("attempts_purge", now=now)
