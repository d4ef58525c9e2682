"""The Python client against a real service: what a platform's engineer writes in an afternoon."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from pipeline.domain.webhook import new_secret
from services.api import create_app
from services.client import AsyncConsentry, Consentry, Problem, Retrying, verify_webhook
from services.client import _answers as answers
from tests.integration.api import Program, make_program, program  # noqa: F401
from tests.partners import Asked, Partner
from tests.world import Town, jpeg, picture

QUICK = Retrying(attempts=4, longest=0.01)


@pytest.fixture
def client(program: Program) -> Consentry:  # noqa: F811
    return Consentry(str(program.client.base_url), program.key, retrying=QUICK)


def test_an_upload_is_screened_from_bytes_from_a_path_and_from_an_open_file(
    program: Program,  # noqa: F811
    client: Consentry,
    tmp_path: Path,
) -> None:
    body = jpeg(picture(1))
    program.town.register(body)
    file = tmp_path / "upload.jpg"
    file.write_bytes(body)
    opened = io.BytesIO(b"something before" + body)
    opened.seek(len(b"something before"))
    told = [
        client.screen(body, "bytes", rating="intimate"),
        client.screen(file, "path", rating="intimate", uploader="account-7"),
        client.screen(opened, "open", rating="intimate", mime="image/jpeg"),
    ]
    assert [answer.verdict for answer in told] == ["review"] * 3
    assert told[0].matches[0].signal == "pdq"
    assert told[0].matches[0].distance == 0
    assert client.screening(told[1].screening).content_id == "path"


def test_a_case_is_followed_to_its_decision(program: Program, client: Consentry) -> None:  # noqa: F811
    body = jpeg(picture(2))
    program.town.register(body)
    case = client.screen(body, "post-1", rating="intimate").case
    assert case is not None
    assert client.case(case).decision is None
    program.town.uphold(case, program.town.reviewer())  # type: ignore[arg-type]
    seen = client.case(case)
    assert (seen.state, seen.decision) == ("upheld", "upheld")
    assert [upload.content_id for upload in seen.uploads] == ["post-1"]
    assert client.screen(body, "post-2", rating="intimate").verdict == "known"


def test_hashes_are_screened(program: Program, client: Consentry) -> None:  # noqa: F811
    answer = client.screen_hashes([("pdq", "5a" * 32, 90), ("pdq", "a5" * 32)], "post-9")
    assert answer.verdict == "clear"


def test_the_awaiting_client_does_the_same(program: Program) -> None:  # noqa: F811
    body = jpeg(picture(3))
    program.town.register(body)

    async def story() -> tuple[str, str, str]:
        address = str(program.client.base_url)
        async with AsyncConsentry(address, program.key, retrying=QUICK) as client:
            answer = await client.screen(body, "post-1", rating="intimate")
            assert answer.case is not None
            again, case, _ = await asyncio.gather(
                client.screening(answer.screening),
                client.case(answer.case),
                client.screen_hashes([("pdq", "5a" * 32)], "post-2"),
            )
            return answer.verdict, again.verdict, case.state

    assert asyncio.run(story()) == ("review", "review", "open")


def test_what_the_service_refuses_comes_with_its_code(
    program: Program,  # noqa: F811
    client: Consentry,
) -> None:
    for call, code, status in [
        (lambda: client.screening("0" * 32), "not_found", 404),
        (lambda: client.screen(b"x", ""), "invalid", 422),
        (lambda: client.screen_hashes([("sound", "5a" * 32)], "post-1"), "invalid", 422),
        (
            lambda: Consentry(str(program.client.base_url), "csk_wrong").screening("0" * 32),
            "unauthorized",
            401,
        ),
    ]:
        with pytest.raises(Problem) as refused:
            call()
        assert (refused.value.code, refused.value.status) == (code, status)


def test_a_file_that_cannot_be_read_twice_is_refused_before_anything_is_sent(
    client: Consentry,
) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(ValueError, match="cannot be read twice"):
        client.screen(Pipe(b"abc"), "post-1")


# --- against a service that stumbles ----------------------------------------------------------


def stumbling(*first: tuple[int, dict[str, str], bytes]) -> Partner:
    """A service that gives these answers first and then a clear one; checks what it is sent."""

    def answer(asked: Asked) -> tuple[int, dict[str, str], bytes]:
        said = {
            "screening": "01900000-0000-7000-8000-000000000000",
            "content_id": asked.query.get("content_id", ""),
            "verdict": "clear",
            "case": None,
            "matches": [],
            "notes": [],
            "refused": None,
            "message": None,
            "policy": "default-1",
            "index_sequence": 1,
            "received_at": "2026-11-25T00:00:00Z",
            "milliseconds": 1.0,
            "digest": hashlib.sha256(asked.body).hexdigest(),
        }
        return 200, {"content-type": "application/json"}, json.dumps(said).encode()

    return Partner(answer, first=list(first))


def problem(status: int, code: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    said = {"code": code, "detail": "in words", "status": status}
    return status, headers, json.dumps(said).encode()


def test_a_busy_service_is_asked_again_with_the_same_key_and_the_same_bytes() -> None:
    body = bytes(range(256)) * 4096
    busy = stumbling(
        problem(503, "unavailable"), problem(429, "too_many"), problem(409, "in_progress")
    )
    with (
        busy.running() as server,
        Consentry(server.address, "key", retrying=QUICK) as client,
    ):
        answer = client.screen(io.BytesIO(body), "post-1")
        keys = {asked.headers["idempotency-key"] for asked in server.asked}
        assert (len(server.asked), len(keys)) == (4, 1)
        assert [asked.body for asked in server.asked] == [body] * 4
    assert answer.model_extra == {"digest": hashlib.sha256(body).hexdigest()}


def test_two_uploads_never_share_a_key() -> None:
    with stumbling().running() as server, Consentry(server.address, "key") as client:
        client.screen(b"a", "1")
        client.screen(b"a", "1")
        assert len({asked.headers["idempotency-key"] for asked in server.asked}) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(422, "invalid"), "invalid"),
        (problem(409, "idempotency_mismatch"), "idempotency_mismatch"),
        ((404, {}, b"<html>nothing here</html>"), "unexpected_answer"),
        ((409, {}, b"[]"), "unexpected_answer"),
    ],
)
def test_what_asking_again_cannot_help_is_said_at_once(
    answer: tuple[int, dict[str, str], bytes], code: str
) -> None:
    with (
        stumbling(answer).running() as server,
        Consentry(server.address, "key", retrying=QUICK) as client,
    ):
        with pytest.raises(Problem) as refused:
            client.screen(b"a", "1")
        assert refused.value.code == code
        assert len(server.asked) == 1


def test_a_service_that_is_away_is_named_after_the_last_attempt() -> None:
    tried = 0

    def away(request: httpx.Request) -> httpx.Response:
        nonlocal tried
        tried += 1
        raise httpx.ConnectError("refused", request=request)

    client = Consentry(
        "http://127.0.0.1:9", "key", retrying=QUICK, transport=httpx.MockTransport(away)
    )
    with pytest.raises(Problem) as refused:
        client.screen(b"a", "1")
    assert (refused.value.code, tried) == ("unreachable", 4)

    async def awaited() -> None:
        transport = httpx.MockTransport(away)
        async with AsyncConsentry("http://x", "key", retrying=QUICK, transport=transport) as one:
            await one.screen(b"a", "1")

    with pytest.raises(Problem, match="unreachable"):
        asyncio.run(awaited())


def test_waiting_grows_and_heeds_the_service() -> None:
    retrying = Retrying(attempts=9, longest=30, jitter=lambda: 1.0)
    waits = [retrying.pause(attempt, None) for attempt in range(1, 9)]
    assert waits == sorted(waits)  # type: ignore[type-var]
    assert waits[-1] == 30
    assert retrying.pause(9, None) is None
    assert retrying.pause(1, httpx.Response(429, headers={"retry-after": "7"})) == 7


# --- webhooks ---------------------------------------------------------------------------------


def signed(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    return {
        "Webhook-Id": "evt_1",
        "Webhook-Timestamp": str(int(at.timestamp())),
        "Webhook-Signature": Webhook(secret).sign("evt_1", at, body.decode()),
    }


def test_a_webhook_is_believed_only_with_our_signature_and_while_it_is_fresh() -> None:
    secret, body = new_secret(b"s" * 32), b'{"type":"case.upheld","data":{}}'
    now = datetime.now(UTC)
    event = verify_webhook(secret, signed(secret, body, now), body)
    assert (event.id, event.type) == ("evt_1", "case.upheld")
    other = new_secret(b"t" * 32)
    for headers, said in [
        (signed(other, body, now), body),
        (signed(secret, body, now), body + b" "),
        (signed(secret, body, now - timedelta(minutes=6)), body),
        ({}, body),
    ]:
        with pytest.raises(Problem, match="not_verified"):
            verify_webhook(secret, headers, said)


# --- the same words on both sides -------------------------------------------------------------


NOTICE = {
    "locations": ["https://board.example/post/1"],
    "explanation": "A picture of me that I never agreed to.",
    "signature": "A. B.", "contact": "a.b@mail.example", "not_consented": True, "accurate": True,
}  # fmt: skip


def test_notices_policies_and_banks_are_a_call_each(
    program: Program,  # noqa: F811
    client: Consentry,
) -> None:
    told = client.forward_notice("n-1", **NOTICE)  # type: ignore[arg-type]
    assert told.deadline - told.received_at == timedelta(hours=48)
    assert "code" not in repr(told), "it is for whoever wrote the notice"
    assert client.case(told.case).state == "open"
    assert client.forward_notice("n-1", **NOTICE).case == told.case  # type: ignore[arg-type]

    terms = {"signals": {"pdq": {"distance": 16}}}
    assert client.policy().version == 0
    assert client.try_policy(terms, last=5).more == 0
    assert client.set_policy(terms, 0).version == 1
    with pytest.raises(Problem, match="version_changed"):
        client.set_policy(terms, 0)
    assert [one.version for one in client.policies()] == [1]

    program.town.register(jpeg(picture(1)))
    program.town.query(
        "INSERT INTO banks (name, holder, kind, keeps)"
        " SELECT 'a list, 2', id, 'partner', interval '3650 days' FROM persons"
    )  # as if a partner's list held this picture
    (bank,) = client.banks()
    assert (bank.bank, bank.kind, bank.only_tried) == ("a list, 2", "partner", False)
    assert client.try_bank("a list, 2").only_tried
    tried = client.screen(jpeg(picture(1)), "post-1", rating="intimate")
    assert (tried.verdict, tried.case) == ("clear", None)
    assert [one.screening for one in client.bank_trials("a list, 2")] == [tried.screening]
    assert client.try_bank("a list, 2", only=False).would_have == 1
    assert client.screen(jpeg(picture(1)), "post-2", rating="intimate").verdict == "review"
    with pytest.raises(Problem, match="not_found"):
        client.try_bank("another list")


def test_the_awaiting_client_knows_them_too(program: Program) -> None:  # noqa: F811
    async def story() -> tuple[int, int, list[str]]:
        address = str(program.client.base_url)
        async with AsyncConsentry(address, program.key, retrying=QUICK) as client:
            await client.forward_notice("n-2", **NOTICE)  # type: ignore[arg-type]
            tried = await client.try_policy({}, last=5)
            done = await client.set_policy({}, (await client.policy()).version)
            assert [one.version async for one in client.policies()] == [done.version]
            return tried.tried, done.version, [one.bank async for one in client.banks()]

    assert asyncio.run(story()) == (0, 1, [])


def test_the_client_reads_every_field_that_the_service_documents(town: Town) -> None:
    shapes = create_app(town.world, town.live).openapi()["components"]["schemas"]
    for ours, theirs in {
        answers.Screening: "ScreeningAnswered",
        answers.Match: "MatchAnswered",
        answers.Stretch: "StretchAnswered",
        answers.Case: "CaseAnswered",
        answers.CaseUpload: "UploadAnswered",
        answers.Event: "EventAnswered",
        answers.CaseListed: "CaseListed",
        answers.Result: "ResultAnswered",
        answers.Batch: "BatchStanding",
        answers.Action: "ActionAnswered",
        answers.PublicKey: "PublicKeyAnswered",
        answers.Webhook: "WebhookAnswered",
        answers.WebhookOpened: "WebhookOpened",
        answers.Attempt: "AttemptAnswered",
        answers.Told: "ToldAnswered",
        answers.Forwarded: "NoticeAnswered",
        answers.Policy: "PolicyAnswered",
        answers.Threshold: "ThresholdAnswered",
        answers.PolicyVersion: "VersionAnswered",
        answers.Trial: "TrialAnswered",
        answers.Bank: "BankAnswered",
        answers.WouldHave: "WouldHave",
    }.items():
        assert set(ours.model_fields) == set(shapes[theirs]["properties"]), theirs


def test_the_client_imports_nothing_of_the_service() -> None:
    folder = Path(answers.__file__).parent
    imported = [
        line
        for file in folder.glob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith(("from ", "import ")) and "services" in line
    ]
    assert imported
    assert all("services.client" in line for line in imported)
