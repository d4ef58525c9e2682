"""Every call as data: what is asked, and how its answer is read. Shared by both clients."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic import BaseModel

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
from services.client._asking import Call, Content

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Hash = tuple[str, str] | tuple[str, str, int]
"""``(signal, hex digits[, quality])``."""

Id = UUID | str

_IN_WORDS = {"accept": "text/plain"}


@dataclass(frozen=True, slots=True)
class Wanted(Generic[T]):
    """A call, and what its answer means."""

    call: Call
    read: Callable[[Any], T]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A list, of which each page is a call."""

    path: str
    read: Callable[[Any], T]
    limit: int = 100

    def page(self, cursor: str | None) -> Call:
        """The call for the page at a cursor."""
        more = {"cursor": cursor} if cursor else {}
        return Call("GET", self.path, {"limit": str(self.limit), **more})


def file(
    content: Content,
    content_id: str,
    uploader: str | None,
    rating: Rating,
    mime: str,
    key: str | None,
    progress: Callable[[int], object] | None,
) -> Wanted[Screening]:
    """An upload, sent as a stream."""
    query = {"content_id": content_id, "rating": rating, **_given(uploader=uploader)}
    headers = {**_once(key), "content-type": mime}
    call = replace(Call.of_file(content, headers, query), progress=progress)
    return Wanted(call, Screening.model_validate)


def hashes(
    hashed: Sequence[Hash],
    content_id: str,
    uploader: str | None,
    rating: Rating,
    key: str | None,
) -> Wanted[Screening]:
    """An upload that the platform hashed itself."""
    document = hashes_document(hashed, content_id, uploader, rating)
    return Wanted(_post("/v1/screenings/hashes", key, document), Screening.model_validate)


def reference(
    url: str,
    content_id: str,
    uploader: str | None,
    rating: Rating,
    key: str | None,
    wait: int | None,
) -> Wanted[Screening]:
    """An upload that lies at an address of the platform's."""
    document = reference_document(url, content_id, uploader, rating)
    call = _patiently(_post("/v1/screenings/references", key, document), wait)
    return Wanted(call, Screening.model_validate)


def one_kind(hashed: Sequence[object], references: Sequence[object]) -> None:
    """A batch is of uploads by hashes or by address; raises ``ValueError`` for both or neither."""
    if bool(hashed) == bool(references):
        raise ValueError("a batch holds uploads by hashes, or by address: one of the two")


def hash_batch(hashed: Sequence[Mapping[str, Any]], key: str | None) -> Wanted[list[Result]]:
    """Many uploads at once by their hashes."""
    return Wanted(_post("/v1/screenings:batch", key, {"hashes": list(hashed)}), _results)


def reference_batch(
    references: Sequence[Mapping[str, Any]], key: str | None, wait: int | None
) -> Wanted[Batch]:
    """Many uploads at once by their addresses."""
    call = _post("/v1/screenings:batch", key, {"references": list(references)})
    return Wanted(_patiently(call, wait), Batch.model_validate)


def batch(which: Id, cursor: str | None = None) -> Wanted[Batch]:
    """A batch of addresses, and a page of its results."""
    more = {"cursor": cursor} if cursor else {}
    return Wanted(Call("GET", f"/v1/batches/{which}", more), Batch.model_validate)


def screening(which: Id) -> Wanted[Screening]:
    """An answer that was given before."""
    return Wanted(Call("GET", f"/v1/screenings/{which}"), Screening.model_validate)


def case(which: Id) -> Wanted[Case]:
    """A case in which the platform has an upload."""
    return Wanted(Call("GET", f"/v1/cases/{which}"), Case.model_validate)


def appeal(which: Id, statement: str, key: str | None) -> Wanted[UUID]:
    """An uploader disagrees; the appeal's id."""
    call = _post(f"/v1/cases/{which}/appeals", key, {"statement": statement})
    return Wanted(call, lambda said: UUID(said["appeal"]))


def tell_action(
    which: Id, action: ActionKind, at: datetime | None, note: str | None, key: str | None
) -> Wanted[Action]:
    """What the platform did with an upload."""
    when = _zoned(at) if at else datetime.now(UTC)
    document = {"action": action, "at": when.isoformat(), **_given(note=note)}
    return Wanted(_post(f"/v1/screenings/{which}/actions", key, document), Action.model_validate)


def actions(which: Id) -> Wanted[list[Action]]:
    """What the platform told of an upload."""
    return Wanted(
        Call("GET", f"/v1/screenings/{which}/actions"),
        lambda said: [Action.model_validate(one) for one in said["actions"]],
    )


def statement(which: Id, screening: Id | None, language: str | None) -> Wanted[str]:
    """The reasons for a restriction, in words."""
    call = Call("GET", f"/v1/cases/{which}/statement", _of(screening, language), _IN_WORDS)
    return Wanted(call, str)


def statement_entry(which: Id, screening: Id | None) -> Wanted[dict[str, Any]]:
    """The same for the DSA Transparency Database."""
    return Wanted(Call("GET", f"/v1/cases/{which}/statement", _of(screening, None)), dict)


def webhook(which: Id) -> Wanted[Webhook]:
    """A webhook with its public keys."""
    return Wanted(Call("GET", f"/v1/webhooks/{which}"), Webhook.model_validate)


def add_webhook(url: str, events: Sequence[str], key: str | None) -> Wanted[WebhookOpened]:
    """A further webhook."""
    call = _post("/v1/webhooks", key, {"url": url, "events": list(events)})
    return Wanted(call, WebhookOpened.model_validate)


def change_webhook(which: Id, url: str, events: Sequence[str]) -> Wanted[Webhook]:
    """Another address, or other events."""
    document = {"url": url, "events": list(events)}
    return Wanted(Call("PUT", f"/v1/webhooks/{which}", document=document), Webhook.model_validate)


