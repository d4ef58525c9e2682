"""The two clients: the same calls (``_calls``), waited for or awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import httpx

from services.client import _calls as calls
from services.client._answers import (
    Action,
    ActionKind,
    Attempt,
    Bank,
    Batch,
    Case,
    CaseListed,
    CaseUpload,
    Forwarded,
    Policy,
    PolicyVersion,
    Rating,
    Result,
    Screening,
    Told,
    Trial,
    Webhook,
    WebhookOpened,
    WouldHave,
)
from services.client._asking import (
    Call,
    Content,
    Problem,
    Retrying,
    pieces,
    problem_of,
    unreachable,
)

T = TypeVar("T")

_TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_PENDING = "pending"


class Consentry:
    """A connection to one deployment, for one platform's API key. Safe to share by threads.

    Every method raises ``Problem`` for what the service refuses in the end.
    """

    def __init__(
        self,
        address: str,
        key: str,
        *,
        retrying: Retrying | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retrying = retrying or Retrying()
        self._http = httpx.Client(
            base_url=address, headers=_headers(key), timeout=_TIMEOUT, transport=transport
        )

    def screen(
        self,
        content: Content,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        mime: str = "application/octet-stream",
        idempotency_key: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Screening:
        """Screen a file, sent as a stream; ``progress`` hears how many bytes are on their way."""
        return self._ask(
            calls.file(content, content_id, uploader, rating, mime, idempotency_key, progress)
        )

    def screen_hashes(
        self,
        hashes: Sequence[calls.Hash],
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
    ) -> Screening:
        """Screen hashes as ``(signal, hex digits[, quality])``."""
        return self._ask(calls.hashes(hashes, content_id, uploader, rating, idempotency_key))

    def screen_reference(
        self,
        url: str,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Screening:
        """Screen a file that lies on a host which an operator entered for you.

        ``wait`` is for how many seconds the request may stay open, 10 unless you say, at most 30; a
        file that has not come by then is ``pending``, as videos are: see ``wait``.
        """
        return self._ask(calls.reference(url, content_id, uploader, rating, idempotency_key, wait))

    def screen_batch(
        self,
        *,
        hashes: Sequence[Mapping[str, Any]] = (),
        references: Sequence[Mapping[str, Any]] = (),
        idempotency_key: str | None = None,
    ) -> list[Result]:
        """Screen up to 1,000 by ``hashes_document`` or 100 by ``reference_document``, in order.

        A batch of addresses is waited for to its end; ``begin_batch`` does not.
        """
        calls.one_kind(hashes, references)
        if hashes:
            return self._ask(calls.hash_batch(hashes, idempotency_key))
        begun = self.begin_batch(references, idempotency_key=idempotency_key)
        return self.wait_for_batch(begun)

    def begin_batch(
        self,
        references: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Batch:
        """Have up to 100 by ``reference_document`` fetched and screened; returns at once.

        With ``wait`` the request stays open for so many seconds, at most 30, unless all are
        answered before.
        """
        return self._ask(calls.reference_batch(references, idempotency_key, wait))

    def batch(self, batch: calls.Id) -> Batch:
        """How far a batch of addresses has come, with its first hundred results so far."""
        return self._ask(calls.batch(batch))

    def wait_for_batch(
        self,
        batch: Batch,
        *,
        every: float = 2.0,
        progress: Callable[[Batch], object] | None = None,
    ) -> list[Result]:
        """The results of a batch of addresses, in order, once each has its answer."""
        while batch.state == _PENDING:
            if progress:
                progress(batch)
            time.sleep(every)
            batch = self.batch(batch.batch)
        results = [*batch.results]
        while batch.next:
            batch = self._ask(calls.batch(batch.batch, batch.next))
            results += batch.results
        return results

    def screening(self, screening: calls.Id) -> Screening:
        """An answer that was given before."""
        return self._ask(calls.screening(screening))

    def wait(
        self,
        screening: Screening,
        *,
        every: float = 2.0,
        progress: Callable[[Screening], object] | None = None,
    ) -> Screening:
        """The answer to what is ``pending``, once it is there; at once for anything else."""
        while screening.verdict == _PENDING:
            if progress:
                progress(screening)
            time.sleep(every)
            screening = self.screening(screening.screening)
        return screening

    def screenings(self) -> Iterator[Screening]:
        """All your answers, the latest first, a page at a time."""
        return self._each(calls.screenings)

    def case(self, case: calls.Id) -> Case:
        """A case in which you have an upload."""
        return self._ask(calls.case(case))

    def case_uploads(self, case: calls.Id) -> Iterator[CaseUpload]:
        """All your uploads in a case, in the order in which they came, a page at a time."""
        return self._each(calls.case_uploads(case))

    def cases(self) -> Iterator[CaseListed]:
        """All cases in which you have an upload, the latest first, a page at a time."""
        return self._each(calls.cases)

    def appeal(self, case: calls.Id, statement: str, *, idempotency_key: str | None = None) -> UUID:
        """Pass on that an uploader disagrees with an upheld case; the appeal's id."""
        return self._ask(calls.appeal(case, statement, idempotency_key))

    def tell_action(
        self,
        screening: calls.Id,
        action: ActionKind,
        *,
        at: datetime | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> Action:
        """Tell what you did with an upload; now, unless a time is given."""
        return self._ask(calls.tell_action(screening, action, at, note, idempotency_key))

    def actions(self, screening: calls.Id) -> list[Action]:
        """What you told of an upload, oldest first."""
        return self._ask(calls.actions(screening))

    def statement(
        self,
        case: calls.Id,
        *,
        screening: calls.Id | None = None,
        language: str | None = None,
    ) -> str:
        """The reasons for a restriction, in words for the uploader."""
        return self._ask(calls.statement(case, screening, language))

    def statement_entry(
        self, case: calls.Id, *, screening: calls.Id | None = None
    ) -> dict[str, Any]:
        """The same as the EU's Transparency Database takes it; sending it there is yours."""
        return self._ask(calls.statement_entry(case, screening))

    def forward_notice(
        self,
        reference: str,
        locations: Sequence[str],
        explanation: str,
        *,
        signature: str,
        contact: str,
        not_consented: bool,
        accurate: bool,
        for_another: bool = False,
        received_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Forwarded:
        """Pass on a notice that you received, with all that the law wants of it.

        The same ``reference`` is the same notice. Without ``received_at`` the 48 hours begin now.
        """
        return self._ask(
            calls.notice(
                reference, locations, explanation, signature, contact, received_at,
                idempotency_key, not_consented=not_consented, accurate=accurate,
                for_another=for_another,
            )
        )  # fmt: skip

    def policy(self) -> Policy:
        """Your terms, the thresholds that follow, and how far you may move them."""
        return self._ask(calls.policy)

    def set_policy(self, terms: Mapping[str, Any], version: int) -> Policy:
        """Set terms in place of the version that you have read; all that is left out is usual."""
        return self._ask(calls.set_policy(terms, version))

    def try_policy(
        self, terms: Mapping[str, Any], *, last: int = 1000, idempotency_key: str | None = None
    ) -> Trial:
        """What terms would have said of your newest uploads; nothing comes into force."""
        return self._ask(calls.try_policy(terms, last, idempotency_key))

    def policies(self) -> Iterator[PolicyVersion]:
        """Every version of your terms, the newest first."""
        return self._each(calls.policies)

    def banks(self) -> Iterator[Bank]:
        """Every bank that may have a word in your answers."""
        return self._each(calls.banks)

    def try_bank(self, bank: str, *, only: bool = True) -> Bank:
        """Only try a partner's list: it counts for nothing of yours until you say otherwise."""
        return self._ask(calls.try_bank(bank, only=only))

    def bank_trials(self, bank: str) -> Iterator[WouldHave]:
        """Uploads of yours that a person would have looked at, the latest first."""
        return self._each(calls.bank_trials(bank))

    def events(self) -> Iterator[Told]:
        """Everything that you were or will be told, the latest first, a page at a time."""
        return self._each(calls.events)

    def webhooks(self) -> Iterator[Webhook]:
        """Your webhooks, the oldest first."""
        return self._each(calls.webhooks)

    def webhook(self, webhook: calls.Id) -> Webhook:
        """One of them, with the public keys of its signatures."""
        return self._ask(calls.webhook(webhook))

    def add_webhook(
        self, url: str, events: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> WebhookOpened:
        """A further webhook for some events, or for all; its secret is in the answer, once."""
        return self._ask(calls.add_webhook(url, events, idempotency_key))

    def change_webhook(self, webhook: calls.Id, url: str, events: Sequence[str] = ()) -> Webhook:
        """Another address, or other events."""
        return self._ask(calls.change_webhook(webhook, url, events))

    def remove_webhook(self, webhook: calls.Id) -> None:
        """Nothing is sent there any more."""
        self._ask(calls.remove_webhook(webhook))

    def rotate_webhook(
        self, webhook: calls.Id, *, overlap_hours: int = 24, idempotency_key: str | None = None
    ) -> WebhookOpened:
        """A new secret and key; the earlier ones sign beside them for the overlap."""
        return self._ask(calls.rotate_webhook(webhook, overlap_hours, idempotency_key))

    def test_webhook(self, webhook: calls.Id) -> Attempt:
        """Send a test there now; what came of it."""
        return self._ask(calls.test_webhook(webhook))

    def replay_webhook(
        self,
        webhook: calls.Id,
        *,
        event: str | None = None,
        since: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """Be told one event again, or all since a time; how many that will be."""
        return self._ask(calls.replay_webhook(webhook, event, since, idempotency_key))

    def deliveries(self, webhook: calls.Id) -> Iterator[Attempt]:
        """Every attempt to tell a webhook, the latest first, a page at a time."""
        return self._each(calls.deliveries(webhook))

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, wanted: calls.Wanted[T]) -> T:
        return wanted.read(self._send(wanted.call))

    def _each(self, listed: calls.Listed[T]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._send(listed.page(cursor))
            yield from map(listed.read, page["items"])
            cursor = page["next"]
            if cursor is None:
                return

    def _send(self, call: Call) -> Any:
        attempt = 0
        while True:
            attempt += 1
            answer, problem = None, None
            try:
                answer = self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.query),
                    **_sent(call),
                )
                if answer.is_success:
                    return _said(answer)
                problem = problem_of(answer)
            except httpx.TransportError as error:
                problem = unreachable(error)
            pause = self._retrying.pause(attempt, answer)
            if pause is None:
                raise problem
            time.sleep(pause)


class AsyncConsentry:
    """``Consentry`` for programs that await."""

    def __init__(
        self,
        address: str,
        key: str,
        *,
        retrying: Retrying | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retrying = retrying or Retrying()
        self._http = httpx.AsyncClient(
            base_url=address, headers=_headers(key), timeout=_TIMEOUT, transport=transport
        )

    async def screen(
        self,
        content: Content,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        mime: str = "application/octet-stream",
        idempotency_key: str | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Screening:
        """See ``Consentry.screen``."""
        return await self._ask(
            calls.file(content, content_id, uploader, rating, mime, idempotency_key, progress)
        )

    async def screen_hashes(
        self,
        hashes: Sequence[calls.Hash],
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
    ) -> Screening:
        """See ``Consentry.screen_hashes``."""
        return await self._ask(calls.hashes(hashes, content_id, uploader, rating, idempotency_key))

    async def screen_reference(
        self,
        url: str,
        content_id: str,
        *,
        uploader: str | None = None,
        rating: Rating = "unknown",
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Screening:
        """See ``Consentry.screen_reference``."""
        return await self._ask(
            calls.reference(url, content_id, uploader, rating, idempotency_key, wait)
        )

    async def screen_batch(
        self,
        *,
        hashes: Sequence[Mapping[str, Any]] = (),
        references: Sequence[Mapping[str, Any]] = (),
        idempotency_key: str | None = None,
    ) -> list[Result]:
        """See ``Consentry.screen_batch``."""
        calls.one_kind(hashes, references)
        if hashes:
            return await self._ask(calls.hash_batch(hashes, idempotency_key))
        begun = await self.begin_batch(references, idempotency_key=idempotency_key)
        return await self.wait_for_batch(begun)

    async def begin_batch(
        self,
        references: Sequence[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        wait: int | None = None,
    ) -> Batch:
        """See ``Consentry.begin_batch``."""
        return await self._ask(calls.reference_batch(references, idempotency_key, wait))

    async def batch(self, batch: calls.Id) -> Batch:
        """See ``Consentry.batch``."""
        return await self._ask(calls.batch(batch))

    async def wait_for_batch(
        self,
        batch: Batch,
        *,
        every: float = 2.0,
        progress: Callable[[Batch], object] | None = None,
    ) -> list[Result]:
        """See ``Consentry.wait_for_batch``."""
        while batch.state == _PENDING:
            if progress:
                progress(batch)
            await asyncio.sleep(every)
            batch = await self.batch(batch.batch)
        results = [*batch.results]
        while batch.next:
            batch = await self._ask(calls.batch(batch.batch, batch.next))
            results += batch.results
        return results

    async def screening(self, screening: calls.Id) -> Screening:
        """See ``Consentry.screening``."""
        return await self._ask(calls.screening(screening))

    async def wait(
        self,
        screening: Screening,
        *,
        every: float = 2.0,
        progress: Callable[[Screening], object] | None = None,
    ) -> Screening:
        """See ``Consentry.wait``."""
        while screening.verdict == _PENDING:
            if progress:
                progress(screening)
            await asyncio.sleep(every)
            screening = await self.screening(screening.screening)
        return screening

    def screenings(self) -> AsyncIterator[Screening]:
        """See ``Consentry.screenings``."""
        return self._each(calls.screenings)

    async def case(self, case: calls.Id) -> Case:
        """See ``Consentry.case``."""
        return await self._ask(calls.case(case))

    def case_uploads(self, case: calls.Id) -> AsyncIterator[CaseUpload]:
        """See ``Consentry.case_uploads``."""
        return self._each(calls.case_uploads(case))

    def cases(self) -> AsyncIterator[CaseListed]:
        """See ``Consentry.cases``."""
        return self._each(calls.cases)

    async def appeal(
        self, case: calls.Id, statement: str, *, idempotency_key: str | None = None
    ) -> UUID:
        """See ``Consentry.appeal``."""
        return await self._ask(calls.appeal(case, statement, idempotency_key))

    async def tell_action(
        self,
        screening: calls.Id,
        action: ActionKind,
        *,
        at: datetime | None = None,
        note: str | None = None,
        idempotency_key: str | None = None,
    ) -> Action:
        """See ``Consentry.tell_action``."""
        return await self._ask(calls.tell_action(screening, action, at, note, idempotency_key))

    async def actions(self, screening: calls.Id) -> list[Action]:
        """See ``Consentry.actions``."""
        return await self._ask(calls.actions(screening))

    async def statement(
        self,
        case: calls.Id,
        *,
        screening: calls.Id | None = None,
        language: str | None = None,
    ) -> str:
        """See ``Consentry.statement``."""
        return await self._ask(calls.statement(case, screening, language))

    async def statement_entry(
        self, case: calls.Id, *, screening: calls.Id | None = None
    ) -> dict[str, Any]:
        """See ``Consentry.statement_entry``."""
        return await self._ask(calls.statement_entry(case, screening))

    async def forward_notice(
        self,
        reference: str,
        locations: Sequence[str],
        explanation: str,
        *,
        signature: str,
        contact: str,
        not_consented: bool,
        accurate: bool,
        for_another: bool = False,
        received_at: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> Forwarded:
        """See ``Consentry.forward_notice``."""
        return await self._ask(
            calls.notice(
                reference, locations, explanation, signature, contact, received_at,
                idempotency_key, not_consented=not_consented, accurate=accurate,
                for_another=for_another,
            )
        )  # fmt: skip

    async def policy(self) -> Policy:
        """See ``Consentry.policy``."""
        return await self._ask(calls.policy)

    async def set_policy(self, terms: Mapping[str, Any], version: int) -> Policy:
        """See ``Consentry.set_policy``."""
        return await self._ask(calls.set_policy(terms, version))

    async def try_policy(
        self, terms: Mapping[str, Any], *, last: int = 1000, idempotency_key: str | None = None
    ) -> Trial:
        """See ``Consentry.try_policy``."""
        return await self._ask(calls.try_policy(terms, last, idempotency_key))

    def policies(self) -> AsyncIterator[PolicyVersion]:
        """See ``Consentry.policies``."""
        return self._each(calls.policies)

    def banks(self) -> AsyncIterator[Bank]:
        """See ``Consentry.banks``."""
        return self._each(calls.banks)

    async def try_bank(self, bank: str, *, only: bool = True) -> Bank:
        """See ``Consentry.try_bank``."""
        return await self._ask(calls.try_bank(bank, only=only))

    def bank_trials(self, bank: str) -> AsyncIterator[WouldHave]:
        """See ``Consentry.bank_trials``."""
        return self._each(calls.bank_trials(bank))

    def events(self) -> AsyncIterator[Told]:
        """See ``Consentry.events``."""
        return self._each(calls.events)

    def webhooks(self) -> AsyncIterator[Webhook]:
        """See ``Consentry.webhooks``."""
        return self._each(calls.webhooks)

    async def webhook(self, webhook: calls.Id) -> Webhook:
        """See ``Consentry.webhook``."""
        return await self._ask(calls.webhook(webhook))

    async def add_webhook(
        self, url: str, events: Sequence[str] = (), *, idempotency_key: str | None = None
    ) -> WebhookOpened:
        """See ``Consentry.add_webhook``."""
        return await self._ask(calls.add_webhook(url, events, idempotency_key))

    async def change_webhook(
        self, webhook: calls.Id, url: str, events: Sequence[str] = ()
    ) -> Webhook:
        """See ``Consentry.change_webhook``."""
        return await self._ask(calls.change_webhook(webhook, url, events))

    async def remove_webhook(self, webhook: calls.Id) -> None:
        """See ``Consentry.remove_webhook``."""
        await self._ask(calls.remove_webhook(webhook))

    async def rotate_webhook(
        self, webhook: calls.Id, *, overlap_hours: int = 24, idempotency_key: str | None = None
    ) -> WebhookOpened:
        """See ``Consentry.rotate_webhook``."""
        return await self._ask(calls.rotate_webhook(webhook, overlap_hours, idempotency_key))

    async def test_webhook(self, webhook: calls.Id) -> Attempt:
        """See ``Consentry.test_webhook``."""
        return await self._ask(calls.test_webhook(webhook))

    async def replay_webhook(
        self,
        webhook: calls.Id,
        *,
        event: str | None = None,
        since: datetime | None = None,
        idempotency_key: str | None = None,
    ) -> int:
        """See ``Consentry.replay_webhook``."""
        return await self._ask(calls.replay_webhook(webhook, event, since, idempotency_key))

    def deliveries(self, webhook: calls.Id) -> AsyncIterator[Attempt]:
        """See ``Consentry.deliveries``."""
        return self._each(calls.deliveries(webhook))

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _ask(self, wanted: calls.Wanted[T]) -> T:
        return wanted.read(await self._send(wanted.call))

    async def _each(self, listed: calls.Listed[T]) -> AsyncIterator[T]:
        cursor: str | None = None
        while True:
            page = await self._send(listed.page(cursor))
            for item in page["items"]:
                yield listed.read(item)
            cursor = page["next"]
            if cursor is None:
                return

    async def _send(self, call: Call) -> Any:
        attempt = 0
        while True:
            attempt += 1
            answer, problem = None, None
            try:
                answer = await self._http.request(
                    call.method,
                    call.path,
                    params=dict(call.query),
                    **_awaited(call),
                )
                if answer.is_success:
                    return _said(answer)
                problem = problem_of(answer)
            except httpx.TransportError as error:
                problem = unreachable(error)
            pause = self._retrying.pause(attempt, answer)
            if pause is None:
                raise problem
            await asyncio.sleep(pause)


def _headers(key: str) -> dict[str, str]:
    if not key.isascii() or not key.strip():
        raise Problem("no_key", "an API key is needed; an operator makes one")
    return {"authorization": f"Bearer {key}", "user-agent": "consentry-client"}


def _said(answer: httpx.Response) -> Any:
    if not answer.content:
        return None
    plain = answer.headers.get("content-type", "").startswith("text/")
    return answer.text if plain else answer.json()


def _sent(call: Call) -> dict[str, Any]:
    headers = dict(call.headers)
    if call.content is not None:
        # Said beforehand, a length that is too great is refused before it is sent.
        headers["content-length"] = str(calls.size_of(call.content, call.start))
        return {"content": pieces(call), "headers": headers}
    body = {"json": call.document} if call.document is not None else {}
    return {**body, "headers": headers}


def _awaited(call: Call) -> dict[str, Any]:
    sent = _sent(call)
    if call.content is None:
        return sent

    async def awaited() -> AsyncIterator[bytes]:
        reading = sent["content"]
        while piece := await asyncio.to_thread(next, reading, b""):
            yield piece

    return {**sent, "content": awaited()}
