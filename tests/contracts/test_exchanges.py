"""What partners' lists promise, each asked of a server that speaks the partner's protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline import plugins
from pipeline.errors import Invalid
from pipeline.exchanges import (
    Added,
    Exchange,
    ExchangeFailed,
    Feedback,
    Kind,
    Record,
    Report,
    Unreadable,
    Withdrawn,
    code_of,
    outdated,
)
from pipeline.exchanges._calls import Calls
from tests.partners import Hma, Ncmec, Partner, StopNcii

A, B, C, D = (letter * 64 for letter in "abcd")


@dataclass
class List:
    """A partner's list as a test handles it, whatever the protocol."""

    exchange: Exchange
    put: Callable[[str], None]
    withdraw: Callable[[str], None]
    spoil: Callable[[], None]
    calls: Callable[[], int] = lambda: 0
    page: int = 2


@pytest.fixture
def slept() -> list[float]:
    """How long was waited for partners."""
    return []


@pytest.fixture
def calls(slept: list[float]) -> Calls:
    return Calls(sleep=slept.append)


def stopncii(partner: StopNcii, server: Partner, calls: Calls) -> List:
    times = iter(range(100, 10_000))
    return List(
        plugins.build(
            "exchanges",
            "stopncii",
            calls,
            subscription_key="subscription",
            fetch_key="fetch",
            feedback_key="feedback",
            address=server.address,
        ),
        lambda value: partner.put(value, "Active", next(times)),
        lambda value: partner.put(value, "Withdrawn", next(times)),
        lambda: partner.records.append({"hashStatus": "Active", "signalType": "ImagePDQ"}),
        lambda: len(server.asked),
    )


def ncmec(partner: Ncmec, server: Partner, calls: Calls) -> List:
    return List(
        plugins.build(
            "exchanges",
            "ncmec",
            calls,
            username="me",
            password="secret",
            address=server.address,
            negative_reason="01234567-abcd-0123-4567-012345678900",
        ),
        lambda value: partner.image(value[:4], pdq=value),
        lambda value: partner.delete(value[:4]),
        lambda: partner.entries.append("<image><id>nobody's</id></image>"),
        lambda: len(server.asked),
    )


def ndjson(file: Path, calls: Calls) -> List:
    def write(**record: Any) -> None:
        with file.open("a") as lines:
            lines.write(json.dumps(record) + "\n")

    file.touch()
    return List(
        plugins.build("exchanges", "ndjson", calls, source=str(file)),
        lambda value: write(type="HASH_PDQ", indicator=value, id=value[:4]),
        lambda value: write(type="HASH_PDQ", indicator=value, id=value[:4], should_delete=True),
        lambda: write(type="HASH_PDQ", indicator="12"),
        page=1000,
    )


def hma(partner: Hma, server: Partner, calls: Calls) -> List:
    def spoil() -> None:
        partner.contents[partner.put("12")] = b"no JSON"

    return List(
        plugins.build(
            "exchanges", "hma", calls, address=server.address, banks=["OURS"], token="peer", gap=20
        ),
        lambda value: partner.put(value) and None,
        partner.disable,
        spoil,
        lambda: len(server.asked),
        page=100,
    )


@pytest.fixture(params=plugins.names("exchanges"))
def listed(request: pytest.FixtureRequest, tmp_path: Path, calls: Calls) -> Iterator[List]:
    with ExitStack() as stack:
        if request.param == "ndjson":
            yield ndjson(tmp_path / "list.ndjson", calls)
            return
        speaks, make = {
            "stopncii": (StopNcii(), stopncii), "ncmec": (Ncmec(), ncmec), "hma": (Hma(), hma),
        }[request.param]  # fmt: skip
        server = stack.enter_context(Partner(speaks).running())
        yield make(speaks, server, calls)  # type: ignore[operator]