def remove_webhook(which: Id) -> Wanted[None]:
    """Nothing is sent there any more."""
    return Wanted(Call("DELETE", f"/v1/webhooks/{which}"), lambda _: None)


def rotate_webhook(which: Id, overlap_hours: int, key: str | None) -> Wanted[WebhookOpened]:
    """A new secret and key."""
    call = _post(f"/v1/webhooks/{which}:rotate", key, {"overlap_hours": overlap_hours})
    return Wanted(call, WebhookOpened.model_validate)


def test_webhook(which: Id) -> Wanted[Attempt]:
    """A test, sent now."""
    call = Call("POST", f"/v1/webhooks/{which}:test", headers=_once(None))
    return Wanted(call, Attempt.model_validate)


def replay_webhook(
    which: Id, event: str | None, since: datetime | None, key: str | None
) -> Wanted[int]:
    """One event, or all since a time; how many."""
    document = _given(event=event, since=_zoned(since).isoformat() if since else None)
    call = _post(f"/v1/webhooks/{which}:replay", key, document)
    return Wanted(call, lambda said: int(said["queued"]))


def notice(
    reference: str,
    locations: Sequence[str],
    explanation: str,
    signature: str,
    contact: str,
    received_at: datetime | None,
    key: str | None,
    *,
    not_consented: bool,
    accurate: bool,
    for_another: bool,
) -> Wanted[Forwarded]:
    """A notice that the platform received."""
    document = {
        "reference": reference,
        "locations": list(locations),
        "explanation": explanation,
        "not_consented": not_consented,
        "accurate": accurate,
        "signature": signature,
        "contact": contact,
        "for_another": for_another,
        **_given(received_at=_zoned(received_at).isoformat() if received_at else None),
    }
    return Wanted(_post("/v1/notices", key, document), Forwarded.model_validate)


policy = Wanted(Call("GET", "/v1/policy"), Policy.model_validate)


def set_policy(terms: Mapping[str, Any], version: int) -> Wanted[Policy]:
    """Other terms, in place of the version that was read."""
    headers = {"if-match": f'"{version}"'}
    return Wanted(Call("PUT", "/v1/policy", headers=headers, document=terms), Policy.model_validate)


def try_policy(terms: Mapping[str, Any], last: int, key: str | None) -> Wanted[Trial]:
    """What terms would have said of the newest uploads."""
    document = {"policy": dict(terms), "last": last}
    return Wanted(_post("/v1/policy:try", key, document), Trial.model_validate)


def try_bank(which: str, *, only: bool) -> Wanted[Bank]:
    """Whether the platform only tries a list."""
    path = f"/v1/banks/{quote(which, safe='')}"
    return Wanted(Call("PUT", path, document={"only_tried": only}), Bank.model_validate)


def bank_trials(which: str) -> Listed[WouldHave]:
    """What a tried list would have brought up."""
    return Listed(f"/v1/banks/{quote(which, safe='')}/trials", WouldHave.model_validate)


policies = Listed("/v1/policy/versions", PolicyVersion.model_validate)
banks = Listed("/v1/banks", Bank.model_validate)
screenings = Listed("/v1/screenings", Screening.model_validate)
cases = Listed("/v1/cases", CaseListed.model_validate)
events = Listed("/v1/events", Told.model_validate)
webhooks = Listed("/v1/webhooks", Webhook.model_validate)


def case_uploads(which: Id) -> Listed[CaseUpload]:
    """The platform's uploads in a case."""
    return Listed(f"/v1/cases/{which}/uploads", CaseUpload.model_validate)


def deliveries(which: Id) -> Listed[Attempt]:
    """A webhook's log."""
    return Listed(f"/v1/webhooks/{which}/deliveries", Attempt.model_validate)


def hashes_document(
    hashed: Sequence[Hash],
    content_id: str,
    uploader: str | None = None,
    rating: Rating = "unknown",
) -> dict[str, Any]:
    """An upload of a batch, by its hashes."""
    listed = [
        {"signal": one[0], "hash": one[1], **({"quality": one[2]} if len(one) == 3 else {})}
        for one in hashed
    ]
    return {
        "content_id": content_id, "rating": rating, "hashes": listed, **_given(uploader=uploader),
    }  # fmt: skip


def reference_document(
    url: str, content_id: str, uploader: str | None = None, rating: Rating = "unknown"
) -> dict[str, Any]:
    """An upload of a batch, by its address."""
    return {
        "content_id": content_id, "rating": rating, "media_url": url, **_given(uploader=uploader),
    }  # fmt: skip


def size_of(content: Content, start: int) -> int:
    """How many bytes an upload has, from where it begins."""
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, Path):
        return content.stat().st_size
    end = content.seek(0, 2)
    content.seek(start)
    return end - start


def _of(screening: Id | None, language: str | None) -> dict[str, str]:
    return _given(screening=str(screening) if screening else None, language=language)


def _zoned(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("say in which time zone: datetime.now(UTC), for example")
    return at


def _results(said: Any) -> list[Result]:
    return [Result.model_validate(one) for one in said["results"]]


def _post(path: str, key: str | None, document: Mapping[str, Any]) -> Call:
    return Call("POST", path, headers=_once(key), document=document)


def _patiently(call: Call, wait: int | None) -> Call:
    """The same, with how many seconds the service may keep it open (RFC 7240)."""
    if wait is None:
        return call
    return replace(call, headers={**call.headers, "prefer": f"wait={wait}"})


def _once(key: str | None) -> Mapping[str, str]:
    return {"idempotency-key": key or uuid4().hex}


def _given(**fields: str | None) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
