"""What was answered to a message, for whoever lost the answer and asks again.

Nobody who reads the database can read it: it is locked by a key made from the message itself, of
which only a keyed digest is kept, and then sealed under the person's own key.
"""

from __future__ import annotations

import secrets
from datetime import datetime

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from pipeline.domain.ids import PersonId
from pipeline.ports import Vault
from pipeline.storage import Queries

_COLUMN = "answers.sealed"
_NONCE = 12


class PgAnswers:
    """See ``pipeline.ports.Answers``."""

    def __init__(self, queries: Queries, vault: Vault) -> None:
        self._queries, self._vault = queries, vault

    def alone(self, message: bytes) -> None:
        """See the port."""
        self._queries.run("answer_alone", message=self._place(message).hex())

    def keep(self, person: PersonId, message: bytes, answer: bytes, until: datetime) -> None:
        """See the port."""
        nonce = secrets.token_bytes(_NONCE)
        locked = nonce + AESGCM(_key(message)).encrypt(nonce, answer, None)
        self._queries.run(
            "answer_keep",
            message=self._place(message),
            person=person,
            sealed=self._vault.seal(person, _COLUMN, locked),
            until=until,
        )

    def get(self, message: bytes, now: datetime) -> bytes | None:
        """See the port."""
        row = self._queries.one("answer_get", message=self._place(message), now=now)
        if row is None:
            return None
        locked = self._vault.unseal(row["person"], _COLUMN, row["sealed"])
        return AESGCM(_key(message)).decrypt(locked[:_NONCE], locked[_NONCE:], None)

    def forget(self, person: PersonId) -> None:
        """See the port."""
        self._queries.run("answers_forget", person=person)

    def purge(self, now: datetime) -> int:
        """See the port."""
        return self._queries.run("answers_purge", now=now)

    def _place(self, message: bytes) -> bytes:
        return self._vault.fingerprint(b"answer|" + message)


def _key(message: bytes) -> bytes:
    # Expansion alone: a digest of a message with 32 random bytes in it is random enough.
    return HKDFExpand(SHA256(), 32, b"consentry/1/answer").derive(message)
