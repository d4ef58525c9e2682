"""Platforms and reviewers as the operator makes them. Secrets come back once and are not kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from pipeline.domain.ids import PlatformId, ReviewerId
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.journeys import webhooks
from pipeline.ports import Unit
from services.wiring import World

_OPERATOR = "operator:cli"
KEY_PREFIX = "csk_"
SHORTEST_PASSWORD = 12
_HOST = re.compile(r"(?!-)[a-z0-9.-]{1,253}|[0-9a-f:]{2,39}")


@dataclass(frozen=True, slots=True)
class NewPlatform:
    """What a platform's engineer is given."""

    platform: PlatformId
    api_key: str = field(repr=False)
    webhook_secret: str | None = field(repr=False)


def new_key() -> tuple[str, bytes]:
    """A new API key and the digest that is kept of it.

    A key is 256 random bits, so that a plain SHA-256 of it is safe to keep and quick to look up.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(32)
    return key, key_digest(key)


def key_digest(key: str) -> bytes:
    """What is kept of an API key, 32 bytes."""
    return hashlib.sha256(key.encode()).digest()


def add_platform(world: World, name: str, webhook: str | None, per_minute: int) -> NewPlatform:
    """A new platform with its first key, and an endpoint if it has one."""
    if not name.strip() or len(name) > 100:
        raise Invalid("a platform's name has 1 to 100 characters")
    key, digest = new_key()
    with world.store.transaction() as unit:
        platform = unit.platforms.add(name.strip())
        unit.vault.create(platform, kind="platform")
        unit.platforms.add_key(platform, digest, per_minute)
        secret = _webhook(unit, platform, webhook) if webhook else None
        unit.audit.append("operator:cli", "platform.added", f"platform:{platform}", {})
    return NewPlatform(platform, key, secret)


def set_webhook(world: World, name: str, url: str) -> str:
    """A platform's only webhook from now on, for all events; its secret."""
    with world.store.transaction() as unit:
        platform = named(unit, name)
        for earlier in unit.webhooks.of(platform):
            webhooks.end(unit, platform, earlier.id, _OPERATOR)
        return _webhook(unit, platform, url)


def allow_host(world: World, name: str, host: str, *, private: bool) -> str:
    """Let a platform name uploads by address on a host; the host as it is kept."""
    plain = host.strip().rstrip(".").lower()
    if not _HOST.fullmatch(plain):
        raise Invalid("name a host alone, such as cdn.example.com: no scheme, port or path")
    with world.store.transaction() as unit:
        platform = named(unit, name)
        unit.platforms.allow_host(platform, plain, private=private)
        unit.audit.append(
            "operator:cli", "platform.host", f"platform:{platform}", {"private": private}
        )
    return plain


def forget_host(world: World, name: str, host: str) -> None:
    """Take such a host back."""
    with world.store.transaction() as unit:
        platform = named(unit, name)
        if not unit.platforms.forget_host(platform, host.strip().rstrip(".").lower()):
            raise NotFound(f"{name} has no such host; see: consentry platforms hosts {name}")
        unit.audit.append("operator:cli", "platform.host_forgotten", f"platform:{platform}", {})


def new_platform_key(world: World, name: str, *, revoke: bool) -> str:
    """A further key; with ``revoke`` the earlier ones end."""
    key, digest = new_key()
    with world.store.transaction() as unit:
        platform = named(unit, name)
        ended = unit.platforms.revoke_keys(platform) if revoke else 0
        unit.platforms.add_key(platform, digest, world.settings.rate_per_minute)
        unit.audit.append(
            "operator:cli", "platform.key", f"platform:{platform}", {"revoked": ended}
        )
    return key


def platform_named(world: World, name: str) -> PlatformId:
    """A platform by its name; ``local``, for files of this machine, is made at first use."""
    with world.store.transaction() as unit:
        found = unit.platforms.by_name(name)
        if found is not None:
            return found
    if name != "local":
        raise NotFound(
            f"there is no platform {name!r}; add it with: consentry platforms add {name}"
        )
    try:
        return add_platform(world, name, None, world.settings.rate_per_minute).platform
    except Conflict:  # another process was first
        return platform_named(world, name)


def add_reviewer(
    world: World, login: str, password: str, *, senior: bool = False, role: str | None = None
) -> None:
    """Somebody who can log in to the console; a reviewer unless a role is named."""
    if not login.strip() or len(login) > 100:
        raise Invalid("a login has 1 to 100 characters")
    if len(password) < SHORTEST_PASSWORD:
        raise Invalid(f"choose a password of at least {SHORTEST_PASSWORD} characters")
    digest = world.pins.digest(password)
    with world.store.transaction() as unit:
        named = role or ("senior" if senior else "reviewer")
        reviewer = unit.reviewers.add(login.strip(), digest, named)
        unit.audit.append("operator:cli", "reviewer.added", f"reviewer:{reviewer}", {})


def reviewer_named(unit: Unit, login: str) -> ReviewerId:
    """Somebody at the console by their login; raises ``NotFound``."""
    found = next((row["id"] for row in unit.reviewers.all() if row["login"] == login), None)
    if found is None:
        raise NotFound(f"nobody has the login {login!r}; see: consentry reviewers list")
    return ReviewerId(found)


def named(unit: Unit, name: str) -> PlatformId:
    """A platform by its name; raises ``NotFound``."""
    found = unit.platforms.by_name(name)
    if found is None:
        raise NotFound(f"there is no platform {name!r}; see: consentry platforms list")
    return found


def _webhook(unit: Unit, platform: PlatformId, url: str) -> str:
    """Plain http is for an operator's own network alone, so it says that the address is there."""
    private = url.startswith("http://")
    return webhooks.add(unit, platform, url, (), _OPERATOR, private=private).secret
