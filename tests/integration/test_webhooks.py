"""Where a platform is told: several addresses, chosen events, rotation, the log, replays, tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from typer.testing import CliRunner

from pipeline.domain.happening import CHOSEN
from pipeline.domain.ids import PlatformId
from pipeline.domain.webhook import MOST
from pipeline.errors import NotFound
from pipeline.journeys.deliver import deliver_due
from pipeline.storage import migrate as module
from services.accounts import add_platform, set_webhook
from services.client import Problem, verify_webhook
from services.wiring import now
from services.worker import duties
from tests.integration.api import Program, make_program, program
from tests.partners import Asked, Partner
from tests.world import Platform, Town, jpeg, picture

__all__ = ["make_program", "program"]

HERS = jpeg(picture(1))
PUBLIC = "https://hooks.board.example/consentry"


@pytest.fixture
def receiver() -> Iterator[Partner]:
    """A platform's receivers on this machine, one for each path."""

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        return (500 if asked.path == "/broken" else 204), {}, b""

    with Partner(answer).running() as running:
        yield running


def inside(program: Program, host: str = "127.0.0.1") -> None:
    """An operator lets the platform name addresses on this machine."""
    with program.town.world.store.transaction() as unit:
        unit.platforms.allow_host(program.platform, host, private=True)


def bare(program: Program) -> Program:
    """The platform without the webhook that it was made with."""
    with program.town.world.store.transaction() as unit:
        for one in unit.webhooks.of(program.platform):
            unit.webhooks.end(one.id)
    return program


def add(program: Program, url: str, *events: str) -> dict[str, Any]:
    answer = program.client.post("/v1/webhooks", json={"url": url, "events": list(events)})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def deliver(town: Town) -> tuple[int, int]:
    done = deliver_due(town.world.store, town.world.action(), now, lambda _: 0.0, lanes=3)
    return done.sent, done.failed


def upheld(program: Program, body: bytes = HERS, content_id: str = "post-1") -> str:
    case = program.screen(body, content_id).json()["case"]
    program.town.uphold(case, program.town.reviewer(f"ada-{content_id}"))
    return str(case)


