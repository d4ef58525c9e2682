"""Single sign-on through an organisation's OpenID Connect provider.

The authorization code flow with PKCE, a state and a nonce. The provider says who somebody is; what
they may do stands here: an account must exist, and its second factor is asked for as ever.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pipeline.errors import Denied, NotFound, Unavailable
from services.console.second_page import origin
from services.console.sessions import WorldOf, cookie_name, open_session, set_cookie
from services.wiring import World

router = APIRouter(prefix="/sso")

_ALGORITHMS = ["RS256", "ES256", "PS256", "EdDSA"]
_PATIENCE = 10.0
_LEEWAY = 60
"""Seconds by which the provider's clock may differ from ours."""


@dataclass(frozen=True, slots=True)
class Provider:
    """What the provider's own description says, as far as it is needed."""

    issuer: str
    authorize: str
    token: str
    keys: str


@router.get("/start")
def start(request: Request, world: WorldOf) -> Response:
    """Off to the provider."""
    provider = _provider(world)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    asked = urlencode(
        {
            "response_type": "code",
            "client_id": world.settings.oidc_client,
            "redirect_uri": f"{origin(request, world)}/sso/done",
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
    )
    url = f"{provider.authorize}{'&' if '?' in provider.authorize else '?'}{asked}"
    answer = RedirectResponse(url, 303)
    kept = json.dumps({"state": state, "nonce": nonce, "verifier": verifier})
    # Back from another site, a strict cookie would not come along.
    answer.set_cookie(
        _cookie(world), kept, max_age=600, path="/", httponly=True, samesite="lax",
        secure=world.settings.secure_cookies,
    )  # fmt: skip
    return answer


@router.get("/done")
def done(
    request: Request, world: WorldOf, code: str = "", state: str = "", error: str = ""
) -> Response:
    """Back from the provider: signed in, if an account has this name."""
    provider = _provider(world)
    kept = _kept(request.cookies.get(_cookie(world), ""))
    if error or not code or not state or not secrets.compare_digest(state, kept["state"]):
        raise Denied("signing in through your organisation did not work; try again")
    claims = _claims(request, world, provider, code, kept)
    login = str(claims.get(world.settings.oidc_claim) or "").strip()
    with world.store.transaction() as unit:
        found = unit.reviewers.by_login(login) if login else None
    if found is None:
        raise Denied("there is no account for you here; an operator adds one")
    token = open_session(world, found[0], request.cookies.get(cookie_name(world)))
    # The session's cookie is strict, and this request came from another site: the browser sends
    # it with the next one only when that is our own page's.
    answer = RedirectResponse("/sso/in", 303)
    set_cookie(answer, world, cookie_name(world), token)
    answer.delete_cookie(_cookie(world), path="/")
    return answer


@router.get("/in")
def land(world: WorldOf) -> Response:
    """A page of our own between the provider and the console."""
    _settings(world)
    return Response(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="0; url=/"><title>Signing in</title></head>'
        '<body><p><a href="/">Go on to the console</a></p></body></html>',
        media_type="text/html; charset=utf-8",
    )


def _claims(
    request: Request, world: World, provider: Provider, code: str, kept: dict[str, str]
) -> dict[str, Any]:
    """What the provider says of whoever came; raises ``Denied`` unless it is sound."""
    try:
        told = _token(request, world, provider, code, kept["verifier"])
        keys = KeySet.import_key_set(_fetch(provider.keys))
        token = jwt.decode(str(told["id_token"]), keys, algorithms=_ALGORITHMS)
        jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": provider.issuer},
            aud={"essential": True, "value": world.settings.oidc_client},
            exp={"essential": True},
            nonce={"essential": True, "value": kept["nonce"]},
        ).validate(token.claims)
    except httpx.HTTPError as error:
        raise Unavailable("your organisation's sign-on does not answer; try again") from error
    except (JoseError, KeyError, ValueError, TypeError) as error:
        raise Denied("your organisation's sign-on answered something that does not hold") from error
    return dict(token.claims)


def _token(
    request: Request, world: World, provider: Provider, code: str, verifier: str
) -> dict[str, Any]:
    """The code turned into tokens, by this console alone: only it knows the verifier."""
    settings = _settings(world)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": f"{origin(request, world)}/sso/done",
        "code_verifier": verifier,
        "client_id": settings.oidc_client,
    }
    secret = settings.oidc_secret
    proof = (settings.oidc_client, secret.get_secret_value()) if secret else None
    answer = httpx.post(provider.token, data=form, auth=proof, timeout=_PATIENCE)
    if answer.status_code in (400, 401):
        raise ValueError("the provider refused the code")
    answer.raise_for_status()
    return dict(answer.json())


def _provider(world: World) -> Provider:
    issuer = str(_settings(world).oidc_issuer).rstrip("/")
    try:
        said = _fetch(f"{issuer}/.well-known/openid-configuration")
        if str(said["issuer"]).rstrip("/") != issuer:
            raise Denied("your organisation's sign-on gives another name than is configured")
        return Provider(
            str(said["issuer"]),
            str(said["authorization_endpoint"]),
            str(said["token_endpoint"]),
            str(said["jwks_uri"]),
        )
    except (httpx.HTTPError, KeyError, ValueError) as error:
        raise Unavailable("your organisation's sign-on does not answer; try again") from error


def _fetch(url: str) -> Any:
    answer = httpx.get(url, timeout=_PATIENCE)
    answer.raise_for_status()
    return answer.json()


def _settings(world: World) -> Any:
    if world.settings.oidc_issuer is None:
        raise NotFound("single sign-on is not configured here")
    return world.settings


def _kept(cookie: str) -> dict[str, str]:
    try:
        kept = json.loads(cookie)
        return {name: str(kept[name]) for name in ("state", "nonce", "verifier")}
    except (ValueError, KeyError, TypeError):
        raise Denied("signing in took too long or began elsewhere; try again") from None


def _cookie(world: World) -> str:
    return cookie_name(world) + "-sso"
