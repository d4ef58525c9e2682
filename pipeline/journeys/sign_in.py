"""She proves who she is: by case number and PIN, or by the recovery code that was printed.

Guessing is slowed so that it cannot work, and so that nobody can use it to lock her out. Wrong
PINs are counted for each case number and, of all network addresses, for one of 64 shares of them:
one stranger's wrong answers delay one share in 64, and even strangers with all addresses in the
world get some thousand guesses a day at a hundred million PINs. Waiting ends by itself within a
quarter of an hour. The recovery code is 120 random bits, which nobody guesses, so it never waits:
whoever has it gets in, whatever anybody does to the PIN.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.domain.ids import PersonId
from pipeline.errors import Denied, NotFound, TooManyAttempts
from pipeline.ports import Clock, Pins, Store

Fingerprint = Callable[[bytes], bytes]
"""``Vault.fingerprint``."""

SHARES = 64
"""Into how many shares all addresses are divided when wrong PINs are counted."""

SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U
_DIGITS = "0123456789"
_CASE_SYMBOLS, _PIN_DIGITS, _RECOVERY_SYMBOLS = 12, 8, 24


@dataclass(frozen=True, slots=True)
class Credentials:
    """What she keeps, shown once. Only digests of it are stored."""

    case_number: str
    pin: str = field(repr=False)
    recovery: str = field(repr=False)


def new_credentials() -> Credentials:
    """A case number, a PIN and a recovery code that nobody has seen yet."""
    return Credentials(_drawn(SYMBOLS, _CASE_SYMBOLS), new_pin(), new_recovery())


def new_pin() -> str:
    """Eight digits."""
    return _drawn(_DIGITS, _PIN_DIGITS)


def new_recovery() -> str:
    """24 symbols, 120 bits: too many to guess."""
    return _drawn(SYMBOLS, _RECOVERY_SYMBOLS)


def sign_in(
    store: Store, pins: Pins, clock: Clock, case_number: str, pin: str, address: str = ""
) -> PersonId:
    """Whose case this is. ``address`` is the caller's network address, used to count and not kept.

    Raises ``Denied`` for a wrong case number or PIN (the same words for both, after the same
    time), ``TooManyAttempts`` when it is too soon to try again. A try is counted before it is
    checked, so that many at once are not many for free.
    """
    stored, now = plain(case_number), clock()
    with store.transaction() as unit:
        subject = unit.vault.fingerprint(b"pin|%d|" % share_of(address) + stored.encode())
        wait = unit.attempts.wait(subject, now)
        if wait <= 0:
            unit.attempts.failed(subject, now)
        known = unit.registry.person(stored)
    if wait > 0:
        raise TooManyAttempts(f"too many wrong answers; try again in {int(wait) + 1} seconds", wait)
    right = pins.matches(known.pin if known else None, digits(pin))
    if known is None or not right:
        raise Denied("this case number and PIN do not belong together; check both and try again")
    with store.transaction() as unit:
        unit.attempts.cleared(subject)
        unit.answers.forget(known.id)  # she has her numbers
    return known.id


def recover(store: Store, pins: Pins, recovery: str) -> Credentials:
    """A new PIN and a new recovery code for whoever holds the old code, which ends with this.

    Raises ``Denied`` when no case has this code, ``NotFound`` when its owner has left.
    """
    pin, fresh = new_pin(), new_recovery()
    digest = pins.digest(pin)
    with store.transaction() as unit:
        found = unit.registry.by_recovery(recovery_print(unit.vault.fingerprint, recovery))
        if found is None:
            raise Denied("this recovery code belongs to no case; check every symbol and try again")
        case_number, person = found
        if not unit.registry.hold(person):
            raise NotFound("this case has been withdrawn")
        unit.registry.set_credentials(person, digest, recovery_print(unit.vault.fingerprint, fresh))
        for share in range(SHARES):
            unit.attempts.cleared(unit.vault.fingerprint(b"pin|%d|" % share + case_number.encode()))
        unit.answers.forget(person)
        unit.audit.append("person", "person.recovered", f"person:{person}", {})
    return Credentials(case_number, pin, fresh)


def recovery_print(fingerprint: Fingerprint, recovery: str) -> bytes:
    """What is kept of a recovery code: random enough that a keyed digest hides it for good."""
    return fingerprint(b"recovery|" + plain(recovery).encode())


def plain(text: str) -> str:
    """A case number or code as it is stored, from how it was typed: case, spaces, O for 0."""
    kept = "".join(symbol for symbol in text.upper() if symbol.isalnum())
    return kept.translate(str.maketrans("OIL", "011"))


def digits(text: str) -> str:
    """A PIN as it was meant: without the spaces and lines that copying adds."""
    return "".join(text.split()).replace("-", "")


def grouped(stored: str) -> str:
    """A case number or code as it is shown: groups of four."""
    return "-".join(stored[at : at + 4] for at in range(0, len(stored), 4))


def share_of(address: str) -> int:
    """Which share of all addresses this one belongs to."""
    return hashlib.sha256(address.encode()).digest()[0] % SHARES


def _drawn(symbols: str, length: int) -> str:
    return "".join(secrets.choice(symbols) for _ in range(length))
