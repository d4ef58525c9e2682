"""What journeys ask of the world. PostgreSQL answers in ``pipeline/storage``, fakes in the tests.

A ``Unit`` is one transaction: everything done through its parts is kept together or not at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol
from uuid import UUID

from pipeline.domain.action import ActionKind, PlatformAction
from pipeline.domain.audit import Break, Head, Record
from pipeline.domain.bank import Bank
from pipeline.domain.case import (
    ORDINARY,
    Case,
    CaseKind,
    CaseUpload,
    Dismissal,
    Ground,
    Purpose,
    State,
    Takedown,
    Verdict,
)
from pipeline.domain.consent import Consent
from pipeline.domain.enrolment import Enrolment
from pipeline.domain.entry import Layout
from pipeline.domain.erasure import Receipt
from pipeline.domain.erasures import Erasure
from pipeline.domain.evidence import Owner, Source, Stretch
from pipeline.domain.grant import Grant
from pipeline.domain.happening import KINDS
from pipeline.domain.house import HouseRules, Standing
from pipeline.domain.ids import (
    BatchId,
    CaseId,
    EnrolmentId,
    EntryId,
    ExchangeId,
    GrantId,
    ItemId,
    MediaId,
    NoticeId,
    PersonId,
    PlatformId,
    ProcessId,
    ReceiptId,
    ReviewerId,
    ScreeningId,
    SiftId,
    SweepId,
    WebhookId,
)
from pipeline.domain.media import Rating, Upload
from pipeline.domain.policy import Match
from pipeline.domain.screening import Screening
from pipeline.domain.trace import Rows
from pipeline.domain.trial import Nearness
from pipeline.domain.webhook import Attempt, SealedSecret, Webhook

KeyOwner = PersonId | PlatformId | MediaId | NoticeId
"""Who a data key may belong to."""


KeyKind = Literal["person", "platform", "media", "deployment", "notice", "traces"]
"""What kind of owner that is."""


class Clock(Protocol):
    """The time, with its zone."""

    def __call__(self) -> datetime:
        """Now, in UTC."""
        ...


class Vault(Protocol):
    """Data keys, and what is sealed under them. A shredded key is gone for good."""

    def create(self, owner: KeyOwner, *, kind: KeyKind) -> None:
        """Make a data key for an owner that has none."""
        ...

    def seal(self, owner: KeyOwner, column: str, clear: bytes) -> bytes:
        """Encrypt under the owner's key, bound to owner, column and format version."""
        ...

    def unseal(self, owner: KeyOwner, column: str, sealed: bytes) -> bytes:
        """The clear bytes; raises ``Tampered`` when they are not what was sealed there."""
        ...

    def key(self, owner: KeyOwner) -> bytes:
        """The owner's raw data key, for streamed blobs; raises ``NotFound`` once shredded."""
        ...

    def shred(self, owner: KeyOwner) -> bool:
        """Destroy the owner's key; false when it was gone already."""
        ...

    def fingerprint(self, content: bytes) -> bytes:
        """A keyed digest (32 bytes) that is equal for equal content on this deployment only."""
        ...

    def derived(self, purpose: str, content: bytes) -> bytes:
        """32 bytes that are the same each time, on this deployment only, and nobody can guess."""
        ...

    def sign(self, statement: bytes) -> str:
        """Ed25519 signature by the deployment's signing key, base64."""
        ...


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be: its codes already sealed under the person's key."""

    space: str
    slots: int
    sealed: bytes = field(repr=False)
    layout: Layout = Layout.PICTURE


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry in force, as an index needs it."""

    id: EntryId
    person: PersonId
    space: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One step of the change log."""

    seq: int
    op: str
    entries: tuple[EntryId, ...]


@dataclass(frozen=True, slots=True)
class RegisteredPerson:
    """A person as the registry knows her: a case number and the PIN's digest."""

    id: PersonId
    pin: str = field(repr=False)
    withdrawn: bool


class Registry(Protocol):
    """People, their entries, and the change log that indexes follow."""

    def add_person(self, case_number: str, pin: str, consent: Consent, recovery: bytes) -> PersonId:
        """A new person with a first consent; PIN and recovery code come as digests."""
        ...

    def by_recovery(self, recovery: bytes) -> tuple[str, PersonId] | None:
        """The case number and person of a recovery code's digest."""
        ...

    def set_credentials(self, person: PersonId, pin: str, recovery: bytes) -> None:
        """Another PIN and recovery code, as digests; her visits end."""
        ...

    def lock(self, person: PersonId) -> bool:
        """Hold a person against every other withdrawal; false when she is gone."""
        ...

    def person(self, case_number: str, *, lock: bool = False) -> RegisteredPerson | None:
        """Who has this case number."""
        ...

    def add_item(
        self,
        person: PersonId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
        case: CaseId | None = None,
    ) -> tuple[ItemId, tuple[EntryId, ...]]:
        """One item with an entry a signal, put into the change log."""
        ...

    def extend_item(
        self,
        person: PersonId,
        item: ItemId,
        bank: str,
        source: Source,
        entries: Sequence[NewEntry],
    ) -> tuple[EntryId, ...]:
        """More entries of an item that is there, put into the change log."""
        ...

    def add_items(
        self, person: PersonId, bank: str, items: Sequence[Sequence[NewEntry]]
    ) -> list[ItemId]:
        """Many registered items as one step of the change log."""
        ...

    def owners(self, entries: Iterable[EntryId]) -> dict[EntryId, Owner]:
        """Whose these entries are; those out of force are left out."""
        ...

    def hold(self, person: PersonId) -> bool:
        """Keep a person from leaving until this transaction ends; false when she has left."""
        ...

    def remove_upheld(self, case: CaseId) -> tuple[EntryId, ...]:
        """Take the codes of an overturned case out of every bank, and out of the indexes."""
        ...

    def stop_matches(self, person: PersonId, now: datetime) -> tuple[int, tuple[EntryId, ...]]:
        """Put all of a person's entries out of force; the change's sequence and the entries."""
        ...

    def put_consent(self, person: PersonId, consent: Consent) -> None:
        """What a person allows for one purpose, as of now."""
        ...

    def freeze(self, item: ItemId, now: datetime) -> tuple[EntryId, ...]:
        """Put an item out of force without destroying it; the entries that were in force."""
        ...

    def thaw(self, item: ItemId) -> tuple[EntryId, ...]:
        """Put a frozen item back in force; its entries."""
        ...

    def of_item(self, item: ItemId) -> list[StoredEntry]:
        """An item's entries, whether in force or frozen."""
        ...

    def destroy_item(self, item: ItemId) -> tuple[EntryId, ...]:
        """Put an item out of force and delete its entries; those that were there."""
        ...

    def destroy(self, person: PersonId) -> None:
        """Delete a person's rows: entries, enrolments, grants, consents, case number, PIN."""
        ...

    def head(self) -> int:
        """The newest sequence of the change log."""
        ...

    def changes(self, after: int, limit: int) -> list[Change]:
        """Steps after a sequence, in order."""
        ...

    def mark(self, sequence: int) -> str | None:
        """What tells this step of the change log from one of another history; None without it."""
        ...

    def in_force(self) -> Iterator[StoredEntry]:
        """All entries in force, streamed in order of id."""
        ...

    def entries(self, ids: Sequence[EntryId]) -> list[StoredEntry]:
        """Those of these entries that are in force."""
        ...

    def film_lengths(self, items: Iterable[ItemId]) -> dict[ItemId, tuple[int, EntryId]]:
        """Of registered videos: how many stretches they have, and the entry that ends them."""
        ...

    def unseal_all(self, entries: Iterable[StoredEntry]) -> Iterator[tuple[StoredEntry, bytes]]:
        """The packed codes of entries; an entry whose key was shredded meanwhile is left out."""
        ...


class Enrolments(Protocol):
    """Faces that people ask to have recognised. Templates that are not in force lie sealed here."""

    def alone(self) -> None:
        """One decision about enrolments at a time, until this transaction ends."""
        ...

    def add(self, enrolment: Enrolment, sealed: bytes) -> None:
        """A new enrolment with its sealed templates."""
        ...

    def get(self, enrolment: EnrolmentId) -> Enrolment | None:
        """An enrolment; None when there is none, or its person has left."""
        ...

    def of(self, person: PersonId) -> list[Enrolment]:
        """A person's enrolments, newest first."""
        ...

    def of_item(self, item: ItemId) -> Enrolment | None:
        """The enrolment whose templates an item holds."""
        ...

    def of_case(self, case: CaseId) -> Enrolment | None:
        """The enrolment that a case asks about; None when it, or its person, is gone."""
        ...

    def unasked(self, limit: int) -> list[EnrolmentId]:
        """Those that wait for a verifier and no open case asks about."""
        ...

    def save(self, enrolment: Enrolment, *, by: ReviewerId | None = None) -> None:
        """Keep where an enrolment stands, and which verifier decided.

        Its templates are deleted here once they are in force (it has an item) or it has ended.
        """
        ...

    def sealed(self, enrolment: EnrolmentId) -> bytes | None:
        """The sealed templates of an enrolment that is not in force."""
        ...

    def use_voucher(self, digest: bytes, now: datetime) -> bool:
        """Note that a voucher was used; false when it was used before."""
        ...

    def waiting(self, limit: int) -> list[Enrolment]:
        """Those on which a verifier must decide: frozen ones first, then the oldest."""
        ...

    def due(self, now: datetime, limit: int) -> list[Enrolment]:
        """Those whose consent has run out."""
        ...


