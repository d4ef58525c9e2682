"""A person has her face recognised: templates are computed, the photos destroyed.

Nothing counts until a verifier, or a partner organisation that vouches, has made sure that the
face is hers. A face that somebody else has enrolled already is frozen on both sides until a person
has looked: nobody can enrol another's face to follow her. Consent is asked for apart from any
other, runs out, and is asked for again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID, uuid4

from pipeline.domain import photos as quality
from pipeline.domain import voucher as vouchers
from pipeline.domain.case import Ground, State, Verdict
from pipeline.domain.consent import Consent, ConsentState, Purpose
from pipeline.domain.enrolment import (
    FACE_TEXT,
    NEXT,
    YEARS,
    Enrolment,
    EnrolmentState,
    expiry,
)
from pipeline.domain.ids import (
    CaseId,
    EnrolmentId,
    ItemId,
    MediaId,
    PersonId,
    ReviewerId,
    entry_of,
    uuid7,
)
from pipeline.domain.likeness import FACES
from pipeline.domain.media import WHOLE, Media
from pipeline.domain.photos import LEAST, MOST, Outcome, Sight
from pipeline.domain.policy import Policy
from pipeline.domain.signal import Signals, pack_all, unpack
from pipeline.domain.voucher import Voucher
from pipeline.errors import Conflict, Denied, Invalid, Misconfigured, NotFound, Refused
from pipeline.journeys.answer_again import Answer, answered, answered_in, keep
from pipeline.journeys.carry_out import say_whose
from pipeline.journeys.desk import locked
from pipeline.journeys.register import join
from pipeline.journeys.restore_index import LiveIndexes
from pipeline.journeys.see_faces import signals_of
from pipeline.journeys.sign_in import new_credentials
from pipeline.journeys.verify_face import (
    SEALED,
    end,
    enforce,
    freeze_both,
    keep_asking,
    templates_of,
)
from pipeline.packs import Face, FaceModel
from pipeline.ports import Blobs, Clock, Pins, Store, Unit

_ALL = 1_000_000
AGREEING = 2
"""So many photos must be strongly like somebody else's before both are frozen."""


@dataclass(frozen=True, slots=True)
class Office:
    """Where faces are enrolled: everything that the steps below need."""

    store: Store
    blobs: Blobs
    pins: Pins
    clock: Clock
    decode: Callable[[bytes], Media]
    models: Sequence[FaceModel]
    policy: Policy
    live: LiveIndexes
    """This process's indexes, asked whether somebody else has enrolled the same face."""
    signed: Callable[[str, bytes, str], bool]
    """Whether a signature of a statement was made by a public key (key, statement, signature)."""
    partners: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Public keys of the organisations that may vouch, by their names."""
    years: int = YEARS
    text: str = FACE_TEXT
    """The version of the consent text that is shown now."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a request. Case number, PIN and recovery code: for a new person, once."""

    enrolment: EnrolmentId
    state: EnrolmentState
    outcomes: tuple[Outcome, ...]
    case_number: str | None = None
    pin: str | None = field(default=None, repr=False)
    recovery: str | None = field(default=None, repr=False)


class PhotosRefused(Invalid):
    """Too few of the photos can be used; ``outcomes`` say of each what to do about it."""

    code = "photos_refused"

    def __init__(self, message: str, outcomes: tuple[Outcome, ...]) -> None:
        super().__init__(message)
        self.outcomes = outcomes


