"""A review case as a state machine, and the only door to a takedown.

A case is opened by software and ended by a person: a reviewer who holds the case's lease upholds,
dismisses or escalates it. The one ending without a reviewer is the registered person's own: when
everything that the case rests on was withdrawn, it closes as *withdrawn*.

The lease is beside the state, not in it: it says who may decide now, is exclusive, can be renewed
by its holder, and can be taken over by anybody once it has run out.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pipeline.domain.ids import CaseId, EntryId, PlatformId, ReviewerId, ScreeningId
from pipeline.errors import IllegalTransition, Invalid, LeaseLost


class CaseKind(StrEnum):
    """What somebody must judge: the queue a case belongs to."""

    HASH = "hash"
    """An upload that is near to a registered picture or video."""
    FACE = "face"
    """An upload that shows a face like a registered person's, and nothing else speaks for it."""
    NOTICE = "notice"
    """A person or a platform has asked for content to go; the law's clock runs."""
    APPEAL = "appeal"
    """Somebody disagrees with a decision; somebody else decides again."""
    ENROLMENT = "enrolment"
    """Somebody wants her face protected; a verifier says whether it is hers."""


class State(StrEnum):
    """Where a case is."""

    OPEN = "open"
    ESCALATED = "escalated"
    UPHELD = "upheld"
    DISMISSED = "dismissed"
    WITHDRAWN = "withdrawn"


NEXT: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({State.ESCALATED, State.UPHELD, State.DISMISSED, State.WITHDRAWN}),
    State.ESCALATED: frozenset({State.UPHELD, State.DISMISSED, State.WITHDRAWN}),
    State.UPHELD: frozenset(),
    State.DISMISSED: frozenset(),
    State.WITHDRAWN: frozenset(),
}
"""What a person upheld stays upheld; every ending is final (an appeal opens a case of its own)."""

UNDECIDED = frozenset(state for state, after in NEXT.items() if after)
"""States in which somebody must still decide."""

ORDINARY = 0
"""A case's priority unless somebody says otherwise; a lower number is less urgent."""

LEASE = timedelta(minutes=10)
"""How long a claim holds unless it is renewed."""


class Ground(StrEnum):
    """Why a reviewer decided as she did."""

    MATCH = "match"
    WRONG_MATCH = "wrong_match"
    CONSENTED = "consented"
    NOT_INTIMATE = "not_intimate"
    PUBLIC_INTEREST = "public_interest"
    POSSIBLE_MINOR = "possible_minor"
    THREAT = "threat"
    UNSURE = "unsure"


GROUNDS: dict[State, frozenset[Ground]] = {
    State.UPHELD: frozenset({Ground.MATCH}),
    State.DISMISSED: frozenset(
        {Ground.WRONG_MATCH, Ground.CONSENTED, Ground.NOT_INTIMATE, Ground.PUBLIC_INTEREST}
    ),
    State.ESCALATED: frozenset({Ground.POSSIBLE_MINOR, Ground.THREAT, Ground.UNSURE}),
}
"""The grounds that each decision may name."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who may decide, until when. ``token`` proves that the caller is the one who claimed."""

    reviewer: ReviewerId
    until: datetime
    token: UUID = field(repr=False)

    def holds(self, now: datetime) -> bool:
        """Whether the lease is still in force."""
        return now < self.until


@dataclass(frozen=True, slots=True)
class CaseUpload:
    """One upload that a case is about."""

    screening: ScreeningId
    platform: PlatformId
    content_id: str
    fingerprint: bytes = field(repr=False)
    """Keyed digest of the upload's bytes (or hashes); equal for equal uploads only."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reviewer's decision."""

    state: State
    ground: Ground
    reason: str
    reviewer: ReviewerId
    at: datetime


_ONLY_BY_UPHOLDING = object()


@dataclass(frozen=True, slots=True)
class Takedown:
    """What a platform is told to take down. Only ``Case.uphold`` makes one."""

    case: CaseId
    platform: PlatformId
    uploads: tuple[CaseUpload, ...]
    verdict: Verdict
    made_by: InitVar[object]
    """Not kept, so that a copy cannot prove where it comes from."""

    def __post_init__(self, made_by: object) -> None:
        if made_by is not _ONLY_BY_UPHOLDING:
            raise TypeError("a takedown comes only from Case.uphold(): a person decides")


@dataclass(frozen=True, slots=True)
class Dismissal:
    """An upload and an entry that a reviewer said are not the same matter."""

    fingerprint: bytes = field(repr=False)
    entry: EntryId


