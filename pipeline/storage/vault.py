"""The vault: a data key per owner, wrapped by a key that the database does not have.

What is sealed is bound to its owner and column, so that a row copied elsewhere does not open.
Shredding deletes the wrapped key. Its bytes live on in write-ahead logs and backups until those
are gone or the key-encryption key was rotated and its old copies destroyed: that is why rotation
belongs to a withdrawal's retention schedule.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Literal
from uuid import UUID

import argon2
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from pipeline.errors import Conflict, Invalid, NotFound, Tampered
from pipeline.ports import KeyOwner, StoredEntry
from pipeline.storage import Database, Queries
from pipeline.storage.keyring import KEY_BYTES, KeyRing

OwnerKind = Literal["person", "platform", "media", "deployment", "notice", "traces"]

_VERSION = 1
_NONCE = 12
_LEAST = 1 + _NONCE + 16  # version, nonce, tag


def entry_column(space: str) -> str:
    """What an entry's codes are sealed as: codes of one space never open as another's."""
    return f"entries.{space}"


def signature_holds(public_key: str, statement: bytes, signature: str) -> bool:
    """Whether a base64 Ed25519 signature of a statement was made by a base64 public key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), statement)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def new_signing_key() -> str:
    """A private key to vouch with, base64 of its 32 bytes."""
    return base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def signature_by(private_key: str, statement: bytes) -> str:
    """A base64 Ed25519 signature by a base64 private key."""
    return base64.b64encode(_private(private_key).sign(statement)).decode()


def public_key_of(private_key: str) -> str:
    """The public key that verifies what a private key signs, base64."""
    return base64.b64encode(_private(private_key).public_key().public_bytes_raw()).decode()


def _private(key: str) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        raise Invalid("this is not a private key as `consentry vouch` makes them") from None


def sealed_by(key: bytes, owner: UUID, column: str, clear: bytes) -> bytes:
    """Version byte, 12 bytes of nonce, AES-256-GCM ciphertext with its 16-byte tag."""
    nonce = secrets.token_bytes(_NONCE)
    return bytes((_VERSION,)) + nonce + AESGCM(key).encrypt(nonce, clear, _bound(owner, column))


class Secrets:
    """What a deployment keeps for good: its fingerprint key, pepper and signing key.

    All are derived (HKDF-SHA256) from one root, the data key of the deployment itself, so that
    rotating the key-encryption key leaves them as they are.
    """

    def __init__(self, deployment: UUID, root: bytes) -> None:
        self.deployment = deployment
        self._root = root
        self._fingerprint = self._derive("fingerprint")
        self._pepper = self._derive("pepper")
        self._signing = Ed25519PrivateKey.from_private_bytes(self._derive("signing"))

    @staticmethod
    def load(database: Database, keyring: KeyRing) -> Secrets:
        """The secrets of the deployment in a database, made by the first of all who ask.

        Raises ``Misconfigured`` when the key ring has lost the key that wraps them.
        """
        with database.transaction() as connection:
            queries = Queries(connection)
            deployment = queries.value("vault_deployment")
            if queries.one("vault_key", owner=deployment) is None:
                _add_key(queries, keyring, deployment, "deployment")
            row = queries.one("vault_key", owner=deployment)
            assert row is not None  # added above, by us or by whoever was first
        return Secrets(deployment, _unwrap(keyring, row["kek"], row["wrapped"]))

    def __repr__(self) -> str:
        return f"Secrets({self.deployment})"

    def fingerprint(self, content: bytes) -> bytes:
        """HMAC-SHA256, 32 bytes: equal for equal content on this deployment only."""
        return hmac.digest(self._fingerprint, content, "sha256")

    def pepper(self, text: str) -> bytes:
        """What a PIN or password becomes before it is digested, 32 bytes."""
        return hmac.digest(self._pepper, text.encode(), "sha256")

    def digest(self, purpose: str, content: bytes) -> bytes:
        """HMAC-SHA256 under a key of its own for each purpose, 32 bytes."""
        return hmac.digest(self._derive(f"digest/{purpose}"), content, "sha256")

    def sign(self, statement: bytes) -> str:
        """Ed25519 signature, base64."""
        return base64.b64encode(self._signing.sign(statement)).decode()

    def public_key(self) -> str:
        """The key that verifies our signatures, base64 of its 32 bytes."""
        return base64.b64encode(self._signing.public_key().public_bytes_raw()).decode()

    def verify(self, statement: bytes, signature: str) -> bool:
        """Whether a signature is ours."""
        return signature_holds(self.public_key(), statement, signature)

    def _derive(self, purpose: str) -> bytes:
        # Expansion alone: the root is 32 uniformly random bytes, there is nothing to extract.
        info = f"consentry/1/{purpose}".encode()
        return HKDFExpand(SHA256(), KEY_BYTES, info).derive(self._root)


