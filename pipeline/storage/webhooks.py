"""Where platforms are told, what signs, and the log of what was tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pipeline.domain.ids import PlatformId, WebhookId
from pipeline.domain.webhook import Attempt, SealedSecret, Webhook
from pipeline.storage import Queries


class PgWebhooks:
    """See ``pipeline.ports.Webhooks``."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(
        self, platform: PlatformId, url: str, kinds: Sequence[str], *, private: bool
    ) -> WebhookId:
        """See the port."""
        return WebhookId(
            self._queries.value(
                "webhook_add", platform=platform, url=url, kinds=list(kinds), private=private
            )
        )

    def change(self, webhook: WebhookId, url: str, kinds: Sequence[str], *, private: bool) -> None:
        """See the port."""
        self._queries.run("webhook_change", id=webhook, url=url, kinds=list(kinds), private=private)

    def get(self, webhook: WebhookId) -> Webhook | None:
        """See the port."""
        row = self._queries.one("webhook_get", id=webhook)
        return _webhook(row) if row else None

    def of(self, platform: PlatformId, *, hold: bool = False) -> list[Webhook]:
        """See the port."""
        if hold:
            self._queries.all("webhooks_hold", platform=platform)
        return [_webhook(row) for row in self._queries.all("webhooks_of", platform=platform)]

    def end(self, webhook: WebhookId) -> bool:
        """See the port."""
        if not self._queries.run("webhook_end", id=webhook):
            return False
        self._queries.run("webhook_secrets_end", id=webhook)
        self._queries.run("webhook_jobs_end", id=webhook)
        return True

    def generation(self, webhook: WebhookId) -> int:
        """See the port."""
        found = self._queries.value("webhook_generation", id=webhook)
        return -1 if found is None else int(found)

    def add_secret(self, webhook: WebhookId, secret: SealedSecret) -> None:
        """See the port."""
        self._queries.run(
            "webhook_secret_add",
            id=webhook,
            generation=secret.generation,
            sealed=secret.sealed,
            sealed_as=secret.column,
        )

    def retire_secrets(self, webhook: WebhookId, until: datetime) -> None:
        """See the port."""
        self._queries.run("webhook_secrets_retire", id=webhook, until=until)

    def secrets(self, webhook: WebhookId, now: datetime) -> list[SealedSecret]:
        """See the port."""
        return [
            SealedSecret(row["generation"], row["sealed"], row["sealed_as"], row["until"])
            for row in self._queries.all("webhook_secrets_of", id=webhook, now=now)
        ]

    def forget_secrets(self, now: datetime) -> int:
        """See the port."""
        return self._queries.run("webhook_secrets_forget", now=now)

    def attempts(self, webhook: WebhookId, before: int | None, limit: int) -> list[Attempt]:
        """See the port."""
        rows = self._queries.all("webhook_attempts", id=webhook, before=before, limit=limit)
        return [Attempt(**row) for row in rows]

    def replay(
        self,
        webhook: Webhook,
        max_attempts: int,
        *,
        event: str | None = None,
        since: datetime | None = None,
    ) -> int:
        """See the port."""
        which = {
            "id": webhook.id, "platform": webhook.platform, "event": event, "since": since,
        }  # fmt: skip
        kinds = [] if event else list(webhook.kinds)
        return self._queries.run("webhook_revive", **which) + self._queries.run(
            "webhook_replay", kinds=kinds, max_attempts=max_attempts, **which
        )


def _webhook(row: dict[str, Any]) -> Webhook:
    return Webhook(
        row["id"], row["platform"], row["url"], tuple(row["kinds"]), row["private"],
        row["created_at"],
    )  # fmt: skip
