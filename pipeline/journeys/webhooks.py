"""A platform's webhooks: entered, changed, their secrets rotated, tried out, told again.

An address that a platform enters itself is on the internet and speaks https; one in our own
network is an operator's to enter, and so is a host there that a platform may then use itself.
Where an address leads is looked at anew each time it is gone to (``pipeline.outside``).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from pipeline.actions import Action, DeliveryFailed, public_key
from pipeline.domain import webhook as rules
from pipeline.domain.happening import TEST
from pipeline.domain.ids import PlatformId, WebhookId
from pipeline.domain.webhook import Attempt, PublicKey, SealedSecret, Webhook
from pipeline.errors import Conflict, Invalid, NotFound
from pipeline.journeys.desk import DELIVERY_ATTEMPTS, event_of, send_to
from pipeline.ports import Clock, Endpoint, Store, Unit

_KEY = "webhook-ed25519"


@dataclass(frozen=True, slots=True)
class Opened:
    """A webhook with its newest secret, which is shown this once."""

    webhook: Webhook
    secret: str = field(repr=False)
    generation: int


def add(
    unit: Unit,
    platform: PlatformId,
    url: str,
    kinds: Sequence[str],
    actor: str,
    *,
    private: bool = False,
) -> Opened:
    """A further webhook; what this platform was never told is told there. Raises ``Invalid``."""
    private = private or _own_host(unit, platform, url)
    wanted, address = rules.chosen(kinds), rules.checked_url(url, private=private)
    if len(unit.webhooks.of(platform, hold=True)) >= rules.MOST:
        raise Conflict(f"a platform has at most {rules.MOST} webhooks; remove one first")
    made = unit.webhooks.add(platform, address, wanted, private=private)
    secret = _new_secret(unit, platform, made, 0)
    found = unit.webhooks.get(made)
    assert found is not None
    _tell_what_waits(unit, found)
    unit.audit.append(actor, "webhook.added", f"webhook:{made}", {"platform": str(platform)})
    return Opened(found, secret, 0)


def change(
    unit: Unit,
    platform: PlatformId,
    webhook: WebhookId,
    url: str,
    kinds: Sequence[str],
    actor: str,
    *,
    private: bool = False,
) -> Webhook:
    """Another address or other events; secrets stay, and what waits goes to the new address."""
    earlier = owned(unit, platform, webhook)
    same_place = url == earlier.url and earlier.private
    private = private or same_place or _own_host(unit, platform, url)
    wanted, address = rules.chosen(kinds), rules.checked_url(url, private=private)
    unit.webhooks.change(webhook, address, wanted, private=private)
    found = owned(unit, platform, webhook)
    _tell_what_waits(unit, found)
    unit.audit.append(actor, "webhook.changed", f"webhook:{webhook}", {"platform": str(platform)})
    return found


def end(unit: Unit, platform: PlatformId, webhook: WebhookId, actor: str) -> None:
    """Nobody is told there any more; its secrets are destroyed."""
    owned(unit, platform, webhook)
    unit.webhooks.end(webhook)
    unit.audit.append(actor, "webhook.removed", f"webhook:{webhook}", {"platform": str(platform)})


def rotate(
    unit: Unit,
    platform: PlatformId,
    webhook: WebhookId,
    now: datetime,
    actor: str,
    overlap: timedelta = rules.OVERLAP,
) -> Opened:
    """A new secret and key; the earlier ones sign beside them for ``overlap`` (0 to 7 days)."""
    if not timedelta(0) <= overlap <= rules.LONGEST_OVERLAP:
        raise Invalid("an earlier secret goes on signing for 0 to 168 hours")
    found = owned(unit, platform, webhook)
    generation = unit.webhooks.generation(webhook) + 1
    unit.webhooks.retire_secrets(webhook, now + overlap)
    secret = _new_secret(unit, platform, webhook, generation)
    unit.audit.append(
        actor, "webhook.rotated", f"webhook:{webhook}",
        {"platform": str(platform), "generation": generation},
    )  # fmt: skip
    return Opened(found, secret, generation)


def secret_of(
    unit: Unit, platform: PlatformId, webhook: WebhookId, generation: int, now: datetime
) -> Opened:
    """The same once more, for a request that is sent again; ``NotFound`` once it has ended."""
    found = owned(unit, platform, webhook)
    for kept in unit.webhooks.secrets(webhook, now):
        if kept.generation == generation:
            return Opened(found, _unsealed(unit, platform, kept), generation)
    raise NotFound("this secret was rotated out; rotate again for a new one")


def public_keys(unit: Unit, webhook: Webhook, now: datetime) -> list[PublicKey]:
    """What ``v1a`` signatures can be checked with now, the newest first."""
    return [
        PublicKey(public_key(_seed(unit, webhook.id, kept.generation)), kept.until)
        for kept in unit.webhooks.secrets(webhook.id, now)
    ]


def owned(unit: Unit, platform: PlatformId, webhook: WebhookId) -> Webhook:
    """A platform's own webhook; raises ``NotFound``."""
    found = unit.webhooks.get(webhook)
    if found is None or found.platform != platform:
        raise NotFound("you have no webhook of this id")
    return found