class Pins:
    """PINs and passwords as argon2id digests of their peppered form."""

    def __init__(self, secrets: Secrets, hasher: argon2.PasswordHasher | None = None) -> None:
        """``hasher`` sets the cost; by default argon2-cffi's (64 MiB)."""
        self._secrets = secrets
        self._hasher = hasher or argon2.PasswordHasher()
        self._nobody = _digest_of_nothing(self._hasher)

    def digest(self, secret: str) -> str:
        """What to keep of a PIN or password, with its own salt."""
        return self._hasher.hash(self._peppered(secret))

    def matches(self, digest: str | None, secret: str) -> bool:
        """Whether a PIN or password is the digested one.

        None stands for a case that does not exist and costs the same work, so that the time an
        answer takes does not tell which case numbers do. Raises ``Tampered`` for a digest that
        is none.
        """
        try:
            self._hasher.verify(self._nobody if digest is None else digest, self._peppered(secret))
        except argon2.exceptions.InvalidHashError:
            raise Tampered("a stored PIN or password is not a digest; restore its row") from None
        except argon2.exceptions.VerificationError:
            return False
        return digest is not None

    def _peppered(self, secret: str) -> bytes:
        return base64.b64encode(self._secrets.pepper(secret))


class PgVault:
    """The vault within one transaction; unwrapped keys are remembered only that long."""

    def __init__(self, queries: Queries, keyring: KeyRing, secrets: Secrets) -> None:
        self._queries = queries
        self._keyring = keyring
        self._secrets = secrets
        self._keys: dict[UUID, bytes] = {}

    def create(self, owner: KeyOwner, *, kind: OwnerKind) -> None:
        """Make a data key for an owner; raises ``Conflict`` when it has one."""
        if not _add_key(self._queries, self._keyring, owner, kind):
            raise Conflict(f"{kind} {owner} already has a key")

    def seal(self, owner: KeyOwner, column: str, clear: bytes) -> bytes:
        """Version byte, 12 bytes of nonce, AES-256-GCM ciphertext with its 16-byte tag."""
        return sealed_by(self.key(owner), owner, column, clear)

    def unseal(self, owner: KeyOwner, column: str, sealed: bytes) -> bytes:
        """The clear bytes; ``Tampered`` when they are not what was sealed there.

        Raises ``NotFound`` once the owner's key was shredded.
        """
        return _open(AESGCM(self.key(owner)), _bound(owner, column), sealed, owner)

    def unseal_entries(
        self, entries: Iterable[StoredEntry], batch: int = 5000
    ) -> Iterator[tuple[StoredEntry, bytes]]:
        """The clear codes of many entries, in order; those whose key was shredded are left out.

        Asks for keys once a batch, and remembers no more of them than a batch needs.
        """
        stream = iter(entries)
        ciphers: dict[UUID, AESGCM] = {}
        bounds: dict[tuple[UUID, str], bytes] = {}
        while rows := list(islice(stream, batch)):
            owners = {row.person for row in rows}
            ciphers = {owner: cipher for owner, cipher in ciphers.items() if owner in owners}
            ciphers |= self._ciphers(owners - ciphers.keys())
            bounds.clear()
            for row in rows:
                cipher = ciphers.get(row.person)
                if cipher is None:
                    continue
                bound = bounds.get((row.person, row.space))
                if bound is None:
                    bound = _bound(row.person, entry_column(row.space))
                    bounds[row.person, row.space] = bound
                yield row, _open(cipher, bound, row.sealed, row.person)

    def _ciphers(self, owners: Iterable[UUID]) -> dict[UUID, AESGCM]:
        return {
            row["owner"]: AESGCM(_unwrap(self._keyring, row["kek"], row["wrapped"]))
            for row in self._queries.all("vault_keys_of", owners=list(owners))
        }

    def key(self, owner: KeyOwner) -> bytes:
        """The owner's data key, 32 bytes; raises ``NotFound`` once shredded."""
        found = self._keys.get(owner)
        if found is None:
            row = self._queries.one("vault_key", owner=owner)
            if row is None:
                raise NotFound(f"{owner} has no key: it was shredded, or never made")
            found = self._keys[owner] = _unwrap(self._keyring, row["kek"], row["wrapped"])
        return found

    def shred(self, owner: KeyOwner) -> bool:
        """Destroy the owner's key; false when it was gone already."""
        self._keys.pop(owner, None)
        return self._queries.run("vault_shred", owner=owner) > 0

    def fingerprint(self, content: bytes) -> bytes:
        """A keyed digest (32 bytes) that is equal for equal content on this deployment only."""
        return self._secrets.fingerprint(content)

    def derived(self, purpose: str, content: bytes) -> bytes:
        """See the port."""
        return self._secrets.digest(purpose, content)

    def sign(self, statement: bytes) -> str:
        """Ed25519 signature by the deployment's signing key, base64."""
        return self._secrets.sign(statement)