class Grants(Protocol):
    """Accounts that a person allows to post her; names are sealed, look-ups go by keyed digest."""

    def add(self, grant: Grant, digest: bytes, sealed: bytes) -> None:
        """A new grant; an earlier one for the same account ends."""
        ...

    def of(self, person: PersonId) -> list[tuple[Grant, bytes]]:
        """A person's grants with their sealed accounts, newest first."""
        ...

    def holding(self, digests: Iterable[bytes], now: datetime) -> list[Grant]:
        """Those in force now, among the digests of people and an account."""
        ...

    def revoke(self, person: PersonId, grant: GrantId, now: datetime) -> bool:
        """End a grant; false when there is none in force."""
        ...


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """A registered picture's local features, of one orientation, as they are sealed."""

    mirrored: bool
    descriptors: bytes = field(repr=False)
    places: bytes = field(repr=False)


class LocalFeatures(Protocol):
    """What an alignment needs, for people who opted in; gone with the entry it belongs to."""

    def add(self, entry: EntryId, features: StoredFeatures) -> None:
        """Keep the features that an entry's descriptors come from."""
        ...

    def of(self, entry: EntryId) -> StoredFeatures | None:
        """An entry's features; None when it is out of force or has none."""
        ...

    def kept_of(self, person: PersonId) -> list[tuple[EntryId, ItemId]]:
        """All of a person's entries that are kept under her consent to features."""
        ...

    def beside(self, entry: EntryId, space: str) -> StoredEntry | None:
        """The entry in force that holds the same item's codes under another signal."""
        ...


@dataclass(frozen=True, slots=True)
class Follower:
    """A process that holds an index."""

    process: ProcessId
    role: str
    host: str
    pid: int
    born: int
    applied: int | None
    silent: timedelta


class Followers(Protocol):
    """The processes that hold an index, as the database knows them."""

    def announce(self, process: ProcessId, role: str, host: str, pid: int, born: int) -> None:
        """A process begins to hold entries; from now on withdrawals wait for it."""
        ...

    def report(self, process: ProcessId, applied: int) -> bool:
        """A process has applied everything up to a sequence; false when it was written off."""
        ...

    def all(self) -> list[Follower]:
        """Everyone who may hold entries."""
        ...

    def forget(self, process: ProcessId) -> None:
        """A process holds nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class Shelved:
    """A generation of shared segments: its name among the followers, and what it stands for."""

    name: ProcessId
    sequence: int
    mark: str


class InUse(Protocol):
    """A generation that this process uses."""

    @property
    def folder(self) -> Path:
        """Where its segments lie, one a space."""
        ...

    def close(self) -> None:
        """Use it no longer."""
        ...


class Shelf(Protocol):
    """Where the processes of a host share one copy of each index."""

    @property
    def name(self) -> str:
        """Tells this host's shelf from others."""
        ...

    @property
    def may_be_disk(self) -> bool:
        """Whether it may lie on a disk: one that is encrypted by other means, or a test's."""
        ...

    def current(self) -> Shelved | None:
        """The newest generation; None when there is none to be read."""
        ...

    def use(self, name: ProcessId) -> InUse | None:
        """Use a generation, which keeps it from being destroyed; None when it is gone."""
        ...

    def writing(self, name: ProcessId) -> AbstractContextManager[Path | None]:
        """The folder of a new generation, destroyed at the end unless it was published.

        None while another process is writing one.
        """
        ...

    def publish(self, shelved: Shelved) -> None:
        """Make a generation the current one and unlink all others."""
        ...

    def destroy_unused(self, name: ProcessId) -> bool:
        """Destroy a generation unless somebody uses it; whether it is gone."""
        ...


class Depot(Protocol):
    """Where index segments are published, sealed, so that a new host need not rebuild them."""

    @property
    def name(self) -> str:
        """Its address."""
        ...

    def current(self, unit: Unit) -> Shelved | None:
        """The newest generation that can still be opened; None when there is none."""
        ...

    def put(self, shelved: Shelved, folder: Path, key: bytes, note: bytes) -> None:
        """Publish the segments in a folder, and ``note``, as the newest generation."""
        ...

    def get(self, name: ProcessId, folder: Path, key: bytes) -> None:
        """Bring a generation's segments into a folder, in the clear."""
        ...

    def destroy(self, name: ProcessId) -> None:
        """Remove a generation's files."""
        ...


@dataclass(frozen=True, slots=True)
class CaseHit:
    """A hit as a reviewer sees it in a case."""

    screening: ScreeningId
    entry: EntryId
    person: PersonId | None
    signal: str
    distance: float
    threshold: float
    bank: str
    source: str
    slot: int
    view: Mapping[str, Any]
    witness: str | None
    withdrawn: bool
    stretches: tuple[Stretch, ...] = ()
    """When, where the upload is a video."""
    metric: str = "hamming"
    """``inner_product`` for faces, whose ``distance`` is a cosine that rises with likeness."""
    grant: str | None = None
    """In words, that the person allowed this account to post her; None where she did not."""


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A case in a list: facts only, no pictures."""

    id: CaseId
    kind: CaseKind
    purpose: Purpose
    state: State
    queue: str
    opened_at: datetime
    deadline: datetime | None
    standing: Standing
    language: str | None
    pending: bool
    """Whether it was just decided and can still be undone."""
    platforms: tuple[str, ...]
    reviewer: str | None
    """Who holds the lease, by pseudonym, while it holds."""


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which cases a list shows; what is None lets all through."""

    states: tuple[State, ...] = (State.OPEN, State.ESCALATED)
    kind: CaseKind | None = None
    queue: str | None = None
    platform: str | None = None
    before: datetime | None = None
    """Deadlines up to this moment only."""


@dataclass(frozen=True, slots=True)
class Related:
    """Another case of the same content."""

    id: CaseId
    kind: CaseKind
    state: State
    opened_at: datetime
    decided_at: datetime | None
    ground: Ground | None
    overturned: bool = False
    """Whether an appeal turned it round."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What somebody said about a case."""

    verdict: Verdict
    purpose: Purpose
    pseudonym: str


Side = Literal["uploader", "registered", "quality"]
"""Who appeals: whoever uploaded the content, a person who registered, or a second look."""


@dataclass(frozen=True, slots=True)
class Appeal:
    """Somebody disagrees with a decision. What they wrote is sealed under their own key."""

    case: CaseId
    about: CaseId
    side: Side
    platform: PlatformId | None
    person: PersonId | None
    sealed: bytes | None = field(repr=False)
    made_at: datetime


