"""The rules of the review desk on a real database, without any page."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pipeline.domain.case import CaseKind, Ground, Purpose, State
from pipeline.domain.house import OrderBy, Standing, rank
from pipeline.domain.ids import CaseId, ReviewerId
from pipeline.domain.roles import Role
from pipeline.errors import Conflict, Denied, IllegalTransition, LeaseLost, NotFound, Resting
from pipeline.journeys import appeal, golden, rest, review
from pipeline.journeys.report_minor import Reporter, prepare
from pipeline.journeys.retire_media import retire_due
from pipeline.journeys.review import Claim
from pipeline.journeys.withdraw import ask, finish
from services.wiring import alive
from tests.world import Town, jpeg, picture

EVERYBODY = (("open", "hash"),)


def state(town: Town, case: CaseId) -> str:
    return str(town.query("SELECT state FROM cases WHERE id = %s", case)[0][0])


def count(town: Town, table: str) -> int:
    return int(town.query(f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture
def make_case(town: Town) -> Callable[..., CaseId]:
    """Make cases, each of another registered picture."""
    boards: dict[str, object] = {}

    def make(seed: int = 1, platform: str = "board") -> CaseId:
        if platform not in boards:
            boards[platform] = town.platform(platform)
        town.register(jpeg(picture(seed)))
        case = town.screen(boards[platform], jpeg(picture(seed), 60)).case  # type: ignore[arg-type]
        assert case is not None
        town.clock.forward(seconds=1)
        return case

    return make


def take(town: Town, reviewer: ReviewerId, role: Role = Role.REVIEWER) -> Claim:
    claim = review.claim_next(town.world.desk, reviewer, role=role)
    assert claim is not None
    return claim


def decide(town: Town, claim: Claim, to: State, ground: Ground, reason: str = "Because.") -> None:
    review.decide(town.world.desk, claim.case, claim.token, to, ground, reason)


def settle(town: Town) -> int:
    town.clock.forward(seconds=11)
    return review.settle_due(town.world.desk)


# --- order and routing --------------------------------------------------------------------------


def test_the_database_ranks_cases_as_the_domain_does_in_every_order(town: Town) -> None:
    rng = random.Random(5)
    now = town.clock()
    cases: dict[CaseId, Standing] = {}
    with town.world.store.transaction() as unit:
        for _ in range(12):
            case = CaseId(uuid4())
            deadline = now + timedelta(hours=rng.choice([2, 30])) if rng.random() < 0.5 else None
            unit.cases.open(
                case, now - timedelta(minutes=rng.randrange(500)), kind=CaseKind.HASH,
                deadline=deadline, priority=rng.choice([-1, 0, 10]),
            )  # fmt: skip
            cases[case] = unit.cases.standing(case)[0]
    for _ in range(4):
        order = list(OrderBy)
        rng.shuffle(order)
        order = order[: order.index(OrderBy.AGE) + 1]
        town.rules(order=[key.value for key in order])
        expected = sorted(cases, key=lambda one: (*rank(cases[one], tuple(order)), one))
        stored = [row[0] for row in town.query("SELECT id FROM cases ORDER BY rank, id")]
        assert stored == expected
    town.query("UPDATE cases SET spread = 5, nearness = 0.6, severity = 3")
    found = town.query(
        'SELECT case_rank(c, \'["spread", "confidence", "severity"]\') FROM cases c LIMIT 1'
    )
    own = Standing(None, 0, 3, 5, 0.6, 0.0)
    keys = (OrderBy.SPREAD, OrderBy.CONFIDENCE, OrderBy.SEVERITY)
    assert tuple(found[0][0]) == rank(own, keys) == (-2, -3, -3)


def test_the_case_whose_deadline_runs_out_comes_first_and_queues_are_rules(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    old, other = make_case(1), make_case(2, "forum")
    urgent = CaseId(uuid4())
    with town.world.store.transaction() as unit:
        until = town.clock() + timedelta(hours=3)
        unit.cases.open(urgent, town.clock(), kind=CaseKind.NOTICE, deadline=until)
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    assert take(town, ada).case == urgent
    town.rules(queues=[{"name": "forums", "platforms": ["forum"]}])
    names = dict(town.query("SELECT id, queue FROM cases"))
    assert (names[old], names[other]) == ("main", "forums")
    claim = review.claim_next(town.world.desk, ben, queues=("forums",))
    assert claim is not None
    assert claim.case == other


def test_not_this_one_never_comes_back_to_whoever_said_so_and_opting_out_lasts_the_day(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    first, second = make_case(1), make_case(2)
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    claim = take(town, ada)
    assert claim.case == first
    review.skip(town.world.desk, first, claim.token)
    assert take(town, ada).case == second
    with pytest.raises(Denied, match="somebody else"):
        review.claim(town.world.desk, first, ada)
    rest.opt_out(town.world.desk, ben, CaseKind.HASH)
    assert review.claim_next(town.world.desk, ben) is None
    town.clock.forward(days=1)
    assert take(town, ben).case == first


# --- undo ---------------------------------------------------------------------------------------


def test_nothing_leaves_before_the_pause_ends_and_a_new_process_carries_out_what_was_decided(
    town: Town, make_town: Callable[..., Town], make_case: Callable[..., CaseId]
) -> None:
    case, ada = make_case(), town.reviewer("ada")
    claim = take(town, ada)
    decide(town, claim, State.UPHELD, Ground.MATCH, "")
    assert state(town, case) == "open"
    assert count(town, "events") == count(town, "takedowns") == count(town, "jobs") == 0
    with pytest.raises(LeaseLost, match="just decided"):
        review.claim(town.world.desk, case, town.reviewer("ben"))
    assert review.claim_next(town.world.desk, ada) is None
    back = review.undo(town.world.desk, case, ada)
    decide(town, back, State.UPHELD, Ground.MATCH, "On second thoughts, too.")
    assert review.settle_due(town.world.desk) == 0, "it is not due"
    made = town.clock()
    town.clock.forward(hours=2)
    with pytest.raises(IllegalTransition, match="taken effect"):
        review.undo(town.world.desk, case, ada)
    # Whoever was to settle it died; another process does.
    other = make_town("another")
    assert review.settle_due(other.world.desk) == 1
    assert review.settle_due(town.world.desk) == 0
    assert state(town, case) == "upheld"
    assert town.query("SELECT decided_at, reason FROM cases WHERE id = %s", case) == [
        (made, "On second thoughts, too.")
    ]
    assert count(town, "takedowns") == 1
    assert town.query("SELECT count(*) FROM entries WHERE source = 'upheld'")[0][0] > 0


def test_a_decision_that_waits_is_dropped_when_the_person_leaves_and_nothing_goes_out(
    town: Town,
) -> None:
    person = town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1), 60)).case
    assert case is not None
    decide(town, take(town, town.reviewer()), State.UPHELD, Ground.MATCH)
    receipt = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    finish(town.world.store, town.world.blobs, town.clock, alive, receipt, timedelta(0))
    settle(town)
    assert state(town, case) == "withdrawn"
    assert count(town, "takedowns") == 0


def test_clear_evidence_needs_no_words_and_weak_evidence_and_handing_on_do(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    case, ada = make_case(), town.reviewer()
    with town.world.store.transaction() as unit:
        found, rules = unit.cases.get(case), unit.house.rules()
    assert found is not None
    assert found.nearness > 0.5
    assert not review.wants_reason(rules, found, State.UPHELD)
    assert review.wants_reason(rules, replace(found, nearness=0.2), State.UPHELD)
    assert review.wants_reason(rules, found, State.ESCALATED)
    assert ada


# --- second people, second looks, golden cases ----------------------------------------------------


def test_a_face_alone_is_upheld_by_two_people_or_a_senior_decides(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    cases = [make_case(1), make_case(2)]
    town.query("UPDATE cases SET kind = 'face'")
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    for _ in cases:
        decide(town, take(town, ada), State.UPHELD, Ground.MATCH)
        settle(town)
    assert {state(town, case) for case in cases} == {"open"}
    assert count(town, "takedowns") == 0
    assert review.claim_next(town.world.desk, ada) is None, "not the same person again"
    decide(town, take(town, ben), State.UPHELD, Ground.MATCH)
    settle(town)
    assert state(town, cases[0]) == "upheld"
    assert count(town, "takedowns") == 1
    decide(town, take(town, ben), State.DISMISSED, Ground.WRONG_MATCH)
    settle(town)
    assert state(town, cases[1]) == "escalated"


def test_a_second_look_is_blind_changes_nothing_and_a_disagreement_is_decided_by_a_third(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    town = replace(town, world=replace(
        town.world, desk=replace(town.world.desk, chance=lambda: 0.0)))  # fmt: skip
    town.rules(second_looks=1, golden_cases=0, undo_seconds=0)
    case = make_case()
    ada, ben, eve = town.reviewer("ada"), town.reviewer("ben"), town.reviewer("eve")
    decide(town, take(town, ada), State.UPHELD, Ground.MATCH)
    assert review.claim_next(town.world.desk, ada) is None
    look = take(town, ben)
    with town.world.store.transaction() as unit:
        shown = unit.cases.get(look.case)
    assert shown is not None
    assert (shown.about, shown.purpose, shown.kind) == (case, Purpose.SECOND_LOOK, CaseKind.HASH)
    assert shown.uploads, "it shows the same uploads"
    assert shown.verdict is None
    decide(town, look, State.DISMISSED, Ground.WRONG_MATCH)
    assert state(town, case) == "upheld"
    assert count(town, "dismissals") == 0
    assert town.query("SELECT agrees FROM opinions WHERE purpose = 'second_look'") == [(False,)]
    third = take(town, eve)
    with town.world.store.transaction() as unit:
        quality = unit.cases.appeal(third.case)
    assert quality is not None
    assert (quality.side, quality.about) == ("quality", case)
    with town.world.store.transaction() as unit:
        agreement = unit.figures.agreement(town.clock() - timedelta(days=1))
    assert [(row["agree"], row["compared"]) for row in agreement] == [(0, 1)]


def test_a_golden_case_looks_like_any_other_and_nothing_follows_from_it(town: Town) -> None:
    town.world = replace(town.world, desk=replace(town.world.desk, chance=lambda: 0.0))
    town.rules(golden_cases=0.5, undo_seconds=0)
    board, ada = town.platform(), town.reviewer()
    body = jpeg(picture(9))
    specimen = golden.add(
        town.world.desk, board, body, "image/jpeg", State.DISMISSED, Ground.NOT_INTIMATE
    )
    with pytest.raises(NotFound):
        review.claim(town.world.desk, specimen, ada)
    claim = take(town, ada)
    with town.world.store.transaction() as unit:
        shown = unit.cases.get(claim.case)
        (medium,) = unit.media.of_case(specimen)
    assert shown is not None
    assert (shown.subject, shown.kind, len(shown.uploads)) == (specimen, CaseKind.HASH, 1)
    look, file = review.reveal(town.world.desk, claim.case, medium.id, claim.token, ada)
    with file:
        assert file.read() == body
    rest.end_look(town.world.desk, look, ada, 3.0)
    decide(town, claim, State.UPHELD, Ground.MATCH)
    assert count(town, "events") == count(town, "takedowns") == 0
    assert town.query("SELECT agrees FROM opinions WHERE purpose = 'golden'") == [(False,)]
    assert review.claim_next(town.world.desk, ada) is None, "not the same one twice"


# --- possible minors ----------------------------------------------------------------------------


def test_a_possible_minor_is_frozen_at_once_and_kept_whatever_anybody_asks(town: Town) -> None:
    person = town.register(jpeg(picture(1)))
    board = town.platform()
    case = town.screen(board, jpeg(picture(1), 60), "post-1").case
    assert case is not None
    ada, sen, pro = (town.reviewer(role, role) for role in ("reviewer", "senior", "protected"))
    decide(town, take(town, ada), State.FROZEN, Ground.POSSIBLE_MINOR)
    assert state(town, case) == "frozen", "at once, without any pause"
    for reviewer, role in ((ada, Role.REVIEWER), (sen, Role.SENIOR)):
        with pytest.raises(Denied, match="protected role"):
            review.claim(town.world.desk, case, reviewer, role=role)
        assert review.claim_next(town.world.desk, reviewer, role=role) is None
    again = town.screen(board, jpeg(picture(1), 60), "post-2")
    assert again.case == case, "the same bytes join it and come before nobody else"
    receipt_id = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    receipt = finish(
        town.world.store, town.world.blobs, town.clock, alive, receipt_id, timedelta(0)
    )
    kept = receipt.document()["kept_by_law"]
    assert kept["media"] == 1
    assert "18 USC 2258A" in kept["why"]
    assert state(town, case) == "frozen"
    assert town.query("SELECT count(person) FROM case_hits") == [(0,)]
    claim = take(town, pro, Role.PROTECTED)
    assert claim.case == case
    decide(town, claim, State.REPORTED, Ground.APPARENT_MINOR)
    settle(town)
    assert state(town, case) == "reported"
    told = [row[0] for row in town.query("SELECT body FROM events")]
    assert {event["data"]["decision"] for event in told} == {"reported"}
    assert all("preserve_until" in event["data"] for event in told)
    town.clock.forward(days=300)
    assert retire_due(town.world.store, town.world.blobs, town.clock) == 0
    report = prepare(town.world.desk, case, Reporter("A helpline"), "operator:test")
    assert report.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<report ')
    assert "post-1" in report
    assert "A helpline" in report
    town.clock.forward(days=70)
    assert retire_due(town.world.store, town.world.blobs, town.clock) == 1, "the hold ends"


def test_content_that_was_reported_goes_to_the_protected_role_when_it_comes_again(
    town: Town,
) -> None:
    town.rules(undo_seconds=0)
    town.register(jpeg(picture(1)))
    board, body = town.platform(), jpeg(picture(1), 60)
    case = town.screen(board, body, "post-1").case
    pro = town.reviewer("pro", "protected")
    decide(town, take(town, town.reviewer()), State.FROZEN, Ground.POSSIBLE_MINOR)
    decide(town, take(town, pro, Role.PROTECTED), State.REPORTED, Ground.APPARENT_MINOR)
    again = town.screen(board, body, "post-9").case
    assert again not in (None, case)
    assert again is not None
    assert state(town, again) == "frozen"
    back = take(town, pro, Role.PROTECTED)
    decide(town, back, State.OPEN, Ground.ADULT, "Not a minor after all.")
    assert state(town, again) == "open"
    assert town.query("SELECT held_until FROM media WHERE case_id = %s", again) == [(None,)]


# --- appeals ------------------------------------------------------------------------------------


def test_an_uploaders_appeal_is_decided_by_somebody_else_and_an_overturn_ends_known(
    town: Town,
) -> None:
    town.rules(undo_seconds=0)
    town.register(jpeg(picture(1)))
    board, body = town.platform(), jpeg(picture(1), 60)
    case = town.screen(board, body, "post-1").case
    assert case is not None
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    with pytest.raises(Conflict, match="nothing to appeal"):
        appeal.by_uploader(town.world.desk, board, case, "Why?")
    decide(town, take(town, ada), State.UPHELD, Ground.MATCH)
    town.live.catch_up()
    assert town.screen(board, body, "post-2").verdict == "known"
    with pytest.raises(NotFound):
        appeal.by_uploader(town.world.desk, town.platform("other"), case, "Mine!")
    asked = appeal.by_uploader(town.world.desk, board, case, "It is a picture of my own cat.")
    with pytest.raises(Conflict, match="already"):
        appeal.by_uploader(town.world.desk, board, case, "Once more.")
    sealed = bytes(town.query("SELECT sealed FROM appeals")[0][0])
    assert b"cat" not in sealed
    assert review.claim_next(town.world.desk, ada) is None, "not whoever decided it"
    with pytest.raises(Denied):
        review.claim(town.world.desk, asked, ada)
    claim = take(town, ben)
    assert claim.case == asked
    with town.world.store.transaction() as unit:
        found = unit.cases.appeal(asked)
        assert found is not None
        assert appeal.statement_of(unit, found) == "It is a picture of my own cat."
    decide(town, claim, State.OVERTURNED, Ground.DECISION_WRONG)
    town.live.catch_up()
    kinds = [row[0] for row in town.query("SELECT kind FROM events ORDER BY created_at, id")]
    assert kinds == ["case.upheld", "case.overturned"]
    last = town.query("SELECT body FROM events WHERE kind = 'case.overturned'")[0][0]
    assert (last["data"]["case"], last["data"]["appeal"]) == (str(case), str(asked))
    assert town.query("SELECT count(*) FROM entries WHERE source = 'upheld'") == [(0,)]
    assert town.screen(board, body, "post-3").verdict == "review", "a repeat is known no more"


def test_a_registered_persons_appeal_brings_a_dismissed_case_back_and_leaves_with_her(
    town: Town,
) -> None:
    town.rules(undo_seconds=0)
    person = town.register(jpeg(picture(1)))
    board, body = town.platform(), jpeg(picture(1), 60)
    case = town.screen(board, body, "post-1").case
    assert case is not None
    ada, ben = town.reviewer("ada"), town.reviewer("ben")
    decide(town, take(town, ada), State.DISMISSED, Ground.WRONG_MATCH)
    who = town.query("SELECT id FROM persons")[0][0]
    with pytest.raises(NotFound):
        appeal.by_registered(town.world.desk, UUID(int=5), case, "It is me.")  # type: ignore[arg-type]
    appeal.by_registered(town.world.desk, who, case, "It is me.")
    decide(town, take(town, ben), State.OVERTURNED, Ground.DECISION_WRONG)
    kinds = [row[0] for row in town.query("SELECT kind FROM events ORDER BY created_at, id")]
    assert kinds == ["case.dismissed", "case.upheld"]
    assert count(town, "takedowns") == 1
    assert count(town, "dismissals") == 0
    town.live.catch_up()
    assert town.screen(board, body, "post-2").verdict == "known"
    receipt = ask(town.world.store, town.world.pins, town.clock, person.case_number, person.pin)
    finish(town.world.store, town.world.blobs, town.clock, alive, receipt, timedelta(0))
    assert town.query("SELECT person, sealed FROM appeals") == [(None, None)]


# --- rest ---------------------------------------------------------------------------------------


def test_a_reached_budget_truly_stops_looks_and_new_cases_until_it_frees(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    case, ada = make_case(), town.reviewer()
    town.rules(budget={"looks_per_hour": 2}, breaks={"after_minutes": 0})
    claim = take(town, ada)
    (medium,) = town.query("SELECT id FROM media WHERE case_id = %s", case)[0]
    for _ in range(2):
        review.reveal(town.world.desk, case, medium, claim.token, ada)
    with pytest.raises(Resting, match="one hour"):
        review.reveal(town.world.desk, case, medium, claim.token, ada)
    decide(town, claim, State.DISMISSED, Ground.NOT_INTIMATE)
    make_case(2)
    with pytest.raises(Resting) as refused:
        review.claim_next(town.world.desk, ada)
    assert refused.value.until is not None
    assert refused.value.until > town.clock()
    town.clock.forward(minutes=61)
    assert take(town, ada)


def test_minutes_count_as_looks_do_and_a_break_lasts_as_long_as_it_must(
    town: Town, make_case: Callable[..., CaseId]
) -> None:
    case, ada, ben = make_case(), town.reviewer("ada"), town.reviewer("ben")
    town.rules(budget={"minutes_per_hour": 1}, breaks={"after_minutes": 30, "seconds": 90})
    claim = take(town, ada)
    (medium,) = town.query("SELECT id FROM media WHERE case_id = %s", case)[0]
    look, _ = review.reveal(town.world.desk, case, medium, claim.token, ada)
    rest.end_look(town.world.desk, look, ben, 500.0)
    rest.end_look(town.world.desk, look, ada, 61.0)
    with pytest.raises(Resting, match="one hour"):
        review.reveal(town.world.desk, case, medium, claim.token, ada)
    review.release(town.world.desk, case, claim.token)
    mine = take(town, ben)
    for _ in range(4):
        town.clock.forward(minutes=8)
        review.renew(town.world.desk, mine.case, mine.token)
    review.release(town.world.desk, mine.case, mine.token)
    with pytest.raises(Resting, match="break"):
        review.claim_next(town.world.desk, ben)
    rest.begin_break(town.world.desk, ben)
    with pytest.raises(Resting):
        rest.end_break(town.world.desk, ben)
    with pytest.raises(Resting):
        review.claim_next(town.world.desk, ben)
    town.clock.forward(seconds=91)
    rest.end_break(town.world.desk, ben)
    assert take(town, ben).case == case
