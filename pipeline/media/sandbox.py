"""Hostile bytes are decoded in processes that have nothing to lose: no key, no file, no network.

A pool keeps a few of them warm. A picture goes in as sealed memory and pixels come back the same
way; a file that lies encrypted is read for its decoder (``_lending``). What a decoder says is
believed no further than it can be checked. The clock is watched from here: a decoder that takes too
long is killed, one that dies is replaced, and a file that kills two decoders is refused as
undecodable.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError

from pipeline.domain.media import Frame, Media
from pipeline.errors import Busy, RefusalReason, Refused, Unavailable
from pipeline.media import _wire
from pipeline.media._lending import Loan, lent
from pipeline.media._nursery import Cell, Nursery, nursery, waits
from pipeline.media.limits import ImageLimits, within_bytes

_STRIKES = 2
"""So many decoders may die of one file before it is refused."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What decoding may take of this machine."""

    decoders: int = 2
    seconds: float = 60.0
    """Of the clock, for one picture."""
    memory: int = 2 << 30
    """Bytes that one decoder may use for one file, its answer included."""
    waiting: int = 64
    """Callers that wait for a decoder; those beyond are told to come again."""
    patience: float = 60.0
    """Seconds that a caller waits for a decoder."""
    files: int = 500
    """Files after which a decoder is replaced by a fresh one."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A piece of a task's answer: read-only uint8 arrays in shared memory, and facts."""

    arrays: tuple[NDArray[np.uint8], ...] = field(repr=False)
    facts: Mapping[str, JsonValue] = field(default_factory=dict)
    last: bool = False


@dataclass(frozen=True, slots=True)
class PoolState:
    """What a pool has come to since it was made."""

    alive: int
    idle: int
    waiting: int
    born: int
    timed_out: int
    died: int