def endpoint_of(unit: Unit, webhook: Webhook, now: datetime) -> Endpoint:
    """Where to go and what signs there now."""
    kept = unit.webhooks.secrets(webhook.id, now)
    return Endpoint(
        webhook.url,
        tuple(_unsealed(unit, webhook.platform, one) for one in kept),
        tuple(_seed(unit, webhook.id, one.generation) for one in kept),
        private=webhook.private,
    )


def replay(
    unit: Unit,
    platform: PlatformId,
    webhook: WebhookId,
    actor: str,
    *,
    event: str | None = None,
    since: datetime | None = None,
) -> int:
    """Tell one event again, or all that the webhook chose since a time; how many will be told.

    What is waiting to be told there already is not told twice.
    """
    found = owned(unit, platform, webhook)
    if (event is None) == (since is None):
        raise Invalid("name one event, or a time since which all are told again")
    if event is not None:
        known = unit.events.get(event)
        if known is None or known.platform != platform or known.kind == TEST:
            raise NotFound("you have no event of this id")
    queued = unit.webhooks.replay(found, DELIVERY_ATTEMPTS, event=event, since=since)
    unit.audit.append(
        actor, "webhook.replayed", f"webhook:{webhook}",
        {"platform": str(platform), "queued": queued},
    )  # fmt: skip
    return queued


def try_out(
    store: Store,
    action: Action,
    clock: Clock,
    platform: PlatformId,
    webhook: WebhookId,
) -> Attempt:
    """Send a test there now, once; what came of it, which is in the log, too."""
    now = clock()
    event = event_of(platform, TEST, {"webhook": str(webhook)}, now)
    with store.transaction() as unit:
        endpoint = endpoint_of(unit, owned(unit, platform, webhook), now)
        unit.events.add(event)
    began, status, error = time.perf_counter(), None, None
    try:
        status = action.deliver(event, endpoint)
    except DeliveryFailed as failure:
        status, error = failure.status, str(failure)
    took, at = (time.perf_counter() - began) * 1000, clock()
    with store.transaction() as unit:
        number = unit.events.attempt(event.id, None, webhook, at, status, error, took)
        if error is None:
            unit.events.delivered(event.id, at)
    return Attempt(number, event.id, TEST, at, 1, status, error, took)


def _new_secret(unit: Unit, platform: PlatformId, webhook: WebhookId, generation: int) -> str:
    secret = rules.new_secret(secrets.token_bytes(32))
    column = f"webhook_secrets.sealed|{webhook}|{generation}"
    sealed = unit.vault.seal(platform, column, secret.encode())
    unit.webhooks.add_secret(webhook, SealedSecret(generation, sealed, column, None))
    return secret


def _unsealed(unit: Unit, platform: PlatformId, kept: SealedSecret) -> str:
    return unit.vault.unseal(platform, kept.column, kept.sealed).decode()


def _seed(unit: Unit, webhook: WebhookId, generation: int) -> bytes:
    """The private key is made anew each time, so that there is none to be stored or to leak."""
    return unit.vault.derived(_KEY, f"{webhook}|{generation}".encode())


def _own_host(unit: Unit, platform: PlatformId, url: str) -> bool:
    """Whether an operator entered the address's host for this platform as one in our network."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    return unit.platforms.hosts(platform).get(host, False)


def _tell_what_waits(unit: Unit, webhook: Webhook) -> None:
    for event, kind in unit.events.unsent(webhook.platform):
        if webhook.wants(kind):
            send_to(unit, event, webhook.id)
