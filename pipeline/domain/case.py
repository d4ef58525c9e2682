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
    PARKED = "parked"
    """Out of the queues until a lead has looked into what it rests on; see ``domain.flood``."""
    FROZEN = "frozen"
    """A possible minor: out of every queue but one, and preserved whatever anybody asks for."""
    UPHELD = "upheld"
    DISMISSED = "dismissed"
    REPORTED = "reported"
    """An apparent minor, reported to the authorities as the law wants it."""
    STANDS = "stands"
    """An appeal that changed nothing."""
    OVERTURNED = "overturned"
    """An appeal that turned the earlier decision round."""
    WITHDRAWN = "withdrawn"


_ENDINGS = (State.UPHELD, State.DISMISSED, State.STANDS, State.OVERTURNED, State.WITHDRAWN)
NEXT: dict[State, frozenset[State]] = {
    State.OPEN: frozenset({State.ESCALATED, State.FROZEN, State.PARKED, *_ENDINGS}),
    State.PARKED: frozenset({State.OPEN, State.FROZEN, State.WITHDRAWN}),
    State.ESCALATED: frozenset({State.FROZEN, *_ENDINGS}),
    State.FROZEN: frozenset({State.OPEN, State.REPORTED}),
    **{ending: frozenset() for ending in (*_ENDINGS, State.REPORTED)},
}
"""What a person upheld stays upheld; every ending is final (an appeal opens a case of its own).

A frozen case can't be withdrawn: the law's hold on what may show a minor beats erasure.
"""

UNDECIDED = frozenset(state for state, after in NEXT.items() if after)
"""States in which somebody must still decide."""

ORDINARY = 0
"""A case's priority unless somebody says otherwise; a lower number is less urgent."""

LEASE = timedelta(minutes=10)
"""How long a claim holds unless it is renewed."""

GOING = timedelta(seconds=10)
"""How long a claim holds after its page was left: enough to load it again."""


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
    APPARENT_MINOR = "apparent_minor"
    ADULT = "adult"
    DECISION_RIGHT = "decision_right"
    DECISION_WRONG = "decision_wrong"
    OWN_FACE = "own_face"
    NOT_OWN_FACE = "not_own_face"
    UNPROVEN = "unproven"


GROUNDS: dict[State, frozenset[Ground]] = {
    State.UPHELD: frozenset({Ground.MATCH, Ground.OWN_FACE}),
    State.DISMISSED: frozenset(
        {
            Ground.WRONG_MATCH,
            Ground.CONSENTED,
            Ground.NOT_INTIMATE,
            Ground.PUBLIC_INTEREST,
            Ground.NOT_OWN_FACE,
            Ground.UNPROVEN,
        }
    ),
    State.ESCALATED: frozenset({Ground.THREAT, Ground.UNSURE}),
    State.FROZEN: frozenset({Ground.POSSIBLE_MINOR}),
    State.REPORTED: frozenset({Ground.APPARENT_MINOR}),
    State.OPEN: frozenset({Ground.ADULT}),
    State.STANDS: frozenset({Ground.DECISION_RIGHT}),
    State.OVERTURNED: frozenset({Ground.DECISION_WRONG}),
}
"""The grounds that each decision may name. A frozen case goes back to the queue as ``OPEN``."""

OF_ENROLMENTS = frozenset({Ground.OWN_FACE, Ground.NOT_OWN_FACE, Ground.UNPROVEN})
"""Grounds that speak of whose face it is: an enrolment's, and no other case's."""

_HANDED_ON = frozenset({State.ESCALATED, State.FROZEN})
ANSWERS: dict[CaseKind, frozenset[State]] = {
    CaseKind.HASH: _HANDED_ON | {State.UPHELD, State.DISMISSED},
    CaseKind.FACE: _HANDED_ON | {State.UPHELD, State.DISMISSED},
    CaseKind.NOTICE: _HANDED_ON | {State.UPHELD, State.DISMISSED},
    CaseKind.APPEAL: _HANDED_ON | {State.STANDS, State.OVERTURNED},
    CaseKind.ENROLMENT: frozenset({State.ESCALATED, State.UPHELD, State.DISMISSED}),
}
"""What a reviewer may answer to each kind of case; a frozen one knows two answers of its own.

An enrolment shows no upload, so there is nothing to freeze in it: whoever is no adult is refused.
"""


class Purpose(StrEnum):
    """Why a case is put before somebody. Whoever decides it can't tell."""

    DECIDE = "decide"
    SECOND_LOOK = "second_look"
    """A case that was decided, put before somebody else to see whether they agree."""
    GOLDEN = "golden"
    """A case whose answer is known, to see whether we still see what we should."""
    SPECIMEN = "specimen"
    """What golden cases are copies of; never put before anybody."""


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