def submit(
    office: Office,
    person: PersonId | None,
    photos: Iterable[tuple[str, bytes]],
    *,
    consented_to: str,
    voucher: Voucher | None = None,
    actor: str = "person",
    least: int = LEAST,
    message: bytes | None = None,
) -> Submitted:
    """Ask for a face to be recognised. ``person`` is None for somebody new.

    ``consented_to`` is the version of the text that the person was shown and explicitly agreed
    to, for templates alone. Photos are (name, bytes); they are kept nowhere. ``message`` stands
    for what her device sent (``answer_again``): sent twice it is one request. Raises
    ``PhotosRefused`` with what to do, ``Invalid`` for another text than today's, ``Denied`` for a
    voucher that proves nothing.
    """
    if not office.models:
        raise Misconfigured("no face pack is configured here; name one in CONSENTRY_FACES")
    if consented_to != office.text:
        raise Invalid(f"the consent text shown today is {office.text}; show it and ask again")
    bodies = list(photos)
    if len(bodies) > MOST:
        raise Invalid(f"an enrolment takes {LEAST} to {MOST} photos, not {len(bodies)}")
    batches, outcomes = _templates(office, bodies, least)
    if voucher is not None:
        _prove(office, voucher, [body for _, body in bodies])
    now = office.clock()
    given = new_credentials() if person is None else None
    digest = office.pins.digest(given.pin) if given else ""
    consent = Consent(Purpose.FACE, consented_to).to(ConsentState.GIVEN, now)
    closed: list[MediaId] = []
    with office.store.transaction() as unit:
        told = answered_in(unit, office.clock, message)
        if told is not None:
            return _submitted(told)
        unit.enrolments.alone()
        if given is not None:
            person = join(unit, given, digest, consent)
        assert person is not None
        if not unit.registry.hold(person):
            raise Conflict("this person has left; nothing of hers may be added")
        unit.registry.put_consent(person, consent)
        if voucher is not None and not unit.enrolments.use_voucher(voucher.digest, now):
            raise Denied("this voucher was used before; ask the organisation for a new one")
        for earlier in unit.enrolments.of(person):
            if earlier.state is EnrolmentState.PENDING:
                end(unit, earlier, EnrolmentState.REPLACED, now)
        enrolment = Enrolment(
            id=EnrolmentId(uuid7(now, secrets.token_bytes(10))),
            person=person,
            state=EnrolmentState.PENDING,
            photos=len(batches[0]),
            spaces=tuple(one.space.key for one in batches),
            text_version=consented_to,
            asked_at=now,
            expires_at=expiry(now, office.years),
            organisation=voucher.organisation if voucher else None,
        )
        unit.enrolments.add(enrolment, unit.vault.seal(person, SEALED, pack_all(batches)))
        rival = _rival(office, unit, enrolment, batches)
        if rival is not None:
            enrolment = freeze_both(unit, enrolment, rival, now)
        elif voucher is not None:
            enrolment, closed = enforce(unit, enrolment, now)
        keep_asking(unit, (person,), now)
        # After the change log: whoever takes both locks takes that one first.
        unit.audit.append(
            actor,
            "enrolment.asked",
            f"enrolment:{enrolment.id}",
            {"photos": enrolment.photos, "consent": consented_to},
        )
        if enrolment.state is EnrolmentState.APPROVED and voucher is not None:
            vouched = f"organisation:{voucher.organisation}"
            unit.audit.append(vouched, "enrolment.approved", f"enrolment:{enrolment.id}", {})
        done = Submitted(
            enrolment.id,
            enrolment.state,
            outcomes,
            given.case_number if given else None,
            given.pin if given else None,
            given.recovery if given else None,
        )
        keep(
            unit, office.clock, person, message, {**asdict(done), "enrolment": str(done.enrolment)}
        )
    for medium in closed:
        office.blobs.destroy(medium)
    return done


def submitted(store: Store, clock: Clock, message: bytes) -> Submitted | None:
    """What was answered to this message already, where its answer may have been lost."""
    earlier = answered(store, clock, message)
    return None if earlier is None else _submitted(earlier)


def _submitted(answer: Answer) -> Submitted:
    told = dict(answer)
    enrolment, state = EnrolmentId(UUID(told.pop("enrolment"))), EnrolmentState(told.pop("state"))
    outcomes = tuple(Outcome(**outcome) for outcome in told.pop("outcomes"))
    return Submitted(enrolment, state, outcomes, **told)


def approve(office: Office, enrolment: EnrolmentId, reason: str, *, by: ReviewerId) -> Enrolment:
    """A verifier has made sure that the face is the person's own; from now on it counts.

    If somebody else has enrolled the same face meanwhile, both are frozen instead. Approving a
    frozen one says that the verifier has looked: it counts again, and the other one stays frozen
    until somebody decides about it, too. Raises ``LeaseLost`` while another verifier is at it.
    """
    now = office.clock()
    with office.store.transaction() as unit:
        unit.enrolments.alone()
        found = _held(unit, enrolment)
        found.to(EnrolmentState.APPROVED)
        if found.state is EnrolmentState.PENDING:
            rival = _rival(office, unit, found, _batches(office, unit, found))
            if rival is not None:
                return freeze_both(unit, found, rival, now)
        return _say(unit, found, Verdict(State.UPHELD, Ground.OWN_FACE, reason, by, now))