@dataclass(frozen=True, slots=True)
class Case:
    """A case: what it is about, what it rests on, and where it stands."""

    id: CaseId
    opened_at: datetime
    state: State = State.OPEN
    lease: Lease | None = None
    uploads: tuple[CaseUpload, ...] = ()
    hits: tuple[tuple[ScreeningId, EntryId], ...] = ()
    """The entries in force that each upload hit."""
    verdict: Verdict | None = None
    kind: CaseKind = CaseKind.HASH
    deadline: datetime | None = None
    """When the law wants it decided; None where no clock runs."""
    priority: int = ORDINARY
    """A lower number is less urgent: an upload under a grant comes after the ordinary ones."""

    def claim(
        self, reviewer: ReviewerId, token: UUID, now: datetime, length: timedelta = LEASE
    ) -> Case:
        """The case with an exclusive lease; refused while somebody else's lease holds."""
        self._must_be_undecided("claimed")
        if self.lease and self.lease.holds(now) and self.lease.reviewer != reviewer:
            raise LeaseLost("another reviewer is working on this case; take the next one")
        return replace(self, lease=Lease(reviewer, now + length, token))

    def renew(self, token: UUID, now: datetime, length: timedelta = LEASE) -> Case:
        """The case with its lease made longer; refused when the lease is gone."""
        lease = self._held(token, now)
        return replace(self, lease=replace(lease, until=now + length))

    def release(self, token: UUID, now: datetime) -> Case:
        """The case given back to the queue."""
        self._held(token, now)
        return replace(self, lease=None)

    def uphold(
        self, token: UUID, ground: Ground, reason: str, now: datetime
    ) -> tuple[Case, tuple[Takedown, ...]]:
        """The upheld case, and one takedown for each platform that has the content."""
        decided = self._decide(State.UPHELD, token, ground, reason, now)
        verdict = decided.verdict
        assert verdict is not None
        platforms = sorted({upload.platform for upload in self.uploads}, key=str)
        return decided, tuple(
            Takedown(
                self.id,
                platform,
                tuple(upload for upload in self.uploads if upload.platform == platform),
                verdict,
                _ONLY_BY_UPHOLDING,
            )
            for platform in platforms
        )

    def dismiss(
        self, token: UUID, ground: Ground, reason: str, now: datetime
    ) -> tuple[Case, tuple[Dismissal, ...]]:
        """The dismissed case, and the (upload, entry) pairs that must not come back."""
        decided = self._decide(State.DISMISSED, token, ground, reason, now)
        prints = {upload.screening: upload.fingerprint for upload in self.uploads}
        pairs = dict.fromkeys((prints[screening], entry) for screening, entry in self.hits)
        return decided, tuple(Dismissal(fingerprint, entry) for fingerprint, entry in pairs)

    def escalate(self, token: UUID, ground: Ground, reason: str, now: datetime) -> Case:
        """The case handed up; the lease ends so that somebody senior can claim it."""
        return self._decide(State.ESCALATED, token, ground, reason, now)

    def without_entries(self, withdrawn: frozenset[EntryId]) -> Case:
        """The case after entries were withdrawn: closed when it rested on those alone."""
        left = tuple(pair for pair in self.hits if pair[1] not in withdrawn)
        if self.state not in UNDECIDED:
            return replace(self, hits=left)
        if left or self.kind is CaseKind.NOTICE:
            return replace(self, hits=left)
        return replace(self, hits=(), state=State.WITHDRAWN, lease=None)

    def taken_back(self) -> Case:
        """The case of a notice after its writer took it back; one that is decided stays so."""
        if self.state not in UNDECIDED or self.hits:
            return self
        return replace(self, state=State.WITHDRAWN, lease=None)

    def _decide(self, to: State, token: UUID, ground: Ground, reason: str, now: datetime) -> Case:
        if to not in NEXT[self.state]:
            raise IllegalTransition(f"this case is {self.state}; it cannot become {to}")
        lease = self._held(token, now)
        if ground not in GROUNDS[to]:
            allowed = ", ".join(sorted(GROUNDS[to]))
            raise Invalid(f"a case is not {to} because of {ground}; the grounds are: {allowed}")
        if not reason.strip():
            raise Invalid("a decision needs a reason in words; write one sentence")
        verdict = Verdict(to, ground, reason.strip(), lease.reviewer, now)
        return replace(self, state=to, lease=None, verdict=verdict)

    def _held(self, token: UUID, now: datetime) -> Lease:
        self._must_be_undecided("worked on")
        if self.lease is None or self.lease.token != token or not self.lease.holds(now):
            raise LeaseLost("your claim on this case has ended; claim it again to go on")
        return self.lease

    def _must_be_undecided(self, what: str) -> None:
        if self.state not in UNDECIDED:
            raise IllegalTransition(f"this case is {self.state} and cannot be {what}")
