"""Partners of this test run: small HTTP servers that speak their documented protocols."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Asked:
    """One request as the partner saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Partner:
    """A server that answers by a function and remembers what it was asked."""

    answer: Callable[[Asked], Answer]
    asked: list[Asked] = field(default_factory=list)
    first: list[Answer] = field(default_factory=list)
    """Given before anything else, one a request: a server that is busy, or talks nonsense."""
    address: str = ""

    @contextmanager
    def running(self) -> Iterator[Partner]:
        """The server on a free port of this machine, until the block ends."""
        partner = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(
                    self.command,
                    parts.path,
                    {name: values[0] for name, values in parse_qs(parts.query).items()},
                    {name.lower(): value for name, value in self.headers.items()},
                    self._body(),
                )
                partner.asked.append(asked)
                status, headers, body = (
                    partner.first.pop(0) if partner.first else partner.answer(asked)
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _do

            def _body(self) -> bytes:
                if self.headers.get("transfer-encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("content-length", 0)))
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def log_message(self, *args: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


@dataclass
class StopNcii:
    """StopNCII.org's partner API over a list of records, paged by tokens that may go stale."""

    records: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2
    stale: set[str] = field(default_factory=set)
    feedback: list[dict[str, Any]] = field(default_factory=list)

    def put(self, value: str, status: str, at: int, kind: str = "ImagePDQ") -> None:
        """Add a record, or replace the one of the same hash."""
        self.records = [one for one in self.records if one.get("hashValue") != value]
        self.records.append(
            {
                "lastModtimestamp": at,
                "signalType": kind,
                "hashValue": value,
                "hashStatus": status,
                "caseNumbers": {"0b6a1ee9-6f8c-4f2f-9d59-5d7a1d6c3b41": status},
                "CSPFeedbacks": [],
            }
        )

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("ocp-apim-subscription-key") != "subscription":
            return 401, {}, b"{}"
        key = asked.headers.get("x-functions-key")
        if asked.path.endswith("/SubmitFeedback") and key == "feedback":
            said = json.loads(asked.body)
            assert said["count"] == len(said["hashFeedbacks"])
            self.feedback += said["hashFeedbacks"]
            return 200, {}, b"{}"
        if not asked.path.endswith("/FetchHashes") or key != "fetch":
            return 403, {}, b"{}"
        token = asked.query.get("nextPageToken", "")
        if token in self.stale:
            return 400, {}, b"{}"
        since, at = int(asked.query["startTimestamp"]), int(token or 0)
        newer = [one for one in self.records if one.get("lastModtimestamp", since) >= since]
        shown = newer[at : at + self.page]
        more = at + self.page < len(newer)
        answer = {
            "count": len(shown),
            "nextPageToken": str(at + self.page) if more else "",
            "nextSetTimestamp": max(
                [since, *(one.get("lastModtimestamp", since) for one in shown)]
            ),
            "hasMoreRecords": more,
            "hashRecords": shown,
        }
        return 200, {}, json.dumps(answer).encode()


@dataclass
class Hma:
    """A Hasher-Matcher-Actioner's curator: banks, and their contents one by one by their ids."""

    banks: dict[str, float] = field(default_factory=lambda: {"OURS": 1.0})
    contents: dict[int, Any] = field(default_factory=dict)
    ids: int = 0

    def put(self, value: str, bank: str = "OURS", until: int = 0, kind: str = "pdq") -> int:
        """A content with this hash; its id."""
        self.ids += 1
        self.contents[self.ids] = {
            "id": self.ids,
            "disable_until_ts": until,
            "collab_metadata": {},
            "original_media_uri": None,
            "bank": {"name": bank, "matching_enabled_ratio": self.banks.get(bank, 0.0)},
            "signals": {kind: value},
        }
        return self.ids

    def disable(self, value: str) -> None:
        """The content with this hash is disabled until further notice."""
        for content in self.contents.values():
            if isinstance(content, dict) and value in content["signals"].values():
                content["disable_until_ts"] = 1

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != "Bearer peer":
            return 401, {}, b"{}"
        if asked.path == "/c/banks":
            said = [{"name": n, "matching_enabled_ratio": r} for n, r in self.banks.items()]
            return 200, {}, json.dumps(said).encode()
        content = self.contents.get(int(asked.path.rpartition("/")[2]))
        if content is None:
            return 404, {}, b'{"message": "content not found"}'
        if isinstance(content, bytes):
            return 200, {}, content
        shown = content if asked.query.get("include_signals") == "true" else {}
        return 200, {}, json.dumps(shown).encode()


@dataclass
class Ncmec:
    """NCMEC's hash sharing service: entries as XML, in pages that name the next one."""

    entries: list[str] = field(default_factory=list)
    page: int = 2
    feedback: list[tuple[str, bytes]] = field(default_factory=list)

    def image(self, name: str, member: str = "42", **prints: str) -> None:
        """An entry with these fingerprints, replacing the one of the same name."""
        self.remove(name)
        inside = "".join(f"<{kind}>{escape(value)}</{kind}>" for kind, value in prints.items())
        self.entries.append(
            f'<image><member id="{member}">Member</member>'
            f"<timestamp>2026-01-01T00:00:00Z</timestamp><id>{name}</id>"
            f"<classification>A1</classification><fingerprints>{inside}</fingerprints></image>"
        )

    def delete(self, name: str, member: str = "42") -> None:
        """The entry is withdrawn."""
        self.remove(name)
        self.entries.append(
            f'<deletedImage><member id="{member}">Member</member><id>{name}</id>'
            "<timestamp>2026-01-02T00:00:00Z</timestamp></deletedImage>"
        )

    def remove(self, name: str) -> None:
        """Forget an entry."""
        self.entries = [entry for entry in self.entries if f"<id>{name}</id>" not in entry]

    def __call__(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != "Basic bWU6c2VjcmV0":  # me:secret
            return 401, {}, b""
        if asked.method == "POST":
            self.feedback.append((asked.path, asked.body))
            return 200, {}, b"<submissionResult/>"
        start = int(asked.query.get("start", 0))
        shown, after = self.entries[start : start + self.page], start + self.page
        paging = (
            f"<paging><next>/v2/entries?from=x&amp;to=y&amp;start={after}</next></paging>"
            if after < len(self.entries)
            else ""
        )
        body = (
            '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
            '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
            f'<images count="{len(shown)}" maxTimestamp="2026-01-01T00:00:00Z">'
            f"{''.join(shown)}</images>{paging}</queryResult>"
        )
        return 200, {"content-type": "application/xml"}, body.encode()