class Cases(Protocol):
    """Review cases with their uploads, hits and dismissals."""

    def lock_upload(self, platform: PlatformId, content_id: str, fingerprint: bytes) -> None:
        """Let one transaction at a time decide which case this upload joins."""
        ...

    def entries_of_upload(
        self,
        platform: PlatformId,
        content_id: str,
        fingerprint: bytes,
        entries: Iterable[EntryId],
    ) -> set[EntryId]:
        """Which of these entries a case of this very upload rests on already, or rested."""
        ...

    def guarded(self, fingerprint: bytes) -> bool:
        """Whether these bytes belong to a case of a possible minor."""
        ...

    def page(
        self, platform: PlatformId, before: CaseId | None, limit: int
    ) -> list[Mapping[str, Any]]:
        """Cases in which a platform has an upload, the latest first: state, times, overturned."""
        ...

    def overturned(self, case: CaseId) -> bool:
        """Whether an appeal turned its decision round."""
        ...

    def undecided_for(
        self, platform: PlatformId, content_id: str, fingerprint: bytes
    ) -> CaseId | None:
        """The undecided case of the same upload, or of the same bytes anywhere."""
        ...

    def open(
        self,
        case: CaseId,
        now: datetime,
        *,
        kind: CaseKind = CaseKind.HASH,
        deadline: datetime | None = None,
        priority: int = ORDINARY,
        about: CaseId | None = None,
        purpose: Purpose = Purpose.DECIDE,
        queue: str | None = None,
        state: State = State.OPEN,
    ) -> None:
        """A new case; ``deadline`` is the law's clock, a lower ``priority`` is less urgent.

        ``queue`` is where a platform wants it, unless the house rules send it elsewhere.

        One ``about`` an earlier case shows that one's uploads and hits.
        """
        ...

    def place(self, case: CaseId) -> None:
        """Write down where the case stands among the others; to be called when that changes."""
        ...

    def place_some(self, after: CaseId | None, limit: int) -> list[CaseId]:
        """Write that down anew for undecided cases after one, in order of id; which they were."""
        ...

    def raise_to(
        self, case: CaseId, *, kind: CaseKind, priority: int, deadline: datetime | None = None
    ) -> None:
        """A further upload makes a case more urgent, or one about more than a face; never less."""
        ...

    def join(
        self,
        case: CaseId,
        upload: CaseUpload,
        matches: Iterable[Match],
        now: datetime,
        loose: Collection[EntryId] = (),
    ) -> None:
        """Add an upload and what it hit to a case; ``loose`` are the entries hit only roughly."""
        ...

    def get(self, case: CaseId, *, lock: bool = False) -> Case | None:
        """A case with its uploads and the entries in force that it rests on."""
        ...

    def save(self, case: Case) -> None:
        """Keep a case's state, lease and verdict."""
        ...

    def hits(self, case: CaseId) -> list[CaseHit]:
        """What the uploads of a case hit, nearest first."""
        ...

    def dismissed(self, fingerprint: bytes, entries: Iterable[EntryId]) -> set[EntryId]:
        """Which of these entries a reviewer dismissed for this upload."""
        ...

    def add_dismissals(self, case: CaseId, dismissals: Iterable[Dismissal]) -> None:
        """Remember dismissed pairs."""
        ...

    def lift_dismissals(self, case: CaseId) -> None:
        """The pairs of a dismissed case may come back: an appeal was right."""
        ...

    def next(
        self,
        reviewer: ReviewerId,
        now: datetime,
        desks: Sequence[tuple[State, CaseKind]],
        queues: Sequence[str],
    ) -> CaseId | None:
        """The first case by rank that nobody holds, locked against the next asker."""
        ...

    def queue(
        self,
        now: datetime,
        limit: int,
        wanted: QueueFilter,
        after: CaseId | None = None,
    ) -> list[QueueRow]:
        """Undecided cases, by rank."""
        ...

    def standing(self, case: CaseId) -> tuple[Standing, str]:
        """What a case's place rests on, and its queue."""
        ...

    def waiting_for(
        self, desks: Sequence[tuple[State, CaseKind]], queues: Sequence[str], most: int
    ) -> int:
        """How many cases wait at these desks, counted up to ``most``."""
        ...

    def held_by(self, reviewer: ReviewerId, now: datetime) -> list[CaseId]:
        """Undecided cases whose lease somebody holds."""
        ...

    def pending_of(self, reviewer: ReviewerId, now: datetime) -> list[CaseId]:
        """Cases that somebody decided and can still undo, the last first."""
        ...

    def pending_due(self, now: datetime, limit: int) -> list[CaseId]:
        """Cases whose decision must take effect now."""
        ...

    def related(self, case: CaseId, subject: CaseId) -> list[Related]:
        """Other cases of the same content, the newest first."""
        ...

    def repeats(self, case: CaseId) -> int:
        """How many uploads were answered with this case without asking anybody."""
        ...

    def overturn(self, case: CaseId, appeal: CaseId) -> None:
        """An appeal turned the decision on this case round."""
        ...

    def exclude(self, case: CaseId, reviewer: ReviewerId) -> None:
        """Never give this case to somebody; nobody is asked why."""
        ...

    def excluded(self, case: CaseId, reviewer: ReviewerId) -> bool:
        """Whether somebody shall not get this case, by itself or by its platform."""
        ...

    def add_opinion(self, case: CaseId, verdict: Verdict, agrees: bool | None = None) -> None:
        """Keep what somebody said; ``agrees`` with what was said or known before, if anything."""
        ...

    def opinions(self, case: CaseId) -> list[Opinion]:
        """What was said about a case, in order."""
        ...

    def deciders(self, case: CaseId) -> set[ReviewerId]:
        """Everyone who has said anything about a case's uploads."""
        ...

    def specimen_for(self, reviewer: ReviewerId) -> CaseId | None:
        """A specimen that somebody has not judged yet."""
        ...

    def make_specimen(
        self, case: CaseId, state: State, ground: Ground, screening: ScreeningId, bits: int
    ) -> None:
        """Make a case one whose answer is known; it is never put before anybody itself."""
        ...

    def was_viewed(self, case: CaseId) -> bool:
        """Whether anybody has looked at an upload of this case, by the audit trail.

        Looks at it under another case, as for a second opinion, count.
        """
        ...

    def reported(self) -> list[CaseId]:
        """Cases of apparent minors, the last reported first."""
        ...

    def consents(self, case: CaseId) -> list[tuple[int, str, str, datetime]]:
        """What the people of a case allow, by their number in it: purpose, state, since when."""
        ...

    def add_appeal(self, appeal: Appeal) -> bool:
        """Keep an appeal; false when that side has appealed already."""
        ...

    def appeal(self, case: CaseId) -> Appeal | None:
        """The appeal that a case is."""
        ...

    def appeal_against(self, about: CaseId, side: str) -> tuple[CaseId, State] | None:
        """The appeal that one side has made against a case, and where it stands."""
        ...

    def kept_by_law(self, person: PersonId, now: datetime) -> tuple[int, datetime | None]:
        """How many media that concern a person the law has us keep, and until when."""
        ...

    def waiting(self) -> tuple[int, datetime | None]:
        """How many cases are undecided, and since when the oldest waits."""
        ...

    def deadlines(self, now: datetime, before: datetime) -> tuple[int, int]:
        """How many undecided cases are past the law's deadline, and how many will be by then."""
        ...

    def resting_on_entries(self, entries: Sequence[EntryId]) -> list[CaseId]:
        """Undecided cases with a hit on one of these entries."""
        ...

    def guard(self, case: CaseId, fingerprint: bytes) -> bool:
        """Freeze a case with an upload that is frozen or was reported elsewhere; whether it was."""
        ...

    def forget_language(self, platform: PlatformId) -> list[CaseId]:
        """Waiting cases with an upload of a platform know no language any more; which they are.

        ``place`` must follow for each.
        """
        ...

    def rests_on_frozen(self, case: CaseId) -> bool:
        """Whether a case hit a face whose enrolment is frozen: it may count again."""
        ...

    def resting_on(self, person: PersonId) -> list[CaseId]:
        """Undecided cases with a hit on this person's entries, or about her enrolments."""
        ...

    def forget_entries(self, entries: Iterable[EntryId]) -> list[CaseId]:
        """Take entries that were destroyed out of all cases; the undecided ones they were in."""
        ...

    def forget_person(self, person: PersonId) -> None:
        """Take a person out of all cases: hits marked withdrawn and nameless, pairs deleted."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """An earlier answer, for a dry run. ``near`` is None of answers older than dry runs are."""

    id: ScreeningId
    content_id: str
    verdict: str
    received_at: datetime
    near: Nearness | None


class Screenings(Protocol):
    """The record of every answer."""

    def add(self, screening: Screening, *, audited: int | None = None) -> None:
        """Keep an answer; one without its own audit record is audited with the next batch."""
        ...

    def get(
        self, screening: ScreeningId, platform: PlatformId, *, lock: bool = False
    ) -> Screening | None:
        """A platform's own screening; ``lock`` holds it until the transaction ends."""
        ...

    def add_action(self, action: PlatformAction, sealed: bytes | None) -> None:
        """Keep what a platform did, with its note as it is sealed."""
        ...

    def actions(
        self, screening: ScreeningId, platform: PlatformId
    ) -> list[tuple[PlatformAction, bytes | None]]:
        """What a platform told of an upload of its own, oldest first, each with its sealed note."""
        ...

    def of(self, ids: Iterable[ScreeningId]) -> dict[ScreeningId, Screening]:
        """Some screenings, of any platform."""
        ...

    def answered(self, case: CaseId, platform: PlatformId, content_id: str) -> bool:
        """Whether a platform was told of a case for this content."""
        ...

    def mentions(self, case: CaseId, platform: PlatformId) -> bool:
        """Whether a platform was ever answered with this case."""
        ...

    def page(
        self, platform: PlatformId, before: tuple[datetime, ScreeningId] | None, limit: int
    ) -> list[Screening]:
        """A platform's own, the latest first, older than one of them."""
        ...

    def last(self, platform: PlatformId, limit: int) -> Iterator[Judged]:
        """A platform's newest answers to files and hashes, with what was near."""
        ...

    def audit_batch(self, limit: int) -> int:
        """Cover unaudited screenings by one audit record with their digest; how many it covers."""
        ...


@dataclass(frozen=True, slots=True)
class StoredMedium:
    """An upload under review, sealed."""

    id: MediaId
    case: CaseId
    screening: ScreeningId
    blob: bool
    size: int
    mime: str | None
    codes: bytes | None = field(repr=False)
    destroyed_at: datetime | None = None


class MediaStore(Protocol):
    """The rows of media under review; their bytes lie in the blob store."""

    def add(self, medium: StoredMedium, now: datetime) -> None:
        """Keep a medium's row."""
        ...

    def of_case(self, case: CaseId) -> list[StoredMedium]:
        """A case's media, destroyed ones included."""
        ...

    def destroy_at(self, case: CaseId, when: datetime | None) -> None:
        """Set when a case's media must be gone; None while an appeal still needs them."""
        ...

    def hold(self, case: CaseId, until: datetime | None) -> int:
        """Keep a case's media whatever anybody asks, until then; how many. None ends the hold."""
        ...

    def due(self, now: datetime, limit: int) -> list[StoredMedium]:
        """Media whose time has come, locked; none that the law has us keep."""
        ...

    def destroyed(self, medium: MediaId, now: datetime) -> None:
        """The medium is gone: its codes with it."""
        ...

    def known_blobs(self, names: Iterable[MediaId]) -> set[MediaId]:
        """Which of these blobs belong to a medium that is not destroyed."""
        ...


@dataclass(frozen=True, slots=True)
class PendingFilm:
    """A video between its upload and its answer. Its file lies sealed under ``medium``'s key."""

    id: ScreeningId
    platform: PlatformId
    upload: Upload
    medium: MediaId
    size: int
    mime: str | None
    job: int
    received_at: datetime
    done: float = 0.0
    """How much of the work is behind us, 0 to 1."""
    frames: int = 0
    """Frames looked at."""
    expected: int | None = None
    """About how many there will be."""
    digests: bytes | None = field(default=None, repr=False)
    """SHA-256 and MD5 of the file, sealed under the medium's key."""
    kept: bytes | None = field(default=None, repr=False)
    """Where an earlier worker was, sealed the same way."""
    certain: bytes | None = field(default=None, repr=False)
    """Matches that were certain before the end, as a platform may see them, sealed the same way."""


