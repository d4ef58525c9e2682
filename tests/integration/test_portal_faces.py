"""A face is protected from the portal: asked for apart, photos kept nowhere, taken back at will."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fastapi.testclient import TestClient

from pipeline.domain.enrolment import FACE_TEXT
from pipeline.domain.likeness import Likeness
from pipeline.domain.media import Frame
from pipeline.domain.signal import Metric, Space
from pipeline.journeys import enrol_face
from pipeline.packs import Face, Faces, Looks
from services.portal import create_app
from services.wiring import World, now
from tests.integration.test_portal import PAGE, new_key, signed_in, token
from tests.world import Town, jpeg, picture

DARK = 20


class Model:
    """Sees one face in every picture, the same, and too dark a one in dark pictures."""

    space = Space("model", "1", Metric.INNER_PRODUCT, 8)
    likeness = Likeness(0.4, 0.6)

    def templates(self, frames: Sequence[Frame]) -> list[Faces]:
        return [Faces((self._face(float(np.median(frame.rgb))),)) for frame in frames]

    def _face(self, light: float) -> Face:
        template = np.zeros(8, np.float32)
        template[0] = 1.0
        landmarks = np.zeros((5, 2), np.float32)
        looks = Looks(200.0, light if light < DARK else 120.0, 20.0, 0.0)
        return Face((0.0, 0.0, 200.0, 200.0), landmarks, 0.99, looks, template)


def sent(*bodies: bytes, **changes: object) -> dict[str, object]:
    photos = [base64.b64encode(body).decode() for body in bodies]
    return {"key": new_key(), "consent": FACE_TEXT, "adult": True, "photos": photos, **changes}


def test_a_face_is_asked_for_judged_photo_by_photo_and_taken_back(town: Town) -> None:
    world = _looking(town)
    with world.live("portal") as live:
        client = TestClient(create_app(world, live), headers=PAGE, follow_redirects=False)
        _asked_and_taken_back(town, client)


def _looking(town: Town) -> World:
    """The town's world, with a pack."""
    return replace(
        town.world,
        settings=town.world.settings.model_copy(update={"faces": ("model",)}),
        face_models=lambda: (Model(),),
        face_spaces=(Model.space,),
        policy=replace(
            town.world.policy,
            faces=replace(town.world.policy.faces, thresholds={"model": Model.likeness}),
        ),
    )


def _asked_and_taken_back(town: Town, client: TestClient) -> None:
    assert "Turn on the camera" in client.get("/en/photo").text
    assert "Protect my face against fakes" in client.get("/en/").text
    good = [jpeg(picture(seed)) for seed in (1, 2, 3)]
    for wrong in (
        sent(*good, adult=False),
        sent(*good, consent="another text"),
        sent(),
        {**sent(*good), "name": "Maria"},
    ):
        assert client.post("/en/photo", json=wrong).status_code == 422
    dark = jpeg(picture(4).point(lambda value: value // 20))
    refused = client.post("/en/photo", json=sent(*good[:2], dark))
    assert refused.status_code == 422
    assert refused.json()["photos"] == [
        None, None, "It is too dark. Turn towards a window or a lamp.",
    ]  # fmt: skip
    assert town.query("SELECT count(*) FROM persons") == [(0,)]
    asked = sent(*good)
    done = client.post("/en/photo", json=asked)
    assert done.status_code == 201, done.text
    given = done.json()
    assert client.post("/en/photo", json=asked).json() == given, "a lost answer is given again"
    assert town.query("SELECT count(*) FROM persons") == [(1,)]
    assert "a person will check that it is yours" in given["said"]
    assert "set-cookie" not in done.headers
    page = signed_in(client, given).get("/en/case").text
    assert "a person will check that it is yours" in page
    _asked_again(town, client, given)
    back = client.post("/en/photo/end", data={"csrf": token(page)})
    assert back.headers["location"] == "/en/case"
    assert "Take my face back" not in client.get("/en/case").text
    assert town.query("SELECT count(*) FROM enrolments WHERE sealed IS NOT NULL") == [(0,)]


def _asked_again(town: Town, client: TestClient, given: dict[str, str]) -> None:
    """Her agreement is near its end: she is asked, and it goes on once she has agreed anew."""
    page = client.get("/en/case").text
    assert "Your agreement holds until" in page
    assert "Shall we go on" not in page
    soon = "UPDATE enrolments SET state = 'approved', expires_at = now() + interval '20 days'"
    town.query(f"{soon} RETURNING id")
    page = client.get("/en/case").text
    assert "Shall we go on looking for your face?" in page
    form = {"csrf": token(page), "consent": FACE_TEXT}
    assert client.post("/en/photo/renew", data=form).status_code == 422, "without the box"
    form["agree"] = "yes"
    assert client.post("/en/photo/renew", data={**form, "csrf": "x"}).status_code == 403
    assert client.post("/en/photo/renew", data={**form, "consent": "another"}).status_code == 422
    assert town.query("SELECT expires_at < now() + interval '21 days' FROM enrolments") == [(True,)]
    done = client.post("/en/photo/renew", data=form)
    assert done.headers["location"] == "/en/case"
    assert "Shall we go on" not in client.get("/en/case").text
    kept = town.query("SELECT expires_at > now() + interval '1000 days' FROM enrolments")
    assert kept == [(True,)]
    said = town.query("SELECT actor FROM audit_log WHERE action = 'enrolment.renewed'")
    assert said == [("person",)]


def test_who_let_her_agreement_run_out_is_asked_for_new_photos(town: Town) -> None:
    world = _looking(town)
    with world.live("portal") as live:
        client = TestClient(create_app(world, live), headers=PAGE, follow_redirects=False)
        given = client.post("/en/photo", json=sent(*map(jpeg, map(picture, (1, 2, 3))))).json()
        town.query("UPDATE enrolments SET expires_at = now() - interval '1 day' RETURNING id")
        assert enrol_face.expire(world.store, world.blobs, now) == 1
        page = signed_in(client, given).get("/en/case").text
    assert "Your agreement to look for your face ended on" in page
    assert "send new photos" in page
    assert "Take my face back" not in page
    assert "There is nothing in your case now" not in page


def test_where_faces_are_not_looked_at_the_page_says_so(town: Town) -> None:
    client = TestClient(create_app(town.world), headers=PAGE, follow_redirects=False)
    assert "This is not offered here yet." in client.get("/en/photo").text
    assert "Protect my face" not in client.get("/en/").text
    assert client.post("/en/photo", json=sent(jpeg(picture(1)))).status_code == 404
