"""A case ends by a person who holds its lease, once, and only upholding makes a takedown."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pipeline.domain.case import (
    GROUNDS,
    LEASE,
    NEXT,
    OF_ENROLMENTS,
    UNDECIDED,
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
from pipeline.domain.ids import CaseId, EntryId, PlatformId, ReviewerId, ScreeningId
from pipeline.errors import ConsentryError, IllegalTransition, Invalid, LeaseLost

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANNA, BERTA = (ReviewerId(UUID(int=number)) for number in (1, 2))
TOKEN, OTHER = UUID(int=11), UUID(int=12)
DECIDED = sorted(set(State) - UNDECIDED)
RIGHT = {
    State.UPHELD: Ground.MATCH,
    State.DISMISSED: Ground.WRONG_MATCH,
    State.ESCALATED: Ground.UNSURE,
    State.FROZEN: Ground.POSSIBLE_MINOR,
    State.REPORTED: Ground.APPARENT_MINOR,
    State.OPEN: Ground.ADULT,
    State.STANDS: Ground.DECISION_RIGHT,
    State.OVERTURNED: Ground.DECISION_WRONG,
}


def make_upload(number=1, platform=1, fingerprint=None):
    return CaseUpload(
        ScreeningId(UUID(int=1000 + number)),
        PlatformId(UUID(int=platform)),
        f"post-{number}",
        fingerprint or bytes((number,)) * 32,
    )


def make_case(state=State.OPEN, uploads=None, hits=None, claimed_by=None, **changes):
    uploads = (make_upload(),) if uploads is None else tuple(uploads)
    if hits is None:
        hits = tuple((upload.screening, EntryId(1)) for upload in uploads)
    case = Case(CaseId(UUID(int=9)), NOON, state, uploads=uploads, hits=tuple(hits), **changes)
    return case.claim(claimed_by, TOKEN, NOON) if claimed_by else case


def decide(case, to, token=TOKEN, ground=None, reason="It is the same picture.", now=NOON):
    made = decided(case, to, token, ground or RIGHT[to], reason, now)
    return made[0] if isinstance(made, tuple) else made


def decided(case, to, token, ground, reason, now):
    """A decision with all that it brings about."""
    if to is State.OVERTURNED:
        return case.overturn(token, ground, reason, now, State.UPHELD)
    verb = {
        State.UPHELD: case.uphold,
        State.DISMISSED: case.dismiss,
        State.ESCALATED: case.escalate,
        State.FROZEN: case.freeze,
        State.REPORTED: case.report,
        State.OPEN: case.unfreeze,
        State.STANDS: case.stand,
    }[to]
    return verb(token, ground, reason, now)


# --- random lives -------------------------------------------------------------------------------

REVIEWERS = st.sampled_from([ReviewerId(UUID(int=number)) for number in range(1, 4)])
LENGTHS = st.sampled_from([timedelta(seconds=30), timedelta(minutes=5), LEASE])
DECISIONS = st.sampled_from(sorted(GROUNDS))


class Life(RuleBasedStateMachine):
    """A case under several reviewers and a moving clock, beside a plain account of who holds it."""

    @initialize(
        uploads=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=5),
        pairs=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=1, max_size=8),
    )
    def open(self, uploads, pairs):
        self.now = NOON
        made = tuple(
            make_upload(number, platform, bytes((content,)) * 32)
            for number, (platform, content) in enumerate(uploads)
        )
        hits = tuple(
            dict.fromkeys((made[at % len(made)].screening, EntryId(entry)) for at, entry in pairs)
        )
        self.case = make_case(uploads=made, hits=hits)
        self.tokens = []
        self.holder = None  # (reviewer, token, until), by our own account
        self.moved = False

    def held(self):
        return self.holder is not None and self.now < self.holder[2]

    def step(self, after):
        before = self.case
        if after.state is not before.state:
            assert after.state in NEXT[before.state]
        assert (after.id, after.opened_at, after.uploads) == (
            before.id,
            before.opened_at,
            before.uploads,
        )
        if before.state not in UNDECIDED:
            assert replace(after, hits=before.hits) == before
        self.case = after

    def some_token(self, pick):
        return self.tokens[pick % len(self.tokens)] if self.tokens else OTHER

    @rule(seconds=st.sampled_from([1, 29, 30, 299, 300, 600]))
    def time_passes(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(reviewer=REVIEWERS, length=LENGTHS)
    def somebody_claims(self, reviewer, length):
        token = UUID(int=5000 + len(self.tokens))
        try:
            after = self.case.claim(reviewer, token, self.now, length)
        except IllegalTransition:
            assert self.case.state not in UNDECIDED
        except LeaseLost:
            assert self.held()
            assert self.holder[0] != reviewer
        else:
            assert not self.held() or self.holder[0] == reviewer
            self.tokens.append(token)
            self.holder = (reviewer, token, self.now + length)
            self.step(after)

    @rule(pick=st.integers(0, 20), length=LENGTHS)
    def somebody_renews(self, pick, length):
        token = self.some_token(pick)
        try:
            after = self.case.renew(token, self.now, length)
        except ConsentryError:
            assert not (self.held() and self.holder[1] == token)
        else:
            assert self.held()
            assert self.holder[1] == token
            self.holder = (*self.holder[:2], self.now + length)
            self.step(after)

    @rule(pick=st.integers(0, 20))
    def somebody_gives_it_back(self, pick):
        token = self.some_token(pick)
        try:
            after = self.case.release(token, self.now)
        except ConsentryError:
            assert not (self.held() and self.holder[1] == token)
        else:
            assert self.held()
            assert self.holder[1] == token
            self.holder = None
            self.step(after)

    @rule(
        pick=st.integers(0, 20),
        to=DECISIONS,
        ground=st.sampled_from(Ground) | st.none(),
        reason=st.sampled_from(["It is the same picture.", " ", ""]),
    )
    def somebody_decides(self, pick, to, ground, reason):
        token, ground = self.some_token(pick), ground or RIGHT[to]
        case, held = self.case, self.held() and self.holder[1] == self.some_token(pick)
        allowed = to in NEXT[case.state] and held and ground in case.grounds(to) and reason.strip()
        try:
            made = decided(case, to, token, ground, reason, self.now)
            after, follows = made if isinstance(made, tuple) else (made, None)
            if to in (State.UPHELD, State.REPORTED):
                self.takedowns_cover_all(follows, after)
            elif to is State.DISMISSED:
                self.dismissals_are_the_hits(follows)
            else:
                assert not follows
        except ConsentryError:
            assert not allowed
        else:
            assert allowed
            expected = Verdict(to, ground, "It is the same picture.", self.holder[0], self.now)
            assert after.verdict == (None if to is State.OPEN else expected)
            assert after.lease is None
            self.holder = None
            self.step(after)

    def takedowns_cover_all(self, made, after):
        platforms = [takedown.platform for takedown in made]
        assert sorted(platforms, key=str) == sorted({u.platform for u in after.uploads}, key=str)
        covered = [upload for takedown in made for upload in takedown.uploads]
        assert sorted(covered, key=lambda u: u.screening) == sorted(
            after.uploads, key=lambda u: u.screening
        )
        for takedown in made:
            assert {upload.platform for upload in takedown.uploads} == {takedown.platform}
            assert (takedown.case, takedown.verdict) == (after.id, after.verdict)

    def dismissals_are_the_hits(self, made):
        prints = {upload.screening: upload.fingerprint for upload in self.case.uploads}
        pairs = [(one.fingerprint, one.entry) for one in made]
        assert set(pairs) == {(prints[screening], entry) for screening, entry in self.case.hits}
        assert len(pairs) == len(set(pairs))

    @rule(withdrawn=st.frozensets(st.integers(1, 4), max_size=3))
    def somebody_withdraws(self, withdrawn):
        before = self.case
        after = before.without_entries(frozenset(EntryId(entry) for entry in withdrawn))
        assert set(after.hits) == {pair for pair in before.hits if pair[1] not in withdrawn}
        if before.state is State.FROZEN:
            assert after.state is State.FROZEN, "the law's hold beats erasure"
        elif before.state in UNDECIDED:
            assert (after.state is State.WITHDRAWN) == (not after.hits)
            if after.state is State.WITHDRAWN:
                self.holder = None
        self.step(after)

    @invariant()
    @precondition(lambda self: hasattr(self, "case"))
    def the_lease_is_the_one_that_our_account_knows(self):
        lease = self.case.lease
        in_force = lease is not None and lease.holds(self.now)
        assert in_force == self.held()
        if lease is not None and in_force:
            assert (lease.reviewer, lease.token, lease.until) == self.holder

    @invariant()
    @precondition(lambda self: hasattr(self, "case"))
    def a_decided_case_has_no_lease_and_an_upheld_or_dismissed_one_has_its_verdict(self):
        if self.case.state not in UNDECIDED:
            assert self.case.lease is None
        if self.case.state in GROUNDS and self.case.state is not State.OPEN:
            assert self.case.verdict is not None
            assert self.case.verdict.state is self.case.state


TestTheLifeOfACase = Life.TestCase
TestTheLifeOfACase.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)


# --- the tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), sorted(product(State, GROUNDS)))
def test_only_transitions_that_stand_in_the_table_can_be_taken(before, after):
    case = make_case(before)
    if before is State.PARKED:  # a lead's word comes first; until then nobody holds or decides it
        with pytest.raises(IllegalTransition, match="waits for a lead's word"):
            case.claim(ANNA, TOKEN, NOON)
        with pytest.raises(IllegalTransition, match=r"is parked|waits for a lead's word"):
            decide(case, after)
        return
    case = case.claim(ANNA, TOKEN, NOON) if before in UNDECIDED else case
    if after in NEXT[before]:
        assert decide(case, after).state is after
    else:
        with pytest.raises(IllegalTransition, match=f"this case is {before}"):
            decide(case, after)


def test_every_state_stands_in_the_table_and_every_ending_is_final():
    assert set(NEXT) == set(State)
    assert {State.OPEN, State.PARKED, State.ESCALATED, State.FROZEN} == UNDECIDED
    assert not any(NEXT[state] for state in DECIDED)


def test_no_ground_serves_two_decisions_and_every_ground_serves_one():
    listed = [ground for grounds in GROUNDS.values() for ground in grounds]
    assert sorted(listed) == sorted(Ground)


def ready_for(to):
    """A claimed case in a state from which a decision can be taken."""
    frozen = to in (State.OPEN, State.REPORTED)
    return make_case(State.FROZEN if frozen else State.OPEN, claimed_by=ANNA)


@pytest.mark.parametrize(("to", "ground"), sorted(product(GROUNDS, Ground)))
def test_a_decision_takes_only_the_grounds_that_belong_to_it(to, ground):
    case = ready_for(to)
    if ground in GROUNDS[to] and ground not in OF_ENROLMENTS:
        after = decide(case, to, ground=ground)
        assert after.state is to
        assert to is State.OPEN or after.verdict.ground is ground
    else:
        with pytest.raises(Invalid, match="the grounds are"):
            decide(case, to, ground=ground)


@pytest.mark.parametrize("kind", CaseKind)
def test_whose_face_it_is_is_said_of_enrolments_and_of_nothing_else(kind):
    case = make_case(kind=kind, claimed_by=ANNA)
    for to in (State.UPHELD, State.DISMISSED):
        of_faces = case.grounds(to) & OF_ENROLMENTS
        assert of_faces == (case.grounds(to) if kind is CaseKind.ENROLMENT else set())


@pytest.mark.parametrize("reason", ["", " ", "\n\t "])
@pytest.mark.parametrize("to", sorted(GROUNDS))
def test_a_decision_needs_a_reason_in_words(to, reason):
    with pytest.raises(Invalid, match="reason in words"):
        decide(ready_for(to), to, reason=reason)


def test_the_verdict_names_the_reviewer_who_held_the_lease():
    decided = decide(make_case(claimed_by=BERTA), State.UPHELD, reason="  The same. ")
    assert decided.verdict == Verdict(State.UPHELD, Ground.MATCH, "The same.", BERTA, NOON)


# --- the lease ----------------------------------------------------------------------------------


def test_nobody_else_can_claim_a_case_while_a_lease_holds():
    with pytest.raises(LeaseLost, match="take the next one"):
        make_case(claimed_by=ANNA).claim(BERTA, OTHER, NOON + LEASE - timedelta(seconds=1))


def test_anybody_can_take_over_at_the_moment_a_lease_runs_out():
    taken = make_case(claimed_by=ANNA).claim(BERTA, OTHER, NOON + LEASE)
    assert taken.lease.reviewer == BERTA
    with pytest.raises(LeaseLost, match="claim it again"):
        decide(taken, State.UPHELD, now=NOON + LEASE)


def test_claiming_again_makes_the_first_token_worthless():
    again = make_case(claimed_by=ANNA).claim(ANNA, OTHER, NOON)
    with pytest.raises(LeaseLost):
        again.renew(TOKEN, NOON)
    assert again.renew(OTHER, NOON).lease.token == OTHER


@pytest.mark.parametrize("to", sorted(GROUNDS))
def test_nobody_decides_after_the_lease_has_run_out(to):
    with pytest.raises(LeaseLost):
        decide(ready_for(to), to, now=NOON + LEASE)


@pytest.mark.parametrize("to", sorted(GROUNDS))
def test_nobody_decides_an_unclaimed_case(to):
    with pytest.raises(LeaseLost):
        decide(replace(ready_for(to), lease=None), to)


@pytest.mark.parametrize("state", DECIDED)
def test_a_decided_case_can_neither_be_claimed_nor_worked_on(state):
    case = make_case(state)
    for attempt in (
        lambda: case.claim(ANNA, TOKEN, NOON),
        lambda: case.renew(TOKEN, NOON),
        lambda: case.release(TOKEN, NOON),
    ):
        with pytest.raises(IllegalTransition, match=f"this case is {state}"):
            attempt()


def test_escalating_ends_the_lease_so_that_somebody_senior_can_claim():
    escalated = decide(make_case(claimed_by=ANNA), State.ESCALATED)
    assert escalated.claim(BERTA, OTHER, NOON).lease.reviewer == BERTA


# --- takedowns ----------------------------------------------------------------------------------


def uphold(*uploads):
    return make_case(uploads=uploads, claimed_by=ANNA).uphold(
        TOKEN, Ground.MATCH, "The same.", NOON
    )


def test_upholding_makes_one_takedown_a_platform_with_all_its_uploads():
    first, second, third = make_upload(1, 1), make_upload(2, 2), make_upload(3, 1)
    case, takedowns = uphold(first, second, third)
    told = {takedown.platform: takedown.uploads for takedown in takedowns}
    assert told == {first.platform: (first, third), second.platform: (second,)}
    assert len(takedowns) == 2
    assert {takedown.verdict for takedown in takedowns} == {case.verdict}


@pytest.mark.parametrize("made_by", [None, object(), "Case.uphold", True])
def test_software_cannot_make_a_takedown(made_by):
    case, (real,) = uphold(make_upload())
    with pytest.raises(TypeError, match="a person decides"):
        Takedown(case.id, real.platform, real.uploads, real.verdict, made_by)


def test_a_takedown_cannot_be_made_without_saying_who_made_it():
    case, (real,) = uphold(make_upload())
    with pytest.raises(TypeError):
        Takedown(case.id, real.platform, real.uploads, real.verdict)


def test_a_takedown_cannot_be_changed_after_it_was_made():
    _, (real,) = uphold(make_upload())
    with pytest.raises(FrozenInstanceError):
        real.platform = PlatformId(UUID(int=2))


def test_a_takedown_cannot_be_turned_into_one_for_another_case():
    _, (real,) = uphold(make_upload())
    with pytest.raises((TypeError, ValueError)):  # which, depends on Python's version
        replace(real, case=CaseId(UUID(int=10)))


def test_no_other_decision_makes_a_takedown():
    _, dismissals = make_case(claimed_by=ANNA).dismiss(
        TOKEN, Ground.CONSENTED, "She posted it herself.", NOON
    )
    assert {type(made) for made in dismissals} == {Dismissal}
    escalated = make_case(claimed_by=ANNA).escalate(TOKEN, Ground.UNSURE, "Not sure.", NOON)
    assert isinstance(escalated, Case)


def test_the_same_bytes_uploaded_twice_are_dismissed_once_for_each_entry():
    one, again = make_upload(1, 1, b"same" * 8), make_upload(2, 2, b"same" * 8)
    case = make_case(
        uploads=(one, again),
        hits=[(one.screening, EntryId(1)), (again.screening, EntryId(1))],
        claimed_by=ANNA,
    )
    _, dismissals = case.dismiss(TOKEN, Ground.WRONG_MATCH, "Another room.", NOON)
    assert dismissals == (Dismissal(b"same" * 8, EntryId(1)),)


# --- withdrawal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.OPEN, State.ESCALATED])
def test_a_case_closes_when_all_it_rests_on_was_withdrawn_even_while_claimed(state):
    closed = make_case(state, claimed_by=ANNA).without_entries(frozenset({EntryId(1)}))
    assert (closed.state, closed.hits, closed.lease) == (State.WITHDRAWN, (), None)
    assert closed.verdict is None
    with pytest.raises(IllegalTransition):
        decide(closed, State.UPHELD)


def test_a_case_that_rests_on_somebody_else_too_stays_with_its_reviewer():
    upload = make_upload()
    both = [(upload.screening, EntryId(1)), (upload.screening, EntryId(2))]
    case = make_case(uploads=(upload,), hits=both, claimed_by=ANNA)
    left = case.without_entries(frozenset({EntryId(1)}))
    assert (left.state, left.lease, left.hits) == (State.OPEN, case.lease, (both[1],))


@pytest.mark.parametrize("state", DECIDED)
def test_what_was_decided_stays_decided_after_a_withdrawal(state):
    assert make_case(state).without_entries(frozenset({EntryId(1)})).state is state


def test_a_frozen_case_is_kept_when_all_it_rests_on_was_withdrawn():
    case = make_case(State.FROZEN, claimed_by=ANNA)
    kept = case.without_entries(frozenset({EntryId(1)}))
    assert (kept.state, kept.hits, kept.lease) == (State.FROZEN, (), case.lease)


# --- decisions that can be undone ---------------------------------------------------------------

PAUSE = timedelta(seconds=10)


def hold(case, to=State.UPHELD, reason="It is the same picture.", **more):
    return case.hold(to, TOKEN, RIGHT[to], reason, NOON, PAUSE, **more)


def test_a_held_decision_has_no_effect_yet_and_nobody_can_take_the_case():
    held = hold(make_case(claimed_by=ANNA))
    assert (held.state, held.verdict, held.lease) == (State.OPEN, None, None)
    assert held.pending.until == NOON + PAUSE
    for reviewer in (ANNA, BERTA):
        with pytest.raises(LeaseLost, match="just decided"):
            held.claim(reviewer, OTHER, NOON)


def test_whoever_decided_can_undo_until_the_pause_ends_and_nobody_else_ever():
    held = hold(make_case(claimed_by=ANNA))
    with pytest.raises(IllegalTransition, match="taken effect"):
        held.undo(BERTA, OTHER, NOON)
    with pytest.raises(IllegalTransition, match="taken effect"):
        held.undo(ANNA, OTHER, NOON + PAUSE)
    back = held.undo(ANNA, OTHER, NOON + PAUSE - timedelta(seconds=1))
    assert (back.pending, back.lease.reviewer, back.lease.token) == (None, ANNA, OTHER)
    with pytest.raises(IllegalTransition):
        back.settle(OTHER, NOON + PAUSE)


def test_a_held_decision_settles_in_its_deciders_name_as_of_the_moment_it_was_made():
    held = hold(make_case(claimed_by=ANNA))
    with pytest.raises(IllegalTransition, match="due"):
        held.settle(OTHER, NOON)
    resumed, verdict = held.settle(OTHER, NOON + timedelta(hours=3))
    upheld, takedowns = resumed.uphold(OTHER, verdict.ground, verdict.reason, verdict.at)
    assert upheld.verdict == Verdict(
        State.UPHELD, Ground.MATCH, "It is the same picture.", ANNA, NOON
    )
    assert len(takedowns) == 1


@pytest.mark.parametrize("to", [State.OPEN, State.REPORTED, State.STANDS, State.OVERTURNED])
def test_what_a_case_does_not_ask_cannot_be_held(to):
    with pytest.raises(IllegalTransition):
        hold(make_case(claimed_by=ANNA), to)


def test_whatever_would_fail_later_is_refused_when_it_is_held():
    with pytest.raises(Invalid, match="reason in words"):
        hold(make_case(claimed_by=ANNA), reason=" ")
    assert hold(make_case(claimed_by=ANNA), reason=" ", wordless=True).pending.verdict.reason == ""
    with pytest.raises(LeaseLost):
        hold(make_case())


def test_a_held_decision_ends_when_all_that_the_case_rests_on_is_withdrawn():
    closed = hold(make_case(claimed_by=ANNA)).without_entries(frozenset({EntryId(1)}))
    assert (closed.state, closed.pending) == (State.WITHDRAWN, None)


# --- appeals and second looks -------------------------------------------------------------------


def test_overturning_a_dismissal_takes_down_and_overturning_an_upheld_case_does_not():
    appeal = make_case(claimed_by=ANNA, kind=CaseKind.APPEAL, about=CaseId(UUID(int=77)))
    for earlier, count in ((State.DISMISSED, 1), (State.UPHELD, 0)):
        _, takedowns = appeal.overturn(TOKEN, Ground.DECISION_WRONG, "It was.", NOON, earlier)
        assert len(takedowns) == count
        assert all(takedown.case == CaseId(UUID(int=77)) for takedown in takedowns)


def test_a_second_look_decides_nothing_and_a_real_case_is_never_merely_looked_at():
    look = make_case(claimed_by=ANNA, purpose=Purpose.SECOND_LOOK, about=CaseId(UUID(int=77)))
    assert look.opine(State.UPHELD, TOKEN, Ground.MATCH, "Same.", NOON).state is State.UPHELD
    with pytest.raises(IllegalTransition, match="to be decided"):
        make_case(claimed_by=ANNA).opine(State.UPHELD, TOKEN, Ground.MATCH, "Same.", NOON)


# --- what prints --------------------------------------------------------------------------------


def test_neither_tokens_nor_fingerprints_print():
    case, takedowns = uphold(make_upload(7))
    claimed = make_case(claimed_by=ANNA)
    shown = repr((claimed, case, takedowns, Dismissal(b"\7" * 32, EntryId(1))))
    assert str(TOKEN) not in shown
    assert repr(b"\7" * 32) not in shown
    assert "fingerprint" not in shown
    assert "made_by" not in shown