class Films(Protocol):
    """Videos between their upload and their answer."""

    def add(self, film: PendingFilm) -> None:
        """A video waits."""
        ...

    def get(self, screening: ScreeningId, platform: PlatformId | None = None) -> PendingFilm | None:
        """A video that waits or is being looked at; of ``platform`` only, where one is named."""
        ...

    def progress(
        self, screening: ScreeningId, done: float, frames: int, expected: int | None
    ) -> None:
        """Keep how far the work has come."""
        ...

    def keep(self, screening: ScreeningId, place: bytes) -> None:
        """Keep where the work stands, sealed."""
        ...

    def forget_places(self) -> None:
        """No video goes on from where its work stood, nor tells what was certain by then."""
        ...

    def early(self, screening: ScreeningId, certain: bytes | None) -> bool:
        """Keep what was certain before the end, sealed; false when something was kept already.

        None keeps it no longer. The film's row is locked until the transaction ends.
        """
        ...

    def end(self, screening: ScreeningId) -> bool:
        """Forget it, in the transaction that records its answer; false when it was gone."""
        ...

    def given_up(self, limit: int) -> list[PendingFilm]:
        """Those whose work was given up without an answer, locked."""
        ...


@dataclass(frozen=True, slots=True)
class PendingReference:
    """An upload that lies at a platform's address, between its request and its answer."""

    id: ScreeningId
    platform: PlatformId
    upload: Upload
    url: str = field(repr=False)
    job: int
    received_at: datetime


class References(Protocol):
    """Uploads that wait to be fetched. Their addresses lie sealed under their platform's key."""

    def understood(self) -> bool:
        """Whether every process of this deployment can read that one was ``unreachable``."""
        ...

    def waiting(self, platform: PlatformId) -> int:
        """How many of a platform's wait; nobody else adds one until the transaction ends."""
        ...

    def add(self, reference: PendingReference) -> None:
        """An upload waits."""
        ...

    def get(
        self, screening: ScreeningId, platform: PlatformId | None = None
    ) -> PendingReference | None:
        """One that waits or is being fetched; of ``platform`` only, where one is named."""
        ...

    def end(self, screening: ScreeningId) -> bool:
        """Forget it, in the transaction that ends its job; false when it was gone."""
        ...

    def claim(self, kind: str, lease: timedelta, most: int) -> list[Job]:
        """Take up one, of a platform that has fewer than ``most`` being fetched, or none.

        The platform that has fewest comes first. The attempt is counted now.
        """
        ...

    def given_up(self, limit: int) -> list[PendingReference]:
        """Those whose work was given up without an answer, locked."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Uploads by address that came in one request."""

    id: BatchId
    platform: PlatformId
    items: int
    received_at: datetime
    done_at: datetime | None = None
    answered: int = 0


class Batches(Protocol):
    """Which uploads came together, until some time after the last of them was answered."""

    def add(self, batch: Batch, screenings: list[ScreeningId], once: str | None) -> None:
        """A batch of these, in order; ``once`` is the digest of its idempotency key."""
        ...

    def get(self, batch: BatchId, platform: PlatformId) -> Batch | None:
        """A platform's own batch, and how far it has come."""
        ...

    def found(self, platform: PlatformId, once: str, since: datetime) -> BatchId | None:
        """The batch that came with an idempotency key."""
        ...

    def page(self, batch: BatchId, after: int, limit: int) -> list[tuple[int, ScreeningId]]:
        """Its uploads in order, counted from 0, after a place."""
        ...

    def over(self, now: datetime, limit: int) -> list[Batch]:
        """End those whose uploads all have their answers; each is handed out once."""
        ...

    def verdicts(self, batch: BatchId) -> dict[str, int]:
        """How many were answered with each verdict."""
        ...

    def forget(self, ended: datetime, keys: datetime) -> int:
        """Delete those that ended before, and keys of those that began before; how many."""
        ...


class Writing(Protocol):
    """A blob while it is written; nothing has its name until it is finished."""

    def write(self, chunk: bytes) -> None:
        """The next clear bytes."""
        ...

    def finish(self) -> int:
        """Give the blob its name; the number of clear bytes."""
        ...

    def abandon(self) -> None:
        """Leave nothing of it, unless it is finished."""
        ...


class Blobs(Protocol):
    """Where sealed bytes of media lie: a folder, or an object store."""

    def put(self, name: MediaId, key: bytes, chunks: Iterable[bytes]) -> int:
        """Seal and keep a stream under a name; the number of clear bytes."""
        ...

    def begin(self, name: MediaId, key: bytes) -> Writing:
        """The same for what comes piece by piece."""
        ...

    def read(self, name: MediaId, key: bytes) -> Iterator[bytes]:
        """The clear bytes, a chunk at a time; ``Tampered`` when a chunk does not open."""
        ...

    def open(self, name: MediaId, key: bytes) -> BinaryIO:
        """The same as an open file that holds a chunk, to be read from any place on."""
        ...

    def destroy(self, name: MediaId) -> bool:
        """Remove; false when it was gone already."""
        ...

    def older_than(self, age: timedelta) -> Iterator[MediaId]:
        """Blobs that have lain for longer than ``age``."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a platform must be told."""

    id: str
    platform: PlatformId
    case: CaseId | None
    """None where it tells of a screening that has no case."""
    kind: str
    body: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Every type of event is described in ``pipeline.domain.happening``."""
        if self.kind not in KINDS:
            raise ValueError(f"no event is called {self.kind!r}; describe it in domain/happening")


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work that was claimed. ``fence`` proves that the claim is still ours."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempts: int
    max_attempts: int
    fence: int


@dataclass(frozen=True, slots=True)
class Depth:
    """How many jobs of a kind wait, are held and are dead; how long the oldest has been due."""

    kind: str
    ready: int
    leased: int
    dead: int
    oldest: timedelta


class Jobs(Protocol):
    """Work to be done at least once."""

    def add(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        max_attempts: int,
        run_at: datetime | None = None,
    ) -> int:
        """A new job."""
        ...

    def claim(self, kind: str, limit: int, lease: timedelta) -> list[Job]:
        """Take due jobs and those whose lease ran out; the attempt is counted now.

        A job that has used up its attempts without an answer is made dead instead.
        """
        ...

    def renew(self, job: Job, lease: timedelta) -> bool:
        """Hold a job for longer; false when the claim was lost."""
        ...

    def done(self, job: Job) -> bool:
        """The work is done; false when the claim was lost."""
        ...

    def hand_back(self, job: Job) -> bool:
        """Due again at once, without an attempt lost; false when the claim was lost."""
        ...

    def failed(self, job: Job, error: str, retry_at: datetime | None) -> bool:
        """The attempt failed: again later, or dead when ``retry_at`` is None."""
        ...

    def replay(self, job: int) -> bool:
        """Give a dead job its attempts back."""
        ...

    def depth(self) -> list[Depth]:
        """Figures for every kind that has jobs which are not done."""
        ...


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a platform is told, and what signs, the newest first. Clear here: never print it."""

    url: str
    secrets: tuple[str, ...] = field(repr=False)
    """Shared with the platform; each signs (``v1``)."""
    seeds: tuple[bytes, ...] = field(repr=False, default=())
    """Private Ed25519 keys; each signs (``v1a``)."""
    private: bool = False
    """It may lie in our own network."""


class Events(Protocol):
    """What platforms must be told, and every attempt to tell them."""

    def add(self, event: Event) -> None:
        """Keep an event."""
        ...

    def get(self, event: str) -> Event | None:
        """An event by its id."""
        ...

    def add_takedown(self, takedown: Takedown, event: str) -> None:
        """Keep a takedown with the event that tells of it."""
        ...

    def attempt(
        self,
        event: str,
        job: Job | None,
        webhook: WebhookId | None,
        at: datetime,
        status: int | None,
        error: str | None,
        milliseconds: float,
    ) -> int:
        """Record one attempt at delivery, of a job or of a test; its number in the log."""
        ...

    def delivered(self, event: str, at: datetime) -> None:
        """The platform has answered that it has it."""
        ...

    def unsent(self, platform: PlatformId) -> list[tuple[str, str]]:
        """A platform's events that reached it nowhere and wait nowhere, oldest first: id, kind."""
        ...

    def page(self, platform: PlatformId, before: str | None, limit: int) -> list[Mapping[str, Any]]:
        """A platform's events, the latest first, older than one of them."""
        ...

    def of_case(self, case: CaseId, platform: PlatformId) -> list[Mapping[str, Any]]:
        """A case's events for one platform, with their delivery."""
        ...

    def deliveries(self, *, dead: bool, limit: int) -> list[Mapping[str, Any]]:
        """Deliveries for the operator: newest first, or the dead letters only."""
        ...


