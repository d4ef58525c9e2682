"""An upload is decoded, compared and judged; what a person must see becomes a case.

Every upload gets an answer: clear, review, known, or a refusal by name. Of a clear upload is kept
that it was clear and, for a while, its hashes (``domain.trace``), unless its platform says that it
is not intimate. Hits are believed only after the database has confirmed that their entries are in
force at this moment, so that a withdrawal stops matches at once even where an index has not heard
of it yet.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from pipeline.domain.bank import part, sift
from pipeline.domain.case import ORDINARY, CaseKind, CaseUpload, State
from pipeline.domain.evidence import Hit, gather, without
from pipeline.domain.flood import KEPT_OUT, QUARANTINE, is_loose, is_parked, without_kept_out
from pipeline.domain.grant import UNDER_GRANT, asked_for
from pipeline.domain.ids import (
    CaseId,
    MediaId,
    PlatformId,
    ScreeningId,
    uuid7,
)
from pipeline.domain.likeness import FACES
from pipeline.domain.media import WHOLE, Media, Rating, Upload
from pipeline.domain.policy import Clear, Decision, Known, Match, Policy, Review
from pipeline.domain.screening import Answer, Form, Screening, Verdict
from pipeline.domain.signal import Signals, pack_all
from pipeline.domain.trace import FilmTrace, Trace, turned
from pipeline.domain.trial import Nearness, nearness
from pipeline.errors import Invalid, Refused
from pipeline.journeys.notice_flood import notice_flood, release
from pipeline.journeys.notice_probing import Suspicion, notice_probing
from pipeline.journeys.record_together import Ledger
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.see import Eye, Found, Seen
from pipeline.journeys.see_bytes import believe_bytes, digest_of, entries_of
from pipeline.journeys.see_copies import CopyEye
from pipeline.journeys.see_faces import NOT_LOOKED, FaceEye, FacesSeen
from pipeline.journeys.try_banks import note_tried
from pipeline.ports import Blobs, Clock, Store, StoredMedium, Unit
from pipeline.signals import SignalType
from pipeline.stages import stage

_CHUNK = 1 << 20
Given = tuple[ScreeningId, datetime]
"""Under which id an upload was promised its answer, and when."""

_KEPT = 512
"""Policies of platforms that a screener is kept ready for."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A hash that a platform computed itself: 32 bytes for a 256-bit signal, and its quality."""

    signal: str
    code: bytes
    quality: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What the indexes answered, and how far of the change log they had come when they did."""

    sequence: int
    found: Found


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being screened, whichever form it came in."""

    upload: Upload
    form: Form
    digest: bytes
    seen: Seen
    body: bytes | None = None
    mime: str | None = None
    faces: FacesSeen = NOT_LOOKED
    asked: Asked | None = None
    codes: bytes | None = None
    """What joins a person's bank if a case is upheld, where ``seen`` is not what says it."""
    held: tuple[MediaId, int] | None = None
    """The blob in which the upload lies sealed already, and its size."""
    fingerprint: bytes | None = None
    """The keyed digest of an earlier upload, whose ``digest`` nobody knows any more."""
    same: tuple[int, ...] = ()
    """Labels of the entries of these very bytes."""
    again: bool = False
    """Whether we, not the platform, ask: only what its cases do not rest on yet is told."""
    screening: ScreeningId | None = None
    """The id of its answer, where that is known already."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """An upload that a platform hashed itself, as it asks for it."""

    platform: PlatformId
    upload: Upload
    hashes: Sequence[Hashed]


@dataclass(frozen=True, slots=True)
class _Glance:
    """What a look at the indexes says of an upload, before the database is asked."""

    base: Screening
    near: bool
    """Whether it is near to anything at all."""
    truncated: bool
    believed: Callable[[Unit], tuple[Hit, ...]]


@dataclass(frozen=True, slots=True)
class Earlier:
    """An upload of which only what it left is there: how it was answered, and its codes.

    A video has none of its own, but ``film``.
    """

    screening: Screening
    fingerprint: bytes
    codes: tuple[Signals, ...] = field(repr=False)
    film: FilmTrace | None = field(default=None, repr=False)


class Screener:
    """Screens uploads for all platforms of a deployment."""

    def __init__(
        self,
        store: Store,
        live: LiveIndexes,
        eye: Eye,
        decode: Callable[[bytes], Media],
        policy: Policy,
        blobs: Blobs,
        clock: Clock,
        faces: FaceEye,
        sketch: Callable[[bytes], Media] | None = None,
        copies: CopyEye | None = None,
        rules: Callable[[PlatformId], Policy] | None = None,
        *,
        remember: bool = False,
        suspicion: Suspicion = Suspicion(),  # noqa: B008 - frozen
    ) -> None:
        """``sketch`` decodes large pictures at a fraction of their size, for a quick first look.

        ``copies`` looks with copy-detection packs; most deployments have none. ``rules`` says what
        judges a platform's uploads at this moment; without it ``policy`` judges everybody's. With
        ``remember`` an upload leaves its hashes, so that it is found if somebody registers later.
        """
        self._store, self._live, self._eye = store, live, eye
        self._ledger = Ledger(store)
        self._decode, self._policy, self._blobs = decode, policy, blobs
        self._clock, self._faces, self._remember = clock, faces, remember
        self._suspicion = suspicion
        self._copies = copies if copies is not None else CopyEye((), policy)
        self._rules, self._others = rules, dict[str, Screener]()
        self._sketch = sketch if sketch is not None else decode

    @property
    def faces(self) -> FaceEye:
        """What looks at faces."""
        return self._faces

    @property
    def signals(self) -> tuple[SignalType, ...]:
        """What is computed of an upload."""
        return self._eye.signals

    @property
    def policy(self) -> Policy:
        """What judges."""
        return self._policy

    def remembers(self, rating: Rating) -> bool:
        """Whether an upload leaves its hashes; what is ordinary leaves nothing at all."""
        return self._remember and rating is not Rating.NOT_INTIMATE

    def under(self, platform: PlatformId) -> Screener:
        """This screener with the policy that judges a platform's uploads now."""
        policy = self._rules(platform) if self._rules is not None else self._policy
        if policy.version == self._policy.version:
            return self
        other = self._others.get(policy.version)
        if other is None:
            if len(self._others) >= _KEPT:
                self._others.clear()
            other = copy(self)
            other._policy, other._rules = policy, None
            other._eye, other._faces = self._eye.under(policy), self._faces.under(policy)
            other._copies = CopyEye(self._copies.models, policy)
            self._others[policy.version] = other
        return other

    def screen_file(
        self, platform: PlatformId, upload: Upload, body: bytes, given: Given | None = None
    ) -> Screening:
        """Screen a file. A file that cannot be decoded is refused by name, and that is recorded.

        ``given`` is the id that its answer was promised under, and when. Raises ``IndexNotReady``
        or ``Unavailable`` when no answer can be given now.
        """
        mine = self.under(platform)
        if mine is not self:
            return mine.screen_file(platform, upload, body, given)
        began = time.perf_counter()
        which, received = given or self._anew()
        digest, labels = digest_of(self._live, self._policy, body)
        try:
            media, seen, asked = self._look(upload, body, whole=bool(labels))
        except Refused as refused:
            return self._refuse(platform, upload, len(body), refused, (which, received), began)
        with stage("faces"):
            faces = self._faces.look(upload, media)
        subject = Subject(
            upload, Form.FILE, digest, seen, body, media.mime, faces, asked, same=labels,
            screening=which,
        )  # fmt: skip
        return self._screen(platform, subject, received, began)

    def first_sight(self, upload: Upload, body: bytes) -> Media:
        """A sketch, wherever that will do; raises ``Refused``."""
        return (self._decode if self._faces.may_look(upload) else self._sketch)(body)

    def _look(self, upload: Upload, body: bytes, *, whole: bool) -> tuple[Media, Seen, Asked]:
        """What an upload shows and is near to; whatever is near to anything is seen ``whole``.

        A sketch is off by a few bits: what the whole upload is near to is told by the whole picture
        alone. Where a border or a seam is found lies as near the truth in the one as in the other,
        so that parts that only the sketch showed count too.
        """
        with stage("decode"):
            media = self.first_sight(upload, body)
        with stage("look"):
            seen = self._eye.look(media.frames)
        asked = self._ask(seen)
        if media.reduced and (whole or asked.found.entries):
            quick = asked
            with stage("decode"):
                media = self._decode(body)
            with stage("look"):
                seen = self._eye.look(media.frames)
            asked = self._ask(seen)
            if not asked.found.entries:
                asked = replace(asked, found=quick.found.of_parts())
        return media, seen, asked

    def _ask(self, seen: Seen) -> Asked:
        sequence = self._live.applied
        with stage("search"):
            return Asked(sequence, self._eye.search(self._live, seen))

    def screen_hashes(
        self, platform: PlatformId, upload: Upload, hashes: Sequence[Hashed]
    ) -> Screening:
        """Screen what a platform hashed itself. Raises ``Invalid`` for an unknown signal."""
        mine = self.under(platform)
        if mine is not self:
            return mine.screen_hashes(platform, upload, hashes)
        began, received = time.perf_counter(), self._clock()
        return self._screen(platform, self._by_value(upload, hashes), received, began)

    def screen_many(
        self, asked: Sequence[Lookup]
    ) -> list[Screening | Exception | Callable[[], Screening]]:
        """Screen what platforms hashed themselves, and record together what is near to nothing.

        Each has an outcome of its own, in order: its answer, what went wrong with it, or what
        remains to be called for it, because it is near to something and takes its time.
        """
        outcomes: list[Screening | Exception | Callable[[], Screening]] = []
        clear: dict[int, Screening] = {}
        for number, one in enumerate(asked):
            began, received = time.perf_counter(), self._clock()
            mine = self.under(one.platform)
            try:
                subject = mine._by_value(one.upload, one.hashes)
                glance = mine._glance(one.platform, subject, received)
            except Exception as error:  # the others must be answered
                outcomes.append(error)
                continue
            if glance.near:
                outcomes.append(partial(self.screen_hashes, one.platform, one.upload, one.hashes))
                continue
            clear[number] = replace(glance.base, milliseconds=_since(began))
            outcomes.append(clear[number])
        with stage("record"):
            errors = self._ledger.add_all(tuple(clear.values()))
        for number, wrong in zip(clear, errors, strict=True):
            if wrong is not None:
                outcomes[number] = wrong
        return outcomes

    def _by_value(self, upload: Upload, hashes: Sequence[Hashed]) -> Subject:
        known = {signal.space.name: signal for signal in self._eye.signals}
        asked, own, notes, digest = [], [], [], hashlib.sha256()
        for hashed in sorted(hashes, key=lambda hashed: (hashed.signal, hashed.code)):
            signal = known.get(hashed.signal)
            if signal is None or len(hashed.code) * 8 != signal.space.width:
                raise Invalid(
                    f"no signal {hashed.signal!r} of {len(hashed.code) * 8} bits here;"
                    f" there are: {', '.join(sorted(known))}"
                )
            digest.update(hashed.signal.encode() + b"\0" + hashed.code)
            if hashed.quality < signal.minimum_quality:
                notes.append(f"low_quality:{hashed.signal}")
                if not self._eye.asks_faintly(signal, hashed.quality):
                    continue
            asked.append(
                Signals(
                    signal.space,
                    np.frombuffer(hashed.code, np.uint8).reshape(1, -1),
                    np.array([hashed.quality], np.uint8),
                    (WHOLE,),
                )
            )
            if hashed.quality >= signal.minimum_quality:
                own.append(asked[-1])
        seen = Seen(tuple(asked), tuple(own), tuple(notes))
        return Subject(upload, Form.HASHES, digest.digest(), seen)

    def _screen(
        self,
        platform: PlatformId,
        subject: Subject,
        received: datetime,
        began: float,
        end: Callable[[Unit, Screening], None] = lambda _unit, _screening: None,
    ) -> Screening:
        glance = self._glance(platform, subject, received)
        if not glance.near:
            with stage("record"):
                return glance.base if subject.again else self._recorded(glance.base, began)
        with stage("record"), self._store.transaction() as unit:
            answered = self.conclude(
                unit, glance.base, subject, glance.believed, began, truncated=glance.truncated
            )
            if answered.verdict is not Verdict.CLEAR:
                end(unit, answered)
            return answered

    def _glance(self, platform: PlatformId, subject: Subject, received: datetime) -> _Glance:
        asked = subject.asked or self._ask(subject.seen)
        sequence, found = asked.sequence, asked.found
        alike = self._faces.search(self._live, subject.faces)
        copies = self._copies.search(self._live, subject.seen.frame)
        truncated = found.truncated or alike.truncated or copies.truncated
        base = Screening(
            id=subject.screening or ScreeningId(self._fresh(received)),
            platform=platform,
            upload=replace(subject.upload, uploader=None),
            form=subject.form,
            verdict=Verdict.CLEAR,
            policy=self._policy.version,
            index_seq=sequence,
            received_at=received,
            milliseconds=0.0,
            bytes=len(subject.body) if subject.body is not None else None,
            mime=subject.mime,
            notes=subject.seen.notes + subject.faces.notes + ("truncated",) * truncated,
            trace=(
                Trace(subject.digest, subject.seen.own)
                if not subject.again and self.remembers(subject.upload.rating)
                else None
            ),
            blocks=False,
            near=Nearness((), self._eye.asked_within(subject.seen)),
        )

        def believed(unit: Unit) -> tuple[Hit, ...]:
            entries = found.entries | alike.entries | copies.entries | entries_of(subject.same)
            owners = unit.registry.owners(entries)
            hits = self._eye.believe(unit, subject.seen, found, owners)
            return (
                *hits,
                *believe_bytes(subject.same, owners),
                *self._faces.believe(alike, owners),
                *self._copies.believe(copies, owners),
            )

        near = found.entries or alike.batches or copies.batches or subject.same
        return _Glance(base, bool(near), truncated, believed)

    def look(self, upload: Upload, body: bytes) -> Subject:
        """All that is computed of a file, from its pixels alone. Raises ``Refused``."""
        media = self._decode(body)
        return Subject(
            upload,
            Form.FILE,
            hashlib.sha256(body).digest(),
            self._eye.look(media.frames),
            body,
            media.mime,
            self._faces.look(upload, media),
            again=True,
        )

    def screen_old(
        self, platform: PlatformId, subject: Subject, end: Callable[[Unit, Screening], None]
    ) -> Screening | None:
        """Screen a file that a platform has had for long, after ``look``.

        Nothing is recorded but what is new: then its answer, and ``end`` is called in the same
        transaction. Raises ``IndexNotReady``.
        """
        mine = self.under(platform)
        if mine is not self:
            return mine.screen_old(platform, subject, end)
        assert subject.body is not None  # ``look`` puts it there
        _, labels = digest_of(self._live, self._policy, subject.body)
        subject = replace(subject, same=labels)
        answered = self._screen(platform, subject, self._clock(), time.perf_counter(), end)
        return None if answered.verdict is Verdict.CLEAR else answered

    def screen_again(self, unit: Unit, earlier: Earlier) -> Screening | None:
        """Screen an earlier upload by what it left, as if it had just arrived.

        What its cases rest on already counts no more. None when there is nothing new to say:
        then nothing is recorded. Raises ``IndexNotReady``.
        """
        began, received, was = time.perf_counter(), self._clock(), earlier.screening
        mine = self.under(was.platform)
        if mine is not self:
            return mine.screen_again(unit, earlier)
        asked = tuple(turned(signals) for signals in earlier.codes)
        seen = Seen(asked, earlier.codes, ("rescan",))
        answer = self._ask(seen)
        subject = Subject(
            was.upload, was.form, b"", seen, mime=was.mime, fingerprint=earlier.fingerprint,
            again=True,
        )  # fmt: skip
        base = Screening(
            id=ScreeningId(self._fresh(received)),
            platform=was.platform,
            upload=replace(was.upload, uploader=None),
            form=Form.HASHES,
            verdict=Verdict.CLEAR,
            policy=self._policy.version,
            index_seq=answer.sequence,
            received_at=received,
            milliseconds=0.0,
            notes=seen.notes + ("truncated",) * answer.found.truncated,
        )

        def believed(unit: Unit) -> tuple[Hit, ...]:
            owners = unit.registry.owners(answer.found.entries)
            return self._eye.believe(unit, seen, answer.found, owners)

        if not answer.found.entries:
            return None
        truncated = answer.found.truncated
        answered = self.conclude(unit, base, subject, believed, began, truncated=truncated)
        return None if answered.verdict is Verdict.CLEAR else answered

    def conclude(
        self,
        unit: Unit,
        base: Screening,
        subject: Subject,
        believed: Callable[[Unit], tuple[Hit, ...]],
        began: float,
        *,
        truncated: bool,
    ) -> Screening:
        """Judge what is believed of an upload and record the answer.

        ``believed`` is asked behind the upload's lock: only entries that are in force now count,
        and none that was dismissed for this very upload.
        """
        fingerprint = subject.fingerprint or unit.vault.fingerprint(subject.digest)
        unit.cases.lock_upload(base.platform, subject.upload.content_id, fingerprint)
        hits = believed(unit)
        if subject.again:
            hits = _untold(unit, base.platform, subject.upload.content_id, fingerprint, hits)
        hits = without(hits, unit.cases.dismissed(fingerprint, {hit.entry for hit in hits}))
        hits, taken_back = sift(hits)
        if taken_back:
            base = replace(base, notes=(*base.notes, "known_false_match"))
        hits, tried = part(hits, base.platform)
        hits, kept_out = without_kept_out(hits, self._policy.faces.thresholds)
        if kept_out:
            base = replace(base, notes=(*base.notes, KEPT_OUT))
        decision = self._judge(unit, hits, truncated)
        if base.near is not None:
            asked = () if isinstance(decision, Clear) else decision.matches
            base = replace(base, near=nearness(hits, asked, base.near.reach))
        answered = self._answer(unit, base, subject, decision, fingerprint, began)
        if tried and not subject.again:
            note_tried(unit, self._policy, tried, answered, truncated=truncated)
        if not subject.again:
            account = subject.upload.uploader
            notice_probing(
                unit, self._suspicion, replace(answered, upload=subject.upload), account,
                fingerprint, hits, base.received_at,
            )  # fmt: skip
        return answered

    def _answer(
        self,
        unit: Unit,
        base: Screening,
        subject: Subject,
        decision: Decision,
        fingerprint: bytes,
        began: float,
    ) -> Screening:
        """Put what was decided on record."""
        if isinstance(decision, Clear):
            return base if subject.again else self._record(unit, base, began)
        base = replace(base, upload=subject.upload)
        if isinstance(decision, Known):
            content_id = subject.upload.content_id
            answered = unit.screenings.answered
            if subject.again and answered(decision.case, base.platform, content_id):
                return base
            return self._answer_known(unit, base, decision, began)
        return self._open_case(unit, base, decision, subject, fingerprint, began)

    def _judge(self, unit: Unit, hits: tuple[Hit, ...], truncated: bool) -> Decision:
        """Judge, and keep the people concerned from leaving until the answer is on record.

        Whoever has left meanwhile counts no more; only few uploads concern anybody, so that
        nobody is held for the many that do not.
        """
        while True:
            decision = self._policy.judge(gather(hits, truncated=truncated))
            if isinstance(decision, Clear):
                return decision
            people = sorted({match.hit.owner.person for match in decision.matches}, key=str)
            gone = {person for person in people if not unit.registry.hold(person)}
            # Held people cannot take items back either; who did so just before is seen now.
            entries = {match.hit.entry for match in decision.matches}
            gone_entries = entries - unit.registry.owners(entries).keys()
            if not gone and not gone_entries:
                return decision
            hits = tuple(
                hit
                for hit in hits
                if hit.owner.person not in gone and hit.entry not in gone_entries
            )

    def _open_case(
        self,
        unit: Unit,
        screening: Screening,
        review: Review,
        subject: Subject,
        fingerprint: bytes,
        began: float,
    ) -> Screening:
        now = screening.received_at
        content_id = subject.upload.content_id
        matches = _granted(unit, screening, review.matches)
        kind, priority = _urgency(matches)
        terms = self._policy.terms
        until = now + timedelta(hours=terms.deadline_hours) if terms.deadline_hours else None
        case = unit.cases.undecided_for(screening.platform, content_id, fingerprint)
        opened, parked = case is None, is_parked(matches, self._policy.faces.thresholds)
        if case is None:
            case = CaseId(self._fresh(now))
            unit.cases.open(
                case, now, kind=kind, priority=priority, deadline=until, queue=terms.queue,
                state=State.PARKED if parked else State.OPEN,
            )  # fmt: skip
        else:
            unit.cases.raise_to(case, kind=kind, priority=priority, deadline=until)
            if not parked:
                release(unit, case, now)
        if parked and (opened or _is_parked(unit, case)):
            screening = replace(screening, notes=(*screening.notes, QUARANTINE))
        answered = replace(
            screening,
            verdict=Verdict.REVIEW,
            blocks=Verdict.REVIEW in terms.blocks,
            case=case,
            matches=tuple(Answer.of(match, case) for match in review.matches),
            milliseconds=_since(began),
        )
        sequence = unit.audit.append(
            f"platform:{screening.platform}",
            "case.opened" if opened else "case.joined",
            f"case:{case}",
            {
                "screening": str(screening.id),
                "entries": [match.hit.entry for match in review.matches],
                "policy": screening.policy,
            },
        )
        unit.screenings.add(answered, audited=sequence)
        likeness = self._policy.faces.thresholds
        loose = {match.hit.entry for match in matches if is_loose(match.hit, likeness)}
        held = [medium for medium in unit.media.of_case(case) if medium.destroyed_at is None]
        same = {
            upload.screening
            for upload in self._uploads(unit, case)
            if upload.fingerprint == fingerprint
        }
        unit.cases.join(
            case,
            CaseUpload(screening.id, screening.platform, content_id, fingerprint),
            matches,
            now,
            loose,
        )
        if not any(medium.screening in same for medium in held):
            self._keep(unit, case, answered, subject, now)
        notice_flood(unit, self._policy.flood, matches, loose, now)
        return answered

    def _uploads(self, unit: Unit, case: CaseId) -> tuple[CaseUpload, ...]:
        found = unit.cases.get(case)
        return found.uploads if found else ()

    def _keep(
        self, unit: Unit, case: CaseId, screening: Screening, subject: Subject, now: datetime
    ) -> None:
        """Seal the upload under a key of its own until the case and the appeal window end."""
        if subject.held is not None:
            name, size = subject.held
        else:
            name, size = MediaId(self._fresh(now)), 0
            unit.vault.create(name, kind="media")
        if subject.body is not None:
            size = self._blobs.put(name, unit.vault.key(name), _chunks(subject.body))
        packed = pack_all(subject.seen.own) if subject.codes is None else subject.codes
        codes = unit.vault.seal(name, "media.codes", packed)
        unit.media.add(
            StoredMedium(
                name,
                case,
                screening.id,
                subject.body is not None or subject.held is not None,
                size,
                subject.mime,
                codes,
            ),
            now,
        )

    def _answer_known(
        self, unit: Unit, screening: Screening, known: Known, began: float
    ) -> Screening:
        answered = replace(
            screening,
            verdict=Verdict.KNOWN,
            blocks=True,
            case=known.case,
            matches=tuple(Answer.of(match, known.case) for match in known.matches),
            milliseconds=_since(began),
            trace=None,  # it was found
        )
        sequence = unit.audit.append(
            f"platform:{screening.platform}",
            "upload.known",
            f"case:{known.case}",
            {"screening": str(screening.id), "policy": screening.policy},
        )
        unit.screenings.add(answered, audited=sequence)
        return answered

    def refusal(
        self,
        platform: PlatformId,
        upload: Upload,
        size: int | None,
        refused: Refused,
        given: Given,
    ) -> Screening:
        """The answer to a file that cannot be screened; the caller puts it on record."""
        mine, (which, received) = self.under(platform), given
        return Screening(
            id=which,
            platform=platform,
            upload=replace(upload, uploader=None),
            form=Form.FILE,
            verdict=Verdict.REFUSED,
            policy=mine._policy.version,
            index_seq=max(0, self._live.applied),
            received_at=received,
            milliseconds=0.0,
            bytes=size,
            refusal=refused.reason,
            message=refused.message,
            blocks=Verdict.REFUSED in mine._policy.terms.blocks,
        )

    def _refuse(
        self,
        platform: PlatformId,
        upload: Upload,
        size: int,
        refused: Refused,
        given: Given,
        began: float,
    ) -> Screening:
        return self._recorded(self.refusal(platform, upload, size, refused, given), began)

    def _anew(self) -> Given:
        received = self._clock()
        return ScreeningId(self._fresh(received)), received

    def _recorded(self, screening: Screening, began: float) -> Screening:
        """Put an answer that concerns nobody on record, together with those of others."""
        answered = replace(screening, milliseconds=_since(began))
        self._ledger.add(answered)
        return answered

    def _record(self, unit: Unit, screening: Screening, began: float) -> Screening:
        answered = replace(screening, milliseconds=_since(began))
        unit.screenings.add(answered)
        return answered

    @staticmethod
    def _fresh(now: datetime) -> Any:
        return uuid7(now, secrets.token_bytes(10))


