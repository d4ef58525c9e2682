"""Stories of a face: found in what is intimate, left alone everywhere else.

The portraits stand for pictures that a platform rates intimate; none of them is.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.domain.media import Rating
from pipeline.domain.screening import Verdict
from tests.faces import (
    ask,
    enrol,
    face_town,  # noqa: F401
    make_face_town,  # noqa: F401
    person_of,
    portrait_file,
)
from tests.packs import group_photo, portrait
from tests.pictures import encode
from tests.unit.test_face_detection import pasted
from tests.world import Town


def test_her_face_in_an_intimate_upload_reaches_a_person(face_town: Town) -> None:  # noqa: F811
    enrol(face_town, portrait_file("obama"), portrait_file("obama2"))
    board, ada = face_town.platform(), face_town.reviewer()

    answer = face_town.screen(board, portrait_file("obama3"), rating=Rating.INTIMATE)
    assert answer.verdict is Verdict.REVIEW
    (match,) = answer.matches
    assert match.signal == "omz0095"
    assert 0.6 < match.distance <= 1, "a cosine, which rises with likeness"
    assert match.witness is not None
    assert "1 in 100,000 strangers would look this alike" in match.witness
    assert face_town.query("SELECT kind FROM cases WHERE state = 'open'") == [("face",)]

    face_town.uphold(answer.case, ada)
    face_town.uphold(answer.case, face_town.reviewer("bea"))  # a likeness wants two people
    again = face_town.screen(board, portrait_file("obama3"), rating=Rating.NOT_INTIMATE)
    assert again.verdict is Verdict.KNOWN, "what was upheld is known by its own codes"


def test_a_stranger_in_an_intimate_upload_is_left_alone(face_town: Town) -> None:  # noqa: F811
    enrol(face_town, portrait_file("obama"), portrait_file("obama2"))
    answer = face_town.screen(face_town.platform(), portrait_file("biden"))
    assert answer.verdict is Verdict.CLEAR
    assert answer.matches == ()


def test_an_ordinary_photo_of_her_raises_nothing_and_leaves_nothing(
    face_town: Town,  # noqa: F811
) -> None:
    enrol(face_town, portrait_file("obama"), portrait_file("obama2"))
    board = face_town.platform()
    before = _tables(face_town)
    body = portrait_file("obama3")
    answer = face_town.screen(board, body, content_id="ordinary", rating=Rating.NOT_INTIMATE)
    assert answer.verdict is Verdict.CLEAR
    after = _tables(face_town)
    assert after.keys() == before.keys()
    grown = {table for table in after if after[table] != before[table]}
    assert grown <= {"screenings", "followers", "schema_migrations"}, grown
    ((row,),) = face_town.query(
        "SELECT to_jsonb(s) - ARRAY['id', 'platform', 'received_at'] FROM screenings s"
        " WHERE content_id = 'ordinary'"
    )
    assert row["verdict"] == "clear"
    assert row["matches"] == []
    assert row["notes"] == []
    assert row["case_id"] is None
    assert row["uploader"] is None


def test_her_face_pasted_into_another_picture_is_found_and_the_carrier_is_not(
    face_town: Town,  # noqa: F811
) -> None:
    hers = enrol(face_town, portrait_file("obama"), portrait_file("obama3"))
    carrier = enrol(face_town, portrait_file("biden"), encode(portrait("biden").rgb[::2, ::2]))
    (model,) = face_town.world.face_models()
    fake = pasted(portrait("obama2"), portrait("biden"), model).rgb
    answer = face_town.screen(face_town.platform(), encode(fake, "JPEG", quality=90))
    assert answer.case is not None
    with face_town.world.store.transaction() as unit:
        people = {hit.person for hit in unit.cases.hits(answer.case)}
    assert people == {person_of(face_town, hers.case_number)}
    assert person_of(face_town, carrier.case_number) not in people


def test_a_crowd_beyond_the_bound_is_told(
    make_face_town: Callable[..., Town],  # noqa: F811
) -> None:
    town = make_face_town(max_faces=4)
    answer = town.screen(town.platform(), encode(group_photo().rgb))
    assert answer.verdict is Verdict.CLEAR
    assert answer.notes == ("faces_left_out:2",)


def test_without_a_rating_faces_are_left_alone_unless_the_policy_says_otherwise(
    face_town: Town,  # noqa: F811
) -> None:
    enrol(face_town, portrait_file("obama"), portrait_file("obama2"))
    answer = face_town.screen(face_town.platform(), portrait_file("obama3"), rating=Rating.UNKNOWN)
    assert answer.verdict is Verdict.CLEAR
    assert answer.notes == ("faces_not_looked_at:unknown_rating",)


def test_a_face_that_waits_for_a_verifier_is_not_recognised(face_town: Town) -> None:  # noqa: F811
    ask(face_town, portrait_file("obama"), portrait_file("obama2"))
    face_town.live.catch_up()
    answer = face_town.screen(face_town.platform(), portrait_file("obama3"))
    assert answer.verdict is Verdict.CLEAR


def _tables(town: Town) -> dict[str, int]:
    names = [
        name
        for (name,) in town.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'consentry'"
        )
    ]
    return {name: town.query(f"SELECT count(*) FROM {name}")[0][0] for name in names}