def refuse(
    office: Office,
    enrolment: EnrolmentId,
    reason: str,
    *,
    by: ReviewerId,
    ground: Ground = Ground.UNPROVEN,
) -> Enrolment:
    """It is not the person's own face, or nobody could make sure: its templates are destroyed."""
    now = office.clock()
    with office.store.transaction() as unit:
        unit.enrolments.alone()
        found = _held(unit, enrolment)
        found.to(EnrolmentState.REFUSED)
        return _say(unit, found, Verdict(State.DISMISSED, ground, reason, by, now))


def look_again(office: Office, case: CaseId, token: UUID) -> None:
    """Before a verifier's yes: has somebody else enrolled the same face meanwhile?

    Then both are frozen, the verifier keeps the case, and ``Conflict`` says so. Raises
    ``LeaseLost`` for anybody who does not hold the case.
    """
    now, alike = office.clock(), False
    with office.store.transaction() as unit:
        unit.enrolments.alone()
        locked(unit, case).renew(token, now)  # proves the lease; not saved
        found = unit.enrolments.of_case(case)
        if found is not None and found.state is EnrolmentState.PENDING:
            rival = _rival(office, unit, found, _batches(office, unit, found))
            if rival is not None:
                freeze_both(unit, found, rival, now)
                alike = True
    if alike:
        raise Conflict(
            "somebody else has enrolled what looks like the same face; both are frozen now and"
            " neither counts until you have decided about each"
        )


def renew(
    office: Office, person: PersonId, *, consented_to: str, actor: str = "person"
) -> Enrolment:
    """A person says that her enrolment shall go on; asked for from 60 days before its end.

    One that waits beside an earlier one, which counts until then, goes on with it. Returns the
    newest; raises ``NotFound`` when there is nothing that could go on.
    """
    if consented_to != office.text:
        raise Invalid(f"the consent text shown today is {office.text}; show it and ask again")
    now = office.clock()
    with office.store.transaction() as unit:
        unit.enrolments.alone()
        going = [one for one in unit.enrolments.of(person) if NEXT[one.state]]
        if not going or not unit.registry.hold(person):
            raise NotFound("there is no enrolment that could go on; enrol anew")
        until = expiry(now, office.years)
        renewed = [replace(one, text_version=consented_to, expires_at=until) for one in going]
        for one in renewed:
            unit.enrolments.save(one)
        unit.registry.put_consent(
            person, Consent(Purpose.FACE, consented_to).to(ConsentState.GIVEN, now)
        )
        for one in renewed:
            unit.audit.append(
                actor, "enrolment.renewed", f"enrolment:{one.id}", {"consent": consented_to}
            )
    return renewed[0]


def expire(store: Store, blobs: Blobs, clock: Clock, limit: int = 100) -> int:
    """Destroy the templates of everybody whose consent has run out; how many enrolments ended."""
    now = clock()
    with store.transaction() as unit:
        due = unit.enrolments.due(now, limit)
    for one in due:
        with store.transaction() as unit:
            unit.enrolments.alone()
            found = unit.enrolments.get(one.id)
            if found is None or not NEXT[found.state] or found.expires_at > now:
                continue
            closed = end(unit, found, EnrolmentState.EXPIRED, now, reason="the consent ran out")
            keep_asking(unit, (found.person,), now)
            unit.audit.append("service:worker", "enrolment.expired", f"enrolment:{one.id}", {})
        for medium in closed:
            blobs.destroy(medium)
    return len(due)


