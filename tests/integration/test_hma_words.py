"""A client of Hasher-Matcher-Actioner finds its words here, and no more than a screening tells."""

from __future__ import annotations

from typing import Any

from tests.integration.api import Program, make_program, program
from tests.integration.test_api import pdq
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]


def photo(body: bytes) -> dict[str, Any]:
    return {"photo": ("photo.jpg", body, "image/jpeg")}


def test_a_client_hashes_and_looks_up_as_it_did_before(program: Program) -> None:
    program.town.register(jpeg(picture(1)))
    assert program.client.get("/status").text == "I-AM-ALIVE"
    hashes = program.client.post("/h/hash", files=photo(jpeg(picture(1), 50))).json()
    assert set(hashes) == {"pdq", "phash"}
    assert len(hashes["pdq"]) == 64
    query = {"signal_type": "pdq", "signal": hashes["pdq"], "seed": "post-1"}
    found = program.client.get("/m/lookup", params=query)
    assert found.status_code == 200
    assert set(found.json()) == {"REVIEW"}
    (match,) = found.json()["REVIEW"]
    assert isinstance(match["bank_content_id"], int)
    assert int(match["distance"]) <= 31
    unknown = program.client.get("/m/lookup", params=query | {"signal": "5a" * 32})
    assert unknown.json() == {}


def test_a_file_is_looked_up_with_all_that_its_pixels_say(program: Program) -> None:
    program.town.register(jpeg(picture(1)))
    found = program.client.post("/m/lookup", files=photo(jpeg(picture(1), 50)))
    assert set(found.json()) >= {"pdq"}
    assert all(set(banks) == {"REVIEW"} for banks in found.json().values())
    number = found.json()["pdq"]["REVIEW"][0]["bank_content_id"]
    answer = program.client.get(f"/v1/screenings/{found.headers['consentry-screening']}").json()
    assert answer["verdict"] == "review"
    assert number == int(answer["case"].replace("-", ""), 16) & ((1 << 52) - 1)
    program.town.uphold(answer["case"], program.town.reviewer())
    again = program.client.post(
        "/m/lookup", files=photo(jpeg(picture(1), 50)), params={"seed": "b"}
    )
    assert set(again.json()["pdq"]) == {"UPHELD"}


def test_each_look_up_is_a_screening_and_a_hash_is_none(program: Program) -> None:
    body = jpeg(picture(1))
    program.client.post("/h/hash", files=photo(body))
    count = "SELECT count(*) FROM screenings"
    assert program.town.query(count) == [(0,)]
    headers = {"idempotency-key": "one"}
    first = program.client.post("/m/lookup", files=photo(body), headers=headers)
    again = program.client.post("/m/lookup", files=photo(body), headers=headers)
    assert again.headers["consentry-screening"] == first.headers["consentry-screening"]
    assert program.town.query(count) == [(1,)]
    code = pdq(program.town, body).hex()
    program.client.get("/m/lookup", params={"signal_type": "pdq", "signal": code})
    assert program.town.query("SELECT form, verdict FROM screenings ORDER BY received_at") == [
        ("file", "clear"), ("hashes", "clear"),
    ]  # fmt: skip


def test_nobody_without_a_key_looks_up_and_nothing_lists_what_is_held(
    make_program: Any, program: Program
) -> None:
    query = {"signal_type": "pdq", "signal": "5a" * 32}
    nobody = {"authorization": "Bearer wrong"}
    for path in ("/m/lookup", "/h/hash"):
        refused = program.client.get(path, params=query, headers=nobody)
        assert refused.status_code == 401
        assert program.client.post(path, files=photo(b"x"), headers=nobody).status_code == 401
    for path in ("/c/banks", "/c/bank/OURS", "/m/raw_lookup", "/m/index/status", "/site-map"):
        assert program.client.get(path).status_code == 404
    slow = make_program("slow", per_minute=2, url=str(program.client.base_url))
    answers = [slow.client.get("/m/lookup", params=query).status_code for _ in range(3)]
    assert answers == [200, 200, 429]


def test_what_cannot_be_looked_up_says_why(program: Program) -> None:
    one = {"signal_type": "pdq", "signal": "5a" * 32}
    for query in ({}, {"signal_type": "pdq"}, one | {"signal": "5a"}, one | {"signal_type": "x"}):
        assert program.client.get("/m/lookup", params=query).status_code == 422
    broken = program.client.post("/m/lookup", files=photo(b"no picture"))
    assert (broken.status_code, broken.json()["code"]) == (422, "invalid")
    two = [("photo", ("a", b"x")), ("photo", ("b", b"y"))]
    assert program.client.post("/h/hash", files=two).status_code == 422
    assert program.client.post("/h/hash", files={"cv": ("a", b"x")}).status_code == 422
    assert program.client.post("/h/hash", json={}).status_code == 415
    clip = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(64)
    assert program.client.post("/m/lookup", files=photo(clip)).status_code == 415
    inside = {"url": "http://127.0.0.1:9/photo.jpg"}
    for path in ("/m/lookup", "/h/hash"):
        refused = program.client.get(path, params=inside)
        assert (refused.status_code, refused.json()["code"]) == (422, "unreachable")
