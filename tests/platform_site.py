"""A small hosting site that is protected by Consentry: what a platform's engineer writes.

It knows nothing of the service but its documented API and the client. People upload pictures and
look at them; what the service is not sure of is held back without a word; webhooks say what
became of it; whoever is affected finds the reasons in their inbox and may disagree.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from services.client import Consentry, Problem, WebhookEvent, verify_webhook


@dataclass
class Post:
    """One upload of somebody's."""

    id: str
    user: str
    body: bytes = field(repr=False)
    shown: bool = False
    screening: str = ""
    case: str | None = None


@dataclass
class Site:
    """The site's whole state, and its address once it runs."""

    consentry: Consentry
    posts: dict[str, Post] = field(default_factory=dict)
    inbox: dict[str, list[str]] = field(default_factory=dict)
    seen: list[WebhookEvent] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list, repr=False)
    address: str = ""
    failing: bool = False
    """Its receiver is broken."""
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def upload(self, user: str, body: bytes) -> str:
        """Take a picture in, and screen it before anybody sees it."""
        post = Post(f"post-{uuid4().hex[:8]}", user, body)
        with self._lock:
            self.posts[post.id] = post
        answer = self.consentry.screen(body, post.id, uploader=user, rating="intimate")
        post.screening = str(answer.screening)
        post.case = str(answer.case) if answer.case else None
        post.shown = answer.verdict == "clear"
        return post.id

    def told(self, event: WebhookEvent) -> None:
        """Act on an event, once however often it comes."""
        with self._lock:
            if event.id in {one.id for one in self.seen}:
                return
            self.seen.append(event)
        for upload in event.body["data"].get("uploads", []):
            post = self.posts[upload["content_id"]]
            if event.type == "case.upheld":
                post.shown = False
                self.consentry.tell_action(post.screening, "removed")
                reasons = self.consentry.statement(post.case or "", screening=post.screening)
                self.write(post.user, reasons)
            elif event.type == "case.overturned":
                post.shown = True
                self.consentry.tell_action(post.screening, "restored")
                self.write(post.user, f"{post.id} is back: somebody else looked at it again.")
            elif event.type == "case.appeal_stands":
                self.write(post.user, f"{post.id} stays away: the decision stands.")
            elif event.type in {"case.dismissed", "case.withdrawn"}:
                post.shown = True

    def appeal(self, post: str, words: str) -> None:
        """An uploader disagrees."""
        self.consentry.appeal(self.posts[post].case or "", words)

    def write(self, user: str, text: str) -> None:
        """Put a message into somebody's inbox."""
        with self._lock:
            self.inbox.setdefault(user, []).append(text)

    @contextmanager
    def running(self) -> Iterator[Site]:
        """Serve it over HTTP for as long as the block lasts."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(timeout=10)


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            parts = urlsplit(self.path)
            if parts.path == "/upload":
                user = parse_qs(parts.query)["user"][0]
                # The same answer whatever was found: an uploader learns nothing of it.
                self._say(202, {"post": site.upload(user, body), "state": "being processed"})
            elif parts.path == "/hooks/consentry":
                self._hook(body)
            elif parts.path.startswith("/appeal/"):
                site.appeal(parts.path.rpartition("/")[2], body.decode())
                self._say(202, {"state": "somebody else will look"})
            else:
                self._say(404, {})

        def do_GET(self) -> None:
            kind, _, name = self.path.strip("/").partition("/")
            post = site.posts.get(name)
            if kind == "inbox":
                self._say(200, site.inbox.get(name, []))
            elif kind == "post" and post is not None and post.shown:
                self.send_response(200)
                self.send_header("content-type", "image/jpeg")
                self.send_header("content-length", str(len(post.body)))
                self.end_headers()
                self.wfile.write(post.body)
            else:
                self._say(404, {})

        def _hook(self, body: bytes) -> None:
            if site.failing:
                self._say(500, {})
                return
            try:
                site.told(verify_webhook(site.secrets, dict(self.headers), body))
            except Problem as problem:
                self._say(401 if problem.code == "not_verified" else 500, {})
                return
            self._say(204, None)

        def _say(self, status: int, said: Any) -> None:
            sent = b"" if said is None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
