"""Look-ups by value take the short way and go together; what is promised of each stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from pipeline.domain.media import Side
from tests.integration.api import Program, make_program, program
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))

UNKNOWN = "post-unknown"


def stranger(number: int) -> bytes:
    return np.random.default_rng(number).integers(0, 256, 32, dtype=np.uint8).tobytes()


def test_of_many_at_once_each_gets_its_own_answer_and_all_are_on_record(program: Program) -> None:
    program.town.register(HERS)
    world, count = program.town.world, 120
    pdq = next(one for one in world.signals if one.space.name == "pdq")
    computed = pdq.compute(list(world.decode(HERS).frames), Side.REGISTERED)
    near = bytes(computed.codes[0])

    def ask(number: int) -> Any:
        if number % 10 == 3:
            return program.hashes(near, content_id=f"near-{number}")
        if number % 10 == 7:
            said = [{"signal": "no_such", "hash": "00"}]
            return program.client.post(
                "/v1/screenings/hashes", json={"content_id": UNKNOWN, "hashes": said}
            )
        return program.hashes(stranger(number), content_id=f"post-{number}")

    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(ask, range(count)))
    for number, answer in enumerate(answers):
        if number % 10 == 7:
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
            continue
        said = answer.json()
        assert answer.status_code == 200
        assert said["verdict"] == ("review" if number % 10 == 3 else "clear")
        assert said["content_id"].endswith(f"-{number}")
        again = program.client.get(f"/v1/screenings/{said['screening']}").json()
        assert again["content_id"] == said["content_id"]
        assert again["verdict"] == said["verdict"]


BODIES = {
    "no JSON": b"not json",
    "no hashes": b'{"content_id": "a", "hashes": []}',
    "an unknown signal": b'{"content_id": "a", "hashes": [{"signal": "nope", "hash": "00"}]}',
    "an unknown field": b'{"content_id": "a", "more": 1, "hashes": []}',
    "too much": b" " * (300 << 10),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_short_way_says_what_is_wrong_in_the_words_of_the_long_one(
    program: Program, body: bytes
) -> None:
    said = []
    for more in ({}, {"idempotency-key": "once"}):
        headers = {"content-type": "application/json", "x-request-id": "one", **more}
        answer = program.client.post("/v1/screenings/hashes", content=body, headers=headers)
        assert answer.status_code in (413, 422)
        named = {name: value for name, value in answer.headers.items() if name != "ratelimit"}
        said.append((answer.status_code, answer.json(), named))
    assert said[0][0] == said[1][0]
    assert said[0][1] == said[1][1]
    assert said[0][2].keys() == said[1][2].keys()


def test_other_methods_and_kinds_of_body_are_answered_as_anywhere(program: Program) -> None:
    assert program.client.get("/v1/screenings/hashes").status_code in (405, 422)
    plain = program.client.post(
        "/v1/screenings/hashes", content=b"x", headers={"content-type": "text/plain"}
    )
    assert (plain.status_code, plain.json()["code"]) == (415, "unsupported_media_type")
