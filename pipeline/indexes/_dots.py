"""Which unit vectors may be near, from one byte a dimension, with a bound that holds.

A vector x is kept as whole numbers -127..127 times a scale, and beside them the length of what
rounding lost, |x - x'|. For a query q kept the same way, Cauchy and Schwarz say

    |q.x - q'.x'|  <=  |q - q'| |x| + |q'| |x - x'|

so whoever is not within that of the threshold cannot reach it. They also say what a row can still
gain once its first numbers are multiplied: no more than the lengths of what is left of both. Where
the threshold is high, three quarters of the numbers settle almost every stranger, and the rest is
neither multiplied nor read.

Sixteen rows lie together, four numbers of each after the other, so that one instruction multiplies
four numbers of a query with those of sixteen rows and no sum has to be gathered from its parts. The
stored numbers are shifted by 128, because that instruction takes one side unsigned; what the shift
adds to a product is a constant of the query and is subtracted again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from pipeline.indexes._bits import cpu_features, insert_function, intrinsic
from pipeline.kernels import compiled

LANES = 16
"""Rows in a block."""
GROUP = 4
"""Numbers of a row that are multiplied at once."""
PARTS = 8
"""After which parts of the width a scan may stop."""
SHIFT = 128
QUERIES = 8
"""Queries multiplied with two blocks while all are in registers."""
TWO, FOUR = 2, 4
SPREAD = 4.0
"""Standard deviations of a stranger's product, in random directions, that a stop leaves room for.
Beyond them lie 3 strangers of 100,000. With 3.5, one step in sixteen had to be read on, which
cost more than the shorter way saved."""
Floats = NDArray[np.float32]

# numba is not typed.
for_range: Any = cgutils.for_range
alloca_once: Any = cgutils.alloca_once

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_F32 = ir.FloatType()
_FEATURES = cpu_features()
_HAS_VNNI = bool(_FEATURES.get("avx512vnni"))
_HAS_AVX2 = bool(_FEATURES.get("avx2"))
_BYTES, _SUMS = ir.VectorType(_I8, LANES * GROUP), ir.VectorType(_I32, LANES)
_REALS = ir.VectorType(_F32, LANES)
_BLOCK = LANES * GROUP


def padded(width: int) -> int:
    """The width of a stored row: whole groups in each of the parts."""
    return -(-width // (PARTS * GROUP)) * PARTS * GROUP


def quantised(rows: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Whole numbers (n, padded), their scale (n,), and no less than what rounding lost (n,)."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    scale = np.maximum(largest, np.float32(1e-30)) / np.float32(127)
    whole = np.zeros((len(rows), padded(rows.shape[1])), np.int8)
    whole[:, : rows.shape[1]] = np.rint(rows / scale[:, None])
    kept = whole[:, : rows.shape[1]].astype(np.float64) * scale.astype(np.float64)[:, None]
    length = np.linalg.norm(rows.astype(np.float64) - kept, axis=1)
    return whole, scale, np.nextafter(length.astype(np.float32), np.float32(np.inf))


def tails(whole: NDArray[np.int8], scale: Floats) -> Floats:
    """How long a row still is after 1, 2, ... ``PARTS`` parts (n, PARTS), never less than it is."""
    parts = whole.reshape(len(whole), PARTS, whole.shape[1] // PARTS).astype(np.int32)
    squares = np.einsum("ijk,ijk->ij", parts, parts).astype(np.float64)
    left = squares.sum(axis=1, keepdims=True) - np.cumsum(squares, axis=1)
    length = (np.sqrt(left) * scale.astype(np.float64)[:, None]).astype(np.float32)
    return np.where(left > 0, np.nextafter(length, np.float32(np.inf)), np.float32(0))


def arranged(whole: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Rows shifted and cut into groups (n, groups, GROUP), as blocks hold them."""
    shifted = (whole.astype(np.int16) + SHIFT).astype(np.uint8)
    return shifted.reshape(len(whole), whole.shape[1] // GROUP, GROUP)


def stop_at(width: int, within: float) -> int:
    """After how many parts strangers in random directions cannot reach ``within`` any more."""
    for part in range(1, PARTS):
        share = part / PARTS
        if within - (1 - share) >= SPREAD * np.sqrt(share / width):
            return part
    return PARTS


def _splat(builder: Any, value: Any, kind: Any) -> Any:
    blank = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(blank, value, ir.Constant(_I32, 0))
    pick = ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, blank, pick)


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, shape: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), shape.as_pointer())


