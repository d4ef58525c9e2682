"""Which unit vectors may be near, from one byte a dimension, with a bound that holds.

A vector x is kept as whole numbers -127..127 times a scale, and beside them the length of what
rounding lost, |x - x'|. For a query q kept the same way, Cauchy and Schwarz say

    |q.x - q'.x'|  <=  |q - q'| |x| + |q'| |x - x'|

so whoever is not within that of the threshold cannot reach it. The stored numbers are shifted by
128, because the instruction that multiplies and adds 64 bytes at once takes one side unsigned; what
the shift adds to a product is a constant of the query and is subtracted again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numpy.typing import NDArray

from pipeline.indexes._bits import compiled, cpu_features, insert_function, intrinsic

BLOCK = 64
"""Bytes multiplied at once; rows are padded to a multiple of it."""
SHIFT = 128
Floats = NDArray[np.float32]

# numba is not typed.
alloca_once: Any = cgutils.alloca_once
for_range: Any = cgutils.for_range

_I8, _I16, _I32, _I64 = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_FEATURES = cpu_features()
_HAS_VNNI = bool(_FEATURES.get("avx512vnni"))
_HAS_AVX2 = bool(_FEATURES.get("avx2"))
_STEP = 64 if _HAS_VNNI else 16
"""Bytes that one step multiplies: a register of bytes, or of what they become with 16 bits."""
_BYTES, _SUMS = ir.VectorType(_I8, _STEP), ir.VectorType(_I32, _STEP // (4 if _HAS_VNNI else 2))
ROWS = 4 if _HAS_VNNI else 2
QUERIES = 4
"""Rows and queries that are multiplied with each other while they are in registers."""


def padded(width: int) -> int:
    """The width of a stored row."""
    return -(-width // BLOCK) * BLOCK


def quantised(rows: Floats) -> tuple[NDArray[np.int8], Floats, Floats]:
    """Whole numbers (n, padded), their scale (n,), and no less than what rounding lost (n,)."""
    largest = np.abs(rows).max(axis=1, initial=0.0)
    scale = np.maximum(largest, np.float32(1e-30)) / np.float32(127)
    whole = np.zeros((len(rows), padded(rows.shape[1])), np.int8)
    whole[:, : rows.shape[1]] = np.rint(rows / scale[:, None])
    kept = whole[:, : rows.shape[1]].astype(np.float64) * scale.astype(np.float64)[:, None]
    length = np.linalg.norm(rows.astype(np.float64) - kept, axis=1)
    return whole, scale, np.nextafter(length.astype(np.float32), np.float32(np.inf))


def _load(builder: Any, context: Any, kind: Any, array: Any, at: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    place = builder.bitcast(builder.gep(data, [at]), _BYTES.as_pointer())
    loaded = builder.load(place)
    loaded.align = 1
    return loaded


def _multiply_add(builder: Any, sums: Any, unsigned: Any, signed: Any) -> Any:
    """Each sum with a few more products of a byte without and a byte with a sign."""
    if _HAS_VNNI:
        kind = ir.FunctionType(_SUMS, [_SUMS, _BYTES, _BYTES])
        name = "llvm.x86.avx512.vpdpbusd.512"
        return builder.call(insert_function(builder.module, kind, name), [sums, unsigned, signed])
    words = ir.VectorType(_I16, _STEP)
    left, right = builder.zext(unsigned, words), builder.sext(signed, words)
    if _HAS_AVX2:
        kind = ir.FunctionType(_SUMS, [words, words])
        multiply = insert_function(builder.module, kind, "llvm.x86.avx2.pmadd.wd")
        return builder.add(sums, builder.call(multiply, [left, right]))
    return builder.add(sums, builder.add(*(_products(builder, left, right, odd) for odd in (0, 1))))


def _products(builder: Any, left: Any, right: Any, odd: int) -> Any:
    """The products of every second pair of words, with 32 bits."""
    lanes = list(range(odd, _STEP, 2))
    mask = ir.Constant(ir.VectorType(_I32, len(lanes)), lanes)
    undefined = ir.Constant(left.type, ir.Undefined)
    return builder.mul(
        *(
            builder.sext(builder.shuffle_vector(side, undefined, mask), _SUMS)
            for side in (left, right)
        )
    )


def _dots(rows_at_once: int, queries_at_once: int) -> Any:
    """An intrinsic that multiplies some neighbouring rows with some neighbouring queries."""

    def dots(
        _typing: Any, rows: Any, _row: Any, queries: Any, _query: Any, _width: Any, out: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            stored, first_row, asked, first_query, size, result = arguments
            sums = [
                [_cleared(builder) for _ in range(queries_at_once)] for _ in range(rows_at_once)
            ]
            steps = builder.udiv(size, ir.Constant(_I64, _STEP))
            with for_range(builder, steps) as loop:
                at = builder.mul(loop.index, ir.Constant(_I64, _STEP))

                def block(kind: Any, array: Any, first: Any, offset: int) -> Any:
                    line = builder.add(first, ir.Constant(_I64, offset))
                    place = builder.add(builder.mul(line, size), at)
                    return _load(builder, context, kind, array, place)

                left = [
                    block(signature.args[0], stored, first_row, each)
                    for each in range(rows_at_once)
                ]
                for column in range(queries_at_once):
                    right = block(signature.args[2], asked, first_query, column)
                    for line, value in zip(sums, left, strict=True):
                        total = builder.load(line[column])
                        builder.store(_multiply_add(builder, total, value, right), line[column])
            answers = context.make_array(signature.args[5])(context, builder, result).data
            kind = ir.FunctionType(_I32, [_SUMS])
            reduce = insert_function(
                builder.module, kind, f"llvm.vector.reduce.add.v{_SUMS.count}i32"
            )
            for number, total in enumerate(total for line in sums for total in line):
                dot = builder.call(reduce, [builder.load(total)])
                builder.store(dot, builder.gep(answers, [ir.Constant(_I64, number)]))
            return context.get_dummy_value()

        return types.void(rows, types.intp, queries, types.intp, types.intp, out), generate

    return intrinsic(dots)


def _cleared(builder: Any) -> Any:
    place = alloca_once(builder, _SUMS)
    builder.store(ir.Constant(_SUMS, None), place)
    return place


_one_by_one = _dots(1, 1)
_some_by_some = _dots(ROWS, QUERIES)


def _scan_for_one(
    rows: Any, scales: Any, lost: Any, used: Any, query: Any, shifted: Any, margins: Any, near: Any
) -> Any:
    """Fill ``near`` with the rows that may match one query; how many there are in all.

    ``margins`` (3,) holds the query's scale, its own length, and the threshold less what its
    rounding and float arithmetic may have lost; ``shifted`` what the shift adds to each product.
    More rows than ``near`` has room for are counted, not written.
    """
    count = 0
    width = query.shape[0]
    out = np.empty(1, np.int32)
    flat = rows.reshape(-1)
    for row in range(used):
        _one_by_one(flat, row, query, 0, width, out)
        reach = np.float32(out[0] - shifted) * scales[row] * margins[0] + lost[row] * margins[1]
        if reach >= margins[2]:
            if count < near.shape[0]:
                near[count] = row
            count += 1
    return count


def _scan_for_many(
    rows: Any,
    scales: Any,
    lost: Any,
    used: Any,
    queries: Any,
    shifted: Any,
    margins: Any,
    near: Any,
    who: Any,
) -> Any:
    """The same for many queries, a multiple of ``QUERIES``; ``who`` says which one it was.

    Up to ``ROWS - 1`` rows beyond ``used`` are read; they count for nothing.
    """
    count = 0
    width = queries.shape[1]
    out = np.empty(ROWS * QUERIES, np.int32)
    flat, asked = rows.reshape(-1), queries.reshape(-1)
    for row in range(0, used, ROWS):
        for query in range(0, queries.shape[0], QUERIES):
            _some_by_some(flat, row, asked, query, width, out)
            for at in range(ROWS * QUERIES):
                r, q = row + at // QUERIES, query + at % QUERIES
                dot = np.float32(out[at] - shifted[q])
                reach = dot * scales[r] * margins[q, 0] + lost[r] * margins[q, 1]
                if reach >= margins[q, 2] and r < used:
                    if count < near.shape[0]:
                        near[count] = r
                        who[count] = q
                    count += 1
    return count


scan_for_one = compiled(_scan_for_one)
scan_for_many = compiled(_scan_for_many)


def holds() -> bool:
    """Whether the kernels give the sums they should: asked once, on the CPU they will run on."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (4 * ROWS, 3 * BLOCK), dtype=np.uint8)
    queries = rng.integers(-127, 128, (2 * QUERIES, 3 * BLOCK), dtype=np.int8)
    ones, zeros = np.ones(len(rows), np.float32), np.zeros(len(rows), np.float32)
    shifted = np.zeros(len(queries), np.int32)
    sums = rows.astype(np.int64) @ queries.T.astype(np.int64)
    near, who = np.empty(sums.size, np.int64), np.empty(sums.size, np.int64)
    # Each sum must reach itself and must not reach the next whole number.
    for row, query in np.ndindex(*sums.shape):
        for least, expected in ((sums[row, query], True), (sums[row, query] + 1, False)):
            margins = np.array([[1, 0, least]] * len(queries), np.float32)
            stored = (rows, ones, zeros, len(rows))
            count = scan_for_many(*stored, queries, shifted, margins, near, who)
            among = bool(((near[:count] == row) & (who[:count] == query)).any())
            count = scan_for_one(*stored, queries[query], shifted[query], margins[query], near)
            if among is not expected or bool((near[:count] == row).any()) is not expected:
                return False
    return True
