"""The two pieces of shared memory that tensors and bodies travel in: the server writes the input arena, the worker the output arena.

Both are memfds that can grow and not shrink, so what is mapped stays readable. Not thread-safe: the worker's main thread alone uses them.
"""

import math
import mmap
import os
from typing import Any, Callable, Optional, Sequence

import numpy as np

from ._errors import ServableError
from ._protocol import ProtocolError, TensorPlace
from ._signature import NUMPY_TYPE, STRING

ALIGNMENT = 64
INPUT, OUTPUT = 0, 1
_MIN_BYTES = 1 << 20
_MAX_STRING_TENSOR_BYTES = (1 << 31) - 1  # its offsets are int32


# Where empty() makes arrays: a worker sets it to its output arena's.
allocate: Callable[..., np.ndarray] = np.empty


def empty(shape: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
    """Like np.empty, in the memory that the server reads: an output made of it is not copied. For the call in hand, on its thread, alone."""
    dtype = np.dtype(dtype)
    return np.empty(shape, dtype) if dtype.hasobject else allocate(tuple(shape), dtype)


class Arena:
    """The mapping of one memfd. Arrays made of it keep an outgrown mapping alive for as long as they live."""

    def __init__(self, number: int, fd: int):
        self.number = number
        self._fd = fd
        self._map: Any = b""  # until the first mapping
        self._address = 0

    def _cover(self, end: int) -> None:
        """Maps at least `end` bytes. ProtocolError if the file is shorter."""
        if end <= len(self._map):
            return
        size = os.fstat(self._fd).st_size
        if end > size:
            raise ProtocolError(f"bytes up to {end} of an arena of {size}")
        self._map = mmap.mmap(self._fd, size)
        self._address = np.frombuffer(self._map, np.uint8, 1).__array_interface__["data"][0]

    def bytes_at(self, offset: int, size: int) -> bytes:
        self._cover(offset + size)
        return self._map[offset:offset + size]

    def array_at(self, place: TensorPlace) -> np.ndarray:
        """A view of the tensor there; strings are copied, into an array of bytes objects. ProtocolError for what does not fit together."""
        self._cover(place.offset + place.size)
        try:
            if place.number == STRING:
                return _strings(self._map[place.offset:place.offset + place.size], place.shape)
            array = np.ndarray(place.shape, NUMPY_TYPE[place.number], self._map if place.size else None, place.offset if place.size else 0)
        except (KeyError, ValueError, TypeError) as fault:  # what NumPy says of a shape or a buffer
            raise ProtocolError(f"{place}: {fault!r}") from None
        if array.nbytes != place.size:
            raise ProtocolError(f"{place}: expected {array.nbytes} bytes")
        return array

    def place_of(self, array: np.ndarray, number: int) -> Optional[TensorPlace]:
        """Where `array` lies as a tensor of that element type, if it lies in this arena as one aligned piece."""
        offset = array.__array_interface__["data"][0] - self._address
        if 0 <= offset < len(self._map) and offset % ALIGNMENT == 0 and array.flags.c_contiguous and array.dtype == NUMPY_TYPE[number]:
            return TensorPlace(number, array.shape, self.number, offset, array.nbytes)
        return None


class OutputArena(Arena):
    """The arena that the worker writes: from its start again for each request, so that what was written stays until the next frame."""

    def __init__(self, fd: int):
        super().__init__(OUTPUT, fd)
        self._used = 0

    def clear(self) -> None:
        self._used = 0

    def _take(self, size: int) -> int:
        """The offset of `size` fresh bytes."""
        offset = self._used
        end = offset + size
        if end > len(self._map):
            os.ftruncate(self._fd, max(_MIN_BYTES, 2 * len(self._map), -(-end // mmap.PAGESIZE) * mmap.PAGESIZE))
            self._cover(end)
        self._used = -(-end // ALIGNMENT) * ALIGNMENT
        return offset

    def empty(self, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
        """A fresh array in the arena, of a type whose elements have a fixed size. It becomes an output without a copy."""
        size = math.prod(shape) * dtype.itemsize
        offset = self._take(size)
        return np.ndarray(shape, dtype, self._map, offset) if size else np.ndarray(shape, dtype)

    def write_bytes(self, data: bytes) -> int:
        """Their offset."""
        offset = self._take(len(data))
        self._map[offset:offset + len(data)] = data
        return offset

    def write(self, array: np.ndarray, number: int) -> TensorPlace:
        """Copies an array there as that element type, in one pass; strings are bytes objects."""
        if number == STRING:
            data = _string_bytes(array)
            return TensorPlace(STRING, array.shape, OUTPUT, self.write_bytes(data), len(data))
        target = self.empty(array.shape, NUMPY_TYPE[number])
        np.copyto(target, array, casting="same_kind")
        return self.place_of(target, number) or TensorPlace(number, array.shape, OUTPUT, 0, 0)  # one without elements lies nowhere


def _strings(data: bytes, shape: Sequence[int]) -> np.ndarray:
    """TensorFlow Lite's string buffer as an array of bytes objects: i32 count, (count + 1) x i32 offsets, the strings."""
    offsets = np.frombuffer(data, "<i4", math.prod(shape) + 1, 4).tolist()
    array = np.empty(shape, object)
    array.reshape(-1)[:] = [data[begin:end] for begin, end in zip(offsets, offsets[1:])]
    return array


def _string_bytes(array: np.ndarray) -> bytes:
    """The inverse. ServableError beyond what int32 offsets reach."""
    strings = array.ravel().tolist()
    offsets = np.cumsum([4 * (len(strings) + 2), *map(len, strings)], dtype=np.int64)
    if offsets[-1] > _MAX_STRING_TENSOR_BYTES:
        raise ServableError(f"a string tensor of {offsets[-1]} bytes: at most {_MAX_STRING_TENSOR_BYTES}")
    return len(strings).to_bytes(4, "little") + offsets.astype("<i4").tobytes() + b"".join(strings)