class Platforms(Protocol):
    """Hosting platforms, their keys and endpoints."""

    def add(self, name: str) -> PlatformId:
        """A new platform; raises ``Conflict`` when the name is taken."""
        ...

    def add_key(self, platform: PlatformId, digest: bytes, per_minute: int) -> UUID:
        """A new API key, by its digest."""
        ...

    def by_key(self, digest: bytes) -> tuple[PlatformId, UUID, int] | None:
        """The platform, key id and rate limit that belong to a key's digest."""
        ...

    def revoke_keys(self, platform: PlatformId) -> int:
        """End all of a platform's API keys; how many."""
        ...

    def allow_host(self, platform: PlatformId, host: str, *, private: bool) -> None:
        """A host from which uploads may be fetched; ``private``: one inside our own network."""
        ...

    def forget_host(self, platform: PlatformId, host: str) -> bool:
        """Not any more; false when it was so already."""
        ...

    def hosts(self, platform: PlatformId) -> dict[str, bool]:
        """The hosts from which uploads may be fetched, and whether each is a private one."""
        ...

    def set_language(self, platform: PlatformId, language: str | None) -> None:
        """In which language a platform's uploads are, for routing; None for nobody knows."""
        ...

    def by_name(self, name: str) -> PlatformId | None:
        """A platform's id."""
        ...

    def all(self) -> list[Mapping[str, Any]]:
        """Platforms for the operator."""
        ...


class Webhooks(Protocol):
    """Where platforms are told, what signs, and the log of what was tried."""

    def add(
        self, platform: PlatformId, url: str, kinds: Sequence[str], *, private: bool
    ) -> WebhookId:
        """A further address of a platform."""
        ...

    def change(self, webhook: WebhookId, url: str, kinds: Sequence[str], *, private: bool) -> None:
        """Another address, or other events."""
        ...

    def get(self, webhook: WebhookId) -> Webhook | None:
        """One that has not ended."""
        ...

    def of(self, platform: PlatformId, *, hold: bool = False) -> list[Webhook]:
        """A platform's, the oldest first; ``hold``: nobody else adds one meanwhile."""
        ...

    def end(self, webhook: WebhookId) -> bool:
        """Its secrets are destroyed and what waits for it is dead; false when it had ended."""
        ...

    def generation(self, webhook: WebhookId) -> int:
        """The number of the newest secret, -1 for none; nobody else rotates meanwhile."""
        ...

    def add_secret(self, webhook: WebhookId, secret: SealedSecret) -> None:
        """A further secret."""
        ...

    def retire_secrets(self, webhook: WebhookId, until: datetime) -> None:
        """All secrets there are end then, or earlier if they would have."""
        ...

    def secrets(self, webhook: WebhookId, now: datetime) -> list[SealedSecret]:
        """The secrets that sign now, the newest first."""
        ...

    def forget_secrets(self, now: datetime) -> int:
        """Destroy secrets whose time is over; how many."""
        ...

    def attempts(self, webhook: WebhookId, before: int | None, limit: int) -> list[Attempt]:
        """What was tried, the latest first, before one of them."""
        ...

    def replay(
        self,
        webhook: Webhook,
        max_attempts: int,
        *,
        event: str | None = None,
        since: datetime | None = None,
    ) -> int:
        """Have one event told again there, or those it chose since a time; how many will be."""
        ...


class Withdrawals(Protocol):
    """Withdrawals under way, and the receipts of those that ended."""

    def add(self, person: PersonId, receipt: Receipt) -> None:
        """Begin."""
        ...

    def save(self, receipt: Receipt) -> None:
        """Keep how far it has come; a complete one forgets the person."""
        ...

    def get(
        self, receipt: ReceiptId, *, lock: bool = False
    ) -> tuple[Receipt, PersonId | None] | None:
        """A receipt, and whose it is while it is not complete."""
        ...

    def of(self, person: PersonId) -> ReceiptId | None:
        """The withdrawal that a person has under way."""
        ...

    def pending(self) -> list[ReceiptId]:
        """Those that are not complete."""
        ...


class AuditLog(Protocol):
    """The append-only trail."""

    def append(self, actor: str, action: str, subject: str, body: Mapping[str, Any]) -> int:
        """Add a record to the chain; its sequence."""
        ...

    def head(self) -> Head:
        """The newest link."""
        ...

    def recent(
        self, limit: int, before: int | None = None, subject: str | None = None
    ) -> list[Record]:
        """Records, newest first, below a sequence and about a subject where those are given."""
        ...

    def verify(self) -> Break | None:
        """Read the whole chain and every batch it covers; the first break."""
        ...


class Attempts(Protocol):
    """Wrong PINs and passwords. Waiting grows with failures and always ends."""

    def wait(self, subject: bytes, now: datetime) -> float:
        """Seconds until the next try is allowed; 0 when it is."""
        ...

    def failed(self, subject: bytes, now: datetime) -> None:
        """A wrong answer was given."""
        ...

    def cleared(self, subject: bytes) -> None:
        """The right answer was given."""
        ...

    def purge(self, now: datetime) -> int:
        """Forget those whose failures are all forgiven; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Reviewer:
    """Somebody with an account at the review desk."""

    id: ReviewerId
    login: str
    role: str
    pseudonym: str = ""
    """What colleagues and watermarks call them."""
    queues: tuple[str, ...] | None = None
    """The queues they work at; None for all."""
    preferences: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """A reviewer at work. ``csrf`` is what her forms must carry."""

    reviewer: Reviewer
    csrf: str = field(repr=False)
    proven: bool = True
    """Whether the second factor was given too."""


@dataclass(frozen=True, slots=True)
class Factor:
    """Something besides the password: a security key, or an app that shows codes."""

    id: UUID
    kind: Literal["key", "totp"]
    credential: bytes | None
    public_key: bytes | None
    counter: int
    """Of a key: how often it was used; of an app: the last time step whose code was taken."""
    sealed: bytes | None = field(repr=False)
    created_at: datetime
    used_at: datetime | None


class Reviewers(Protocol):
    """The people who decide, and their sessions."""

    def add(self, login: str, password: str, role: str) -> ReviewerId:
        """A new reviewer; ``password`` is a digest. Raises ``Conflict`` when the login is taken."""
        ...

    def by_login(self, login: str) -> tuple[Reviewer, str] | None:
        """A reviewer who may log in and the digest of her password."""
        ...

    def all(self) -> list[Mapping[str, Any]]:
        """Reviewers for the operator: id, login, role, created_at, disabled_at."""
        ...

    def set_password(self, reviewer: ReviewerId, password: str) -> bool:
        """Another password's digest; all her sessions end. False when there is no such one."""
        ...

    def disable(self, reviewer: ReviewerId, now: datetime) -> bool:
        """She may not log in any more, and her sessions end; false when it was so already."""
        ...

    def create_session(
        self,
        reviewer: ReviewerId,
        digest: bytes,
        csrf: str,
        now: datetime,
        expires: datetime,
        *,
        proven: bool = True,
    ) -> None:
        """A session begins; ``digest`` is that of its token. ``proven``: nothing else is asked."""
        ...

    def session(self, digest: bytes, now: datetime) -> Session | None:
        """The session of a token's digest, used now; None when it has ended."""
        ...

    def prove_session(self, digest: bytes) -> None:
        """The second factor was given: the session is good for everything."""
        ...

    def set_challenge(self, digest: bytes, challenge: bytes | None) -> None:
        """Keep what a security key was asked to sign."""
        ...

    def challenge(self, digest: bytes) -> bytes | None:
        """What a security key was asked to sign."""
        ...

    def end_session(self, digest: bytes) -> bool:
        """She logs out; false when the session was gone already."""
        ...

    def set_role(self, reviewer: ReviewerId, role: str) -> bool:
        """Another role; all sessions end. False when there is no such reviewer."""
        ...

    def set_queues(self, reviewer: ReviewerId, queues: Sequence[str] | None) -> None:
        """Which queues somebody works at; None for all."""
        ...

    def set_preferences(self, reviewer: ReviewerId, preferences: Mapping[str, Any]) -> None:
        """What somebody chose for themself."""
        ...

    def exclude_platform(self, reviewer: ReviewerId, platform: PlatformId) -> None:
        """Never give somebody a case of this platform."""
        ...

    def factors(self, reviewer: ReviewerId) -> list[Factor]:
        """Somebody's second factors."""
        ...

    def add_key(
        self, reviewer: ReviewerId, credential: bytes, public_key: bytes, counter: int
    ) -> None:
        """A security key."""
        ...

    def add_totp(self, reviewer: ReviewerId, sealed: bytes, counter: int) -> None:
        """An app that shows codes; its secret sealed, and the step whose code proved it."""
        ...

    def use_factor(self, factor: UUID, counter: int, now: datetime) -> bool:
        """A factor was used; false when its counter has not grown, which is a replay."""
        ...

    def forget_factors(self, reviewer: ReviewerId) -> int:
        """Somebody lost theirs; how many there were. All sessions end."""
        ...

    def purge(self, now: datetime) -> int:
        """Remove sessions that ended by themselves; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that a person registered and has not taken back."""

    item: ItemId
    kind: Literal["picture", "clip", "face"]
    added_at: datetime
    active: bool
    """Whether every process that holds an index has applied its addition."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that rests, or rested, on an item of hers."""

    item: ItemId
    case: CaseId
    state: State
    opened_at: datetime
    decided_at: datetime | None
    ground: Ground | None