def read(exchange: Exchange, since: str | None = None) -> tuple[list[Record], str]:
    """All records from a cursor on, and where the next sync begins."""
    records: list[Record] = []
    for page in exchange.pages(since):
        records += page.records
        cursor, last = page.cursor, page.last
    assert last, "the last page says so"
    return records, cursor


def in_force(records: list[Record]) -> set[bytes]:
    """What matches after these records were applied in order."""
    there: dict[str, bytes] = {}
    for record in records:
        if isinstance(record, Added):
            there[record.key] = record.code
        elif isinstance(record, Withdrawn):
            there.pop(record.key, None)
    return set(there.values())


def code(text: str) -> bytes:
    return bytes.fromhex(text)


def test_all_pages_are_read_in_order(listed: List) -> None:
    for value in (A, B, C, D, "e" * 64):
        listed.put(value)
    records, _ = read(listed.exchange)
    assert [record.code for record in records if isinstance(record, Added)] == [
        code(value) for value in (A, B, C, D, "e" * 64)
    ]


def test_what_was_withdrawn_matches_no_more(listed: List) -> None:
    listed.put(A)
    listed.put(B)
    _, cursor = read(listed.exchange)
    listed.withdraw(A)
    records, _ = read(listed.exchange, None if listed.exchange.whole else cursor)
    assert code(A) not in in_force(records)
    assert any(isinstance(record, Withdrawn) for record in records)


def test_one_bad_record_is_named_and_stops_nothing(listed: List) -> None:
    listed.put(A)
    listed.spoil()
    listed.put(B)
    records, _ = read(listed.exchange)
    assert in_force(records) == {code(A), code(B)}
    bad = [record for record in records if isinstance(record, Unreadable)]
    assert len(bad) == 1
    assert bad[0].where
    assert bad[0].why


def test_a_sync_that_was_cut_short_goes_on_where_it_stopped(listed: List) -> None:
    for number in range(listed.page + 3):
        listed.put(f"{number:04x}" + "0" * 60)
    pages = listed.exchange.pages(None)
    first = next(pages)
    assert not first.last
    rest, _ = read(listed.exchange, first.cursor)
    whole, _ = read(listed.exchange)
    assert [*first.records, *rest] == whole


def test_an_empty_list_has_one_last_page(listed: List) -> None:
    records, _ = read(listed.exchange)
    assert records == []


def test_no_hash_prints(listed: List) -> None:
    listed.put(A)
    listed.spoil()
    records, _ = read(listed.exchange)
    added = [record for record in records if isinstance(record, Added)]
    assert "code" not in repr(added[0])


# --- what only partners on the network can do -------------------------------------------------


@pytest.fixture
def stop() -> StopNcii:
    return StopNcii()


@pytest.fixture
def server(stop: StopNcii) -> Iterator[Partner]:
    with Partner(stop).running() as running:
        yield running


