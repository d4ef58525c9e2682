"""A platform's program, for the tests of the HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from pipeline.domain.ids import PlatformId
from services.accounts import add_platform
from services.api import create_app
from services.api.door import Limits
from tests.serving import served
from tests.world import Town


@dataclass
class Program:
    """What a platform's engineer runs against the API."""

    town: Town
    client: httpx.Client
    platform: PlatformId
    key: str

    def screen(
        self, body: bytes | Iterator[bytes], content_id: str = "post-1", **more: Any
    ) -> httpx.Response:
        """Send an image as the body."""
        headers = {"content-type": "application/octet-stream", **more.pop("headers", {})}
        return self.client.post(
            "/v1/screenings",
            params={"content_id": content_id, "rating": "intimate", **more},
            content=body,
            headers=headers,
        )

    def hashes(self, *codes: bytes, headers: dict[str, str] | None = None, **more: Any) -> Any:
        """Send hashes."""
        listed = [{"signal": "pdq", "hash": code.hex()} for code in codes]
        asked = {"content_id": "post-1", "rating": "intimate", "hashes": listed, **more}
        return self.client.post("/v1/screenings/hashes", json=asked, headers=headers)

    def metric(self, line: str) -> float:
        """A figure by its name and labels, 0 when it is not there."""
        for found in self.client.get("/metrics").text.splitlines():
            if found.startswith(line + " "):
                return float(found.rpartition(" ")[2])
        return 0.0


@pytest.fixture
def make_program(town: Town) -> Iterator[Callable[..., Program]]:
    """Make platforms; those made with the same ``url`` share one process."""
    opened: list[Any] = []

    def make(
        name: str = "board",
        per_minute: int = 100_000,
        limits: Limits | None = None,
        url: str | None = None,
        of: Town = town,
    ) -> Program:
        if url is None:
            server = served(create_app(of.world, of.live, limits))
            url = server.__enter__()
            opened.append(server)
        made = add_platform(of.world, name, "http://127.0.0.1:9/hook", per_minute)
        client = httpx.Client(
            base_url=url, headers={"authorization": f"Bearer {made.api_key}"}, timeout=30
        )
        opened.append(client)
        return Program(of, client, made.platform, made.api_key)

    yield make
    for manager in reversed(opened):
        manager.__exit__(None, None, None)


@pytest.fixture
def program(make_program: Callable[..., Program]) -> Program:
    """One platform and one process."""
    return make_program()