def test_each_webhook_is_told_what_it_chose_and_each_by_its_own_secrets(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    program.town.register(HERS)
    every = add(program, f"{receiver.address}/every")
    ended = add(program, f"{receiver.address}/ended", "case.dismissed", "case.withdrawn")
    upheld(program)
    assert deliver(program.town) == (1, 0), "nobody asked /ended to hear of upheld cases"
    (asked,) = receiver.asked
    assert asked.path == "/every"
    event = verify_webhook(every["secret"], asked.headers, asked.body)
    assert event.type == "case.upheld"
    assert verify_webhook(every["public_keys"][0]["key"], asked.headers, asked.body) == event
    for other in (ended["secret"], ended["public_keys"][0]["key"]):
        with pytest.raises(Problem, match="not_verified"):
            verify_webhook(other, asked.headers, asked.body)
    changed = program.client.put(
        f"/v1/webhooks/{ended['webhook']}", json={"url": f"{receiver.address}/ended", "events": []}
    )
    assert changed.json()["events"] == []
    other = jpeg(picture(2))
    program.town.register(other)
    upheld(program, other, "post-2")
    assert deliver(program.town) == (2, 0), "an event goes to each webhook that chose it"
    assert sorted(one.path for one in receiver.asked[1:]) == ["/ended", "/every"]
    assert len({one.headers["webhook-id"] for one in receiver.asked[1:]}) == 1


def test_one_that_fails_is_tried_again_without_the_others_being_told_twice(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    program.town.register(HERS)
    add(program, f"{receiver.address}/well")
    broken = add(program, f"{receiver.address}/broken")
    upheld(program)
    assert deliver(program.town) == (1, 1)
    assert deliver(program.town) == (0, 1)
    assert sorted(one.path for one in receiver.asked) == ["/broken", "/broken", "/well"]
    log = program.client.get(f"/v1/webhooks/{broken['webhook']}/deliveries").json()
    assert [(one["attempt"], one["status"], one["delivered"]) for one in log["items"]] == [
        (2, 500, False),
        (1, 500, False),
    ]
    assert log["items"][0]["milliseconds"] >= 0
    assert broken["secret"] not in json.dumps(log)


def test_after_a_rotation_old_and_new_both_verify_until_the_stated_time(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    program.town.register(HERS)
    old = add(program, f"{receiver.address}/hook")
    url = f"/v1/webhooks/{old['webhook']}"
    again = {"idempotency-key": "rotation-1"}
    new = program.client.post(f"{url}:rotate", json={"overlap_hours": 2}, headers=again).json()
    same = program.client.post(f"{url}:rotate", json={"overlap_hours": 2}, headers=again)
    assert same.json() == new
    assert same.headers["idempotency-replayed"] == "true"
    assert new["secret"] != old["secret"]
    newest, earlier = new["public_keys"]
    assert (newest["until"], earlier["key"]) == (None, old["public_keys"][0]["key"])
    assert earlier["until"] is not None
    upheld(program)
    assert deliver(program.town) == (1, 0)
    keys = (old["secret"], new["secret"], newest["key"], earlier["key"])
    (asked,) = receiver.asked
    assert len({verify_webhook(key, asked.headers, asked.body).id for key in keys}) == 1
    program.town.query("UPDATE webhook_secrets SET until = until - interval '2 hours'")
    assert program.client.get(url).json()["public_keys"] == [newest]
    other = jpeg(picture(2))
    program.town.register(other)
    upheld(program, other, "post-2")
    assert deliver(program.town) == (1, 0)
    asked = receiver.asked[-1]
    assert verify_webhook(new["secret"], asked.headers, asked.body).type == "case.upheld"
    for key in (old["secret"], earlier["key"]):
        with pytest.raises(Problem, match="not_verified"):
            verify_webhook(key, asked.headers, asked.body)
    sweep = next(one for one in duties(program.town.world) if one.name == "sweep")
    sweep.work()
    assert program.town.query("SELECT generation FROM webhook_secrets") == [(1,)]


def test_what_is_remembered_of_a_request_holds_no_secret_and_secrets_lie_sealed(
    program: Program,
) -> None:
    headers = {"idempotency-key": "webhook-1"}
    asked = {"url": PUBLIC, "events": ["case.upheld"]}
    first = program.client.post("/v1/webhooks", json=asked, headers=headers)
    second = program.client.post("/v1/webhooks", json=asked, headers=headers)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    secret = first.json()["secret"]
    for table in ("idempotency", "webhooks", "webhook_secrets", "audit_log"):
        rows = str(program.town.query(f"SELECT t::text FROM {table} t"))
        assert secret not in rows
        assert secret.removeprefix("whsec_").encode().hex() not in rows
    listed = program.client.get("/v1/webhooks").json()["items"]
    assert [one["url"] for one in listed] == ["http://127.0.0.1:9/hook", PUBLIC]
    assert all("secret" not in one for one in listed)


def test_events_are_told_again_one_by_one_or_since_a_time(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    town = program.town
    add(program, f"{receiver.address}/first")
    for number in (1, 2):
        body = jpeg(picture(number))
        town.register(body)
        town.clock.forward(seconds=1)
        upheld(program, body, f"post-{number}")
    assert deliver(town) == (2, 0)
    late = add(program, f"{receiver.address}/late", "case.upheld")
    url = f"/v1/webhooks/{late['webhook']}:replay"
    assert deliver(town) == (0, 0), "what reached the platform is not told by itself again"
    events = program.client.get("/v1/events").json()["items"]
    assert [one["kind"] for one in events] == ["case.upheld"] * 2
    assert events[0]["body"]["data"]["uploads"][0]["content_id"] == "post-2"
    one = program.client.post(url, json={"event": events[1]["event"]})
    assert one.json() == {"queued": 1}
    assert program.client.post(url, json={"event": events[1]["event"]}).json() == {"queued": 0}
    since = events[0]["created_at"]
    assert program.client.post(url, json={"since": since}).json() == {"queued": 1}
    assert deliver(town) == (2, 0)
    told = [asked.headers["webhook-id"] for asked in receiver.asked if asked.path == "/late"]
    assert sorted(told) == sorted(one["event"] for one in events), "with the ids they had"
    for wrong in ({}, {"event": events[0]["event"], "since": since}, {"event": "evt_" + "0" * 32}):
        assert program.client.post(url, json=wrong).status_code in {404, 422}


def test_dead_letters_have_their_attempts_back_when_told_again(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    program.town.register(HERS)
    made = add(program, f"{receiver.address}/broken")
    upheld(program)
    program.town.query("UPDATE jobs SET max_attempts = 1")
    assert deliver(program.town) == (0, 1)
    assert deliver(program.town) == (0, 0), "it is a dead letter"
    since = {"since": "2020-01-01T00:00:00Z"}
    answer = program.client.post(f"/v1/webhooks/{made['webhook']}:replay", json=since)
    assert answer.json() == {"queued": 1}
    program.client.put(
        f"/v1/webhooks/{made['webhook']}", json={"url": f"{receiver.address}/well", "events": []}
    )
    assert deliver(program.town) == (1, 0)
    assert len(program.town.query("SELECT id FROM jobs WHERE kind = 'deliver'")) == 1


def test_what_waits_for_a_removed_webhook_is_told_to_the_next_one(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    program.town.register(HERS)
    made = add(program, f"{receiver.address}/gone")
    upheld(program)
    assert program.client.delete(f"/v1/webhooks/{made['webhook']}").status_code == 204
    assert program.client.delete(f"/v1/webhooks/{made['webhook']}").status_code == 404
    assert program.town.query("SELECT count(*) FROM webhook_secrets") == [(0,)]
    assert deliver(program.town) == (0, 0)
    with program.town.world.store.transaction() as unit:
        assert unit.events.deliveries(dead=True, limit=9) == [], "nobody need look after these"
        assert [one["state"] for one in unit.events.deliveries(dead=False, limit=9)] == ["dead"]
        assert sum(one.dead for one in unit.jobs.depth()) == 0
    add(program, f"{receiver.address}/next")
    assert deliver(program.town) == (1, 0)
    assert [asked.path for asked in receiver.asked] == ["/next"]


def test_the_test_button_says_what_came_of_it_and_is_in_the_log(
    program: Program, receiver: Partner
) -> None:
    bare(program), inside(program)
    well = add(program, f"{receiver.address}/well", "case.upheld")
    done = program.client.post(f"/v1/webhooks/{well['webhook']}:test").json()
    assert (done["kind"], done["delivered"], done["status"]) == ("webhook.test", True, 204)
    event = verify_webhook(well["secret"], receiver.asked[0].headers, receiver.asked[0].body)
    assert (event.id, event.type) == (done["event"], "webhook.test")
    broken = add(program, f"{receiver.address}/broken")
    done = program.client.post(f"/v1/webhooks/{broken['webhook']}:test").json()
    assert (done["delivered"], done["status"]) == (False, 500)
    log = program.client.get(f"/v1/webhooks/{broken['webhook']}/deliveries").json()["items"]
    assert log == [done]
    assert program.client.get("/v1/events").json()["items"] == [], "nothing happened"
    assert deliver(program.town) == (0, 0)


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"url": "http://hooks.board.example/"}, None),
        ({"url": "https://user:pass@board.example/"}, None),
        ({"url": "ftp://board.example/"}, "body.url"),
        ({"url": PUBLIC, "events": ["case.upheld", "webhook.test"]}, None),
        ({"url": PUBLIC, "event": []}, "body.(unknown field)"),
        ({}, "body.url"),
    ],
)
def test_an_address_or_event_that_cannot_be_is_refused(
    program: Program, asked: dict[str, Any], where: str | None
) -> None:
    answer = program.client.post("/v1/webhooks", json=asked)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    if where:
        assert answer.json()["errors"][0]["where"] == where


def test_an_address_inside_is_not_gone_to_and_the_platform_is_told(
    program: Program, receiver: Partner
) -> None:
    port = receiver.address.rpartition(":")[2]
    made = add(program, f"https://127.0.0.1:{port}/hook")
    done = program.client.post(f"/v1/webhooks/{made['webhook']}:test").json()
    assert (done["delivered"], done["status"]) == (False, None)
    assert "private network" in done["error"]
    assert receiver.asked == []


def test_a_platform_has_so_many_webhooks_and_sees_its_own_alone_a_page_at_a_time(
    program: Program, make_program: Callable[..., Program]
) -> None:
    ids = [add(program, f"{PUBLIC}/{number}")["webhook"] for number in range(MOST - 1)]
    full = program.client.post("/v1/webhooks", json={"url": PUBLIC})
    assert (full.status_code, full.json()["code"]) == (409, "conflict")
    seen, query = [], {"limit": "5"}
    while True:
        page = program.client.get("/v1/webhooks", params=query).json()
        seen += [one["webhook"] for one in page["items"]]
        assert len(page["items"]) <= 5
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert seen[1:] == ids
    other = make_program("blog", url=str(program.client.base_url))
    assert other.client.get("/v1/webhooks", params=query).status_code == 422, "not its cursor"
    for method, path in [
        ("GET", ids[0]),
        ("DELETE", ids[0]),
        ("GET", f"{ids[0]}/deliveries"),
        ("POST", f"{ids[0]}:test"),
    ]:
        assert other.client.request(method, f"/v1/webhooks/{path}").status_code == 404
    for limit in ("0", "101", "x"):
        answer = program.client.get("/v1/events", params={"limit": limit})
        assert answer.status_code == 422


def test_a_slow_receiver_keeps_no_other_waiting(town: Town) -> None:
    """Deliveries are tried side by side: the quick ones are told while a slow one is waited for."""
    import threading

    quick_told = threading.Event()

    class Slow(Platform):
        def deliver(self, event: Any, endpoint: Any) -> int:
            if "slow" in endpoint.url:
                assert quick_told.wait(20), "the quick one was told meanwhile"
            else:
                quick_told.set()
            return super().deliver(event, endpoint)

    slow = town.platform("slow", "https://slow.example/")
    quick = town.platform("quick", "https://quick.example/")
    town.register(HERS)
    case = town.screen(slow, HERS).case
    town.screen(quick, HERS)
    town.uphold(case, town.reviewer())
    action = Slow()
    done = deliver_due(town.world.store, action, town.clock, lambda _: 1.0, lanes=2)
    assert (done.sent, len(action.told)) == (2, 2)


# --- operators ---------------------------------------------------------------------------------


@pytest.fixture
def shell(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``consentry platforms webhook ...`` in this process, on the town's database."""
    from services.webhooks import app

    monkeypatch.setenv("DATABASE_URL", town.url)
    monkeypatch.setenv("CONSENTRY_HOME", str(tmp_path / "home"))

    def run(*words: str, status: int = 0) -> Any:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == status, done.output
        return (
            [json.loads(line) for line in done.output.splitlines()]
            if "--json" in words
            else (done.output)
        )

    return run


def test_an_operator_does_the_same_on_the_command_line(
    town: Town, shell: Callable[..., Any], receiver: Partner
) -> None:
    board = add_platform(town.world, "board", None, 1000).platform
    town.register(HERS)
    case = town.screen(board, HERS, "post-1").case
    town.uphold(case, town.reviewer())
    (made,) = shell("add", "board", f"{receiver.address}/hook", "--event", "case.upheld", "--json")
    assert deliver(town) == (1, 0), "what was decided before there was an address is told"
    asked = receiver.asked[0]
    assert verify_webhook(made["webhook_secret"], asked.headers, asked.body).type == "case.upheld"
    (done,) = shell("test", "board", "--json")
    assert done["delivered"]
    assert "arrived" in shell("test", "board", made["webhook"])
    (listed,) = shell("list", "board", "--json")
    assert (listed["events"], listed["private"]) == ("case.upheld", True)
    (rotated,) = shell("rotate", "board", "--overlap-hours", "0", "--json")
    assert rotated["webhook_secret"] != made["webhook_secret"]
    assert "1 will be told again" in shell("replay", "board", "--since", "2026-01-01")
    assert deliver(town) == (1, 0)
    asked = receiver.asked[-1]
    assert verify_webhook(rotated["webhook_secret"], asked.headers, asked.body)
    log = shell("log", "board", "--json")
    assert [one["kind"] for one in log] == [
        "case.upheld", "webhook.test", "webhook.test", "case.upheld",
    ]  # fmt: skip
    (second,) = shell("add", "board", f"{receiver.address}/broken", "--json")
    assert "did not arrive" in shell("test", "board", second["webhook"], status=1)
    shell("remove", "board", second["webhook"])
    with pytest.raises(NotFound, match="platforms list"):
        shell("list", "nobody")
    set_webhook(town.world, "board", f"{receiver.address}/only")
    assert len(shell("list", "board", "--json")) == 1


# --- what was there before ---------------------------------------------------------------------


def test_the_one_webhook_of_an_earlier_version_goes_on_with_its_secret_and_what_waits(
    town: Town, database_url: str, monkeypatch: pytest.MonkeyPatch, receiver: Partner
) -> None:
    files = module.migrations()
    at = next(number for number, one in enumerate(files) if "webhooks" in one.name)
    with monkeypatch.context() as before:
        before.setattr(module, "migrations", lambda: files[:at])
        module.migrate(database_url)
    # A platform as the version before kept it, with a delivery that waits and one that was made.
    platform, secret = PlatformId(UUID(int=7)), "whsec_" + "c2VjcmV0" * 4
    with town.world.store.transaction() as unit:
        unit.vault.create(platform, kind="platform")
        sealed = unit.vault.seal(platform, "platforms.webhook_secret", secret.encode())
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("SET search_path = consentry")
        owner.execute(
            "INSERT INTO platforms (id, name, webhook_url, webhook_secret)"
            " VALUES (%s, 'board', %s, %s)",
            (platform, f"{receiver.address}/old", sealed),
        )
        for event in ("evt_made", "evt_waits"):
            owner.execute(
                "INSERT INTO events (id, platform, kind, body) VALUES (%s, %s, 'case.upheld', %s)",
                (event, platform, json.dumps({"type": "case.upheld"})),
            )
            owner.execute(
                "INSERT INTO jobs (kind, payload, max_attempts, state)"
                " VALUES ('deliver', jsonb_build_object('event', %s::text), 12, %s)",
                (event, "done" if event == "evt_made" else "ready"),
            )
        owner.execute(
            "INSERT INTO delivery_attempts (event, job, attempt, at, status, milliseconds)"
            " SELECT 'evt_made', id, 1, now(), 204, 7 FROM jobs WHERE state = 'done'"
        )
        assert files[at].name in module.migrate(database_url)
        (webhook, url, private) = owner.execute("SELECT id, url, private FROM webhooks").fetchone()
        kept = owner.execute("SELECT sealed, sealed_as, generation FROM webhook_secrets").fetchone()
        log = owner.execute("SELECT event, webhook, number FROM delivery_attempts").fetchall()
        waits = owner.execute("SELECT payload FROM jobs WHERE state = 'ready'").fetchall()
    assert (url, private, kept[2]) == (f"{receiver.address}/old", True, 0)
    with town.world.store.transaction() as unit:
        assert unit.vault.unseal(platform, kept[1], kept[0]).decode() == secret
    assert log == [("evt_made", webhook, 1)]
    assert waits == [({"event": "evt_waits", "webhook": str(webhook)},)]


def test_a_delivery_that_a_process_of_the_version_before_made_arrives(
    town: Town, receiver: Partner
) -> None:
    board = town.platform("board", f"{receiver.address}/hook")
    town.register(HERS)
    town.uphold(town.screen(board, HERS).case, town.reviewer())
    town.query("UPDATE jobs SET payload = payload - 'webhook' WHERE kind = 'deliver'")
    assert deliver(town) == (1, 0)


def test_every_event_can_be_chosen_and_none_that_is_not_described(program: Program) -> None:
    made = add(program, PUBLIC, *CHOSEN)
    assert made["events"] == list(CHOSEN)
    assert timedelta(0) <= now() - program.town.clock()