@dataclass(frozen=True, slots=True)
class Appealed:
    """A decision that somebody wants to be made again, and what came of that."""

    case: CaseId
    """The case that was decided first."""
    side: Side
    made_at: datetime
    state: State
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A platform that was asked to take something down, and when it confirmed that it knows."""

    case: CaseId
    platform: str
    asked_at: datetime
    confirmed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Acted:
    """What a platform says it did with an upload of a case."""

    case: CaseId
    platform: str
    kind: ActionKind
    at: datetime


@dataclass(frozen=True, slots=True)
class Repeat:
    """Copies of upheld content that were recognised at once on a platform."""

    case: CaseId
    platform: str
    count: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Listing:
    """How far the reading of a partner's list has come.

    ``whole``: this reading goes through the whole list, so that what it does not name is gone.
    ``generation`` counts whole readings. ``finished_at`` is the end of the newest reading.
    """

    cursor: str | None
    whole: bool
    generation: int
    began_at: datetime | None = None
    finished_at: datetime | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class StoredExchange:
    """A partner's list; its settings hold credentials and lie sealed under the holder's key."""

    id: ExchangeId
    name: str
    kind: str
    holder: PersonId
    settings: bytes = field(repr=False)
    listing: Listing
    records: int
    troubles: int


@dataclass(frozen=True, slots=True)
class HeldRecord:
    """A record that is held: a keyed digest of its hash, and the item that it became."""

    print: bytes = field(repr=False)
    item: ItemId


@dataclass(frozen=True, slots=True)
class Untold:
    """A decided case that rests on a partner's record; the record's name comes sealed."""

    digest: bytes = field(repr=False)
    case: CaseId
    state: str
    sealed: bytes = field(repr=False)


class Exchanges(Protocol):
    """Partners' lists, and what is held of them."""

    def add(self, name: str, kind: str, holder: PersonId, settings: bytes) -> ExchangeId | None:
        """A new list; None when the name is taken."""
        ...

    def all(self) -> list[StoredExchange]:
        """All lists that are not being given up."""
        ...

    def set_settings(self, exchange: ExchangeId, settings: bytes) -> None:
        """Other settings, sealed."""
        ...

    def hold(self, exchange: ExchangeId, lease: timedelta) -> bool:
        """Read a list alone for a while; false while another process does."""
        ...

    def keep(self, exchange: ExchangeId, listing: Listing, lease: timedelta | None) -> None:
        """How far reading has come; None gives the list free."""
        ...

    def held(self, exchange: ExchangeId, digests: Sequence[bytes]) -> dict[bytes, HeldRecord]:
        """What is held of some records, by their keyed digests."""
        ...

    def put(
        self,
        exchange: ExchangeId,
        digest: bytes,
        record: HeldRecord,
        sealed: bytes,
        generation: int,
    ) -> None:
        """Keep a record, in place of what was held of it."""
        ...

    def seen(self, exchange: ExchangeId, digests: Iterable[bytes], generation: int) -> None:
        """Records are on the list still."""
        ...

    def drop(self, exchange: ExchangeId, digests: Iterable[bytes]) -> list[ItemId]:
        """Forget records; the items that they had become."""
        ...

    def because_of(self, holder: PersonId, items: Sequence[ItemId]) -> list[EntryId]:
        """The items' entries, and those of copies that were upheld because of these items alone."""
        ...

    def missing(self, exchange: ExchangeId, generation: int, limit: int) -> list[bytes]:
        """Records that a whole reading did not name."""
        ...

    def forget_troubles(self, exchange: ExchangeId) -> None:
        """A new reading begins."""
        ...

    def add_trouble(self, exchange: ExchangeId, place: str, why: str) -> None:
        """A record that cannot be used."""
        ...

    def troubles(self, exchange: ExchangeId) -> list[tuple[str, str]]:
        """What could not be used in the newest reading: where, and why."""
        ...

    def untold(self, exchange: ExchangeId, limit: int) -> list[Untold]:
        """Decisions that the partner was not told of yet."""
        ...

    def telling(
        self, exchange: ExchangeId, those: Sequence[Untold], at: datetime, lease: timedelta
    ) -> None:
        """The partner is about to be told of these; they count as told from now on."""
        ...

    def told(self, exchange: ExchangeId, *, sure: bool = True) -> int:
        """It was told, or may have been, of what it was being told; how many."""
        ...

    def not_told(self, exchange: ExchangeId) -> int:
        """It has taken nothing of what it was being told, which is to be told anew; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Sweep:
    """Earlier uploads against what was registered by some steps of the change log.

    ``after`` to ``upto`` are the steps; before the first of all, ``after`` is negative. ``since``
    leaves older uploads out. ``radii`` are what each signal was compared within
    and, by ``list|`` and its holder, a number for what was said of each partner's list.
    """

    id: SweepId
    asked_at: datetime
    asked_by: str
    after: int
    upto: int
    since: datetime | None
    radii: Mapping[str, float]
    planned: bool = False
    closed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SweepChunk:
    """A piece of a sweep: a segment, or loose rows of a day that ``after`` could not show."""

    sweep: SweepId
    number: int
    day: date
    segment: UUID | None
    after: str | None
    rows: int
    owner: UUID | None
    """Whose key opens it; None where its time is over."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep has come: pieces, rows, comparisons, uploads found, seconds of one core."""

    chunks: int
    done: int
    dead: int
    rows: int
    rows_done: int
    compared: float
    found: int
    seconds: float

    @property
    def waiting(self) -> int:
        """Pieces that somebody will still search."""
        return self.chunks - self.done - self.dead


@dataclass(frozen=True, slots=True)
class Kept:
    """How much earlier uploads have left, in segments, and since when."""

    segments: int
    rows: int
    first_day: date | None


class Traces(Protocol):
    """What earlier uploads left, by day; see ``domain.trace``."""

    def press(self, day: date, size: int, *, whole: bool) -> int:
        """Press loose rows of a day into a segment of about ``size`` codes; how many uploads.

        With ``whole`` a segment is made of fewer, too.
        """
        ...

    def loose(self, upto: int) -> dict[date, int]:
        """About how many codes lie loose of each day, counted up to a number of uploads."""
        ...

    def expire(self, before: date) -> int:
        """Destroy all days before one, with their keys; how many days."""
        ...

    def read(self, chunk: SweepChunk, upto: int) -> Rows | None:
        """The rows of a piece; None when their time is over or they lie in a segment now."""
        ...

    def kept(self) -> Kept:
        """How much there is in segments."""
        ...


class Sweeps(Protocol):
    """Searches among what earlier uploads left."""

    def add(self, sweep: Sweep) -> None:
        """Earlier uploads are to be searched."""
        ...

    def get(self, sweep: SweepId) -> Sweep | None:
        """A sweep."""
        ...

    def latest(self) -> Sweep | None:
        """The newest one."""
        ...

    def open(self) -> list[Sweep]:
        """Those that late uploads may still join, locked."""
        ...

    def plan(self, sweep: SweepId, kind: str, max_attempts: int) -> int:
        """Add what this sweep does not know yet, with a job each; how many pieces.

        Again adds nothing, so that whoever planned may be killed and followed by another.
        """
        ...

    def chunk(self, sweep: SweepId, number: int) -> SweepChunk | None:
        """A piece that is not done."""
        ...

    def done(
        self, chunk: SweepChunk, now: datetime, compared: float, found: int, seconds: float
    ) -> None:
        """A piece was searched."""
        ...

    def progress(self, sweep: SweepId) -> SweepProgress:
        """How far a sweep has come."""
        ...

    def revive(self, sweep: SweepId) -> int:
        """Give given-up pieces their attempts back; how many."""
        ...

    def close(self, sweep: SweepId, now: datetime) -> None:
        """No late upload can join it any more; nothing happens while pieces are waiting."""
        ...

    def questions(self, sweep: Sweep, spaces: Sequence[str]) -> list[StoredEntry]:
        """The entries in force that a sweep asks for."""
        ...

    def anything_new(self, after: int, upto: int, spaces: Sequence[str]) -> bool:
        """Whether anything in force was added by some steps of the change log."""
        ...


@dataclass(frozen=True, slots=True)
class Reference:
    """Where an old medium can be read: the platform's id of it, and its place in the source."""

    content_id: str
    place: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sift:
    """Old media of a platform that are read again; ``listed`` references are batches by now."""

    id: SiftId
    platform: PlatformId
    source: str
    rating: Rating
    asked_at: datetime
    asked_by: str
    listed: int = 0
    complete: bool = False
    """Whether the source was listed to its end."""


@dataclass(frozen=True, slots=True)
class SiftProgress:
    """How far a reading has come; of what was clear nothing is kept but its number."""

    batches: int
    done: int
    dead: int
    items: int
    items_done: int
    clear: int
    refused: int
    found: int
    seconds: float

    @property
    def waiting(self) -> int:
        """Batches that somebody will still read."""
        return self.batches - self.done - self.dead


class Sifts(Protocol):
    """Old media that are read again."""

    def add(self, sift: Sift) -> None:
        """A source is to be read."""
        ...

    def get(self, sift: SiftId) -> Sift | None:
        """A reading."""
        ...

    def unfinished(self, platform: PlatformId, source: str) -> Sift | None:
        """A reading of a source that was begun and is not at its end."""
        ...

    def list_more(
        self,
        sift: Sift,
        batches: Sequence[Sequence[Reference]],
        kind: str,
        max_attempts: int,
        *,
        complete: bool,
    ) -> bool:
        """Make batches of the references after ``sift.listed``; false when another did so."""
        ...

    def batch(self, sift: Sift, number: int) -> list[Reference] | None:
        """The references of a batch that is not done."""
        ...

    def done(
        self, sift: SiftId, number: int, now: datetime, *, clear: int, refused: int, found: int,
        seconds: float,
    ) -> None:  # fmt: skip
        """A batch was read; its references are destroyed."""
        ...

    def progress(self, sift: SiftId) -> SiftProgress:
        """How far a reading has come."""
        ...

    def revive(self, sift: SiftId) -> int:
        """Give given-up batches their attempts back; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes that claim pieces of work from the database: how many, and what each needs."""

    size: int
    cpus: float = 1.0
    gpus: float = 0.0
    kinds: tuple[str, ...] = ("rescan", "sift")
    """What they claim: pieces of earlier uploads' hashes, batches of old media."""


