"""Bodies read as they come, into memory and nowhere else, each no further than its limit.

The framework's own form parser would write uploads in clear to the temporary folder and knows no
limit; nothing here uses it.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import anyio
from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from pipeline.domain.media import Upload
from services.api.arriving import Arrival
from services.api.problems import Declined, field_errors, invalid, retry_after
from services.api.schemas import UploadFields

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

T = TypeVar("T")

# Its warnings quote what was sent.
logging.getLogger("python_multipart").setLevel(logging.CRITICAL + 1)

LARGEST_JSON = 256 << 10
_LONGEST_FIELD = 4096
_MOST_PARTS = 8
_PLAIN = frozenset({"", "binary", "7bit", "8bit"})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a body may take: between two pieces, and in all (seconds)."""

    idle: float = 20.0
    whole: float = 300.0
    slowest: int = 256 << 10
    """Bytes a second that add to ``whole`` as they come: a video may take as long as it is."""


class NoRoom(Declined):
    """More bytes than this process may hold of uploads."""

    def __init__(self) -> None:
        said = "too many uploads are being received; send this one again"
        super().__init__(503, "busy", said, headers=retry_after(1.0))


class Budget:
    """How many bytes of uploads this process holds at once. Used by one event loop alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.held = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One upload's share, given back at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held -= share.size


class Share:
    """What one upload holds of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.size = 0

    def grow(self, size: int) -> None:
        """Hold ``size`` bytes in all; 503 when that is more than there is room for."""
        more = size - self.size
        if more <= 0:
            return
        if self._budget.held + more > self._budget.total:
            raise NoRoom
        self._budget.held += more
        self.size = size

    def hold(self, size: int) -> None:
        """Hold exactly ``size`` bytes; 503 as ``grow`` has it."""
        self.grow(size)
        self._budget.held -= self.size - size
        self.size = size


class Sink(Protocol):
    """Where a body goes."""

    def check(self, size: int) -> None:
        """413 if a body of so many bytes is too large, as far as is known by now."""
        ...

    def memory(self, size: int) -> int:
        """How much of a body of so many bytes is held at once, as far as is known by now."""
        ...

    def write(self, piece: bytes) -> None:
        """The next bytes."""
        ...

    async def settle(self) -> None:
        """Do what takes long, before more comes."""
        ...


async def receive(request: Request, sink: Sink, share: Share, patience: Patience) -> None:
    """Hand the body to ``sink``, piece by piece; 413 as soon as it is longer than that takes.

    A body that declares its length is refused before its first byte is read, or as soon as its
    first bytes have told what it is.
    """
    header = request.headers.get("content-length", "")
    declared = int(header) if header.isdecimal() else 0
    sink.check(declared)
    share.hold(sink.memory(declared))
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Declined(415, "unsupported_media_type", "send the body without content-encoding")
    pieces, received = aiter(request.stream()), 0
    began = time.monotonic()
    while True:
        deadline = began + patience.whole + received / patience.slowest
        try:
            with anyio.fail_after(min(patience.idle, max(0.0, deadline - time.monotonic()))):
                piece = await anext(pieces)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Declined(
                408,
                "body_timed_out",
                "the rest of the body did not come in time; send the request again",
                headers={"connection": "close"},
            ) from None
        received += len(piece)
        sink.check(received)
        share.hold(sink.memory(max(declared, received)))
        sink.write(piece)
        await sink.settle()
        sink.check(max(declared, received))
        share.hold(sink.memory(max(declared, received)))


class _Whole:
    """A body of up to ``limit`` bytes, in memory."""

    def __init__(self, limit: int) -> None:
        # BytesIO hands over its own buffer in the end; joining or copying would need it twice.
        self._limit, self.body = limit, io.BytesIO()

    def check(self, size: int) -> None:
        if size > self._limit:
            raise _too_large(self._limit)

    def memory(self, size: int) -> int:
        return size

    def write(self, piece: bytes) -> None:
        self.body.write(piece)

    async def settle(self) -> None:
        pass


async def receive_whole(request: Request, limit: int, share: Share, patience: Patience) -> bytes:
    """The body as it is."""
    whole = _Whole(limit)
    await receive(request, whole, share, patience)
    return whole.body.getvalue()


async def receive_json(
    request: Request, shape: TypeAdapter[T], limit: int, share: Share, patience: Patience
) -> T:
    """A JSON body of a shape; 422 names each field that is not as it must be, without its value."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Declined(415, "unsupported_media_type", "send application/json")
    body = await receive_whole(request, limit, share, patience)
    try:
        return shape.validate_json(body)
    except ValidationError as error:
        raise Declined(
            422,
            "invalid",
            "fields are not as they must be; see errors",
            errors=field_errors(error.errors(include_input=False), "body"),
        ) from None


async def receive_form(request: Request, file: Arrival, share: Share, patience: Patience) -> Upload:
    """The upload's fields from multipart/form-data; its file goes to ``file``."""
    form = _Form(file)
    await _receive_form(request, form, file, share, patience)
    return form.read()


