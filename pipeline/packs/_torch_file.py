"""PyTorch's older weight files (before 1.6) without PyTorch, and without running what is in them.

Such a file is a row of pickles: a magic number, a version, a note about the machine, the named
tensors with references to their storages, the storages' keys; then each storage's length and raw
numbers. Pickles can run code, so this reader knows the four names that a table of plain tensors
needs and refuses every other.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import Misconfigured

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001
_TYPES: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view into a storage, not yet read."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors by name; raises ``Misconfigured`` for anything but a table of plain tensors."""
    try:
        return _read(io.BytesIO(data))
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError) as wrong:
        raise Misconfigured(f"this is not a PyTorch file of plain weights: {wrong}") from None
    except (AttributeError, ImportError, MemoryError, OverflowError, RecursionError):
        raise Misconfigured("this is not a PyTorch file of plain weights") from None


def _read(file: io.BytesIO) -> dict[str, NDArray[Any]]:
    if _Weights(file).load() != _MAGIC or _Weights(file).load() != _VERSION:
        raise ValueError("another magic number or version")
    _Weights(file).load()
    table = _Weights(file)
    named, keys = table.load(), _Weights(file).load()
    storages = {key: _storage(file, *table.storages[key]) for key in keys}
    if not isinstance(named, dict):
        raise TypeError("no table of tensors")
    return {str(name): _view(storages, tensor) for name, tensor in named.items()}


class _Weights(pickle.Unpickler):
    """An unpickler that builds tables and tensors and nothing else."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[str, int]] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in _TYPES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, reference: Any) -> str:
        """A storage: remembered by its key, read after the pickles."""
        kind, type_, key, _where, length = reference[:5]
        if kind != "storage" or type_ not in _TYPES:
            raise pickle.UnpicklingError("it refers to something other than a storage")
        self.storages[key] = (type_, int(length))
        return str(key)


def _tensor(
    storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_rest: Any
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _storage(file: io.BytesIO, type_: str, length: int) -> NDArray[Any]:
    if int.from_bytes(file.read(8), "little") != length:
        raise ValueError("a storage of another length")
    kind = _TYPES[type_]
    return np.frombuffer(file.read(length * kind.itemsize), kind, length)


def _view(storages: dict[str, NDArray[Any]], tensor: _Tensor) -> NDArray[Any]:
    if not isinstance(tensor, _Tensor):
        raise TypeError("something other than tensors")
    storage, size = storages[tensor.storage], storages[tensor.storage].itemsize
    if len(tensor.shape) != len(tensor.strides) or min(tensor.shape, default=1) < 1:
        raise ValueError("a tensor of no size")
    last = tensor.offset + sum(
        (count - 1) * stride for count, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    # A view beyond its storage would read memory that is not the file's.
    if min(tensor.offset, *tensor.strides, 0) < 0 or last >= len(storage):
        raise ValueError("a tensor that reaches outside its storage")
    view = np.lib.stride_tricks.as_strided(
        storage[tensor.offset :], tensor.shape, [stride * size for stride in tensor.strides]
    )
    return view.copy()
