"""Uploads by address in the background: answered in bounded time, each once, whatever is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.journeys import screen_reference
from pipeline.journeys.hold_job import LEASE
from pipeline.journeys.screen_reference import ATTEMPTS, KEPT, MOST, end_batches, forget_batches
from pipeline.outside import Slow, Term
from services import worker as service
from services.accounts import allow_host
from services.api import create_app
from services.api.arriving import SLACK
from services.api.away import Away
from services.api.door import MOST_BATCHES, Limits
from services.api.problems import Declined
from services.client import AsyncConsentry, Batch, Consentry, reference_document
from services.wiring import now
from tests.films import film, scenes
from tests.integration.api import Program, make_program, program
from tests.integration.test_crashes import eventually, worker
from tests.partners import Answer, Asked, Partner
from tests.world import Town, jpeg, picture

__all__ = ["make_program", "program"]

FILES = {f"/{number}.jpg": jpeg(picture(number)) for number in range(1, 13)}


class Host:
    """A platform's file server, which can be told to keep its callers waiting."""

    def __init__(self) -> None:
        self.files, self.seconds = dict(FILES), 0.0
        self.open = threading.Event()
        self.open.set()
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        try:
            time.sleep(self.seconds)
            self.open.wait(30)
        finally:
            with self._lock:
                self.at_once -= 1
        found = self.files.get(asked.path)
        return (200, {}, found) if found else (404, {}, b"")


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def files(program: Program, host: Host) -> Iterator[Partner]:
    with Partner(host).running() as running:
        allow_host(program.town.world, "board", "127.0.0.1", private=True)
        yield running
        host.open.set()


def references(files: Partner, *paths: str) -> dict[str, Any]:
    return {
        "references": [
            reference_document(files.address + path, path, f"account of {path}", "intimate")
            for path in paths
        ]
    }


def begin(program: Program, asked: dict[str, Any], **headers: str) -> Any:
    return program.client.post("/v1/screenings:batch", json=asked, headers=headers)