def take_back(store: Store, blobs: Blobs, clock: Clock, person: PersonId) -> int:
    """A person wants her face looked for no more: its templates are destroyed at once.

    How many enrolments ended; 0 when there was none that still counted.
    """
    now, closed = clock(), list[MediaId]()
    with store.transaction() as unit:
        unit.enrolments.alone()
        # The lock waits for every screening that holds her: none can join a case any more.
        if not unit.registry.lock(person) or not unit.registry.hold(person):
            raise Conflict("everything in this case is being withdrawn already")
        going = [one for one in unit.enrolments.of(person) if NEXT[one.state]]
        for one in going:
            closed += end(unit, one, EnrolmentState.EXPIRED, now, reason="taken back")
        keep_asking(unit, (person,), now)
        for one in going:
            unit.audit.append("person", "enrolment.taken_back", f"enrolment:{one.id}", {})
        ended = len(going)
    for medium in closed:
        blobs.destroy(medium)
    return ended


def waiting(store: Store, limit: int = 200) -> list[Enrolment]:
    """What verifiers must decide about: frozen ones first, then the oldest."""
    with store.transaction() as unit:
        return unit.enrolments.waiting(limit)


def of_person(store: Store, person: PersonId) -> list[Enrolment]:
    """A person's enrolments, newest first."""
    with store.transaction() as unit:
        return unit.enrolments.of(person)


def _templates(
    office: Office, bodies: Sequence[tuple[str, bytes]], least: int
) -> tuple[list[Signals], tuple[Outcome, ...]]:
    """A batch a pack with one template a good photo; raises ``PhotosRefused``."""
    outcomes, frames, faces = [], [], []
    seen_before = set[bytes]()
    for name, body in bodies:
        digest = hashlib.sha256(body).digest()
        if digest in seen_before:
            outcomes.append(Outcome(name, quality.TWICE))
            continue
        seen_before.add(digest)
        try:
            frame = office.decode(body).frames[0]
        except Refused as refused:
            outcomes.append(Outcome(name, refused.message))
            continue
        seen = office.models[0].templates([frame])[0]
        problem = quality.problem([_sight(face) for face in seen])
        outcomes.append(Outcome(name, problem))
        if problem is None:
            frames.append(frame)
            faces.append(seen[0])
    _enough(outcomes, least)
    batches = [_batch(office.models[0], faces)]
    names = [outcome.name for outcome in outcomes if outcome.problem is None]
    for model in office.models[1:]:
        every = [found[0] if len(found) else None for found in model.templates(frames)]
        some = [face for face in every if face is not None]
        if len(some) >= least:
            batches.append(_batch(model, some))
    review = office.policy.faces.thresholds[office.models[0].space.name].review
    strangers = {names[at] for at in quality.outsiders(batches[0].codes, review)}
    if strangers:
        said = tuple(
            Outcome(
                one.name, "this does not look like the person in the other photos: leave it out"
            )
            if one.name in strangers
            else one
            for one in outcomes
        )
        raise PhotosRefused(f"the photos do not show one and the same person{_why(said)}", said)
    return batches, tuple(outcomes)


def _enough(outcomes: Sequence[Outcome], least: int) -> None:
    good = sum(outcome.problem is None for outcome in outcomes)
    if good < least:
        raise PhotosRefused(
            f"{least} good photos are needed, {good} of these can be used{_why(outcomes)}",
            tuple(outcomes),
        )


def _why(outcomes: Sequence[Outcome]) -> str:
    reasons = "; ".join(f"{one.name}: {one.problem}" for one in outcomes if one.problem)
    return f" ({reasons})" if reasons else ""


def _sight(face: Face) -> Sight:
    seen = face.looks
    return Sight(seen.size, seen.brightness, seen.sharpness, seen.turned)


def _batch(model: FaceModel, faces: Sequence[Face]) -> Signals:
    return signals_of(model.space, [(face, WHOLE) for face in faces])


def _prove(office: Office, voucher: Voucher, bodies: Sequence[bytes]) -> None:
    """Raise ``Denied`` unless a known organisation has signed for these very photos, lately."""
    key = office.partners.get(voucher.organisation)
    if key is None:
        known = ", ".join(sorted(office.partners)) or "none"
        raise Denied(
            f"no organisation {voucher.organisation!r} may vouch here; there are: {known}."
            " An operator names them in CONSENTRY_VOUCHERS_FILE"
        )
    if not office.signed(key, voucher.statement(), voucher.signature):
        raise Denied("the voucher's signature does not hold; ask the organisation for a new one")
    age = office.clock() - voucher.issued_at
    if not timedelta(minutes=-5) <= age <= vouchers.LONGEST:
        raise Denied("the voucher is too old, or from the future; ask for a new one")
    if voucher.photos != vouchers.digests(bodies):
        raise Denied("the voucher is for other photos; enrol exactly those that it names")


