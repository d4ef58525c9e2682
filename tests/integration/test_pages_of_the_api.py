"""Every list of the API: a page at a time, each entry once, bounded, one's own alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from services.client import AsyncConsentry, Consentry
from tests.integration.api import Program, make_program, program
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]


def walk(program: Program, path: str, limit: int) -> list[Any]:
    """All entries by pages of ``limit``."""
    found: list[Any] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        page = program.client.get(path, params=query).json()
        assert 0 < len(page["items"]) <= limit
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


@pytest.fixture
def busy(program: Program, make_program: Callable[..., Program]) -> tuple[Program, Program]:
    """A platform with five cases, two of them decided, and another one with one."""
    other = make_program("blog", url=str(program.client.base_url))
    for number in range(5):
        body = jpeg(picture(number))
        program.town.register(body)
        case = program.screen(body, f"post-{number}").json()["case"]
        if number < 2:
            program.town.uphold(case, program.town.reviewer(f"reviewer-{number}"))
    other.screen(jpeg(picture(4)), "theirs")
    return program, other


def test_each_list_has_every_entry_once_in_order_whatever_the_pages(
    busy: tuple[Program, Program],
) -> None:
    program, other = busy
    for path, entries, name in [
        ("/v1/screenings", 5, "screening"),
        ("/v1/cases", 5, "case"),
        ("/v1/events", 2, "event"),
        ("/v1/webhooks", 1, "webhook"),
    ]:
        whole = [one[name] for one in walk(program, path, 100)]
        assert len(whole) == len(set(whole)) == entries
        for limit in (1, 2, 3):
            assert [one[name] for one in walk(program, path, limit)] == whole
        cursor = program.client.get(path, params={"limit": 1}).json()["next"]
        if cursor:
            program.screen(jpeg(picture(9)), "newer")
            after = program.client.get(path, params={"cursor": cursor}).json()["items"]
            assert [one[name] for one in after] == whole[1:], "what is new moves nothing"
            answer = other.client.get(path, params={"cursor": cursor})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert [one["content_id"] for one in walk(other, "/v1/screenings", 2)] == ["theirs"]
    states = [(one["state"], one["decision"]) for one in walk(program, "/v1/cases", 2)]
    assert sorted(set(states), key=str) == [("open", None), ("upheld", "upheld")]


def test_the_client_walks_the_pages_by_itself(busy: tuple[Program, Program]) -> None:
    program, _ = busy
    address = str(program.client.base_url)
    with Consentry(address, program.key) as client:
        assert len(list(client.screenings())) == 5
        cases = [one.case for one in client.cases()]
        assert [one.kind for one in client.events()] == ["case.upheld"] * 2
        (webhook,) = client.webhooks()
        assert list(client.deliveries(webhook.webhook)) == []

    async def awaited() -> list[Any]:
        async with AsyncConsentry(address, program.key) as client:
            return [one.case async for one in client.cases()]

    assert asyncio.run(awaited()) == cases


def test_a_case_shows_a_hundred_of_ones_uploads_and_the_rest_a_page_at_a_time(
    busy: tuple[Program, Program],
) -> None:
    program, other = busy
    first = program.screen(jpeg(picture(4)), "post-4").json()
    case = first["case"]
    program.town.query(
        "WITH made AS (INSERT INTO screenings (id, platform, content_id, rating, form, verdict,"
        "   matches, notes, case_id, policy, index_seq, milliseconds, received_at)"
        " SELECT gen_random_uuid(), s.platform, 'more-' || n, s.rating, s.form, s.verdict,"
        "   s.matches, s.notes, s.case_id, s.policy, s.index_seq, 1, now()"
        " FROM screenings s, generate_series(1, 120) n WHERE s.id = %s"
        " RETURNING id, case_id, platform, content_id)"
        " INSERT INTO case_uploads (screening, case_id, platform, content_id, fingerprint,"
        "   joined_at) SELECT id, case_id, platform, content_id, '', now() FROM made",
        first["screening"],
    )
    place = f"/v1/cases/{case}"
    whole = walk(program, f"{place}/uploads", 100)
    assert len({one["screening"] for one in whole}) == len(whole) == 122
    assert walk(program, f"{place}/uploads", 7) == whole
    shown = program.client.get(place).json()
    assert shown["uploads"] == whole[:100]
    query = {"cursor": shown["uploads_next"], "limit": 100}
    rest = program.client.get(f"{place}/uploads", params=query).json()
    assert (rest["items"], rest["next"]) == (whole[100:], None)
    assert len(walk(other, f"{place}/uploads", 5)) == 1, "one's own alone"
    with Consentry(str(program.client.base_url), program.key) as client:
        assert len(list(client.case_uploads(case))) == 122