def _is_parked(unit: Unit, case: CaseId) -> bool:
    found = unit.cases.get(case)
    return found is not None and found.state is State.PARKED


def _untold(
    unit: Unit, platform: PlatformId, content_id: str, fingerprint: bytes, hits: tuple[Hit, ...]
) -> tuple[Hit, ...]:
    """The hits that no case of this very upload rests on; none on what may show a minor."""
    if not hits or unit.cases.guarded(fingerprint):
        return ()
    entries = {hit.entry for hit in hits}
    told = unit.cases.entries_of_upload(platform, content_id, fingerprint, entries)
    return without(hits, told)


def _granted(unit: Unit, screening: Screening, matches: Sequence[Match]) -> tuple[Match, ...]:
    """The matches with what each person has allowed the account that uploaded this."""
    account, platform = screening.upload.uploader, screening.platform
    if not account:
        return tuple(matches)
    people = {match.hit.owner.person for match in matches}
    digests = [unit.vault.fingerprint(asked_for(one, platform, account)) for one in people]
    held = {grant.person: grant for grant in unit.grants.holding(digests, screening.received_at)}
    return tuple(
        replace(match, hit=replace(match.hit, grant=held.get(match.hit.owner.person)))
        for match in matches
    )


def _urgency(matches: Sequence[Match]) -> tuple[CaseKind, int]:
    """What a case of these matches is about; one that everybody in it allowed can wait."""
    face = all(match.hit.owner.bank == FACES for match in matches)
    allowed = all(match.hit.grant is not None for match in matches)
    return CaseKind.FACE if face else CaseKind.HASH, UNDER_GRANT if allowed else ORDINARY


def summary(screening: Screening) -> Mapping[str, Any]:
    """A screening as a platform reads it: verdict and matches, never who the person is."""
    return {
        "screening": str(screening.id),
        "content_id": screening.upload.content_id,
        "verdict": screening.verdict.value,
        "case": str(screening.case) if screening.case else None,
        "matches": [match.document() for match in screening.matches],
        "notes": list(screening.notes),
        "refused": screening.refusal.value if screening.refusal else None,
        "message": screening.message,
        "progress": screening.progress.document() if screening.progress else None,
        "policy": screening.policy,
        "blocks": screening.blocks,
        "index_sequence": screening.index_seq,
        "received_at": screening.received_at.isoformat(),
        "milliseconds": round(screening.milliseconds, 3),
    }


def _chunks(body: bytes) -> Iterable[bytes]:
    view = memoryview(body)
    return (bytes(view[at : at + _CHUNK]) for at in range(0, len(body), _CHUNK))


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