def _rival(
    office: Office, unit: Unit, own: Enrolment, batches: Sequence[Signals]
) -> tuple[Enrolment, str] | None:
    """Somebody else's enrolment of what looks like the same face, and how alike, in words."""
    office.live.catch_up()
    needed = min(AGREEING, own.photos)
    best: tuple[float, Enrolment, str] | None = None
    for signals in batches:
        model = next(one for one in office.models if one.space.key == signals.space.key)
        strong = office.policy.faces.thresholds[signals.space.name].strong
        for other, cosine in (
            *_in_force(office, unit, signals, strong, needed),
            *_sealed_away(unit, signals, strong, needed),
        ):
            if other.person != own.person and (best is None or cosine > best[0]):
                best = (cosine, other, model.words(cosine))
    return best and best[1:]


def _in_force(
    office: Office, unit: Unit, signals: Signals, strong: float, needed: int
) -> Iterator[tuple[Enrolment, float]]:
    hits = office.live.search(signals.space, signals.codes, strong)
    owners = unit.registry.owners({entry_of(int(label)) for label in hits.label})
    photos: dict[ItemId, set[int]] = defaultdict(set)
    nearest: dict[ItemId, float] = defaultdict(lambda: -1.0)
    for query, label, cosine in zip(hits.query, hits.label, hits.distance, strict=True):
        owner = owners.get(entry_of(int(label)))
        if owner is not None and owner.bank == FACES:
            photos[owner.item].add(int(query))
            nearest[owner.item] = max(nearest[owner.item], float(cosine))
    for item, rows in photos.items():
        found = unit.enrolments.of_item(item) if len(rows) >= needed else None
        if found is not None:
            yield found, nearest[item]


def _sealed_away(
    unit: Unit, signals: Signals, strong: float, needed: int
) -> Iterator[tuple[Enrolment, float]]:
    """The same among enrolments that no index holds: pending and frozen ones."""
    for other in unit.enrolments.waiting(_ALL):
        for key, packed in templates_of(unit, other):
            if key != signals.space.key:
                continue
            cosines = signals.codes @ unpack(signals.space, packed)[2].T
            alike = (cosines >= strong).any(axis=1)
            if int(alike.sum()) >= needed:
                yield other, float(cosines.max())


def _batches(office: Office, unit: Unit, enrolment: Enrolment) -> list[Signals]:
    """An enrolment's templates in the packs that are configured now."""
    spaces = {model.space.key: model.space for model in office.models}
    found = []
    for key, packed in templates_of(unit, enrolment):
        if key in spaces:
            slots, told, codes = unpack(spaces[key], packed)
            found.append(Signals(spaces[key], codes, told, (WHOLE,) * len(slots)))
    return found


def _held(unit: Unit, enrolment: EnrolmentId) -> Enrolment:
    found = unit.enrolments.get(enrolment)
    if found is None or not unit.registry.hold(found.person):
        raise NotFound("there is no such enrolment (any more); its person may have left")
    return found


def _say(unit: Unit, found: Enrolment, verdict: Verdict) -> Enrolment:
    """A verifier's word that was not given at the console decides the enrolment's case as one."""
    if not verdict.reason.strip():
        raise Invalid("a verifier's word needs a reason; write in a sentence how you made sure")
    keep_asking(unit, (found.person,), verdict.at)
    waits = _held(unit, found.id)
    if waits.case is None:
        raise Conflict("this enrolment waits for nobody's word")
    if unit.cases.excluded(waits.case, verdict.reviewer):
        raise Denied("this enrolment is for another verifier; leave it to them")
    token = uuid4()
    say_whose(
        unit, locked(unit, waits.case).claim(verdict.reviewer, token, verdict.at), token, verdict
    )
    return _held(unit, found.id)
