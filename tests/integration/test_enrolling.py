"""A face is enrolled: consent, photos, a verifier or a voucher, duplicates, its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import numpy as np
import pytest
from click.testing import Result
from typer.testing import CliRunner

from pipeline.domain import voucher as vouchers
from pipeline.domain.enrolment import Enrolment, EnrolmentState
from pipeline.domain.ids import EnrolmentId
from pipeline.domain.media import WHOLE, Frame
from pipeline.domain.roles import Role
from pipeline.domain.screening import Verdict
from pipeline.domain.signal import pack_all
from pipeline.domain.voucher import Voucher
from pipeline.errors import Denied, IllegalTransition, Invalid, LeaseLost, NotFound
from pipeline.journeys import enrol_face, review
from pipeline.journeys.see_faces import signals_of
from pipeline.journeys.verify_face import SEALED
from pipeline.journeys.withdraw import ask as leave
from pipeline.journeys.withdraw import close_if_empty, finish
from pipeline.packs import Face
from pipeline.storage.vault import new_signing_key, public_key_of, signature_by
from services.cli import app
from services.wiring import alive
from tests.faces import (
    Drawn,
    approve,
    ask,
    drawn,
    drawn_town,  # noqa: F401
    enrol,
    make_drawn_town,  # noqa: F401
    office,
    person_of,
    refuse,
    three,
    verifier,
)
from tests.world import Town, jpeg, picture

HER, HIM = 7, 90


def _now(town: Town, submitted: enrol_face.Submitted) -> Enrolment:
    with town.world.store.transaction() as unit:
        found = unit.enrolments.get(submitted.enrolment)
    assert found is not None
    return found


def _face(person: int, photo: int) -> Face:
    (faces,) = Drawn().templates([Frame(np.full((96, 96, 3), (person, photo, 0), np.uint8))])
    return faces[0]


def _answer(town: Town, person: int, photo: int = 9) -> Verdict:
    town.live.catch_up()
    return town.screen(_board(town), drawn(person, photo)).verdict


def _board(town: Town):
    with town.world.store.transaction() as unit:
        found = unit.platforms.by_name("board")
    return found or town.platform()


def test_what_is_wrong_with_photos_is_said_with_what_to_do(drawn_town: Town) -> None:  # noqa: F811
    photos = [drawn(HER, 1, kind) for kind in ("nobody", "two", "small", "dark", "blurred")]
    photos += [drawn(HER, 1, "turned"), b"no picture", drawn(HER, 2)]
    with pytest.raises(enrol_face.PhotosRefused, match="3 good photos are needed, 1") as refused:
        ask(drawn_town, *photos, least=3)
    said = [one.problem or "" for one in refused.value.outcomes]
    told = ("front", "alone", "closer", "lamp", "still", "towards the camera", "", "")
    for problem, advice in zip(said, told, strict=True):
        assert advice in problem
    assert said[-1] == ""
    assert drawn_town.query("SELECT count(*) FROM persons") == [(0,)]


def test_photos_of_two_people_are_refused(drawn_town: Town) -> None:  # noqa: F811
    with pytest.raises(enrol_face.PhotosRefused, match="one and the same person") as refused:
        ask(drawn_town, *three(HER), drawn(HIM, 1))
    assert [one.problem is None for one in refused.value.outcomes] == [True, True, True, False]


def test_of_three_photos_the_one_of_somebody_else_is_named(drawn_town: Town) -> None:  # noqa: F811
    with pytest.raises(enrol_face.PhotosRefused, match="photo 3: this does not look") as refused:
        ask(drawn_town, drawn(HER, 1), drawn(HER, 2), drawn(HIM, 1))
    assert [one.problem is None for one in refused.value.outcomes] == [True, True, False]
    with pytest.raises(enrol_face.PhotosRefused) as refused:
        ask(drawn_town, drawn(HER, 1), drawn(HIM, 1))
    assert [one.problem is None for one in refused.value.outcomes] == [False, False]


def test_the_same_photo_twice_is_one_photo(drawn_town: Town) -> None:  # noqa: F811
    with pytest.raises(enrol_face.PhotosRefused, match="2 good photos are needed, 1") as refused:
        ask(drawn_town, drawn(HER, 1), drawn(HER, 1))
    assert "same file" in (refused.value.outcomes[1].problem or "")


def test_more_than_eight_photos_and_another_text_are_refused(drawn_town: Town) -> None:  # noqa: F811
    with pytest.raises(Invalid, match="3 to 8 photos"):
        ask(drawn_town, *(drawn(HER, photo) for photo in range(9)))
    with pytest.raises(Invalid, match="face-2026-11; show it"):
        ask(drawn_town, *three(HER), consented_to="hashes-2026-11")


def test_consent_to_templates_is_kept_apart_with_its_text(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    registration = town.register(jpeg(picture(1)))
    person = person_of(town, registration.case_number)
    ask(town, *three(HER), person=person)
    kept = town.query("SELECT purpose, text_version, state FROM consents ORDER BY purpose")
    assert kept == [("face", "face-2026-11", "given"), ("hashes", "hashes-2026-11", "given")]


def test_templates_count_only_once_a_verifier_has_approved(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    asked = ask(town, *three(HER))
    assert asked.state is EnrolmentState.PENDING
    assert _answer(town, HER) is Verdict.CLEAR
    assert town.query("SELECT count(*) FROM entries") == [(0,)]
    vera = verifier(town)
    done = approve(town, asked.enrolment)
    assert done.state is EnrolmentState.APPROVED
    assert _answer(town, HER) is Verdict.REVIEW
    assert _answer(town, HIM) is Verdict.CLEAR
    assert town.query("SELECT sealed IS NULL, decided_by FROM enrolments") == [(True, vera)]
    (actor,) = town.query("SELECT actor FROM audit_log WHERE action = 'enrolment.approved'")
    assert actor == (f"reviewer:{vera}",)
    assert town.query("SELECT kind, state, decided_by, ground, reason FROM cases LIMIT 1") == [
        ("enrolment", "upheld", vera, "own_face", "Seen by video.")
    ]
    said = town.query("SELECT actor FROM audit_log WHERE action = 'case.upheld'")
    assert said == [(f"reviewer:{vera}",)]
    with pytest.raises(IllegalTransition):
        approve(town, asked.enrolment)


def test_nobody_decides_an_enrolment_that_another_verifier_holds_or_that_is_not_for_them(
    drawn_town: Town,  # noqa: F811
) -> None:
    town = drawn_town
    asked = ask(town, *three(HER))
    ((case,),) = town.query("SELECT id FROM cases")
    other, desk = town.reviewer("vito", "verifier"), town.world.desk
    claim = review.claim(desk, case, other, role=Role.VERIFIER)
    with pytest.raises(LeaseLost, match="another reviewer"):
        approve(town, asked.enrolment)
    review.release(desk, case, claim.token)
    with town.world.store.transaction() as unit:
        unit.cases.exclude(case, verifier(town))
    with pytest.raises(Denied, match="another verifier"):
        refuse(town, asked.enrolment, "Nobody could make sure.")
    assert town.query("SELECT state FROM cases") == [("open",)]


def test_a_refused_enrolment_leaves_no_templates(drawn_town: Town) -> None:  # noqa: F811
    asked = ask(drawn_town, *three(HER))
    with pytest.raises(Invalid, match="reason"):
        refuse(drawn_town, asked.enrolment, " ")
    refuse(drawn_town, asked.enrolment, "Nobody could make sure.")
    assert drawn_town.query("SELECT state, sealed FROM enrolments") == [("refused", None)]
    assert drawn_town.query("SELECT state FROM consents") == [("withdrawn",)]
    assert drawn_town.query("SELECT state, ground, reason FROM cases") == [
        ("dismissed", "unproven", "Nobody could make sure.")
    ]


def test_a_face_that_somebody_else_enrolled_freezes_both_until_a_person_has_looked(
    drawn_town: Town,  # noqa: F811
) -> None:
    town = drawn_town
    hers = enrol(town, *three(HER))
    assert _answer(town, HER) is Verdict.REVIEW
    follower = ask(town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    assert follower.state is EnrolmentState.FROZEN
    assert _now(town, hers).state is EnrolmentState.FROZEN
    assert _now(town, hers).rival == follower.enrolment
    assert "as alike as" in (_now(town, hers).likeness or "")
    waiting = {one.id for one in enrol_face.waiting(town.world.store)}
    assert waiting == {hers.enrolment, follower.enrolment}
    assert _answer(town, HER, 10) is Verdict.CLEAR, "neither counts"

    approve(town, hers.enrolment)
    refuse(town, follower.enrolment, "It is not her.")
    assert _answer(town, HER, 11) is Verdict.REVIEW
    assert town.query("SELECT count(*) FROM enrolments WHERE sealed IS NOT NULL") == [(0,)]


def test_two_that_wait_for_the_same_face_are_frozen_too(drawn_town: Town) -> None:  # noqa: F811
    first = ask(drawn_town, *three(HER))
    second = ask(drawn_town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    states = {_now(drawn_town, one).state for one in (first, second)}
    assert states == {EnrolmentState.FROZEN}


def test_a_duplicate_is_seen_at_approval_when_another_process_was_quicker(
    make_drawn_town: Callable[..., Town],  # noqa: F811
) -> None:
    here, there = make_drawn_town("here"), make_drawn_town("there")
    hers = ask(here, *three(HER))
    follower = ask(there, *three(HIM))
    approve(there, hers.enrolment)
    # The follower's templates become hers, as if both had been asked for at the same moment.
    with there.world.store.transaction() as unit:
        row = unit.enrolments.get(follower.enrolment)
        assert row is not None
        batch = signals_of(Drawn.space, [(_face(HER, photo), WHOLE) for photo in (4, 5, 6)])
        unit.enrolments.add(
            replace(row, id=EnrolmentId(uuid4())),
            unit.vault.seal(row.person, SEALED, pack_all([batch])),
        )
    (late,) = [
        one
        for one in enrol_face.of_person(there.world.store, row.person)
        if one.id != follower.enrolment
    ]
    done = approve(here, late.id)
    assert done.state is EnrolmentState.FROZEN
    assert _now(here, hers).state is EnrolmentState.FROZEN


def test_when_one_of_two_frozen_leaves_the_other_still_waits_for_a_person(
    drawn_town: Town,  # noqa: F811
) -> None:
    town = drawn_town
    hers = enrol(town, *three(HER))
    follower = ask(town, drawn(HER, 4), drawn(HER, 5), drawn(HER, 6))
    _leave(town, follower)
    assert _now(town, hers).state is EnrolmentState.FROZEN
    assert _now(town, hers).rival is None
    assert approve(town, hers.enrolment).state is EnrolmentState.APPROVED
    assert _answer(town, HER) is Verdict.REVIEW
    with pytest.raises(NotFound):
        approve(town, follower.enrolment)


@pytest.mark.parametrize("approved", [True, False])
def test_leaving_destroys_templates_in_force_and_those_that_wait(
    drawn_town: Town,  # noqa: F811
    approved: bool,
) -> None:
    town = drawn_town
    asked = enrol(town, *three(HER)) if approved else ask(town, *three(HER))
    case = town.screen(_board(town), drawn(HER, 9)).case if approved else None
    _leave(town, asked)
    for table in ("persons", "consents", "entries", "enrolments", "grants"):
        assert town.query(f"SELECT count(*) FROM {table}") == [(0,)], table
    assert town.query("SELECT count(*) FROM vault_keys WHERE kind = 'person'") == [(0,)]
    assert _answer(town, HER, 10) is Verdict.CLEAR
    if case:
        of_face = "SELECT DISTINCT state FROM cases WHERE kind = 'face'"
        assert town.query(of_face) == [("withdrawn",)]


def test_a_further_enrolment_takes_the_place_of_the_earlier_one(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    first = enrol(town, *three(HER))
    person = person_of(town, first.case_number)
    second = ask(town, drawn(HER, 4), drawn(HER, 5), person=person)
    assert second.state is EnrolmentState.PENDING, "her own earlier face is no duplicate"
    assert _answer(town, HER, 9) is Verdict.REVIEW, "the earlier one counts until then"
    approve(town, second.enrolment)
    assert _now(town, first).state is EnrolmentState.REPLACED
    assert _answer(town, HER, 10) is Verdict.REVIEW
    assert town.query("SELECT count(*), sum(slots) FROM entries") == [(1, 2)]


def test_consent_runs_out_after_three_years_unless_she_agrees_anew(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    hers, his = enrol(town, *three(HER)), enrol(town, *three(HIM))
    case = town.screen(_board(town), drawn(HIM, 9)).case
    assert not _now(town, hers).ask_again(town.clock())
    town.clock.forward(days=3 * 365 - 30)
    assert _now(town, hers).ask_again(town.clock())
    assert enrol_face.expire(town.world.store, town.world.blobs, town.clock) == 0
    renewed = enrol_face.renew(
        office(town), person_of(town, hers.case_number), consented_to="face-2026-11"
    )
    assert renewed.expires_at > town.clock() + timedelta(days=3 * 365 - 1)
    town.clock.forward(days=40)
    assert enrol_face.expire(town.world.store, town.world.blobs, town.clock) == 1
    assert _now(town, his).state is EnrolmentState.EXPIRED
    assert _now(town, his).ran_out
    assert _answer(town, HIM, 10) is Verdict.CLEAR
    assert _answer(town, HER, 10) is Verdict.REVIEW
    assert town.query("SELECT state FROM cases WHERE id = %s", case) == [("withdrawn",)]
    assert town.query("SELECT count(*) FROM entries") == [(1,)]


def test_whoever_agrees_anew_while_a_further_enrolment_waits_keeps_the_earlier_one(
    drawn_town: Town,  # noqa: F811
) -> None:
    town = drawn_town
    hers = enrol(town, *three(HER))
    town.clock.forward(days=3 * 365 - 30)
    person = person_of(town, hers.case_number)
    ask(town, drawn(HER, 4), drawn(HER, 5), person=person)
    enrol_face.renew(office(town), person, consented_to="face-2026-11")
    town.clock.forward(days=40)
    assert enrol_face.expire(town.world.store, town.world.blobs, town.clock) == 0
    assert _answer(town, HER) is Verdict.REVIEW
    assert not _now(town, hers).ran_out


def test_a_partners_voucher_takes_the_place_of_a_verifier(drawn_town: Town) -> None:  # noqa: F811
    town, private = drawn_town, new_signing_key()
    desk = replace(office(town), partners={"helpline": public_key_of(private)})
    photos = [(f"{at}", body) for at, body in enumerate(three(HER))]

    def voucher(organisation: str = "helpline", bodies=None, days: float = 0.0) -> Voucher:
        seen = vouchers.digests(bodies or [body for _, body in photos])
        word = Voucher(organisation, seen, town.clock() - timedelta(days=days))
        return replace(word, signature=signature_by(private, word.statement()))

    def submit(word: Voucher) -> enrol_face.Submitted:
        return enrol_face.submit(desk, None, photos, consented_to=desk.text, voucher=word)

    with pytest.raises(Denied, match="no organisation 'other'"):
        submit(voucher("other"))
    with pytest.raises(Denied, match="other photos"):
        submit(voucher(bodies=three(HIM)))
    with pytest.raises(Denied, match="too old"):
        submit(voucher(days=31))
    with pytest.raises(Denied, match="signature does not hold"):
        submit(replace(voucher(), issued_at=town.clock() - timedelta(hours=1)))
    good = vouchers.parse(json.dumps(voucher().document()))
    assert submit(good).state is EnrolmentState.APPROVED
    assert _answer(town, HER) is Verdict.REVIEW
    with pytest.raises(Denied, match="used before"):
        submit(good)
    assert submit(voucher(days=1)).state is EnrolmentState.FROZEN, (
        "no voucher stands above somebody else's enrolment"
    )


def _leave(town: Town, submitted: enrol_face.Submitted) -> None:
    assert submitted.case_number is not None
    assert submitted.pin is not None
    receipt = leave(
        town.world.store, town.world.pins, town.clock, submitted.case_number, submitted.pin
    )
    town.live.catch_up()
    done = finish(
        town.world.store, town.world.blobs, town.clock, alive, receipt, patience=timedelta(0)
    )
    assert done.signature is not None or done.next_step is not None


def test_a_case_waits_while_the_face_it_rests_on_is_frozen(drawn_town: Town) -> None:  # noqa: F811
    town = drawn_town
    hers, his = enrol(town, *three(HER)), enrol(town, *three(HIM))
    both = drawn(HIM - 1, 9, "two")  # somebody unknown, and him
    case = town.screen(_board(town), both).case
    with town.world.store.transaction() as unit:
        assert case is not None
        assert {hit.person for hit in unit.cases.hits(case)} == {person_of(town, his.case_number)}
    follower = ask(town, drawn(HIM, 4), drawn(HIM, 5), drawn(HIM, 6))
    assert follower.state is EnrolmentState.FROZEN
    _leave(town, hers)  # somebody else's leaving closes nothing of his
    assert town.query("SELECT state FROM cases WHERE kind = 'face'") == [("open",)]
    with town.world.store.transaction() as unit:
        assert close_if_empty(unit, case, town.clock(), "test") is None
    refuse(town, his.enrolment, "Nobody could make sure.")
    assert town.query("SELECT state FROM cases WHERE kind = 'face'") == [("withdrawn",)]


def test_a_verifier_decides_at_the_command_line_in_their_own_name(
    drawn_town: Town,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    town = drawn_town
    monkeypatch.setattr("services.faces._world", lambda: nullcontext(town.world))
    vera, word = verifier(town), ("--as", "vera", "--reason", "Seen by video.")

    def run(*words: str | None) -> Result:
        return CliRunner().invoke(app, [one or "" for one in words])

    hers, his = ask(town, *three(HER)), ask(town, *three(HIM))
    assert run("verify", hers.case_number, "--reason", "Seen by video.").exit_code == 2
    town.reviewer("otto", "reviewer")
    nobody = run("verify", hers.case_number, "--as", "otto", "--reason", "Seen by video.")
    assert isinstance(nobody.exception, Denied)
    done = run("verify", hers.case_number, *word, "--json")
    assert json.loads(done.output)["state"] == "approved"
    done = run("refuse", his.case_number, *word, "--not-hers", "--json")
    assert json.loads(done.output)["state"] == "refused"
    assert town.query("SELECT state, ground, reason, decided_by FROM cases ORDER BY state") == [
        ("dismissed", "not_own_face", "Seen by video.", vera),
        ("upheld", "own_face", "Seen by video.", vera),
    ]