@contextmanager
def fetching(town: Town) -> Iterator[None]:
    """The part of a worker that goes out, and the one that tells of batches."""
    stop = threading.Event()
    fetcher = town.world.fetcher(town.live, 2)
    threads = [threading.Thread(target=service.go_out, args=(fetcher, stop), daemon=True)]

    def over() -> None:
        while not stop.wait(0.1):
            end_batches(town.world.store, now)

    threads.append(threading.Thread(target=over, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)


def standing(program: Program, begun: Any) -> dict[str, Any]:
    found: dict[str, Any] = program.client.get(begun.headers["location"]).json()
    return found


def completed(program: Program, begun: Any, seconds: float = 30) -> dict[str, Any]:
    assert eventually(lambda: standing(program, begun)["completed_at"], seconds)
    return standing(program, begun)


def told(town: Town) -> Counter[str]:
    return Counter(dict(town.query("SELECT kind, count(*) FROM events GROUP BY kind")))


def test_a_batch_of_addresses_is_answered_at_once_and_each_upload_in_the_end(
    program: Program, host: Host, files: Partner
) -> None:
    program.town.register(FILES["/1.jpg"])
    asked = references(files, "/1.jpg", "/none.jpg", "/2.jpg")
    asked["references"].append(reference_document("https://elsewhere.example/x", "nobody's"))
    host.open.clear()
    began = time.monotonic()
    begun = begin(program, asked)
    assert time.monotonic() - began < 5
    assert (begun.status_code, begun.json()["state"]) == (202, "pending")
    verdicts = [one["screening"]["verdict"] for one in begun.json()["results"]]
    assert verdicts == ["pending", "pending", "pending", "refused"]
    promised = [one["screening"]["screening"] for one in begun.json()["results"]]
    sealed = program.town.query("SELECT to_jsonb(r)::text FROM pending_references r")
    assert len(sealed) == 3
    assert not any("127.0.0.1" in row[0] or "account of" in row[0] for row in sealed)
    with fetching(program.town):
        host.open.set()
        over = completed(program, begun)
        again = program.client.get(begun.headers["location"]).json()
    assert again == over
    assert (over["total"], over["answered"], over["next"]) == (4, 4, None)
    assert [one["content_id"] for one in over["results"]] == [
        "/1.jpg", "/none.jpg", "/2.jpg", "nobody's",
    ]  # fmt: skip
    answers = [one["screening"] for one in over["results"]]
    assert [one["screening"] for one in answers] == promised
    assert [(one["verdict"], one["refused"]) for one in answers] == [
        ("review", None), ("refused", "unreachable"), ("clear", None), ("refused", "unreachable"),
    ]  # fmt: skip
    assert "404" in answers[1]["message"]
    assert "not entered" in answers[3]["message"]
    for answer in answers:
        assert program.client.get(f"/v1/screenings/{answer['screening']}").json() == answer
    assert told(program.town)["screening.completed"] == 4
    ((body,),) = program.town.query("SELECT body FROM events WHERE kind = 'batch.completed'")
    assert body["data"] == {
        "batch": over["batch"],
        "total": 4,
        "verdicts": {"clear": 1, "refused": 2, "review": 1},
    }
    # `uploads` is a list wherever an event has it: receivers go through it.
    uploads = program.town.query("SELECT jsonb_typeof(body->'data'->'uploads') FROM events")
    assert {row[0] for row in uploads} <= {None, "array"}
    assert program.town.query("SELECT count(*) FROM pending_references") == [(0,)]
    assert program.client.get("/v1/batches/" + promised[0]).status_code == 404


def test_a_batch_is_read_a_page_at_a_time_and_forgotten_in_the_end(
    program: Program, files: Partner
) -> None:
    begun = begin(program, references(files, *FILES), **{"idempotency-key": "b-1"})
    place = begun.headers["location"]
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": "5", **({"cursor": cursor} if cursor else {})}
        page = program.client.get(place, params=query).json()
        seen += [one["content_id"] for one in page["results"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == list(FILES)
    with fetching(program.town):
        completed(program, begun)
    store = program.town.world.store
    forget_batches(store, lambda: now() + KEPT - timedelta(hours=1))
    assert program.town.query("SELECT once FROM batches") == [(None,)], "its key is not honoured"
    assert forget_batches(store, lambda: now() + KEPT + timedelta(hours=1)) == 1
    assert program.client.get(place).status_code == 404
    assert program.town.query("SELECT count(*) FROM batch_items") == [(0,)]
    assert program.town.query("SELECT count(*) FROM screenings") == [(len(FILES),)]


def test_the_same_batch_with_the_same_key_is_the_same_batch(
    program: Program, files: Partner
) -> None:
    asked, key = references(files, "/1.jpg", "/2.jpg"), {"idempotency-key": "batch-1"}
    first, again = begin(program, asked, **key), begin(program, asked, **key)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    other = begin(program, references(files, "/1.jpg"), **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
    # The process that took it on died before it remembered: its claim is given up after a while.
    program.town.query("DELETE FROM idempotency")
    assert begin(program, asked, **key).json()["batch"] == first.json()["batch"]
    assert program.town.query("SELECT count(*) FROM pending_references") == [(2,)]
    assert begin(program, asked).json()["batch"] != first.json()["batch"]


def test_more_than_may_wait_is_refused_as_busy_and_nothing_of_it_is_taken_on(
    program: Program, files: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST == 1000
    monkeypatch.setattr(screen_reference, "MOST", 3)
    assert begin(program, references(files, "/1.jpg", "/2.jpg")).status_code == 202
    refused = begin(program, references(files, "/3.jpg", "/4.jpg"))
    assert (refused.status_code, refused.json()["code"]) == (503, "busy")
    assert "retry-after" in refused.headers
    assert program.town.query("SELECT count(*) FROM pending_references") == [(2,)]
    assert program.town.query("SELECT count(*) FROM jobs WHERE kind = 'reference'") == [(2,)]
    assert begin(program, references(files, "/3.jpg")).status_code == 202


def test_a_slow_address_gives_its_request_back_and_is_answered_later(
    program: Program, host: Host, files: Partner
) -> None:
    host.open.clear()
    began = time.monotonic()
    answer = program.client.post(
        "/v1/screenings/references",
        json=references(files, "/1.jpg")["references"][0],
        headers={"prefer": "wait=1", "idempotency-key": "slow"},
    )
    assert 0.9 < time.monotonic() - began < 5
    assert (answer.status_code, answer.json()["verdict"]) == (202, "pending")
    with fetching(program.town):
        host.open.set()
        place = answer.headers["location"]
        assert eventually(lambda: program.client.get(place).json()["verdict"] == "clear")
    assert told(program.town) == {"screening.completed": 1}


def test_slow_addresses_and_many_batches_take_no_room_from_others_uploads(
    program: Program, make_program: Any, host: Host
) -> None:
    town = program.town
    room = town.world.settings.max_bytes + SLACK + (1 << 20)
    small = make_program("small", limits=Limits(2, 32, room))
    other = make_program("other", url=str(small.client.base_url))
    allow_host(town.world, "small", "127.0.0.1", private=True)
    with Partner(host).running() as files, ThreadPoolExecutor(24) as threads:
        host.open.clear()

        def ask(number: int) -> Any:
            asked = references(files, f"/{number % 12 + 1}.jpg")["references"][0]
            return small.client.post(
                "/v1/screenings/references", json=asked, headers={"prefer": "wait=3"}
            )

        asked = [threads.submit(ask, number) for number in range(20)]
        assert eventually(lambda: host.at_once >= 8), "half of the threads go out for one platform"
        began = time.monotonic()
        assert other.screen(FILES["/1.jpg"]).status_code == 200
        assert time.monotonic() - began < 2.5, "nobody waited for those addresses"
        assert {one.result().status_code for one in asked} == {202}
        host.open.set()
    door = create_app(town.world, town.live).state.door
    with ExitStack() as stack:
        for _ in range(MOST_BATCHES):
            stack.enter_context(door.batching(small.platform))
        with pytest.raises(Declined, match="of your batches"), door.batching(small.platform):
            pass
        with door.batching(other.platform):
            pass
    assert not door._batching


def test_a_batch_that_is_waited_for_is_answered_whole_if_it_is_quick(
    program: Program, host: Host, files: Partner
) -> None:
    with fetching(program.town):
        quick = begin(program, references(files, "/1.jpg", "/2.jpg"), prefer="wait=30")
        assert (quick.status_code, quick.json()["state"]) == (200, "completed")
        host.open.clear()
        slow = begin(program, references(files, "/3.jpg"), prefer="wait=1")
        assert (slow.status_code, slow.json()["state"]) == (202, "pending")
        assert slow.headers["preference-applied"] == "wait=1"
        host.open.set()


def test_many_slow_addresses_are_gone_to_at_once(
    program: Program, host: Host, files: Partner
) -> None:
    host.seconds = 0.5
    many = [path for path in FILES for _ in range(2)]
    begun = begin(program, references(files, *many))
    with fetching(program.town):
        began = time.monotonic()
        completed(program, begun)
        assert time.monotonic() - began < len(many) * host.seconds / 2
    assert 6 <= host.most <= service._AWAY - service._KEPT_FREE + 1


def test_no_platform_waits_for_anothers_slow_addresses(
    program: Program, make_program: Any, files: Partner
) -> None:
    begin(program, references(files, *FILES))
    url = str(program.client.base_url)
    other = make_program("other", url=url)
    allow_host(program.town.world, "other", "127.0.0.1", private=True)
    begin(other, references(files, "/1.jpg"))
    fetcher = program.town.world.fetcher(program.town.live, 2)

    def claimed(most: int) -> Any:
        job = fetcher.claim(most)
        if job is None:
            return None
        with program.town.world.store.transaction() as unit:
            return [unit.references.get(_id(job))].pop().platform  # type: ignore[union-attr]

    assert claimed(9) == program.platform
    assert claimed(1) == other.platform, "it came last, and has none under way"
    assert claimed(1) is None, "the places that are left are for somebody else"
    assert claimed(9) == program.platform


def _id(job: Any) -> Any:
    from uuid import UUID

    return UUID(job.payload["screening"])


def test_a_worker_killed_among_addresses_loses_none_and_answers_none_twice(
    program: Program, host: Host, files: Partner
) -> None:
    town = program.town
    town.register(FILES["/1.jpg"], FILES["/2.jpg"])
    begun = begin(program, references(files, *FILES))
    host.seconds = 0.3
    answered = "SELECT count(*) FROM screenings"
    with worker(town) as first:
        assert eventually(lambda: town.query(answered)[0][0] >= 2, 60)
        host.open.clear()
        assert eventually(lambda: host.at_once >= 2 or town.query(answered)[0][0] >= len(FILES))
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert town.query(answered)[0][0] < len(FILES), "it was killed half-way"
    # One that was recorded, and whose worker died before it said so, is not screened again.
    town.query("UPDATE jobs SET lease_until = now() WHERE state = 'leased'")
    host.open.set()
    with worker(town):
        over = completed(program, begun, 60)
    assert over["answered"] == len(FILES)
    assert town.query("SELECT count(*), count(DISTINCT content_id) FROM screenings") == [
        (len(FILES), len(FILES))
    ]
    assert town.query("SELECT count(*) FROM cases") == [(2,)]
    assert town.query("SELECT count(*) FROM case_uploads") == [(2,)]
    assert told(town) == {"screening.completed": len(FILES), "batch.completed": 1}


def test_what_was_recorded_before_its_worker_died_is_told_once_and_not_screened_again(
    program: Program, files: Partner
) -> None:
    town = program.town
    begun = begin(program, references(files, "/1.jpg"))
    fetcher = town.world.fetcher(town.live, 1)
    job = fetcher.claim(1)
    assert job is not None
    end = fetcher._end
    fetcher._end = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        fetcher.do(job, lambda _: 0.0)
    assert town.query("SELECT count(*) FROM screenings") == [(1,)]
    assert standing(program, begun)["answered"] == 0
    fetcher._end = end  # type: ignore[method-assign]
    town.query("UPDATE jobs SET lease_until = now()")
    later = fetcher.claim(1)
    assert later is not None
    fetcher.do(later, lambda _: 0.0)
    fetcher.do(job, lambda _: 0.0)  # the first one wakes up again, much later
    assert len(files.asked) == 1
    assert standing(program, begun)["answered"] == 1
    assert told(town) == {"screening.completed": 1}


def test_one_whose_work_fails_each_time_is_refused_by_name(
    program: Program, files: Partner
) -> None:
    begun = begin(program, references(files, "/1.jpg"))
    fetcher = program.town.world.fetcher(program.town.live, 1)
    for _ in range(ATTEMPTS):
        assert fetcher.claim(1) is not None
        program.town.query("UPDATE jobs SET lease_until = now()")
    assert fetcher.claim(1) is None
    assert fetcher.answer_given_up() == 1
    (result,) = standing(program, begun)["results"]
    assert (result["screening"]["verdict"], result["screening"]["refused"]) == (
        "refused", "unreachable",
    )  # fmt: skip
    assert fetcher.answer_given_up() == 0
    assert timedelta(minutes=1) > LEASE, "whoever dies is followed soon"


def test_a_host_that_was_taken_back_meanwhile_is_not_gone_to(
    program: Program, files: Partner
) -> None:
    from services.accounts import forget_host

    begun = begin(program, references(files, "/1.jpg"))
    forget_host(program.town.world, "board", "127.0.0.1")
    with fetching(program.town):
        (result,) = completed(program, begun)["results"]
    assert result["screening"]["refused"] == "unreachable"
    assert files.asked == []


def test_a_video_in_a_batch_is_taken_in_and_the_batch_ends_with_it(
    program: Program, host: Host, files: Partner
) -> None:
    host.files["/f.mp4"] = film(scenes(("coffee", "rocket"), 2.0), bitrate=400_000)
    begun = begin(program, references(files, "/f.mp4", "/1.jpg"))
    town = program.town
    with fetching(town):
        assert eventually(lambda: standing(program, begun)["answered"] == 1)
        assert eventually(lambda: town.query("SELECT 1 FROM pending_films"))
        time.sleep(0.3)
        assert standing(program, begun)["state"] == "pending"
        assert town.world.projector(town.live).work(lambda _: 0.0)
        over = completed(program, begun)
    assert [one["screening"]["verdict"] for one in over["results"]] == ["clear"] * 2
    first = begun.json()["results"][0]["screening"]
    assert over["results"][0]["screening"]["screening"] == first["screening"]
    assert told(town) == {"screening.completed": 2, "batch.completed": 1}


def test_the_clients_begin_wait_for_and_read_batches(program: Program, files: Partner) -> None:
    address = str(program.client.base_url)
    asked = references(files, *FILES)["references"]
    heard: list[Batch] = []
    with fetching(program.town), Consentry(address, program.key) as client:
        begun = client.begin_batch(asked, idempotency_key="c-1")
        results = client.wait_for_batch(begun, every=0.05, progress=heard.append)
        assert [one.content_id for one in results] == list(FILES)
        assert {one.screening.verdict for one in results if one.screening} == {"clear"}
        assert client.batch(begun.batch).state == "completed"
        assert client.begin_batch(asked, idempotency_key="c-1").batch == begun.batch
        later = client.screen_reference(files.address + "/1.jpg", "x", wait=0)
        assert later.verdict == "pending"
        assert client.wait(later, every=0.05).verdict == "clear"

        async def awaited() -> None:
            async with AsyncConsentry(address, program.key) as client:
                found = await client.screen_batch(references=asked[:2], idempotency_key="c-2")
                assert [one.content_id for one in found] == ["/1.jpg", "/2.jpg"]
                began = await client.begin_batch(asked[2:4], wait=30)
                assert began.state == "completed"
                assert (await client.batch(began.batch)).answered == 2

        asyncio.run(awaited())


def test_addresses_are_screened_from_the_command_line(
    program: Program, files: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.cli import app

    program.town.register(FILES["/1.jpg"])
    monkeypatch.setenv("CONSENTRY_KEY", program.key)
    urls = [f"{files.address}/1.jpg", f"{files.address}/2.jpg?signature=abc"]
    words = ["screen", *urls, "--remote", str(program.client.base_url), "--rating", "intimate"]
    with fetching(program.town):
        done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
        assert "review" in CliRunner().invoke(app, words, catch_exceptions=False).stdout
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [(one["path"], one["verdict"]) for one in said] == [
        (urls[0], "review"), (urls[1], "clear"),
    ]  # fmt: skip
    assert said[0]["content_id"] == urls[0]
    assert "signature" not in said[1]["content_id"]


def test_a_term_ends_unless_it_is_put_off() -> None:
    clock = [100.0]
    term = Term(30.0, lambda: clock[0])
    term.begin()
    clock[0] += 29
    assert term.left == pytest.approx(1)
    term.put_off(300)
    clock[0] += 300
    assert term.left == pytest.approx(1)
    assert issubclass(Slow, Exception)


def test_no_platform_has_all_threads_that_go_out() -> None:
    one, two = (screen_reference.PlatformId(screen_reference.UUID(int=n)) for n in (1, 2))
    away, gate = Away(4), threading.Event()

    async def story() -> None:
        waiting = [asyncio.create_task(away.run(one, gate.wait)) for _ in range(2)]
        await asyncio.sleep(0.05)
        assert not away.free_for(one)
        with pytest.raises(Declined, match="for you"):
            await away.run(one, gate.wait)
        assert await away.run(two, lambda: 7) == 7
        gate.set()
        await asyncio.gather(*waiting)
        assert away.free_for(one)

    asyncio.run(story())
