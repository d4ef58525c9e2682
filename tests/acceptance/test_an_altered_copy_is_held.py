"""An altered copy of a registered image is found, a person decides, the platform is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image, ImageOps

from pipeline.domain.case import Ground
from pipeline.domain.ids import ReceiptId
from pipeline.domain.media import Rating
from pipeline.domain.screening import Verdict
from pipeline.errors import LeaseLost, RefusalReason
from pipeline.journeys import review
from pipeline.journeys.deliver import deliver_due
from pipeline.journeys.desk import DELIVERY_ATTEMPTS
from tests.world import Platform, Town, jpeg, picture

COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded": lambda image: jpeg(image, 30),
    "half size": lambda image: jpeg(image.resize((160, 120))),
    "mirrored": lambda image: jpeg(ImageOps.mirror(image)),
    "turned": lambda image: jpeg(image.transpose(Image.Transpose.ROTATE_90)),
    "upside down": lambda image: jpeg(ImageOps.flip(image)),
}


@pytest.mark.parametrize("copy", COPIES)
def test_an_altered_copy_becomes_a_case_that_tells_how_near_it_is_and_not_who_it_is(
    town: Town, copy: str
) -> None:
    town.register(jpeg(picture(1)))
    platform = town.platform()
    answer = town.screen(platform, COPIES[copy](picture(1)))
    assert answer.verdict is Verdict.REVIEW
    assert answer.matches[0].signal in ("pdq", "phash")
    assert answer.matches[0].distance <= answer.matches[0].threshold <= 31
    assert answer.case == answer.matches[0].case
    people = {str(row[0]) for row in town.query("SELECT id FROM persons")}
    assert not any(person in repr(answer) for person in people)


def test_an_unrelated_picture_is_clear_and_nothing_of_it_is_kept(town: Town) -> None:
    town.register(jpeg(picture(1)))
    answer = town.screen(town.platform(), jpeg(picture(2)), uploader="somebody")
    assert answer.verdict is Verdict.CLEAR
    assert town.query("SELECT count(*) FROM media") == [(0,)]
    assert town.query("SELECT uploader, matches FROM screenings") == [(None, [])]
    assert not any(town.world.settings.blob_folder.rglob("*.*"))


def test_a_file_that_cannot_be_read_is_refused_by_name_and_that_is_recorded(town: Town) -> None:
    answer = town.screen(town.platform(), b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    assert (answer.verdict, answer.refusal) == (Verdict.REFUSED, RefusalReason.UNSUPPORTED_TYPE)
    assert town.query("SELECT verdict, refusal FROM screenings") == [
        ("refused", "unsupported_type")
    ]


def test_a_picture_that_says_too_little_is_answered_with_a_note_and_no_alarm(town: Town) -> None:
    town.register(jpeg(picture(1)))
    answer = town.screen(town.platform(), jpeg(Image.new("RGB", (300, 200), "grey")))
    assert answer.verdict is Verdict.CLEAR
    assert "low_quality:pdq" in answer.notes


def test_an_upheld_case_reaches_every_platform_that_has_the_content(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board, blog = town.platform("board"), town.platform("blog")
    body = jpeg(picture(1), 40)
    first = town.screen(board, body, "post-1")
    second = town.screen(blog, body, "entry-9")
    assert first.case == second.case, "the same bytes are one case"
    town.uphold(first.case, town.reviewer())
    sent = Platform()
    assert deliver_due(town.world.store, sent, town.clock, lambda _: 1.0).sent == 2
    told = {event.platform: event.body["data"]["uploads"] for event, _ in sent.told}
    assert [upload["content_id"] for upload in told[board]] == ["post-1"]
    assert [upload["content_id"] for upload in told[blog]] == ["entry-9"]
    assert all(event.kind == "case.upheld" for event, _ in sent.told)
    assert all(endpoint.secrets[0].startswith("whsec_") for _, endpoint in sent.told)


def test_repeats_of_an_upload_join_its_case_instead_of_flooding_the_queue(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board = town.platform()
    body = jpeg(picture(1), 50)
    cases = {town.screen(board, body, f"post-{number}").case for number in range(5)}
    cases.add(town.screen(board, jpeg(picture(1), 60), "post-0").case)
    assert len(cases) == 1
    assert town.query("SELECT count(*) FROM media WHERE blob") == [(1,)] or town.query(
        "SELECT count(*) FROM media WHERE blob"
    ) == [(2,)], "the same bytes are kept once; another encoding under the same id is kept too"


def test_content_that_a_person_upheld_is_known_when_it_comes_again(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board = town.platform()
    first = town.screen(board, jpeg(picture(1), 50))
    town.uphold(first.case, town.reviewer())
    again = town.screen(board, jpeg(picture(1), 45))
    assert (again.verdict, again.case) == (Verdict.KNOWN, first.case)
    assert town.query("SELECT count(*) FROM cases") == [(1,)], "nobody is asked to look again"


def test_what_was_only_registered_is_never_answered_without_a_person(town: Town) -> None:
    town.register(jpeg(picture(1)))
    assert town.screen(town.platform(), jpeg(picture(1))).verdict is Verdict.REVIEW


def test_a_dismissed_upload_does_not_come_back_but_another_copy_does(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board, body = town.platform(), jpeg(picture(1), 50)
    town.dismiss(town.screen(board, body, "post-1").case, town.reviewer())
    assert town.screen(board, body, "post-2").verdict is Verdict.CLEAR
    assert town.screen(board, jpeg(picture(1), 70), "post-3").verdict is Verdict.REVIEW


def test_a_dismissal_is_told_to_the_platform_so_that_it_can_let_the_upload_go(town: Town) -> None:
    town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1)), "post-1").case
    town.dismiss(case, town.reviewer(), Ground.CONSENTED)
    sent = Platform()
    deliver_due(town.world.store, sent, town.clock, lambda _: 1.0)
    assert [event.kind for event, _ in sent.told] == ["case.dismissed"]
    assert sent.told[0][0].body["data"]["ground"] == "consented"


def test_a_platform_that_gives_its_address_later_is_told_what_it_missed(town: Town) -> None:
    from services.accounts import set_webhook

    town.register(jpeg(picture(1)))
    quiet = town.platform("quiet", webhook=None)
    town.uphold(town.screen(quiet, jpeg(picture(1), 50)).case, town.reviewer())
    sent = Platform()
    assert deliver_due(town.world.store, sent, town.clock, lambda _: 1.0).failed == 0
    assert not sent.told
    set_webhook(town.world, "quiet", "http://127.0.0.1:9/hook")
    assert deliver_due(town.world.store, sent, town.clock, lambda _: 1.0).sent == 1


def test_a_failed_delivery_comes_again_and_ends_as_a_dead_letter_that_can_be_replayed(
    town: Town,
) -> None:
    town.register(jpeg(picture(1)))
    town.uphold(town.screen(town.platform(), jpeg(picture(1), 50)).case, town.reviewer())
    sent = Platform(failing=True)
    for _ in range(DELIVERY_ATTEMPTS):
        assert deliver_due(town.world.store, sent, town.clock, lambda _: 0.0).failed == 1
    assert deliver_due(town.world.store, sent, town.clock, lambda _: 0.0).failed == 0
    with town.world.store.transaction() as unit:
        (dead,) = unit.events.deliveries(dead=True, limit=10)
        assert "500" in dead["last_error"]
        assert unit.jobs.replay(dead["job"])
    sent.failing = False
    assert deliver_due(town.world.store, sent, town.clock, lambda _: 0.0).sent == 1
    attempts = town.query("SELECT count(*), count(error) FROM delivery_attempts")
    assert attempts == [(DELIVERY_ATTEMPTS + 1, DELIVERY_ATTEMPTS)]


def test_only_one_of_two_reviewers_holds_a_case_and_it_can_be_taken_over_later(town: Town) -> None:
    town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1))).case
    ada, eve = town.reviewer("ada"), town.reviewer("eve")
    assert case is not None
    held = review.claim(town.world.desk, case, ada)
    with pytest.raises(LeaseLost):
        review.claim(town.world.desk, case, eve)
    assert review.claim_next(town.world.desk, eve) is None
    town.clock.forward(minutes=11)
    taken = review.claim(town.world.desk, case, eve)
    with pytest.raises(LeaseLost):
        review.uphold(town.world.desk, case, held.token, Ground.MATCH, "too late")
    review.uphold(town.world.desk, case, taken.token, Ground.MATCH, "in time")
    assert town.query("SELECT state, decided_by FROM cases") == [("upheld", eve)]


def test_the_original_is_shown_only_to_who_holds_the_case_and_every_look_is_audited(
    town: Town,
) -> None:
    town.register(jpeg(picture(1)))
    body = jpeg(picture(1), 77)
    case = town.screen(town.platform(), body).case
    assert case is not None
    ada = town.reviewer()
    claim = review.claim(town.world.desk, case, ada)
    with town.world.store.transaction() as unit:
        medium = unit.media.of_case(case)[0].id
    with review.reveal(town.world.desk, case, medium, claim.token, ada)[1] as file:
        shown = file.read()
    assert shown == body
    review.release(town.world.desk, case, claim.token)
    with pytest.raises(LeaseLost):
        review.reveal(town.world.desk, case, medium, claim.token, ada)
    looks = town.query("SELECT actor FROM audit_log WHERE action = 'media.revealed'")
    assert looks == [(f"reviewer:{ada}",)]


def test_an_ordinary_rating_changes_nothing_for_hashes_that_she_registered_herself(
    town: Town,
) -> None:
    town.register(jpeg(picture(1)))
    answer = town.screen(town.platform(), jpeg(picture(1)), rating=Rating.NOT_INTIMATE)
    assert answer.verdict is Verdict.REVIEW, "the hash is of the very image she wants gone"


def test_media_are_destroyed_when_the_appeal_window_has_ended(town: Town) -> None:
    from pipeline.journeys.retire_media import retire_due

    town.register(jpeg(picture(1)))
    case = town.screen(town.platform(), jpeg(picture(1))).case
    town.uphold(case, town.reviewer())
    assert retire_due(town.world.store, town.world.blobs, town.clock) == 0
    blobs = [file for file in town.world.settings.blob_folder.rglob("*") if file.is_file()]
    assert len(blobs) == 1
    town.clock.forward(days=15)
    assert retire_due(town.world.store, town.world.blobs, town.clock) == 1
    assert not blobs[0].exists()
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'media'") == [(0,)]
    assert town.query("SELECT codes FROM media") == [(None,)]
    audited = town.query("SELECT count(*) FROM audit_log WHERE action = 'media.destroyed'")
    assert audited == [(1,)]


def test_every_answer_is_in_the_audit_trail_and_the_trail_holds(town: Town) -> None:
    town.register(jpeg(picture(1)))
    board = town.platform()
    town.screen(board, jpeg(picture(1)))
    town.screen(board, jpeg(picture(2)))
    town.screen(board, b"nothing")
    with town.world.store.transaction() as unit:
        assert unit.screenings.audit_batch(100) == 2
    assert town.query("SELECT count(*) FROM screenings WHERE audited IS NULL") == [(0,)]
    with town.world.store.transaction(snapshot=True) as unit:
        assert unit.audit.verify() is None
    town.query("UPDATE screenings SET verdict = 'clear', refusal = NULL WHERE verdict = 'refused'")
    with town.world.store.transaction(snapshot=True) as unit:
        assert unit.audit.verify() is not None, "a changed answer is noticed"


def test_an_unknown_receipt_is_no_receipt(town: Town) -> None:
    from uuid import uuid4

    with town.world.store.transaction() as unit:
        assert unit.withdrawals.get(ReceiptId(uuid4())) is None
