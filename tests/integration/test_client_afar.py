"""The client at work: streams, progress, webhooks managed from Python, ``screen --remote``."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from pipeline.domain.media import Rating
from pipeline.errors import Misconfigured
from services.client import (
    AsyncConsentry,
    Consentry,
    Problem,
    Retrying,
    hashes_document,
    verify_webhook,
)
from services.remote import Remote, screen_remotely
from tests.integration.api import Program, make_program, program
from tests.world import jpeg, picture

__all__ = ["make_program", "program"]

CLEAR = {
    "screening": "01900000-0000-7000-8000-000000000000", "content_id": "c", "verdict": "clear",
    "case": None, "matches": [], "notes": [], "refused": None, "message": None,
    "policy": "default-1", "index_sequence": 1, "received_at": "2026-11-25T00:00:00Z",
    "milliseconds": 1.0, "progress": None,
}  # fmt: skip
PENDING = {**CLEAR, "verdict": "pending", "progress": {"done": 3, "expected": 6, "share": 0.5}}


def test_a_file_is_never_whole_in_memory_and_its_progress_is_told(tmp_path: Path) -> None:
    film, size = tmp_path / "film.mp4", 5 << 20
    film.write_bytes(bytes(size))
    heard: list[int] = []

    class Wire(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            assert request.headers["content-length"] == str(size)
            pieces = [len(piece) for piece in request.stream]  # type: ignore[union-attr]
            assert (max(pieces), sum(pieces)) == (256 << 10, size)
            return httpx.Response(200, json=CLEAR)

    with Consentry("http://x", "key", transport=Wire()) as client:
        client.screen(film, "film", progress=heard.append)
    assert heard == list(range(256 << 10, size + 1, 256 << 10))

    async def awaited() -> None:
        told: list[int] = []

        class Wire(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                pieces = [len(piece) async for piece in request.stream]  # type: ignore[union-attr]
                assert (max(pieces), sum(pieces)) == (256 << 10, size)
                return httpx.Response(200, json=CLEAR)

        async with AsyncConsentry("http://x", "key", transport=Wire()) as client:
            with film.open("rb") as opened:
                await client.screen(opened, "film", progress=told.append)
        assert told[-1] == size

    asyncio.run(awaited())


def test_a_video_is_waited_for_with_its_progress() -> None:
    answers = iter([PENDING, PENDING, CLEAR])
    heard: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(202 if request.method == "POST" else 200, json=next(answers))

    transport = httpx.MockTransport(answer)
    with Consentry("http://x", "key", transport=transport) as client:
        first = client.screen(b"film", "film")
        last = client.wait(
            first,
            every=0.001,
            progress=lambda now: heard.append(now.progress.share if now.progress else 1.0),
        )
    assert (last.verdict, heard) == ("clear", [0.5, 0.5])
    answers = iter([PENDING, CLEAR])

    async def awaited() -> str:
        async with AsyncConsentry("http://x", "key", transport=transport) as client:
            return (await client.wait(await client.screen(b"film", "film"), every=0.001)).verdict

    assert asyncio.run(awaited()) == "clear"


def test_webhooks_are_managed_from_python_waited_for_or_awaited(program: Program) -> None:
    address = str(program.client.base_url)
    with Consentry(address, program.key) as client:
        (first,) = client.webhooks()
        made = client.add_webhook("https://board.example/a", ["case.upheld"])
        assert made.secret.startswith("whsec_")
        assert made.secret not in repr(made)
        changed = client.change_webhook(made.webhook, "https://board.example/b")
        assert (changed.url, changed.events) == ("https://board.example/b", ())
        renewed = client.rotate_webhook(made.webhook, overlap_hours=3)
        assert [key.until is None for key in renewed.public_keys] == [True, False]
        assert client.webhook(made.webhook).public_keys == renewed.public_keys
        assert not client.test_webhook(first.webhook).delivered, "nobody listens there"
        assert client.replay_webhook(made.webhook, since=datetime.now(UTC) - timedelta(days=1)) == 0
        with pytest.raises(ValueError, match="time zone"):
            client.replay_webhook(made.webhook, since=datetime(2026, 1, 1))  # noqa: DTZ001
        client.remove_webhook(made.webhook)
        with pytest.raises(Problem, match="not_found"):
            client.webhook(made.webhook)
        results = client.screen_batch(
            hashes=[hashes_document([("pdq", "5a" * 32)], f"post-{n}") for n in range(3)]
        )
        assert [one.screening.verdict for one in results if one.screening] == ["clear"] * 3
        with pytest.raises(ValueError, match="one of the two"):
            client.screen_batch()
        with pytest.raises(Problem, match="unreachable"):
            client.screen_reference("https://elsewhere.example/x", "post-9")

    async def awaited() -> None:
        async with AsyncConsentry(address, program.key) as client:
            made = await client.add_webhook("https://board.example/a", idempotency_key="once")
            again = await client.add_webhook("https://board.example/a", idempotency_key="once")
            assert again == made
            await client.change_webhook(made.webhook, "https://board.example/b", ["case.upheld"])
            assert (await client.webhook(made.webhook)).events == ("case.upheld",)
            await client.rotate_webhook(made.webhook)
            assert not (await client.test_webhook(first.webhook)).delivered
            assert len([one async for one in client.deliveries(first.webhook)]) == 2
            await client.remove_webhook(made.webhook)
            assert [one.webhook async for one in client.webhooks()] == [first.webhook]
            assert [one async for one in client.events()] == []
            assert len([one async for one in client.screenings()]) == 3

    asyncio.run(awaited())


def test_a_webhook_is_verified_with_a_secret_or_a_public_key_or_nothing_else() -> None:
    for keys in ([], "csk_key", ["whsec_AAAA", "secret"]):
        with pytest.raises(Problem, match="no_key"):
            verify_webhook(keys, {}, b"{}")
    for keys in ("whsec_!", "whpk_AAAA", "whsec_"):
        with pytest.raises(Problem, match="not_verified"):
            verify_webhook(
                keys,
                {
                    "webhook-id": "evt_1",
                    "webhook-timestamp": str(int(datetime.now(UTC).timestamp())),
                    "webhook-signature": "v1 v1, v1a,! v2,AAAA v1a,AAAA",
                },
                b'{"type": "case.upheld"}',
            )


def test_files_are_screened_by_a_service_elsewhere(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.cli import app

    hers = jpeg(picture(1))
    program.town.register(hers)
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "hers.jpg").write_bytes(hers)
    (folder / "no.txt").write_text("no picture")
    monkeypatch.setenv("CONSENTRY_KEY", program.key)
    words = ["screen", str(folder), "--remote", str(program.client.base_url)]
    words += ["--rating", "intimate"]
    done = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    # The service runs in this process, too, and writes its log between the lines.
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    said: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [(Path(one["path"]).name, one["verdict"], one["refused"]) for one in said] == [
        ("hers.jpg", "review", None),
        ("no.txt", "refused", "unsupported_type"),
    ]
    shown = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "review" in shown.stdout
    assert program.key not in shown.stdout


def test_what_hinders_is_said_with_what_to_do(tmp_path: Path, program: Program) -> None:
    file = tmp_path / "one.jpg"
    file.write_bytes(jpeg(picture(1)))
    address = str(program.client.base_url)
    with pytest.raises(Misconfigured, match="CONSENTRY_KEY"):
        list(screen_remotely(address, None, [file], Rating.UNKNOWN))
    with pytest.raises(Remote, match="unauthorized"):
        list(screen_remotely(address, "csk_wrong", [file], Rating.UNKNOWN))
    once = Retrying(attempts=1)
    with pytest.raises(Remote, match="unreachable"):
        list(screen_remotely("http://127.0.0.1:9", "csk_k", [file], Rating.UNKNOWN, retrying=once))
