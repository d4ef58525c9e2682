"""Vector instructions for compiled kernels, written once for every CPU.

Each intrinsic emits LLVM's portable vector operations, which become ``vpopcnt`` on AVX-512, byte
shuffles on AVX2, ``cnt`` on NEON and scalar code elsewhere. Codes lie in *tiles*: eight codes of
four 64-bit words, word by word, so that a tile is 32 words and word ``w`` of code ``i`` is at
``(i // 8) * 32 + w * 8 + i % 8``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba import extending, types
from numba.core import cgutils, config

from pipeline.kernels import Kernel

intrinsic: Callable[[Kernel], Kernel] = extending.intrinsic
target: Any = config
insert_function: Kernel = cgutils.get_or_insert_function

LANES = 8
"""Codes in a tile."""
TILE = 32
"""Words in a tile."""
SKETCHES = 16
"""Sketches of 512 bits in a tile of theirs, which is 128 words, word by word too."""


def cpu_features() -> dict[str, bool]:
    """What kernels are compiled for: this CPU, or what NUMBA_CPU_NAME and _FEATURES name.

    The two variables come together (a generic CPU without features is the baseline).
    """
    if target.CPU_NAME is None:
        return dict(binding.get_host_cpu_features())
    named = (target.CPU_FEATURES or "").split(",")
    return {one[1:].strip(): True for one in named if one.startswith("+")}


def vector_unit() -> str:
    """The widest vectors that LLVM uses here: ``avx512``, ``avx2``, ``neon`` or ``baseline``."""
    features = cpu_features()
    for name, needed in (("avx512", "avx512vpopcntdq"), ("avx2", "avx2"), ("neon", "neon")):
        if features.get(needed):
            return name
    return "baseline"


def _address(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [index])


def _vector(builder: Any, address: Any, width: int, lanes: int) -> Any:
    shape = ir.VectorType(ir.IntType(width), lanes)
    loaded = builder.load(builder.bitcast(address, shape.as_pointer()))
    loaded.align = width // 8
    return loaded


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    shape = ir.VectorType(value.type, lanes)
    blank = ir.Constant(shape, ir.Undefined)
    first = builder.insert_element(blank, value, ir.Constant(ir.IntType(32), 0))
    pick = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    return builder.shuffle_vector(first, blank, pick)


def _popcounts(builder: Any, vector: Any) -> Any:
    name = f"llvm.ctpop.v{vector.type.count}i{vector.type.element.width}"
    kind = ir.FunctionType(vector.type, [vector.type])
    return builder.call(insert_function(builder.module, kind, name), [vector])


def _mask(builder: Any, verdicts: Any, lanes: int) -> Any:
    bits = builder.bitcast(verdicts, ir.IntType(lanes))
    return bits if lanes == 32 else builder.zext(bits, ir.IntType(32))


def _words_within(planes: int, lanes: int = LANES) -> Callable[..., Any]:
    """Code for: which lanes of a tile differ by at most ``limit`` bits in the first planes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        tiles, at, limit = args[0], args[1], args[2 + planes]
        total = None
        for plane in range(planes):
            offset = builder.add(at, ir.Constant(at.type, plane * lanes))
            address = _address(context, builder, signature.args[0], tiles, offset)
            stored = _vector(builder, address, 64, lanes)
            asked = _splat(builder, args[2 + plane], lanes)
            counts = _popcounts(builder, builder.xor(stored, asked))
            total = counts if total is None else builder.add(total, counts)
        verdicts = builder.icmp_unsigned("<=", total, _splat(builder, limit, lanes))
        return _mask(builder, verdicts, lanes)

    return generate


@intrinsic
def popcount(_typing: Any, word: Any) -> Any:
    """Set bits of an unsigned integer."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return word(word), generate


@intrinsic
def lowest_bit(_typing: Any, _mask: Any) -> Any:
    """Position of the lowest set bit of a uint32 that is not zero, as int64."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        found = builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(found, ir.IntType(64))

    return types.int64(types.uint32), generate


@intrinsic
def prefetch(_typing: Any, array: Any, _index: Any) -> Any:
    """Ask for the cache line of an element; an index out of bounds does no harm."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = _address(context, builder, signature.args[0], args[0], args[1])
        kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
        call = insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(call, [builder.bitcast(address, byte), flag(0), flag(3), flag(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def pointer(_typing: Any, _address: Any) -> Any:
    """What lies at an address, for ``numba.carray``; whoever passes it keeps the array alive.

    One number crosses from Python faster than an array, and a search has more than a dozen.
    """

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.int64), generate


@intrinsic
def load_uint32(_typing: Any, array: Any, _index: Any) -> Any:
    """Four bytes of a uint8 array at any address, as a uint32 in the CPU's byte order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = _address(context, builder, signature.args[0], args[0], args[1])
        loaded = builder.load(builder.bitcast(address, ir.IntType(32).as_pointer()))
        loaded.align = 1
        return loaded

    return types.uint32(array, types.intp), generate


@intrinsic
def halfwords_within(_typing: Any, row: Any, _at: Any, _asked: Any, _limit: Any) -> Any:
    """Which of 32 uint16 from ``row[at]`` on differ from ``asked`` by at most ``limit`` bits."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = _vector(
            builder, _address(context, builder, signature.args[0], args[0], args[1]), 16, 32
        )
        counts = _popcounts(builder, builder.xor(stored, _splat(builder, args[2], 32)))
        return _mask(builder, builder.icmp_unsigned("<=", counts, _splat(builder, args[3], 32)), 32)

    return types.uint32(row, types.intp, types.uint16, types.uint16), generate


@intrinsic
def half_tile_within(_typing: Any, tiles: Any, _at: Any, _w0: Any, _w1: Any, _limit: Any) -> Any:
    """Which codes of the tile at word ``at`` are within ``limit`` bits in their first 128 bits."""
    word = types.uint64
    return types.uint32(tiles, types.intp, word, word, word), _words_within(2)


@intrinsic
def tile_within(
    _typing: Any, tiles: Any, _at: Any, _w0: Any, _w1: Any, _w2: Any, _w3: Any, _limit: Any
) -> Any:
    """Which codes of the tile at word ``at`` are within ``limit`` bits in all 256."""
    word = types.uint64
    return types.uint32(tiles, types.intp, word, word, word, word, word), _words_within(4)


@intrinsic
def sketches_within(
    _typing: Any, tiles: Any, _at: Any, _w0: Any, _w1: Any, _w2: Any, _w3: Any, _w4: Any, _w5: Any,
    _w6: Any, _w7: Any, _limit: Any,
) -> Any:  # fmt: skip
    """Which sketches of the tile at word ``at`` are within ``limit`` bits in all 512."""
    return types.uint32(tiles, types.intp, *[types.uint64] * 9), _words_within(8, SKETCHES)