class Executor(Protocol):
    """Where a crew's processes run. It places them; what they do, the database says.

    All run the same pure functions, ``screen_batch(items)`` and ``scan_chunk(chunk, index_file)``.
    """

    def start(self, crew: Crew) -> None:
        """Place a crew."""
        ...

    def tend(self) -> int:
        """Replace whoever has died; how many hands there are."""
        ...

    def stop(self) -> None:
        """Have everybody end what they are at, and go."""
        ...


class Following(Protocol):
    """What a registered person is told of, and takes back item by item."""

    def items(self, person: PersonId) -> list[Item]:
        """What she has registered, oldest first."""
        ...

    def findings(self, person: PersonId) -> list[Finding]:
        """Cases that rest on her items, or on copies that were upheld because of them."""
        ...

    def takedowns(self, cases: Sequence[CaseId]) -> list[Asked]:
        """Whom upheld cases made ask for removal."""
        ...

    def acted(self, cases: Sequence[CaseId]) -> list[Acted]:
        """What platforms say they did with the uploads of upheld cases, oldest first."""
        ...

    def appeals(self, cases: Sequence[CaseId]) -> list[Appealed]:
        """What was said against decisions, oldest first."""
        ...

    def repeats(self, cases: Sequence[CaseId]) -> list[Repeat]:
        """What was known at once because of upheld cases."""
        ...

    def because_of(self, person: PersonId, items: Iterable[ItemId]) -> tuple[EntryId, ...]:
        """The items' entries, and those upheld for these items alone."""
        ...

    def undecided_on(self, entries: Sequence[EntryId]) -> list[CaseId]:
        """Undecided cases with a hit on one of these entries."""
        ...

    def remove(self, person: PersonId, entries: Sequence[EntryId]) -> int:
        """Delete entries of hers and what cases say of them; the change's sequence."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A registered person at her own pages."""

    person: PersonId
    csrf: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice, sealed; ``sealed`` is None once its writer's data is destroyed."""

    id: NoticeId
    case: CaseId
    received_at: datetime
    sealed: bytes | None = field(repr=False)
    platform: PlatformId | None = None
    """The platform that passed it on; None where its writer came to us."""


class Notices(Protocol):
    """Notices of content that is online."""

    def add(self, notice: StoredNotice, code: bytes, reference: bytes | None = None) -> None:
        """Keep a notice; ``code`` is the digest of the code that follows it.

        ``reference`` is the digest of what the platform that passes it on calls it.
        """
        ...

    def by_reference(self, reference: bytes) -> StoredNotice | None:
        """The notice that a platform passed on under a reference."""
        ...

    def of_case(self, case: CaseId) -> StoredNotice | None:
        """The notice that opened a case."""
        ...

    def by_code(self, code: bytes) -> StoredNotice | None:
        """The notice that a code follows."""
        ...

    def due(
        self, decided_before: datetime, reported_before: datetime, limit: int
    ) -> list[StoredNotice]:
        """Notices whose writer need not be known any more, locked."""
        ...

    def destroyed(self, notice: NoticeId, now: datetime) -> None:
        """What it said is gone."""
        ...


class Answers(Protocol):
    """What was answered to messages, for whoever lost it and asks again; gone with the person."""

    def alone(self, message: bytes) -> None:
        """Let one transaction at a time answer this message."""
        ...

    def keep(self, person: PersonId, message: bytes, answer: bytes, until: datetime) -> None:
        """Keep an answer, locked by its message (32 bytes, kept nowhere) and under her key."""
        ...

    def get(self, message: bytes, now: datetime) -> bytes | None:
        """What was answered to this message."""
        ...

    def forget(self, person: PersonId) -> None:
        """Destroy what was answered to her."""
        ...

    def purge(self, now: datetime) -> int:
        """Remove what can be asked for no more; how many."""
        ...


class Probes(Protocol):
    """Uploads of one account near to one item, by keyed digests, for the length of a window."""

    def add(
        self, subject: bytes, print_: bytes, person: PersonId, at: datetime, *, hit: bool
    ) -> None:
        """Count an upload once, unless the person has left; one of a kind at a time."""
        ...

    def count(self, subject: bytes, since: datetime) -> tuple[int, bool, bool]:
        """How many since then, whether one was a hit, and whether there was an alarm already."""
        ...

    def raise_alarm(self, subject: bytes, platform: PlatformId, uploads: int, at: datetime) -> None:
        """Too many."""
        ...

    def forget(self, before: datetime) -> int:
        """Digests from before then count no more; how many."""
        ...

    def alarms(self, since: datetime) -> list[Mapping[str, Any]]:
        """How many alarms since then: ``platform``, ``alarms``, ``last_at``."""
        ...


@dataclass(frozen=True, slots=True)
class FloodSeen:
    """An upload that fell loosely on an item: its account, its sealed codes, the item's codes."""

    account: str
    medium: MediaId | None
    sealed: bytes | None = field(repr=False)
    hit: frozenset[str]


@dataclass(frozen=True, slots=True)
class Flooded:
    """An item with codes that wait for a lead's word or were kept out, and what was counted."""

    item: ItemId
    bank: str
    parked: tuple[str, ...]
    kept_out: tuple[str, ...]
    uploads: int
    accounts: int
    since: datetime
    decided_at: datetime | None
    cases: int
    """How many parked cases rest on it."""


class Floods(Protocol):
    """Entries that matched many unrelated uploads; deleted with the item and with the person."""

    def understood(self) -> bool:
        """Whether every process at work knows parked cases: one of the version before does not."""
        ...

    def seen(self, item: ItemId, since: datetime) -> list[FloodSeen]:
        """Uploads that fell loosely on an item, one of each content; one asker at a time."""
        ...

    def put(
        self,
        item: ItemId,
        person: PersonId,
        codes: Sequence[str],
        uploads: int,
        accounts: int,
        now: datetime,
    ) -> None:
        """Codes of an item wait for a lead's word."""
        ...

    def get(self, item: ItemId) -> Flooded | None:
        """What is said of an item (without its bank), locked."""
        ...

    def decide(self, item: ItemId, by: ReviewerId, now: datetime, *, keep_out: bool) -> None:
        """A lead's word on the codes in question; kept-out hits of undecided cases end."""
        ...

    def allow(self, item: ItemId, by: ReviewerId, now: datetime) -> bool:
        """What was kept out counts again; whether anything was."""
        ...

    def park(self, item: ItemId, now: datetime) -> list[CaseId]:
        """Park the open cases that rest on nothing but parked codes; those that were."""
        ...

    def unpark(self, item: ItemId) -> list[CaseId]:
        """Open the parked cases of an item that rest on something else (by now); those."""
        ...

    def open_case(self, case: CaseId) -> bool:
        """Open a parked case; false when it is none."""
        ...

    def cases(self, item: ItemId) -> list[CaseId]:
        """The parked cases that rest on an item."""
        ...

    def all(self) -> list[Flooded]:
        """Every item with something in question or kept out, what waits first."""
        ...

    def distances(self, item: ItemId) -> list[tuple[str, bool, int, int]]:
        """Loose hits: signal, whether a likeness, step of 4 bits or 0.05, how many uploads."""
        ...

    def codes(self, item: ItemId) -> list[tuple[str, int, int]]:
        """Loose hits: signal, slot, how many uploads."""
        ...

    def of(self, person: PersonId) -> dict[ItemId, tuple[bool, bool, datetime, datetime | None]]:
        """A person's items: something in question, something kept out, since when, decided when."""
        ...

    def waiting(self) -> tuple[int, int]:
        """How many items, and how many cases, wait for a lead."""
        ...


class Visits(Protocol):
    """Who is signed in to her own case. A visit is deleted with the person."""

    def begin(
        self, person: PersonId, digest: bytes, csrf: str, now: datetime, expires: datetime
    ) -> None:
        """A visit begins; ``digest`` is that of its token."""
        ...

    def get(self, digest: bytes, now: datetime) -> Visit | None:
        """The visit of a token's digest, used now; None when it has ended."""
        ...

    def end(self, digest: bytes) -> None:
        """She signs out."""
        ...

    def purge(self, now: datetime) -> int:
        """Remove visits that ended by themselves; how many."""
        ...


@dataclass(frozen=True, slots=True)
class Exposure:
    """What somebody has seen of late."""

    looks_this_hour: int
    looks_today: int
    seconds_this_hour: float
    seconds_today: float
    hour_frees_at: datetime | None
    """When the oldest look of the last hour is an hour old."""
    day_frees_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shift:
    """Since when somebody has been at cases without a break; ``resting_since`` while in one."""

    began_at: datetime
    worked_at: datetime
    resting_since: datetime | None


