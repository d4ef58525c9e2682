"""The second factor: a security key or passkey first, an app that shows codes beside it.

A key is bound to the console's own address, so that no look-alike page can use what it signs. A
code is taken once: the time step of the last one is kept, and no step counts that is not later.
"""

from __future__ import annotations

import base64
import json
import secrets
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pyotp
import segno
import webauthn
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from pipeline.domain.ids import ReviewerId
from pipeline.errors import Denied, TooManyAttempts
from pipeline.ports import Factor, Unit
from services.console.refusals import pages_of
from services.console.sessions import Half, HalfOf, WorldOf
from services.web import csrf
from services.web.forms import Form
from services.wiring import World

router = APIRouter(prefix="/second")

_STEP = 30
"""Seconds for which an app shows one code."""

_WRONG = "this was not right; try once more"


@router.get("")
def show(request: Request, world: WorldOf, half: HalfOf) -> Response:
    """Ask for the second factor, or offer to set one up where there is none."""
    if half.proven:
        return RedirectResponse("/", 303)
    with world.store.transaction() as unit:
        factors = unit.reviewers.factors(half.session.reviewer)
    if not factors:
        return RedirectResponse("/second/add", 303)
    return _ask(request, half, factors)


@router.post("/code")
def give_code(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """The code that the app shows; the same one is never taken twice."""
    csrf.require(fields.csrf, half.session.csrf)
    now = world.desk.clock()
    with world.store.transaction() as unit:
        _count_attempt(unit, half, now)
        factors = unit.reviewers.factors(half.session.reviewer)
    typed = fields["code"].replace(" ", "")
    with world.store.transaction() as unit:
        for factor in factors:
            if factor.kind != "totp" or factor.sealed is None:
                continue
            step = _step_of(world, factor.sealed, typed, now)
            if step is not None and unit.reviewers.use_factor(factor.id, step, now):
                return _proven(unit, half, "code")
    return _ask(request, half, factors, _WRONG, 401)


@router.post("/key/options")
def ask_key(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """What a key is asked to sign."""
    csrf.require(fields.csrf, half.session.csrf)
    with world.store.transaction() as unit:
        factors = unit.reviewers.factors(half.session.reviewer)
        options = webauthn.generate_authentication_options(
            rp_id=_domain(request, world),
            allow_credentials=[
                PublicKeyCredentialDescriptor(id=factor.credential)
                for factor in factors
                if factor.credential is not None
            ],
            user_verification=UserVerificationRequirement.PREFERRED,
        )
        unit.reviewers.set_challenge(half.token_digest, options.challenge)
    return JSONResponse(json.loads(webauthn.options_to_json(options)))


@router.post("/key")
def give_key(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """What the key signed. A challenge is good for one answer."""
    csrf.require(fields.csrf, half.session.csrf)
    now = world.desk.clock()
    with world.store.transaction() as unit:
        challenge = unit.reviewers.challenge(half.token_digest)
        unit.reviewers.set_challenge(half.token_digest, None)
        factors = unit.reviewers.factors(half.session.reviewer)
    said = _json(fields["credential"])
    factor = next((one for one in factors if _is(one, said)), None)
    if challenge is None or factor is None or factor.public_key is None:
        raise Denied(_WRONG)
    try:
        done = webauthn.verify_authentication_response(
            credential=said,
            expected_challenge=challenge,
            expected_rp_id=_domain(request, world),
            expected_origin=origin(request, world),
            credential_public_key=factor.public_key,
            credential_current_sign_count=factor.counter,
        )
    except WebAuthnException:
        raise Denied(_WRONG) from None
    with world.store.transaction() as unit:
        if not unit.reviewers.use_factor(factor.id, done.new_sign_count, now):
            raise Denied(_WRONG)
        return _proven(unit, half, "key")


@router.get("/add")
def offer(request: Request, world: WorldOf, half: HalfOf) -> Response:
    """Set up a second factor: after signing in, or before going on where one is required."""
    with world.store.transaction() as unit:
        _may_add(unit, half)
        salt = secrets.token_bytes(16)
        unit.reviewers.set_challenge(half.token_digest, b"totp" + salt)
        factors = unit.reviewers.factors(half.session.reviewer)
    return _offer(request, world, half, salt, factors)


@router.post("/add/code")
def add_code(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """The app's first code proves that it was set up."""
    csrf.require(fields.csrf, half.session.csrf)
    now = world.desk.clock()
    with world.store.transaction() as unit:
        _may_add(unit, half)
        kept = unit.reviewers.challenge(half.token_digest) or b""
        factors = unit.reviewers.factors(half.session.reviewer)
        if not kept.startswith(b"totp"):
            raise Denied("this page is out of date; reload it")
        salt = kept[4:]
        step = _step_of(world, salt, fields["code"].replace(" ", ""), now)
        if step is not None:
            unit.reviewers.add_totp(half.session.reviewer, salt, step)
            return _proven(unit, half, "code_added")
    return _offer(request, world, half, salt, factors, _WRONG, 401)


@router.post("/add/key/options")
def ask_new_key(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """What a new key is asked to make."""
    csrf.require(fields.csrf, half.session.csrf)
    with world.store.transaction() as unit:
        _may_add(unit, half)
        options = webauthn.generate_registration_options(
            rp_id=_domain(request, world),
            rp_name="Consentry console",
            user_id=half.session.reviewer.bytes,
            user_name=half.session.login,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.DISCOURAGED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=factor.credential)
                for factor in unit.reviewers.factors(half.session.reviewer)
                if factor.credential is not None
            ],
        )
        unit.reviewers.set_challenge(half.token_digest, options.challenge)
    return JSONResponse(json.loads(webauthn.options_to_json(options)))


@router.post("/add/key")
def add_key(request: Request, world: WorldOf, fields: Form, half: HalfOf) -> Response:
    """The key that was made."""
    csrf.require(fields.csrf, half.session.csrf)
    with world.store.transaction() as unit:
        _may_add(unit, half)
        challenge = unit.reviewers.challenge(half.token_digest)
    if challenge is None:
        raise Denied("this page is out of date; reload it")
    try:
        made = webauthn.verify_registration_response(
            credential=_json(fields["credential"]),
            expected_challenge=challenge,
            expected_rp_id=_domain(request, world),
            expected_origin=origin(request, world),
        )
    except WebAuthnException:
        raise Denied("this key could not be added; try again, or another one") from None
    with world.store.transaction() as unit:
        unit.reviewers.add_key(
            half.session.reviewer, made.credential_id, made.credential_public_key, made.sign_count
        )
        return _proven(unit, half, "key_added")


def _proven(unit: Unit, half: Half, how: str) -> Response:
    """The session is good for everything now."""
    who = f"reviewer:{half.session.reviewer}"
    unit.reviewers.prove_session(half.token_digest)
    unit.attempts.cleared(_subject(unit, half.session.reviewer))
    unit.audit.append(who, "reviewer.second_factor", who, {"how": how})
    return RedirectResponse("/", 303)


def _may_add(unit: Unit, half: Half) -> None:
    """Whoever has a second factor gives it before adding another: else a password were enough."""
    if not half.proven and unit.reviewers.factors(half.session.reviewer):
        raise Denied("give the second factor that you have before you add another")


def _count_attempt(unit: Unit, half: Half, now: datetime) -> None:
    subject = _subject(unit, half.session.reviewer)
    wait = unit.attempts.wait(subject, now)
    if wait > 0:
        raise TooManyAttempts(f"too many wrong codes; try again in {int(wait) + 1} seconds", wait)
    unit.attempts.failed(subject, now)


def _subject(unit: Unit, reviewer: ReviewerId) -> bytes:
    return unit.vault.fingerprint(b"second|" + reviewer.bytes)


def _secret(world: World, salt: bytes) -> str:
    """An app's secret, made of the deployment's own and of what the database holds.

    Neither alone is enough.
    """
    return base64.b32encode(world.secrets.digest("totp", salt)[:20]).decode()


def _step_of(world: World, salt: bytes, typed: str, now: datetime) -> int | None:
    """The time step whose code was typed: this one or a neighbour, for clocks that are off."""
    codes = pyotp.TOTP(_secret(world, salt), interval=_STEP)
    this = int(now.timestamp()) // _STEP
    for step in (this, this - 1, this + 1):
        if secrets.compare_digest(codes.generate_otp(step), typed or "-"):
            return step
    return None


def _domain(request: Request, world: World) -> str:
    return urlsplit(origin(request, world)).hostname or ""


def origin(request: Request, world: World) -> str:
    """The console's address as browsers see it."""
    if world.settings.console_origin:
        return world.settings.console_origin.rstrip("/")
    scheme = "https" if world.settings.secure_cookies else "http"
    return f"{scheme}://{request.headers.get('host', '')}"


def _json(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Denied(_WRONG)
    return said


def _is(factor: Factor, said: dict[str, Any]) -> bool:
    try:
        named = webauthn.base64url_to_bytes(str(said.get("id", "")))
    except ValueError:
        return False
    return factor.credential is not None and bytes(factor.credential) == named


def _ask(
    request: Request,
    half: Half,
    factors: list[Factor],
    problem: str | None = None,
    status: int = 200,
) -> Response:
    return pages_of(request).answer(
        "second.html",
        status=status,
        half=half.session,
        keys=any(factor.kind == "key" for factor in factors),
        codes=any(factor.kind == "totp" for factor in factors),
        problem=problem,
    )


def _offer(
    request: Request,
    world: World,
    half: Half,
    salt: bytes,
    factors: list[Factor],
    problem: str | None = None,
    status: int = 200,
) -> Response:
    secret = _secret(world, salt)
    uri = pyotp.TOTP(secret).provisioning_uri(name=half.session.login, issuer_name="Consentry")
    return pages_of(request).answer(
        "second_add.html",
        status=status,
        half=half.session,
        proven=half.proven,
        factors=factors,
        secret=" ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        square=segno.make(uri, micro=False).svg_inline(scale=4, border=2, omitsize=True),
        problem=problem,
    )