@dataclass(frozen=True, slots=True)
class Pending:
    """A decision that was made and can still be undone; nothing has left the building."""

    verdict: Verdict
    until: datetime


_ONLY_BY_UPHOLDING = object()


@dataclass(frozen=True, slots=True)
class Takedown:
    """What a platform is told to take down.

    Only a person's decision makes one: ``Case.uphold``, and ``report`` and ``overturn`` beside it.
    """

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
    about: CaseId | None = None
    """The earlier case that an appeal or a second look is about: its uploads and hits are this
    one's too."""
    purpose: Purpose = Purpose.DECIDE
    nearness: float = 0.0
    """How near the best match is: 1 the same, 0 at its threshold."""
    pending: Pending | None = None
    overturned_by: CaseId | None = None
    """The appeal that turned this case's decision round."""

    @property
    def subject(self) -> CaseId:
        """The case whose uploads are to be judged: this one, or the one it is about."""
        return self.about or self.id

    @property
    def answers(self) -> frozenset[State]:
        """What may be decided now."""
        if self.state is State.PARKED:
            return frozenset()
        if self.state is State.FROZEN:
            return NEXT[State.FROZEN]
        return (ANSWERS[self.kind] - {self.state}) & NEXT[self.state]

    def grounds(self, to: State) -> frozenset[Ground]:
        """The grounds that a decision on this case may name."""
        own = GROUNDS[to] & OF_ENROLMENTS
        return own if own and self.kind is CaseKind.ENROLMENT else GROUNDS[to] - own

    def claim(
        self, reviewer: ReviewerId, token: UUID, now: datetime, length: timedelta = LEASE
    ) -> Case:
        """The case with an exclusive lease; refused while somebody else's lease holds."""
        self._must_be_undecided("claimed")
        if self.pending:
            raise LeaseLost("somebody has just decided this case; take the next one")
        if self.lease and self.lease.holds(now) and self.lease.reviewer != reviewer:
            raise LeaseLost("another reviewer is working on this case; take the next one")
        return replace(self, lease=Lease(reviewer, now + length, token))

    def renew(self, token: UUID, now: datetime, length: timedelta = LEASE) -> Case:
        """The case with its lease made longer; refused when the lease is gone."""
        lease = self._held(token, now)
        return replace(self, lease=replace(lease, until=now + length))

    def leave(self, token: UUID, now: datetime) -> Case:
        """The case whose page was left: free in some seconds, unless its holder is back by then."""
        lease = self._held(token, now)
        return replace(self, lease=replace(lease, until=min(lease.until, now + GOING)))

    def release(self, token: UUID, now: datetime) -> Case:
        """The case given back to the queue."""
        self._held(token, now)
        return replace(self, lease=None)

    def hold(
        self,
        to: State,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
        pause: timedelta,
        *,
        wordless: bool = False,
    ) -> Case:
        """The case with a decision that takes effect when ``pause`` has passed, unless undone.

        Whatever would make the decision fail then is refused now.
        """
        if to not in self.answers:
            raise IllegalTransition(f"this case is {self.state}; it cannot become {to}")
        verdict = self._decide(to, token, ground, reason, now, wordless=wordless).verdict
        assert verdict is not None
        return replace(self, lease=None, pending=Pending(verdict, now + pause))

    def undo(
        self, reviewer: ReviewerId, token: UUID, now: datetime, length: timedelta = LEASE
    ) -> Case:
        """The case back in the hands of whoever decided it; refused once it has taken effect."""
        pending = self.pending
        if pending is None or pending.verdict.reviewer != reviewer or now >= pending.until:
            raise IllegalTransition("this decision has taken effect; it cannot be undone any more")
        return replace(self, pending=None, lease=Lease(reviewer, now + length, token))

    def settle(self, token: UUID, now: datetime) -> tuple[Case, Verdict]:
        """The case as its decider left it, to be decided with ``token`` as she said."""
        pending = self.pending
        if pending is None or now < pending.until:
            raise IllegalTransition("there is no decision on this case that is due")
        verdict = pending.verdict
        lease = Lease(verdict.reviewer, verdict.at + LEASE, token)
        return replace(self, pending=None, lease=lease), verdict

    def uphold(
        self,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
        *,
        wordless: bool = False,
    ) -> tuple[Case, tuple[Takedown, ...]]:
        """The upheld case, and one takedown for each platform that has the content."""
        decided = self._decide(State.UPHELD, token, ground, reason, now, wordless=wordless)
        return decided, decided.takedowns(self.id, _ONLY_BY_UPHOLDING)

    def dismiss(
        self,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
        *,
        wordless: bool = False,
    ) -> tuple[Case, tuple[Dismissal, ...]]:
        """The dismissed case, and the (upload, entry) pairs that must not come back."""
        decided = self._decide(State.DISMISSED, token, ground, reason, now, wordless=wordless)
        prints = {upload.screening: upload.fingerprint for upload in self.uploads}
        pairs = dict.fromkeys((prints[screening], entry) for screening, entry in self.hits)
        return decided, tuple(Dismissal(fingerprint, entry) for fingerprint, entry in pairs)

    def escalate(self, token: UUID, ground: Ground, reason: str, now: datetime) -> Case:
        """The case handed up; the lease ends so that somebody senior can claim it."""
        return self._decide(State.ESCALATED, token, ground, reason, now)

    def freeze(self, token: UUID, ground: Ground, reason: str, now: datetime) -> Case:
        """A possible minor: from now on nobody but the protected role sees the case."""
        return self._decide(State.FROZEN, token, ground, reason, now)

    def report(
        self, token: UUID, ground: Ground, reason: str, now: datetime
    ) -> tuple[Case, tuple[Takedown, ...]]:
        """The case of an apparent minor, and what every platform must take down and preserve."""
        decided = self._decide(State.REPORTED, token, ground, reason, now)
        return decided, decided.takedowns(self.id, _ONLY_BY_UPHOLDING)

    def unfreeze(self, token: UUID, ground: Ground, reason: str, now: datetime) -> Case:
        """Not a minor after all: back to the ordinary queue, undecided."""
        back = self._decide(State.OPEN, token, ground, reason, now)
        return replace(back, verdict=None)

    def stand(
        self,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
    ) -> Case:
        """The appeal that changes nothing."""
        return self._decide(State.STANDS, token, ground, reason, now)

    def overturn(
        self, token: UUID, ground: Ground, reason: str, now: datetime, earlier: State
    ) -> tuple[Case, tuple[Takedown, ...]]:
        """The appeal that turns a decision round; of a dismissed case takedowns follow."""
        decided = self._decide(State.OVERTURNED, token, ground, reason, now)
        if earlier is not State.DISMISSED:
            return decided, ()
        return decided, decided.takedowns(self.subject, _ONLY_BY_UPHOLDING)

    def opine(
        self,
        to: State,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
        *,
        wordless: bool = False,
    ) -> Case:
        """A second look or a golden case, answered: nothing follows from it for any platform."""
        if self.purpose is Purpose.DECIDE:
            raise IllegalTransition("this case is to be decided, not to be looked at once more")
        return self._decide(to, token, ground, reason, now, wordless=wordless)

    def takedowns(self, case: CaseId, made_by: object) -> tuple[Takedown, ...]:
        """One takedown a platform; whoever doesn't decide as a person can make none."""
        assert self.verdict is not None
        platforms = sorted({upload.platform for upload in self.uploads}, key=str)
        return tuple(
            Takedown(
                case,
                platform,
                tuple(upload for upload in self.uploads if upload.platform == platform),
                self.verdict,
                made_by,
            )
            for platform in platforms
        )

    def without_entries(self, withdrawn: frozenset[EntryId]) -> Case:
        """The case after entries were withdrawn: closed when it rested on those alone."""
        left = tuple(pair for pair in self.hits if pair[1] not in withdrawn)
        if left or self.kind is CaseKind.NOTICE or State.WITHDRAWN not in NEXT[self.state]:
            return replace(self, hits=left)
        return replace(self, hits=(), state=State.WITHDRAWN, lease=None, pending=None)

    def taken_back(self) -> Case:
        """The case of a notice or an enrolment that is gone; one that is decided stays so."""
        if State.WITHDRAWN not in NEXT[self.state] or self.hits:
            return self
        return replace(self, state=State.WITHDRAWN, lease=None, pending=None)

    def _decide(
        self,
        to: State,
        token: UUID,
        ground: Ground,
        reason: str,
        now: datetime,
        *,
        wordless: bool = False,
    ) -> Case:
        if to not in NEXT[self.state]:
            raise IllegalTransition(f"this case is {self.state}; it cannot become {to}")
        lease = self._held(token, now)
        if ground not in self.grounds(to):
            allowed = ", ".join(sorted(self.grounds(to)))
            raise Invalid(f"a case is not {to} because of {ground}; the grounds are: {allowed}")
        if not reason.strip() and not wordless:
            raise Invalid("a decision needs a reason in words; write one sentence")
        verdict = Verdict(to, ground, reason.strip(), lease.reviewer, now)
        return replace(self, state=to, lease=None, verdict=verdict)

    def _held(self, token: UUID, now: datetime) -> Lease:
        self._must_be_undecided("worked on")
        if self.lease is None or self.lease.token != token or not self.lease.holds(now):
            raise LeaseLost("your claim on this case has ended; claim it again to go on")
        return self.lease

    def _must_be_undecided(self, what: str) -> None:
        if self.state is State.PARKED:
            raise IllegalTransition("this case waits for a lead's word on what it rests on")
        if self.state not in UNDECIDED:
            raise IllegalTransition(f"this case is {self.state} and cannot be {what}")