class DecoderPool:
    """Decodes for several threads at once. Makes nothing before the first file comes."""

    def __init__(
        self,
        images: ImageLimits | None = None,
        limits: SandboxLimits | None = None,
        nest: Callable[[], Nursery] = nursery,
    ) -> None:
        """``nest`` gives the nursery from which decoders come."""
        self._nest = nest
        self.images, self.limits = images or ImageLimits(), limits or SandboxLimits()
        self._asked = asdict(self.images)
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._change = threading.Condition()
        self._idle: list[Cell] = []
        self._closed = False
        self._alive = self._waiting = self._born = self._timed_out = self._died = 0

    def decode(self, body: bytes) -> Media:
        """The canonical picture in ``body``, as ``decode_image`` would decode it here.

        Frames are read-only. Raises ``Refused`` with a reason by name, ``Unavailable`` when there
        is no decoder to be had.
        """
        part = self._single("image", body)
        frames = tuple(Frame(array) for array in part.arrays)
        mime = part.facts.get("mime")
        if not frames or not isinstance(mime, str) or not all(map(_is_rgb, part.arrays)):
            raise _undecodable()
        return Media(frames, mime, frames[0].width, frames[0].height)

    def sketch(self, body: bytes) -> Media:
        """As ``decode``, but a large JPEG at a fraction of its size: for a quick first look."""
        part = self._single("sketch", body)
        mime, size = part.facts.get("mime"), (part.facts.get("width"), part.facts.get("height"))
        width, height = (side if isinstance(side, int) else 0 for side in size)
        sensible = isinstance(mime, str) and 0 < max(width, height) <= self.images.side
        shapes = [array.shape[:2] for array in part.arrays if _is_rgb(array)]
        fitting = all(high <= height and wide <= width for high, wide in shapes)
        whole = len(shapes) == len(part.arrays) > 0
        if not isinstance(mime, str) or not (sensible and whole and fitting):
            raise _undecodable()
        frames = tuple(
            Frame(array, of=None if shape == (height, width) else (width, height))
            for array, shape in zip(part.arrays, shapes, strict=True)
        )
        return Media(frames, mime, width, height)

    def preview(self, body: bytes) -> NDArray[np.uint8]:
        """The picture as a reviewer may see it first: grey (height, width), small, blurred."""
        return self._pixels("preview", body, 2)

    def bounded(self, body: bytes, side: int) -> NDArray[np.uint8]:
        """The canonical picture (height, width, 3) with no side longer than ``side`` pixels."""
        return self._pixels("smaller", body, 3, side=side)

    def stream(
        self,
        task: str,
        source: bytes | BinaryIO,
        options: Mapping[str, Any],
        *,
        seconds: float | None = None,
    ) -> Iterator[Part]:
        """What a named task makes of a file, piece by piece; the decoder is at most 3 ahead.

        ``seconds`` bound the time spent waiting for pieces, not what the caller does between them.
        An iteration that is given up ends its decoder. Raises as ``decode`` does, at any piece.
        """
        budget = self.limits.seconds if seconds is None else seconds
        taken, strikes, lives = 0, 0, 0
        while True:
            with self._cell() as cell, lent(source) as loan:
                try:
                    for number, part in enumerate(self._answer(cell, task, options, loan, budget)):
                        loan.check()
                        if number >= taken:  # in a second life, only what is new
                            taken += 1
                            yield part
                except _Died:
                    lives += 1
                    strikes += self._nest().alive  # where all ended at once, the file did nothing
                except Refused:
                    loan.check()
                    raise
                else:
                    loan.check()
                    return
            if strikes >= _STRIKES:
                raise _undecodable()
            if lives > _STRIKES:
                raise Unavailable("decoders end as soon as they start; see consentry doctor")

    def warm(self) -> tuple[str, ...]:
        """Have a decoder ready; the names of the locks that hold on this platform."""
        with self._cell() as cell:
            return cell.locks

    def state(self) -> PoolState:
        """Figures for the operator."""
        with self._change:
            return PoolState(
                self._alive,
                len(self._idle),
                self._waiting,
                self._born,
                self._timed_out,
                self._died,
            )

    def idle_processes(self) -> tuple[int, ...]:
        """Process numbers of the decoders that wait for a file."""
        with self._change:
            return tuple(cell.pid for cell in self._idle)

    def close(self) -> None:
        """End the decoders that are idle. Those at work end with their work."""
        with self._change:
            self._closed = True
            idle, self._idle = self._idle, []
            self._alive -= len(idle)
        for cell in idle:
            self._nest().end(cell)

    def _pixels(self, task: str, body: bytes, dimensions: int, **options: Any) -> NDArray[np.uint8]:
        arrays = self._single(task, body, **options).arrays
        if len(arrays) != 1 or arrays[0].ndim != dimensions:
            raise _undecodable()
        return arrays[0]

    def _single(self, task: str, body: bytes, **options: Any) -> Part:
        """The only piece of a task on a picture."""
        within_bytes(len(body), self.images)
        parts = list(self.stream(task, body, {"limits": self._asked, **options}))
        if len(parts) != 1:
            raise _undecodable()
        return parts[0]

    def _answer(
        self, cell: Cell, task: str, options: Mapping[str, Any], loan: Loan, budget: float
    ) -> Iterator[Part]:
        """One decoder's answer; raises ``_Died`` when it dies or says what it must not say."""
        limits, left = self.limits, budget
        asked = {"task": task, "options": dict(options), "memory": limits.memory, "seconds": budget}
        if loan.size is not None:
            asked["size"] = loan.size
        cell.clean, cell.answered = False, cell.answered + 1
        try:
            _wire.send(cell.line, asked, loan.descriptor)
            while True:
                since = time.monotonic()
                if not waits(cell.line, since + left):
                    with self._change:
                        self._timed_out += 1
                    raise _timed_out(budget)
                left -= time.monotonic() - since
                said, memory = _wire.receive(cell.line)
                part = _understood(said, memory, limits.memory)
                if part is None:
                    cell.clean = True
                    return
                cell.clean = part.last
                yield part
                if part.last:
                    return
                _wire.send(cell.line, {"taken": True})
        except Refused as refused:
            cell.clean = refused.reason is not RefusalReason.TIMED_OUT
            raise
        except (OSError, EOFError, _wire.Garbled):
            with self._change:
                self._died += 1
            raise _Died from None

    @contextmanager
    def _cell(self) -> Iterator[Cell]:
        """A decoder for one file; it comes back to the pool if nothing is wrong with it."""
        cell = self._taken()
        try:
            yield cell
        finally:
            keep = cell.clean and cell.answered < self.limits.files
            with self._change:
                keep = keep and not self._closed
                if keep:
                    self._idle.append(cell)
                    self._change.notify()
            if not keep:
                self._nest().end(cell)
                self._one_less()

    def _taken(self) -> Cell:
        if os.getpid() != self._owner:  # after a fork: those decoders are the parent's
            self._begin()
        deadline = time.monotonic() + self.limits.patience
        while (cell := self._next(deadline)) is not None:
            if not waits(cell.line, 0):  # it is there, and has nothing to say before it is asked
                return cell
            self._nest().end(cell)
            self._one_less()
        try:
            return self._nest().bear(self.limits.memory)
        except BaseException:
            self._one_less()
            raise

    def _next(self, deadline: float) -> Cell | None:
        """An idle decoder, or None and the right to have a new one made."""
        with self._change:
            while not self._idle and self._alive >= self.limits.decoders:
                if self._waiting >= self.limits.waiting:
                    raise Busy("all decoders are at work and enough callers wait; try again soon")
                self._waiting += 1
                try:
                    came = self._change.wait(deadline - time.monotonic())
                finally:
                    self._waiting -= 1
                if not came and time.monotonic() >= deadline:
                    raise Busy("no decoder became free in time; try again soon")
            if self._idle:
                return self._idle.pop()
            self._alive += 1
            self._born += 1
            return None

    def _one_less(self) -> None:
        with self._change:
            self._alive -= 1
            self._change.notify()