async def receive_only_file(
    request: Request, file: Arrival, share: Share, patience: Patience
) -> None:
    """A form with one file and nothing else, under whatever name an HMA's client gives it."""
    form = _OnlyFile(file)
    await _receive_form(request, form, file, share, patience)
    form.check()


async def _receive_form(
    request: Request, form: _Form, file: Arrival, share: Share, patience: Patience
) -> None:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        raise Declined(415, "unsupported_media_type", "send multipart/form-data")
    try:
        parser = MultipartParser(
            options.get(b"boundary", b""),
            form.callbacks(),
            max_header_count=_MOST_PARTS,
            max_header_size=_LONGEST_FIELD,
        )
        if not options.get(b"boundary"):
            raise invalid("header.content-type", "multipart/form-data needs a boundary")
        await receive(request, _Parsed(parser, file), share, patience)
    except FormParserError:
        raise invalid("body", "this is not multipart/form-data as RFC 7578 has it") from None
    if not form.ended:
        raise invalid("body", "the form ends before its last boundary")


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A form on its way through its parser."""

    parser: MultipartParser
    file: Arrival

    def check(self, size: int) -> None:
        self.file.check(size)

    def memory(self, size: int) -> int:
        return self.file.memory(size)

    def write(self, piece: bytes) -> None:
        self.parser.write(piece)

    async def settle(self) -> None:
        await self.file.settle()


@dataclass(slots=True)
class _Part:
    name: str = ""
    value: io.BytesIO = field(default_factory=io.BytesIO, repr=False)
    size: int = 0


class _Form:
    """Parts as the parser finds them."""

    def __init__(self, file: Arrival) -> None:
        self.ended = False
        self._file = file
        self._parts: dict[str, _Part] = {}
        self._count = 0
        self._part = _Part()
        self._header, self._said = bytearray(), bytearray()
        self._headers: dict[str, str] = {}

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._name_part,
            "on_part_data": self._data,
            "on_part_end": self._keep,
            "on_end": self._end,
        }

    def read(self) -> Upload:
        """What the form says; raises a 422 problem that names each field."""
        if self._parts.pop("file", None) is None:
            raise invalid("body.file", "Field required")
        try:
            fields = UploadFields.model_validate_strings(
                {name: self._text(part) for name, part in self._parts.items()}
            )
        except ValidationError as error:
            raise Declined(
                422,
                "invalid",
                "fields are not as they must be; see errors",
                errors=field_errors(error.errors(include_input=False), "body"),
            ) from None
        return Upload(fields.content_id, fields.uploader, fields.rating)

    def _text(self, part: _Part) -> str:
        try:
            return part.value.getvalue().decode()
        except UnicodeDecodeError:
            raise invalid(f"body.{part.name}", "this is not UTF-8") from None

    def _begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise invalid("body", f"a form has at most {_MOST_PARTS} parts")
        self._part, self._headers = _Part(), {}

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._said += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._said.decode("latin-1")
        self._header.clear()
        self._said.clear()

    def _name_part(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition"))
        name = options.get(b"name", b"").decode("latin-1")
        if kind != b"form-data" or name not in {"file", *UploadFields.model_fields}:
            known = ", ".join([*UploadFields.model_fields, "file"])
            raise invalid("body.(unknown field)", f"a form has the fields {known}")
        if name in self._parts:
            raise invalid(f"body.{name}", "this field is there twice")
        if self._headers.get("content-transfer-encoding", "").lower() not in _PLAIN:
            raise invalid(f"body.{name}", "send it as it is, without a transfer encoding")
        self._part.name = name

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        part.size += end - start
        if part.name != "file" and part.size > _LONGEST_FIELD:
            raise invalid(f"body.{part.name}", "this field is too long")
        piece = memoryview(data)[start:end]
        if part.name == "file":
            self._file.write(piece)
        else:
            part.value.write(piece)

    def _keep(self) -> None:
        self._parts[self._part.name] = self._part

    def _end(self) -> None:
        self.ended = True


class _OnlyFile(_Form):
    """One file; the field's name says what kind of content it is."""

    def check(self) -> None:
        """422 when there was none."""
        if "file" not in self._parts:
            raise invalid("body.photo", "Field required")

    def _name_part(self) -> None:
        kind, options = parse_options_header(self._headers.get("content-disposition"))
        if kind != b"form-data" or options.get(b"name") not in {b"photo", b"video", b"file"}:
            raise invalid("body.(unknown field)", "a form has the field photo")
        if self._parts:
            raise invalid("body", "only one file is looked up at a time")
        if self._headers.get("content-transfer-encoding", "").lower() not in _PLAIN:
            raise invalid("body.photo", "send it as it is, without a transfer encoding")
        self._part.name = "file"


def _too_large(limit: int) -> Declined:
    return Declined(413, "too_large", f"a body has at most {limit} bytes here")
