"""A person follows her case, takes back items, and gets back in: never more than she may know."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from pipeline.domain.action import ActionKind
from pipeline.domain.case import Ground, State
from pipeline.domain.generic import GenericBank
from pipeline.domain.ids import CaseId, PersonId, ReviewerId
from pipeline.domain.media import Side
from pipeline.domain.roles import Role
from pipeline.domain.screening import Verdict
from pipeline.errors import Conflict, Denied, Invalid, NotFound, TooManyAttempts
from pipeline.journeys import appeal, review
from pipeline.journeys.act import act
from pipeline.journeys.follow_case import Next, What, follow_case
from pipeline.journeys.register_codes import Clip, Fate, Gauge, Still, add_codes, register_codes
from pipeline.journeys.sign_in import SHARES, grouped, recover, share_of, sign_in
from pipeline.journeys.withdraw import leave
from pipeline.journeys.withdraw_items import withdraw_items
from pipeline.media.crops import registered_crops, slot_of_view
from tests.world import Town, jpeg, picture


def gauge_of(town: Town) -> Gauge:
    signal = next(one for one in town.world.signals if one.space.name == "pdq")
    return Gauge(signal, town.world.generic.get("pdq"))


def still(town: Town, body: bytes) -> Still:
    """What a device would send of a picture."""
    gauge = gauge_of(town)
    frame = town.world.decode(body).frames[0]
    computed = gauge.signal.compute(registered_crops(frame), Side.REGISTERED)
    rows = zip(computed.views, computed.codes, computed.quality, strict=True)
    return Still(
        tuple((slot_of_view(view), code.tobytes(), int(quality)) for view, code, quality in rows)
    )


def join(town: Town, *seeds: int, message: bytes | None = None):
    done = register_codes(
        town.world.store, town.world.pins, town.clock, gauge_of(town),
        [still(town, jpeg(picture(seed))) for seed in seeds], "hashes-test", message,
    )  # fmt: skip
    town.live.catch_up()
    return done.given


def enter(town: Town, given, address: str = "192.0.2.1") -> PersonId:
    return sign_in(
        town.world.store, town.world.pins, town.clock, given.case_number, given.pin, address
    )


def follow(town: Town, person: PersonId):
    return follow_case(town.world.desk, person)


def whats(item) -> list[What]:
    return [one.what for one in item.happenings]


def test_codes_from_a_device_find_a_copy_and_the_status_tells_no_more_than_a_person_confirmed(
    town: Town,
) -> None:
    given = join(town, 1, 2)
    board, ada = town.platform("Board"), town.reviewer()
    person = enter(town, given)
    first, second = follow(town, person)
    assert whats(first) == [What.RECEIVED, What.ACTIVE]
    assert first.active
    assert first.quiet
    found = town.screen(board, jpeg(picture(1), 50))
    assert found.verdict is Verdict.REVIEW
    first, second = follow(town, person)
    assert whats(first)[2:] == [What.UNDER_REVIEW]
    assert second.quiet
    assert all(one.platform is None for one in first.happenings), "not where it was seen"
    town.uphold(found.case, ada)
    assert town.screen(board, jpeg(picture(1), 52)).verdict is Verdict.KNOWN
    first, _ = follow(town, person)
    assert whats(first)[2:] == [What.UPHELD, What.ASKED, What.REFUSED_AGAIN]
    assert {one.platform for one in first.happenings[3:]} == {"Board"}


def test_what_a_platform_did_is_told_once_a_person_has_decided(town: Town) -> None:
    town.rules(undo_seconds=0)
    person = enter(town, join(town, 1, 2))
    board = town.platform("Board")
    first, other = (town.screen(board, jpeg(picture(seed), 50)) for seed in (1, 2))
    removed = ActionKind.REMOVED
    for screening in (first, other):
        act(town.world.store, town.clock, board, screening.id, removed, town.clock())
    one, two = follow(town, person)
    assert whats(one)[2:] == whats(two)[2:] == [What.UNDER_REVIEW], "not where it was seen"
    town.clock.forward(minutes=1)
    ada = town.reviewer()
    town.uphold(first.case, ada)
    town.dismiss(other.case, ada)
    town.clock.forward(minutes=1)
    act(town.world.store, town.clock, board, first.id, ActionKind.RESTORED, town.clock())
    one, two = follow(town, person)
    assert whats(one)[2:] == [What.REMOVED, What.UPHELD, What.ASKED, What.RESTORED]
    assert {line.platform for line in one.happenings[-1:]} == {"Board"}
    assert one.next is Next.SHOWN, "she is told where to turn"
    town.clock.forward(minutes=1)
    act(town.world.store, town.clock, board, first.id, removed, town.clock())
    assert follow(town, person)[0].next is Next.STOPPED
    assert whats(two)[2:] == [What.LEFT]
    assert all(line.platform is None for line in two.happenings), "nobody decided that it must go"


def test_what_a_person_dismissed_is_told_without_where_it_was(town: Town) -> None:
    given = join(town, 1)
    found = town.screen(town.platform("Board"), jpeg(picture(1), 50))
    town.dismiss(found.case, town.reviewer())
    (item,) = follow(town, enter(town, given))
    assert whats(item)[-1] is What.LEFT
    assert all(one.platform is None for one in item.happenings)


def test_what_was_decided_again_is_told_as_it_stands_now(town: Town) -> None:
    town.rules(undo_seconds=0)
    person = enter(town, join(town, 1, 2))
    board, ada, ben = town.platform("Board"), town.reviewer("ada"), town.reviewer("ben")
    body = jpeg(picture(1), 50)
    case = town.screen(board, body, "post-1").case
    assert case is not None
    town.uphold(case, ada)
    town.clock.forward(minutes=1)
    appeal.by_uploader(town.world.desk, board, CaseId(case), "It is my own cat.")
    first, _ = follow(town, person)
    assert whats(first)[2:] == [What.UPHELD, What.ASKED, What.CONTESTED]
    assert first.next is Next.DECISION
    town.clock.forward(minutes=1)
    again(town, ben, State.OVERTURNED, Ground.DECISION_WRONG)
    first, second = follow(town, person)
    assert whats(first)[2:] == [What.UPHELD, What.ASKED, What.CONTESTED, What.MAY_STAY]
    assert first.next is Next.ANSWERED
    assert not first.objections
    assert second.quiet
    town.live.catch_up()
    assert town.screen(board, body, "post-2").verdict is Verdict.REVIEW


def test_an_objection_to_a_dismissal_is_made_once_in_time_and_told_to_its_end(town: Town) -> None:
    town.rules(undo_seconds=0)
    person = enter(town, join(town, 1))
    board, ada, ben = town.platform("Board"), town.reviewer("ada"), town.reviewer("ben")
    case = town.screen(board, jpeg(picture(1), 50)).case
    town.dismiss(case, ada)
    (item,) = follow(town, person)
    (may,) = item.objections
    assert (may.case, may.ground, item.next) == (case, Ground.WRONG_MATCH, Next.OBJECTION)
    town.clock.forward(days=town.world.settings.appeal_days, minutes=1)
    (late,) = follow(town, person)
    assert not late.objections
    assert late.next is Next.ANSWERED
    town.clock.forward(days=-1)
    appeal.by_registered(town.world.desk, person, may.case, "That is my kitchen.")
    (item,) = follow(town, person)
    assert whats(item)[2:] == [What.LEFT, What.OBJECTED]
    assert item.next is Next.DECISION
    assert not item.objections
    assert all(one.platform is None for one in item.happenings), "not where it was"
    again(town, ben, State.OVERTURNED, Ground.DECISION_WRONG)
    (item,) = follow(town, person)
    assert whats(item)[2:] == [What.LEFT, What.OBJECTED, What.MUST_GO, What.ASKED]
    assert item.next is Next.STOPPED
    with pytest.raises(Conflict):
        appeal.by_registered(town.world.desk, person, may.case, "Once more.")


def test_an_objection_that_changes_nothing_is_answered_and_goes_with_its_item(town: Town) -> None:
    town.rules(undo_seconds=0)
    person = enter(town, join(town, 1, 2))
    board, ada, ben = town.platform("Board"), town.reviewer("ada"), town.reviewer("ben")
    for seed in (1, 2):
        case = town.screen(board, jpeg(picture(seed), 50)).case
        town.dismiss(case, ada)
        assert case is not None
        appeal.by_registered(town.world.desk, person, CaseId(case), "Look again.")
        town.clock.forward(seconds=1)
    again(town, ben, State.STANDS, Ground.DECISION_RIGHT)
    first, second = follow(town, person)
    assert whats(first)[2:] == [What.LEFT, What.OBJECTED, What.STANDS]
    assert first.next is Next.ANSWERED
    withdraw_items(town.world.store, town.world.blobs, town.clock, person, [second.item])
    assert review.claim_next(town.world.desk, ben) is None, "nothing to decide any more"
    states = town.query("SELECT state FROM cases WHERE kind = 'appeal' ORDER BY id")
    assert states == [("stands",), ("withdrawn",)]


def test_what_was_reported_is_not_said_to_be_under_review(town: Town) -> None:
    town.rules(undo_seconds=0)
    person = enter(town, join(town, 1))
    guard = town.reviewer("zoe", "protected")
    case = town.screen(town.platform("Board"), jpeg(picture(1), 50)).case
    assert case is not None
    claim = review.claim(town.world.desk, case, town.reviewer("ada"))
    review.escalate(town.world.desk, case, claim.token, Ground.POSSIBLE_MINOR, "Looks young.")
    (item,) = follow(town, person)
    assert whats(item)[2:] == [What.UNDER_REVIEW]
    claim = review.claim(town.world.desk, case, guard, role=Role.PROTECTED)
    review.decide(
        town.world.desk, case, claim.token, State.REPORTED, Ground.APPARENT_MINOR, "A child."
    )
    (item,) = follow(town, person)
    assert whats(item)[2:] == [What.REPORTED, What.ASKED]
    assert item.next is Next.ANSWERED


def again(town: Town, reviewer: ReviewerId, to: State, ground: Ground) -> None:
    """Somebody else decides the appeal that comes first."""
    claim = review.claim_next(town.world.desk, reviewer)
    assert claim is not None
    review.decide(town.world.desk, claim.case, claim.token, to, ground, "I looked again.")
    town.live.catch_up()


def test_an_item_taken_back_stops_matching_with_its_upheld_copies_and_the_rest_stays(
    town: Town,
) -> None:
    given = join(town, 1, 2)
    board, ada = town.platform(), town.reviewer()
    person = enter(town, given)
    town.uphold(town.screen(board, jpeg(picture(1), 50)).case, ada)
    waiting = town.screen(board, jpeg(picture(1), 30), "another")
    first, second = follow(town, person)
    taken = withdraw_items(town.world.store, town.world.blobs, town.clock, person, [first.item])
    town.live.catch_up()
    assert taken.items == 1
    assert taken.entries == 1 + len(town.world.signals), "hers and those of the upheld copy"
    assert town.world.secrets.verify(taken.statement(), taken.signature)
    assert town.screen(board, jpeg(picture(1), 50), "again").verdict is Verdict.CLEAR
    assert town.screen(board, jpeg(picture(2), 50)).verdict is Verdict.REVIEW
    assert [one.item for one in follow(town, person)] == [second.item]
    if waiting.verdict is Verdict.REVIEW:
        ((state,),) = town.query("SELECT state FROM cases WHERE id = %s", waiting.case)
        assert state == "withdrawn"
    left = town.query("SELECT count(*) FROM case_hits WHERE person = %s AND entry NOT IN "
                      "(SELECT id FROM entries)", person)  # fmt: skip
    assert left == [(0,)]
    with pytest.raises(NotFound):
        withdraw_items(town.world.store, town.world.blobs, town.clock, person, [first.item])


def test_an_open_case_that_rested_on_the_item_alone_is_closed_and_its_upload_destroyed(
    town: Town,
) -> None:
    given = join(town, 1)
    found = town.screen(town.platform(), jpeg(picture(1), 50))
    person = enter(town, given)
    (item,) = follow(town, person)
    withdraw_items(town.world.store, town.world.blobs, town.clock, person, [item.item])
    assert found.case is not None
    with town.world.store.transaction() as unit:
        case = unit.cases.get(CaseId(found.case))
        media = unit.media.of_case(CaseId(found.case))
    assert case is not None
    assert case.state == "withdrawn"
    assert all(medium.destroyed_at for medium in media)
    assert not list(town.world.settings.blob_folder.rglob("*.blob"))


def test_more_can_be_added_until_she_leaves(town: Town) -> None:
    person = enter(town, join(town, 1))
    gauge = gauge_of(town)
    fates = add_codes(town.world.store, town.clock, gauge, person, [still(town, jpeg(picture(4)))])
    assert fates == (Fate.PROTECTED,)
    town.live.catch_up()
    assert town.screen(town.platform(), jpeg(picture(4), 60)).verdict is Verdict.REVIEW
    leave(town.world.store, town.clock, person)
    with pytest.raises(Exception, match="withdrawn"):
        add_codes(town.world.store, town.clock, gauge, person, [still(town, jpeg(picture(5)))])


def test_a_clip_is_an_item_too_and_its_frames_are_found(town: Town) -> None:
    gauge, seconds = gauge_of(town), (0.0, 0.5, 1.0)
    frames = tuple(
        (at, *still(town, jpeg(picture(seed))).codes[0][1:])
        for at, seed in zip(seconds, (7, 8, 9), strict=True)
    )
    person = enter(town, join(town, 1))
    plain = Clip(tuple((at, code, 10) for at, code, _ in frames))
    assert gauge.judge(plain)[0] is Fate.TOO_PLAIN
    fates = add_codes(town.world.store, town.clock, gauge, person, [Clip(frames[::-1]), plain])
    assert fates == (Fate.PROTECTED, Fate.TOO_PLAIN)
    town.live.catch_up()
    assert [one.kind for one in follow(town, person)] == ["picture", "clip"]
    assert town.screen(town.platform(), jpeg(picture(8), 60)).verdict is Verdict.REVIEW
    with pytest.raises(Invalid):
        add_codes(town.world.store, town.clock, gauge, person, [Clip(((-1.0, frames[0][1], 90),))])


def test_what_says_too_little_is_named_and_what_has_no_shape_is_refused(town: Town) -> None:
    gauge = gauge_of(town)
    good = still(town, jpeg(picture(1)))
    plain = Still(tuple((slot, code, 10) for slot, code, _ in good.codes))
    assert gauge.judge(plain)[0] is Fate.TOO_PLAIN
    codes = np.stack([np.frombuffer(code, np.uint8) for _, code, _ in good.codes])
    common = Gauge(gauge.signal, GenericBank(codes[:1]))
    assert common.judge(good)[0] is Fate.TOO_COMMON
    _, kept = Gauge(gauge.signal, GenericBank(codes[1:2])).judge(good)
    assert kept is not None
    assert 0 < len(kept) < len(good.codes), "a crop that looks like many is left out by itself"
    whole, nobody = good.codes[0], PersonId(town.world.secrets.deployment)
    for wrong in (
        Still(good.codes[1:]),
        Still((*good.codes, whole)),
        Still(((0, b"short", 100),)),
        Still((whole, (255, whole[1], 100))),
        Still(((0, whole[1], 101),)),
    ):
        with pytest.raises(Invalid):
            add_codes(town.world.store, town.clock, gauge, nobody, [wrong])
    with pytest.raises(Invalid, match="none of these"):
        register_codes(town.world.store, town.world.pins, town.clock, gauge, [plain], "t")


def test_wrong_pins_from_one_place_do_not_lock_her_out_elsewhere_and_waiting_ends(
    town: Town,
) -> None:
    given = join(town, 1)
    his, hers = "198.51.100.7", "203.0.113.9"
    assert share_of(his) != share_of(hers)
    for _ in range(4):
        with pytest.raises(Denied):
            sign_in(town.world.store, town.world.pins, town.clock, given.case_number, "0", his)
    with pytest.raises(TooManyAttempts) as waiting:
        enter(town, given, his)
    assert waiting.value.retry_after <= 900
    assert enter(town, given, hers)
    town.clock.at += timedelta(minutes=16)
    assert enter(town, given, his), "even there, waiting ends"


def test_all_addresses_in_the_world_are_few_guesses_and_the_recovery_code_gets_her_in(
    town: Town,
) -> None:
    given = join(town, 1)
    firsts = {
        share_of(f"192.0.2.{n}.{m}"): f"192.0.2.{n}.{m}" for n in range(40) for m in range(40)
    }
    assert len(firsts) == SHARES
    guesses = 0
    for _, address in sorted(firsts.items())[:4]:
        for _ in range(10):
            try:
                enter(town, given.__class__(given.case_number, "1", given.recovery), address)
            except TooManyAttempts:
                break
            except Denied:
                guesses += 1
    assert guesses == 4 * 4
    typed = grouped(given.recovery).lower()
    fresh = recover(town.world.store, town.world.pins, typed)
    assert fresh.case_number == given.case_number
    assert enter(town, fresh, firsts[0])
    with pytest.raises(Denied):
        enter(town, given, firsts[20])
    with pytest.raises(Denied):
        recover(town.world.store, town.world.pins, given.recovery)


def test_a_code_of_somebody_who_is_leaving_opens_nothing(town: Town) -> None:
    given = join(town, 1)
    leave(town.world.store, town.clock, enter(town, given))
    with pytest.raises(NotFound):
        recover(town.world.store, town.world.pins, given.recovery)