class _Died(Exception):
    """A decoder died, or can no longer be believed."""


class _Said(BaseModel):
    """A piece, as a decoder announces it."""

    kind: Literal["part"]
    shapes: Annotated[
        list[Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1, max_length=4)]],
        Field(max_length=16),
    ]
    ends: Annotated[list[Annotated[int, Field(ge=1)]], Field(max_length=16)]
    facts: dict[str, JsonValue]
    last: bool


class _Over(BaseModel):
    """The end of an answer, good or not."""

    kind: Literal["end", "refused", "failed"]
    reason: RefusalReason | None = None
    message: Annotated[str, Field(max_length=500)] = ""
    error: Annotated[str, Field(max_length=100)] = ""


_MESSAGE: TypeAdapter[_Said | _Over] = TypeAdapter(
    Annotated[_Said | _Over, Field(discriminator="kind")]
)


def _understood(said: bytes, memory: int | None, most: int) -> Part | None:
    """A piece, or None at the end. Raises ``Refused``, and ``Garbled`` for what cannot be."""
    try:
        message = _MESSAGE.validate_json(said)
        if isinstance(message, _Said):
            if memory is None:
                raise _wire.Garbled
            return Part(_arrays(message, memory, most), message.facts, message.last)
    except ValidationError:
        raise _wire.Garbled from None
    finally:
        if memory is not None:
            os.close(memory)
    if message.kind == "end":
        return None
    if message.kind == "refused" and message.reason is not None:
        raise Refused(message.reason, message.message)
    if message.error == "MemoryError":
        raise Refused(
            RefusalReason.TOO_MUCH_MEMORY,
            f"Decoding takes more than {most >> 20} MiB of memory; send a smaller file.",
        )
    raise _undecodable()


def _arrays(said: _Said, memory: int, most: int) -> tuple[NDArray[np.uint8], ...]:
    if not said.shapes:
        return ()
    if len(said.ends) != len(said.shapes):
        raise _wire.Garbled
    mapped = _wire.mapped(memory, most)
    flat, found = np.frombuffer(mapped, np.uint8), []
    for shape, end in zip(said.shapes, said.ends, strict=True):
        start = end - math.prod(shape)
        if start < 0 or end > len(flat):
            raise _wire.Garbled
        found.append(flat[start:end].reshape(shape))
    return tuple(found)


def _is_rgb(array: NDArray[np.uint8]) -> bool:
    return array.ndim == 3 and array.shape[2] == 3


def _timed_out(seconds: float) -> Refused:
    return Refused(
        RefusalReason.TIMED_OUT,
        f"Decoding took longer than {seconds:g} seconds; send a smaller file.",
    )


def _undecodable() -> Refused:
    return Refused(
        RefusalReason.UNDECODABLE,
        "No decoder here can read this file; save it with another program and send it again.",
    )
