"""How HTTP is read from the wire: by a compiled parser, which is given bounds here.

``httptools`` costs a fraction of what h11 does, but holds whatever stands before a body (and behind
a chunked one) without any limit. More than ``FRAMING`` of it closes the connection.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

FRAMING = 64 << 10
"""Bytes that may pass without a piece of a body: addresses, headers, trailers, chunk headers."""


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol over ``httptools``, with bounded memory."""

    _framing = 0

    def data_received(self, data: bytes) -> None:
        """The next bytes; 400 and the end of the connection where they never come to the point."""
        self._framing += len(data)
        super().data_received(data)
        if self._framing > FRAMING and not self.transport.is_closing():
            self.send_400_response("Too much around a request's body.")

    def on_headers_complete(self) -> None:
        """A request's head has come."""
        self._framing = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body has come; how much that may be is for the app to say."""
        self._framing = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request has come."""
        self._framing = 0
        super().on_message_complete()