def _load(builder: Any, place: Any, align: int = 1) -> Any:
    loaded = builder.load(place)
    loaded.align = align
    return loaded


def _multiply_add(builder: Any, sums: Any, stored: Any, asked: Any) -> Any:
    """Each row's sum with four more products of a byte without and a byte with a sign."""
    if _HAS_VNNI:
        kind = ir.FunctionType(_SUMS, [_SUMS, _BYTES, _BYTES])
        name = "llvm.x86.avx512.vpdpbusd.512"
        return builder.call(insert_function(builder.module, kind, name), [sums, stored, asked])
    words = ir.VectorType(_I16, _BLOCK)
    left, right = builder.zext(stored, words), builder.sext(asked, words)
    pairs = _pairs(builder, left, right)
    even, odd = (_every_second(builder, pairs, first) for first in (0, 1))
    return builder.add(sums, builder.add(even, odd))


def _pairs(builder: Any, left: Any, right: Any) -> Any:
    """Sums of two neighbouring products, with 32 bits."""
    if not _HAS_AVX2:
        wide = ir.VectorType(_I32, _BLOCK // 2)
        odd_even = [
            builder.mul(
                *(builder.sext(_every_second(builder, side, first), wide) for side in (left, right))
            )
            for first in (0, 1)
        ]
        return builder.add(*odd_even)
    words, sums = ir.VectorType(_I16, 16), ir.VectorType(_I32, 8)
    kind = ir.FunctionType(sums, [words, words])
    multiply = insert_function(builder.module, kind, "llvm.x86.avx2.pmadd.wd")
    quarters = [
        builder.call(multiply, [_slice(builder, side, at, 16) for side in (left, right)])
        for at in range(0, _BLOCK, 16)
    ]
    return _joined(builder, _joined(builder, *quarters[:2]), _joined(builder, *quarters[2:]))


def _shuffled(builder: Any, left: Any, right: Any, lanes: list[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
    return builder.shuffle_vector(left, right, mask)


def _slice(builder: Any, vector: Any, at: int, count: int) -> Any:
    undefined = ir.Constant(vector.type, ir.Undefined)
    return _shuffled(builder, vector, undefined, list(range(at, at + count)))


def _joined(builder: Any, left: Any, right: Any) -> Any:
    return _shuffled(builder, left, right, list(range(2 * left.type.count)))


def _every_second(builder: Any, vector: Any, first: int) -> Any:
    undefined = ir.Constant(vector.type, ir.Undefined)
    return _shuffled(builder, vector, undefined, list(range(first, vector.type.count, 2)))


def _dots(blocks: int, queries: int) -> Any:
    """An intrinsic that goes on multiplying some neighbouring blocks with some queries.

    Groups ``start`` to ``stop`` are added to the sums in ``out`` (blocks, queries, LANES), less
    what the shift added to them, which is ``shifted`` (all queries,).
    """

    def dots(
        _typing: Any,
        rows: Any,
        _block: Any,
        asked: Any,
        _query: Any,
        _groups: Any,
        _start: Any,
        _stop: Any,
        shifted: Any,
        out: Any,
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            stored, first, wanted, query, groups, start, stop, shift, result = arguments
            kinds = signature.args
            sums: list[list[Any]] = []
            for block in range(blocks):
                sums.append([])
                for column in range(queries):
                    number = ir.Constant(_I64, (block * queries + column) * LANES)
                    before = _load(
                        builder, _place(context, builder, kinds[8], result, number, _SUMS), 4
                    )
                    at = builder.add(query, ir.Constant(_I64, column))
                    less = builder.load(_place(context, builder, kinds[7], shift, at, _I32))
                    place = alloca_once(builder, _SUMS)
                    builder.store(builder.sub(before, _splat(builder, less, _SUMS)), place)
                    sums[-1].append(place)
            with for_range(builder, builder.sub(stop, start)) as loop:
                group = builder.add(loop.index, start)
                left = []
                for block in range(blocks):
                    line = builder.mul(builder.add(first, ir.Constant(_I64, block)), groups)
                    at = builder.mul(builder.add(line, group), ir.Constant(_I64, _BLOCK))
                    left.append(
                        _load(builder, _place(context, builder, kinds[0], stored, at, _BYTES))
                    )
                for column in range(queries):
                    line = builder.mul(builder.add(query, ir.Constant(_I64, column)), groups)
                    at = builder.add(line, group)
                    four = builder.load(_place(context, builder, kinds[2], wanted, at, _I32))
                    right = builder.bitcast(_splat(builder, four, _SUMS), _BYTES)
                    for line, value in zip(sums, left, strict=True):
                        total = builder.load(line[column])
                        builder.store(_multiply_add(builder, total, value, right), line[column])
            for number, place in enumerate(place for line in sums for place in line):
                at = ir.Constant(_I64, number * LANES)
                target = _place(context, builder, kinds[8], result, at, _SUMS)
                builder.store(builder.load(place), target).align = 4
            return context.get_dummy_value()

        size = types.intp
        return types.void(rows, size, asked, size, size, size, size, shifted, out), generate

    return intrinsic(dots)


_two_blocks = _dots(TWO, QUERIES)
_four_blocks = _dots(FOUR, 1)


@intrinsic
def _reaching(
    _typing: Any,
    sums: Any,
    _at: Any,
    scales: Any,
    lost: Any,
    left: Any,
    _row: Any,
    _margins: Any,
    _m1: Any,
    _m2: Any,
    _m3: Any,
) -> Any:
    """Bit i: whether row i of a block may reach, by its sum and by what it may still gain."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        dots, at, scale, loss, tail, row, by_scale, by_loss, by_tail, least = arguments
        kinds = signature.args

        def reals(kind: Any, array: Any) -> Any:
            return _load(builder, _place(context, builder, kind, array, row, _REALS), 4)

        whole = _load(builder, _place(context, builder, kinds[0], dots, at, _SUMS), 4)
        reach = builder.fmul(builder.sitofp(whole, _REALS), reals(kinds[2], scale))
        reach = builder.fmul(reach, _splat(builder, by_scale, _REALS))
        for kind, array, factor in ((kinds[3], loss, by_loss), (kinds[4], tail, by_tail)):
            more = builder.fmul(reals(kind, array), _splat(builder, factor, _REALS))
            reach = builder.fadd(reach, more)
        verdict = builder.fcmp_ordered(">=", reach, _splat(builder, least, _REALS))
        return builder.zext(builder.bitcast(verdict, ir.IntType(LANES)), _I32)

    real = types.float32
    size = types.intp
    return (
        types.uint32(sums, size, scales, lost, left, size, real, real, real, real),
        generate,
    )


def _scan_for_one(
    rows: Any,
    scales: Any,
    lost: Any,
    left: Any,
    used: Any,
    stop: Any,
    query: Any,
    shifted: Any,
    margins: Any,
    near: Any,
) -> Any:
    """Fill ``near`` with the rows that may match one query; how many there are in all.

    ``rows`` are whole blocks (b, groups, LANES, GROUP) of which the first ``used`` rows count;
    ``left`` (rows,) is how long each still is after ``stop`` groups. The query comes as groups
    (1, groups) of four bytes; ``shifted`` (2, 1) is what the shift adds up to ``stop`` and after
    it. ``margins`` (1, 4) holds the query's scale, its own length, its length after ``stop``, and
    the threshold less what its rounding and float arithmetic may have lost. More rows than ``near``
    has room for are counted, not written. The second answer is how often it had to read on.
    """
    count, further = 0, 0
    groups = query.shape[1]
    out = np.empty(FOUR * LANES, np.int32)
    flat, asked = rows.reshape(-1), query.reshape(-1)
    by_scale, by_loss, by_tail, least = margins[0]
    for first in range(0, used, FOUR * LANES):
        out[:] = 0
        _four_blocks(flat, first // LANES, asked, 0, groups, 0, stop, shifted[0], out)
        if stop < groups:
            some = np.uint32(0)
            for block in range(FOUR):
                row = first + block * LANES
                some |= _reaching(
                    out, block * LANES, scales, lost, left, row, by_scale, by_loss, by_tail, least
                )
            if some == 0:
                continue
            further += 1
            _four_blocks(flat, first // LANES, asked, 0, groups, stop, groups, shifted[1], out)
        for block in range(FOUR):
            row = first + block * LANES
            mask = _reaching(
                out, block * LANES, scales, lost, left, row, by_scale, by_loss,
                np.float32(0), least,
            )  # fmt: skip
            for lane in range(LANES):
                if mask >> np.uint32(lane) & np.uint32(1) and row + lane < used:
                    if count < near.shape[0]:
                        near[count] = row + lane
                    count += 1
    return count, further


def _scan_for_many(
    rows: Any,
    scales: Any,
    lost: Any,
    left: Any,
    used: Any,
    stop: Any,
    queries: Any,
    shifted: Any,
    margins: Any,
    near: Any,
    who: Any,
) -> Any:
    """The same for many queries, a multiple of ``QUERIES``; ``who`` says which one it was."""
    count, further = 0, 0
    groups = queries.shape[1]
    out = np.empty(TWO * QUERIES * LANES, np.int32)
    flat, asked = rows.reshape(-1), queries.reshape(-1)
    for first in range(0, used, TWO * LANES):
        for query in range(0, queries.shape[0], QUERIES):
            out[:] = 0
            _two_blocks(flat, first // LANES, asked, query, groups, 0, stop, shifted[0], out)
            if stop < groups:
                some = np.uint32(0)
                for at in range(TWO * QUERIES):
                    row, q = first + at // QUERIES * LANES, query + at % QUERIES
                    some |= _reaching(
                        out, at * LANES, scales, lost, left, row,
                        margins[q, 0], margins[q, 1], margins[q, 2], margins[q, 3],
                    )  # fmt: skip
                if some == 0:
                    continue
                further += 1
                _two_blocks(
                    flat, first // LANES, asked, query, groups, stop, groups, shifted[1], out
                )
            for at in range(TWO * QUERIES):
                row, q = first + at // QUERIES * LANES, query + at % QUERIES
                mask = _reaching(
                    out, at * LANES, scales, lost, left, row,
                    margins[q, 0], margins[q, 1], np.float32(0), margins[q, 3],
                )  # fmt: skip
                if mask == 0:
                    continue
                for lane in range(LANES):
                    if mask >> np.uint32(lane) & np.uint32(1) and row + lane < used:
                        if count < near.shape[0]:
                            near[count] = row + lane
                            who[count] = q
                        count += 1
    return count, further


scan_for_one = compiled(_scan_for_one)
scan_for_many = compiled(_scan_for_many)


def holds() -> bool:
    """Whether the kernels give the sums they should: asked once, on the CPU they will run on."""
    rng = np.random.default_rng(0)
    width, count = padded(96), FOUR * LANES
    plain = rng.integers(-127, 128, (count, width)).astype(np.int8)
    queries = rng.integers(-127, 128, (2 * QUERIES, width)).astype(np.int8)
    blocks = np.ascontiguousarray(
        arranged(plain).reshape(-1, LANES, width // GROUP, GROUP).transpose(0, 2, 1, 3)
    )
    ones, zeros = np.ones(count, np.float32), np.zeros(count, np.float32)
    sums = plain.astype(np.int64) @ queries.T.astype(np.int64)
    groups = width // GROUP
    asked = queries.view(np.int32)
    near, who = np.empty(sums.size, np.int64), np.empty(sums.size, np.int64)
    for stop in (groups // 2, groups):
        parts = queries[:, : stop * GROUP], queries[:, stop * GROUP :]
        shifted = np.stack([SHIFT * part.sum(axis=1, dtype=np.int32) for part in parts])
        # What is left can add as much as it likes: each must be read to its end.
        left = np.full(count, 1e9, np.float32)
        # Each sum must reach itself and must not reach the next whole number.
        for row, query in np.ndindex(*sums.shape):
            for least, expected in ((sums[row, query], True), (sums[row, query] + 1, False)):
                margins = np.array([[1, 0, 1, least]] * len(queries), np.float32)
                stored = (blocks, ones, zeros, left, count, stop)
                found, _ = scan_for_many(*stored, asked, shifted, margins, near, who)
                among = bool(((near[:found] == row) & (who[:found] == query)).any())
                one = slice(query, query + 1)
                alone = (asked[one], np.ascontiguousarray(shifted[:, one]), margins[one])
                found, _ = scan_for_one(*stored, *alone, near)
                if among is not expected or bool((near[:found] == row).any()) is not expected:
                    return False
    return True