def test_the_peers_bug_of_ignoring_withdrawals_is_not_ours(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    """python-threatexchange 1.2.17 compares hashValue, not hashStatus, with these words."""
    exchange = stopncii(stop, server, calls).exchange
    for number, status in enumerate(["Withdrawn", "Deleted", "Active", "Received"]):
        stop.put("abcd"[number] * 64, status, 100 + number)
    records, _ = read(exchange)
    assert [type(record) for record in records] == [Withdrawn, Withdrawn, Added, Added]


def test_a_status_that_nobody_knows_is_not_taken_for_active(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    stop.put(A, "Paused", 100)
    records, _ = read(stopncii(stop, server, calls).exchange)
    assert [type(record) for record in records] == [Unreadable]


def test_a_stale_page_token_begins_the_span_again(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    listed = stopncii(stop, server, calls)
    for value in (A, B, C):
        listed.put(value)
    first = next(listed.exchange.pages(None))
    stop.stale.add(json.loads(first.cursor)["token"])
    records, _ = [], ""
    pages = listed.exchange.pages(first.cursor)
    records = list(next(pages).records)
    assert in_force(records) == {code(A), code(B)}, "from the beginning of the span"


def test_a_busy_partner_is_waited_for_as_long_as_it_asks(
    stop: StopNcii, server: Partner, calls: Calls, slept: list[float]
) -> None:
    stop.put(A, "Active", 100)
    server.first += [(429, {"retry-after": "7"}, b""), (503, {}, b""), (500, {}, b"")]
    records, _ = read(stopncii(stop, server, calls).exchange)
    assert in_force(records) == {code(A)}
    assert slept[0] == 7
    assert slept[2] > slept[1] > 0


def test_wrong_credentials_say_what_to_do_and_do_not_print(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    exchange = plugins.build(
        "exchanges",
        "stopncii",
        calls,
        subscription_key="not the one",
        fetch_key="fetch",
        address=server.address,
    )
    with pytest.raises(ExchangeFailed, match="consentry exchange credentials") as refused:
        read(exchange)
    assert "not the one" not in str(refused.value)
    assert len(server.asked) == 1, "asking again would not help"


def test_an_answer_that_is_no_page_is_refused(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    exchange = stopncii(stop, server, calls).exchange
    for body in (b"<html>", b"[]", b'{"hashRecords": 3}'):
        server.first.append((200, {}, body))
        with pytest.raises(ExchangeFailed, match="no page of hashes"):
            read(exchange)


def test_a_partner_that_is_away_is_named_after_some_tries(slept: list[float]) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    calls = Calls(httpx.Client(transport=httpx.MockTransport(away)), sleep=slept.append)
    exchange = plugins.build("exchanges", "stopncii", calls, subscription_key="s", fetch_key="f")
    with pytest.raises(ExchangeFailed, match=r"no answer from api\.stopncii\.org"):
        read(exchange)
    assert len(slept) == 4


def test_a_page_without_end_is_refused(stop: StopNcii, server: Partner) -> None:
    server.first.append((200, {}, b" " * 4096))
    calls = Calls(most=1024, sleep=lambda _: None)
    with pytest.raises(ExchangeFailed, match="in one page"):
        read(stopncii(stop, server, calls).exchange)


def test_feedback_reaches_stopncii_in_its_own_words(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    listed = stopncii(stop, server, calls)
    listed.put(A)
    records, _ = read(listed.exchange)
    key = records[0].key  # type: ignore[union-attr]
    told = listed.exchange.report([Report(key, Feedback.UPHELD), Report(key, Feedback.DISMISSED)])
    assert told == 2
    assert [(one["hashValue"], one["feedbackValue"]) for one in stop.feedback] == [
        (A, "Blocked"),
        (A, "NotBlocked"),
    ]


def test_feedback_is_not_said_twice_when_it_may_have_arrived(
    stop: StopNcii, server: Partner, calls: Calls
) -> None:
    server.first.append((500, {}, b""))
    with pytest.raises(ExchangeFailed):
        stopncii(stop, server, calls).exchange.report([Report(f"ImagePDQ:{A}", Feedback.UPHELD)])
    assert len(server.asked) == 1


# --- NCMEC ------------------------------------------------------------------------------------


@pytest.fixture
def xml() -> Ncmec:
    return Ncmec()


@pytest.fixture
def service(xml: Ncmec) -> Iterator[Partner]:
    with Partner(xml).running() as running:
        yield running


def test_an_entry_with_several_hashes_is_a_record_each(
    xml: Ncmec, service: Partner, calls: Calls
) -> None:
    xml.image("one", md5="a1" * 16, pdq=A, pdna="a1a1...")
    records, _ = read(ncmec(xml, service, calls).exchange)
    added = {record.kind: record for record in records if isinstance(record, Added)}
    assert set(added) == {Kind.MD5, Kind.PDQ}
    assert added[Kind.PDQ].labels == ("A1",)


def test_a_hash_that_an_entry_lost_is_withdrawn(xml: Ncmec, service: Partner, calls: Calls) -> None:
    exchange = ncmec(xml, service, calls).exchange
    xml.image("one", md5="a1" * 16, pdq=A)
    records, _ = read(exchange)
    xml.image("one", md5="a1" * 16)
    again, _ = read(exchange)
    assert in_force([*records, *again]) == {bytes.fromhex("a1" * 16)}


def test_the_next_sync_begins_before_this_one_did(
    xml: Ncmec, service: Partner, calls: Calls
) -> None:
    before = datetime.now(UTC)
    _, cursor = read(ncmec(xml, service, calls).exchange)
    since = datetime.fromisoformat(json.loads(cursor)["since"])
    assert since <= before
    assert before - since < timedelta(minutes=6)


def test_another_hosts_next_page_gets_no_credentials(
    xml: Ncmec, service: Partner, calls: Calls
) -> None:
    body = (
        b"<queryResult><paging><next>http://203.0.113.7/v2/entries?start=2</next></paging>"
        b"</queryResult>"
    )
    service.first.append((200, {}, body))
    read(ncmec(xml, service, calls).exchange)
    assert [asked.path for asked in service.asked] == ["/v2/entries", "/v2/entries"]


@pytest.mark.parametrize(
    "body",
    [
        b"<queryResult>",
        b"<status/>",
        b'<!DOCTYPE q [<!ENTITY a "b">]><queryResult>&a;</queryResult>',
    ],
)
def test_xml_that_is_no_list_is_refused(
    xml: Ncmec, service: Partner, calls: Calls, body: bytes
) -> None:
    service.first.append((200, {}, body))
    with pytest.raises(ExchangeFailed, match="NCMEC answered"):
        read(ncmec(xml, service, calls).exchange)


def test_feedback_to_ncmec_names_member_entry_and_hash(
    xml: Ncmec, service: Partner, calls: Calls
) -> None:
    exchange = ncmec(xml, service, calls).exchange
    told = exchange.report(
        [
            Report("42:one:pdq", Feedback.UPHELD),
            Report("42:two:md5", Feedback.DISMISSED),
            Report("42:two:md5", Feedback.IN_REVIEW),
        ]
    )
    assert told == 2
    assert [path for path, _ in xml.feedback] == [
        "/v2/feedback/42/one/pdq",
        "/v2/feedback/42/two/md5",
    ]
    assert b"<affirmative" in xml.feedback[0][1]
    assert b"01234567-abcd-0123-4567-012345678900" in xml.feedback[1][1]


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"type,indicator,note\npdq,{A},x\nmd5,{'a1' * 16},\n",
        f"pdq,{A}\nmd5,{'a1' * 16}\n",
        f'{{"type": "HASH_PDQ", "indicator": "{A}"}}\n\n'
        f'{{"type": "video_md5", "indicator": "{"A1" * 16}"}}\n',
    ],
    ids=["csv with a header", "csv without", "ndjson"],
)
def test_a_file_may_be_csv_or_ndjson(tmp_path: Path, calls: Calls, text: str) -> None:
    file = tmp_path / "list"
    file.write_text(text)
    records, _ = read(plugins.build("exchanges", "ndjson", calls, source=str(file)))
    assert in_force(records) == {code(A), bytes.fromhex("a1" * 16)}


def test_a_file_may_lie_at_an_address(calls: Calls) -> None:
    text = f"pdq,{A}\n".encode()
    with Partner(lambda asked: (200, {}, text)).running() as server:
        exchange = plugins.build(
            "exchanges", "ndjson", calls, source=f"{server.address}/list.csv", token="t0ken"
        )
        records, _ = read(exchange)
        assert in_force(records) == {code(A)}
        assert server.asked[0].headers["authorization"] == "Bearer t0ken"


def test_a_file_that_is_not_there_is_named(tmp_path: Path, calls: Calls) -> None:
    exchange = plugins.build("exchanges", "ndjson", calls, source=str(tmp_path / "none"))
    with pytest.raises(ExchangeFailed, match="cannot be read"):
        read(exchange)


# --- small rules ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", plugins.names("exchanges"))
def test_wrong_settings_are_refused_without_repeating_them(name: str, calls: Calls) -> None:
    with pytest.raises(Invalid) as refused:
        plugins.build("exchanges", name, calls, password="hunter2", nonsense=1)
    assert "hunter2" not in str(refused.value)


def test_a_hash_of_another_length_is_refused_without_repeating_it() -> None:
    for text in ("abc", "zz" * 32, "ab" * 31, "ab" * 33):
        with pytest.raises(Invalid) as refused:
            code_of(Kind.PDQ, text)
        assert text not in str(refused.value)


def test_a_cursor_is_outdated_once_the_partner_forgot_what_it_withdrew() -> None:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    assert outdated(timedelta(days=30), now - timedelta(days=31), now)
    assert not outdated(timedelta(days=30), now - timedelta(days=29), now)
    assert not outdated(None, now - timedelta(days=999), now)
    assert not outdated(timedelta(days=30), None, now)


# --- an HMA's banks ---------------------------------------------------------------------------


@pytest.fixture
def peer() -> Hma:
    return Hma({"OURS": 1.0, "THEIRS": 1.0, "OFF": 0.0})


@pytest.fixture
def curator(peer: Hma) -> Iterator[Partner]:
    with Partner(peer).running() as running:
        yield running


def banks(curator: Partner, calls: Calls, *names: str, **more: Any) -> Exchange:
    given = {"address": curator.address, "banks": list(names), "token": "peer", "gap": 5, **more}
    exchange: Exchange = plugins.build("exchanges", "hma", calls, **given)
    return exchange


def test_only_the_banks_that_were_chosen_are_followed(
    peer: Hma, curator: Partner, calls: Calls
) -> None:
    peer.put(A)
    peer.put(B, "THEIRS")
    records, _ = read(banks(curator, calls, "OURS"))
    assert in_force(records) == {code(A)}
    assert records[0].labels == ("OURS",)  # type: ignore[union-attr]


def test_the_peers_bug_of_ignoring_withdrawals_is_not_ours_for_what_an_hma_disabled(
    peer: Hma, curator: Partner, calls: Calls
) -> None:
    for value, until in ((A, 0), (B, 1), (C, 4_000_000_000), (D, 1_000_000_000)):
        peer.put(value, until=until)
    peer.put("e" * 64, "OFF")
    records, _ = read(banks(curator, calls, "OURS", "OFF"))
    assert in_force(records) == {code(A), code(D)}, "in force, or in force again"
    assert sum(isinstance(one, Withdrawn) for one in records) == 3


def test_ids_that_were_deleted_are_passed_over_and_a_gap_ends_the_list(
    peer: Hma, curator: Partner, calls: Calls
) -> None:
    for value in (A, B, C, D):
        peer.put(value)
    del peer.contents[2], peer.contents[3]
    assert in_force(read(banks(curator, calls, "OURS"))[0]) == {code(A), code(D)}
    assert in_force(read(banks(curator, calls, "OURS", gap=2))[0]) == {code(A)}


def test_a_content_of_many_signals_is_a_record_each_and_odd_ones_are_named(
    peer: Hma, curator: Partner, calls: Calls
) -> None:
    number = peer.put(A)
    peer.contents[number]["signals"] |= {"video_md5": "0" * 32, "clip": "1.5", "raw_md5": "xyz"}
    peer.contents[peer.put(B)]["signals"] = None
    peer.contents[peer.put(C)] = {"message": "another API"}  # type: ignore[assignment]
    records, _ = read(banks(curator, calls, "OURS"))
    assert [one.kind for one in records if isinstance(one, Added)] == [Kind.PDQ, Kind.MD5]
    bad = [one for one in records if isinstance(one, Unreadable)]
    assert [one.where for one in bad] == ["content 1", "content 1", "content 3"]
    assert "xyz" not in str(bad)


def test_a_busy_peer_is_waited_for_and_a_bank_that_is_not_there_is_named(
    peer: Hma, curator: Partner, calls: Calls, slept: list[float]
) -> None:
    peer.put(A)
    curator.first = [(429, {"retry-after": "7"}, b"")]
    assert in_force(read(banks(curator, calls, "OURS"))[0]) == {code(A)}
    assert slept == [7.0]
    with pytest.raises(ExchangeFailed, match="no bank 'LOST'; it has: OFF, OURS, THEIRS"):
        read(banks(curator, calls, "LOST"))
    with pytest.raises(ExchangeFailed, match="consentry exchange credentials"):
        read(banks(curator, calls, "OURS", token="wrong"))
    curator.first = [(200, {}, b"<html>")]
    with pytest.raises(ExchangeFailed, match="no list of banks"):
        read(banks(curator, calls, "OURS"))


def test_a_page_of_an_hma_that_fails_in_the_middle_is_read_again_from_its_beginning(
    peer: Hma, curator: Partner, calls: Calls
) -> None:
    for number in range(120):
        peer.put(f"{number:064x}")
    exchange = banks(curator, calls, "OURS")
    pages = exchange.pages(None)
    first = next(pages)
    curator.first = [(403, {}, b"")]
    with pytest.raises(ExchangeFailed):
        next(pages)
    rest, _ = read(exchange, first.cursor)
    assert len(first.records) + len(rest) == 120


def test_an_hma_takes_no_feedback(curator: Partner, calls: Calls) -> None:
    assert banks(curator, calls, "OURS").report([Report("1:pdq", Feedback.UPHELD)]) == 0


# --- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize("deleted", ["true", "1", "Yes"])
def test_the_peers_bug_of_ignoring_withdrawals_is_not_ours_for_files_of_either_kind(
    tmp_path: Path, calls: Calls, deleted: str
) -> None:
    table = tmp_path / "list.csv"
    table.write_text(
        f"id,type,indicator,should_delete\n1,HASH_PDQ,{A},\n2,HASH_PDQ,{B},{deleted}\n"
        f"3,HASH_PDQ,{C},false\n"
    )
    lines = tmp_path / "list.ndjson"
    lines.write_text(
        "".join(
            json.dumps({"id": str(n), "type": "HASH_PDQ", "indicator": value, **more}) + "\n"
            for n, (value, more) in enumerate(
                [(A, {}), (B, {"should_delete": True}), (C, {"should_delete": False})]
            )
        )
    )
    for file in (table, lines):
        records, _ = read(plugins.build("exchanges", "ndjson", calls, source=str(file)))
        assert in_force(records) == {code(A), code(C)}
        assert sum(isinstance(one, Withdrawn) for one in records) == 1


def test_a_busy_server_of_a_file_is_waited_for_and_its_bad_lines_are_named(
    calls: Calls, slept: list[float]
) -> None:
    text = f"type,indicator\npdq,{A}\nsound,00\npdq,12\n\xff\xfe,\npdq,{B}\n".encode("latin-1")
    with Partner(lambda asked: (200, {}, text)).running() as server:
        server.first = [(429, {"retry-after": "3"}, b""), (503, {}, b"")]
        exchange = plugins.build("exchanges", "ndjson", calls, source=server.address)
        records, _ = read(exchange)
        assert in_force(records) == {code(A), code(B)}
        assert sum(isinstance(one, Unreadable) for one in records) == 3
        assert slept[0] == 3.0
        server.first = [(401, {}, b"")]
        with pytest.raises(ExchangeFailed, match="consentry exchange credentials"):
            read(exchange)