class House(Protocol):
    """The house rules, and what they count."""

    def rules(self) -> HouseRules:
        """What holds now."""
        ...

    def set_rules(self, document: Mapping[str, Any]) -> None:
        """Other rules, already parsed once; ``Cases.place_some`` must follow."""
        ...

    def look(self, look: UUID, reviewer: ReviewerId, now: datetime) -> None:
        """Somebody begins to look at a picture."""
        ...

    def look_began(self, look: UUID, reviewer: ReviewerId) -> datetime | None:
        """When a look began that has not ended; None for any other, and for somebody else's."""
        ...

    def looked(self, look: UUID, reviewer: ReviewerId, seconds: float) -> None:
        """They have let go after so many seconds."""
        ...

    def exposure(self, reviewer: ReviewerId, now: datetime, assumed: float) -> Exposure:
        """What somebody saw in the last hour and day; a look not let go of counts ``assumed``."""
        ...

    def forget_looks(self, before: datetime) -> int:
        """Looks before a moment count for nothing any more; how many."""
        ...

    def lock_exposure(self, reviewer: ReviewerId) -> None:
        """Let one look at a time be counted."""
        ...

    def shift(self, reviewer: ReviewerId) -> Shift | None:
        """Somebody's shift; None before the first."""
        ...

    def set_shift(self, reviewer: ReviewerId, shift: Shift) -> None:
        """Keep somebody's shift."""
        ...

    def opt_out(self, reviewer: ReviewerId, kind: CaseKind, until: datetime) -> None:
        """No cases of this kind for somebody until then."""
        ...

    def opt_in(self, reviewer: ReviewerId, kind: CaseKind) -> None:
        """Cases of this kind again."""
        ...

    def opted_out(self, reviewer: ReviewerId, now: datetime) -> set[CaseKind]:
        """Kinds that somebody gets none of just now."""
        ...


class Figures(Protocol):
    """What leads look at. Never by reviewer: nobody is ranked by speed."""

    def open_cases(self, now: datetime) -> list[Mapping[str, Any]]:
        """Undecided cases by queue, kind and state: ``cases``, and of them ``due_*`` and ``age_*``.

        ``due_none``, ``due_late``, ``due_6h``, ``due_24h`` and ``due_48h`` count by what the law
        still gives; ``age_1h``, ``age_6h``, ``age_24h``, ``age_3d`` and ``age_older`` by waiting.
        """
        ...

    def decided(self, since: datetime) -> list[Mapping[str, Any]]:
        """Decisions by queue and state: how many, how long, how many late and overturned."""
        ...

    def durations(self, since: datetime) -> dict[int, int]:
        """Decisions by how long they took: bucket n is from 15 min x 2^n."""
        ...

    def agreement(self, since: datetime) -> list[Mapping[str, Any]]:
        """Second looks and golden cases by queue: how many ``agree`` of how many ``compared``."""
        ...

    def appeals(self, since: datetime) -> list[Mapping[str, Any]]:
        """Appeals by side and by where they stand."""
        ...

    def public(self, what: str, since: datetime, until: datetime) -> list[Mapping[str, Any]]:
        """Counts of a period: of people, uploads, cases, hours, appeals or actions.

        Exact, and so for ``domain.suppression`` only, never to be shown as they are.
        """
        ...

    def public_lists(self) -> list[Mapping[str, Any]]:
        """Partners' lists that are followed now: ``kind``, ``lists``, ``records``."""
        ...

    def cases(self, after: CaseId | None, limit: int) -> list[Mapping[str, Any]]:
        """Every case but guarded ones, in order of id, for an export."""
        ...


class Erasures(Protocol):
    """What was erased, for lists that outlive the database; see ``domain.erasures``."""

    def after(self, seq: int, limit: int) -> list[Erasure]:
        """Number what was committed, and give what follows a number, in order. Holds the list."""
        ...

    def found(self, digests: Iterable[bytes]) -> dict[bytes, tuple[UUID, str]]:
        """Of these digests, those whose keys are there: the owner and what kind it is."""
        ...

    def owners(self, entries: Iterable[EntryId]) -> dict[EntryId, PersonId]:
        """Of these entries, those that are there, with whose they are."""
        ...


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """One version of a policy document; of the operator's own where ``platform`` is None."""

    platform: PlatformId | None
    version: int
    document: Mapping[str, Any]
    actor: str
    made_at: datetime


class Policies(Protocol):
    """Versions of policy documents. None is ever changed or deleted."""

    def head(self) -> int:
        """Counts changes of anything that judges; what was read before it moved is old."""
        ...

    def current(self) -> list[StoredPolicy]:
        """The newest version of every document."""
        ...

    def add(
        self,
        platform: PlatformId | None,
        version: int,
        document: Mapping[str, Any],
        actor: str,
        now: datetime,
    ) -> bool:
        """Keep a version and tell every process; false when another has come before it."""
        ...

    def history(
        self, platform: PlatformId | None, before: int | None, limit: int
    ) -> list[StoredPolicy]:
        """Versions below one, the newest first."""
        ...


class Banks(Protocol):
    """Negative banks and partners' lists; what they hold are entries under their holders' keys."""

    def add(self, bank: Bank) -> bool:
        """A new bank; false when the name is taken."""
        ...

    def all(self) -> list[Bank]:
        """Banks that are not being given up."""
        ...

    def count(self, holder: PersonId) -> tuple[int, int]:
        """How many pictures a bank holds, and how many uploads it would have brought up."""
        ...

    def trials_by_bank(self) -> dict[str, int]:
        """How many uploads banks that are only tried would have brought up, by name."""
        ...

    def set(self, bank: Bank) -> None:
        """Keep what is said of a bank."""
        ...

    def outdated(self, now: datetime, limit: int) -> list[tuple[PersonId, ItemId]]:
        """Pictures that have lain in their bank for as long as it keeps them, with its holder."""
        ...

    def tried(
        self, holder: PersonId, screening: ScreeningId, platform: PlatformId, at: datetime
    ) -> None:
        """An upload would have gone to a person, were the bank not only tried."""
        ...

    def trials(
        self,
        holder: PersonId,
        platform: PlatformId | None,
        before: ScreeningId | None,
        limit: int,
    ) -> list[tuple[ScreeningId, datetime]]:
        """Such uploads, of a platform or of all, the latest first."""
        ...

    def trials_of(self, platform: PlatformId) -> dict[PersonId, int]:
        """How many such uploads a platform had, by the bank's holder."""
        ...

    def trials_among(self, screenings: Sequence[ScreeningId]) -> dict[str, int]:
        """How many of these uploads were such, by the bank's name."""
        ...

    def forget_trials(self, before: datetime) -> int:
        """Those from before then are told no more; how many."""
        ...

    def tried_by(self, platform: PlatformId) -> frozenset[PersonId]:
        """Holders of the banks that a platform only tries."""
        ...

    def only_try(self, holder: PersonId, platform: PlatformId, *, only: bool) -> None:
        """Whether a platform only tries a bank."""
        ...


class Unit(Protocol):
    """One transaction and its parts."""

    @property
    def banks(self) -> Banks: ...
    @property
    def policies(self) -> Policies: ...

    @property
    def erasures(self) -> Erasures: ...

    @property
    def exchanges(self) -> Exchanges: ...
    @property
    def traces(self) -> Traces: ...
    @property
    def sweeps(self) -> Sweeps: ...
    @property
    def sifts(self) -> Sifts: ...
    @property
    def vault(self) -> Vault: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def enrolments(self) -> Enrolments: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def features(self) -> LocalFeatures: ...
    @property
    def followers(self) -> Followers: ...
    @property
    def cases(self) -> Cases: ...
    @property
    def screenings(self) -> Screenings: ...
    @property
    def films(self) -> Films: ...
    @property
    def references(self) -> References: ...
    @property
    def batches(self) -> Batches: ...
    @property
    def media(self) -> MediaStore: ...
    @property
    def jobs(self) -> Jobs: ...
    @property
    def events(self) -> Events: ...
    @property
    def platforms(self) -> Platforms: ...
    @property
    def webhooks(self) -> Webhooks: ...
    @property
    def withdrawals(self) -> Withdrawals: ...
    @property
    def audit(self) -> AuditLog: ...
    @property
    def attempts(self) -> Attempts: ...
    @property
    def reviewers(self) -> Reviewers: ...
    @property
    def following(self) -> Following: ...
    @property
    def visits(self) -> Visits: ...
    @property
    def answers(self) -> Answers: ...
    @property
    def notices(self) -> Notices: ...
    @property
    def probes(self) -> Probes: ...
    @property
    def floods(self) -> Floods: ...
    @property
    def house(self) -> House: ...
    @property
    def figures(self) -> Figures: ...


class Pins(Protocol):
    """Digests of PINs and passwords (argon2id behind a pepper)."""

    def digest(self, secret: str) -> str:
        """What may be stored."""
        ...

    def matches(self, digest: str | None, secret: str) -> bool:
        """Whether the secret is the one; takes as long when there is no digest."""
        ...


class Store(Protocol):
    """Where everything is kept."""

    def record(self, screenings: Sequence[Screening]) -> None:
        """Put answers that concern nobody on record, in one step: all of them or none.

        Raises ``Unavailable`` when the database cannot be reached.
        """
        ...

    def transaction(self, *, snapshot: bool = False) -> AbstractContextManager[Unit]:
        """A transaction; ``snapshot`` reads one consistent state throughout.

        Raises ``Unavailable`` when the database cannot be reached.
        """
        ...