def rotate(
    database: Database,
    keyring: KeyRing,
    progress: Callable[[str], None] = lambda _: None,
    *,
    batch: int = 1000,
) -> int:
    """Wrap every data key under a new key-encryption key; how many were wrapped now.

    May be killed at any point and run again: the file names the new key before the first row
    uses it, and loses the old one after the last row left it. Raises ``Conflict`` when another
    rotation is under way.
    """
    holder = database.dedicated()
    try:
        if not Queries(holder).value("vault_begin_rotation"):
            raise Conflict("another rotation is under way; wait for it to end")
        current, old = keyring.begin_rotation()
        progress(f"wrapping under {current}")
        wrapped = 0
        while True:
            done = _rewrap(database, keyring, current, batch)
            wrapped += done
            if done:
                progress(f"{wrapped} data keys wrapped")
            elif _ended(database, keyring, current, old, progress):
                return wrapped
            else:
                time.sleep(0.05)  # what is left is locked by somebody's transaction
    finally:
        holder.close()


def _rewrap(database: Database, keyring: KeyRing, current: str, batch: int) -> int:
    with database.transaction() as connection:
        queries = Queries(connection)
        rows = queries.all("vault_batch", kek=current, limit=batch)
        key = keyring.get(current)
        return queries.run(
            "vault_rewrap",
            kek=current,
            owners=[row["owner"] for row in rows],
            wrapped=[
                aes_key_wrap(key, _unwrap(keyring, row["kek"], row["wrapped"])) for row in rows
            ],
        )


def _ended(
    database: Database,
    keyring: KeyRing,
    current: str,
    old: tuple[str, ...],
    progress: Callable[[str], None],
) -> bool:
    with database.transaction() as connection:
        queries = Queries(connection)
        queries.run("vault_end_creation")
        if queries.value("vault_others", kek=current):
            return False
        # Under the lock: whoever makes a key from here on reads the ring after it was changed.
        names = ", ".join(old)
        if keyring.end_rotation(current):
            progress(f"{current} is the only key; destroy copies of the file that hold {names}")
        elif old:
            progress(
                f"nothing is wrapped under {names} any more: once every process runs with"
                f" {current} first, drop the rest from {keyring.name}"
            )
        else:
            progress(f"{keyring.name} holds one key; to rotate, put a new one before it")
    return True


def _add_key(queries: Queries, keyring: KeyRing, owner: UUID, kind: OwnerKind) -> bool:
    # Before the ring is asked: a rotation waits for this transaction before it drops a key.
    queries.run("vault_hold_rotation")
    kek, key = keyring.current()
    wrapped = aes_key_wrap(key, secrets.token_bytes(KEY_BYTES))
    return queries.run("vault_add", owner=owner, kind=kind, kek=kek, wrapped=wrapped) > 0


def _unwrap(keyring: KeyRing, kek: str, wrapped: bytes) -> bytes:
    try:
        return aes_key_unwrap(keyring.get(kek), wrapped)
    except InvalidUnwrap:
        raise Tampered(
            f"a data key does not unwrap under {kek!r}: the row was changed, or {keyring.name}"
            " belongs to another deployment"
        ) from None


def _bound(owner: UUID, column: str) -> bytes:
    return f"{owner}|{column}|{_VERSION}".encode()


def _open(cipher: AESGCM, bound: bytes, sealed: bytes, owner: UUID) -> bytes:
    if len(sealed) < _LEAST or sealed[0] != _VERSION:
        raise Tampered(f"something sealed for {owner} has no known form")
    try:
        return cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], bound)
    except InvalidTag:
        raise Tampered(f"something sealed for {owner} does not open") from None


def _digest_of_nothing(hasher: argon2.PasswordHasher) -> str:
    # Well formed, matched by nothing anyone knows, and made without the work of a real one.
    salt, mark = (
        base64.b64encode(hashlib.sha256(secrets.token_bytes(KEY_BYTES)).digest()[:length])
        .decode()
        .rstrip("=")
        for length in (hasher.salt_len, hasher.hash_len)
    )
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    return f"$argon2id$v=19${cost}${salt}${mark}"
