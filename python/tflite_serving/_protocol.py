"""Frames between the server and a worker, over a stream socket, and how tensors are named in them.

All integers are little-endian, without padding. A frame: u32 size of what follows, u8 type, fields.

    str      u32 bytes, then UTF-8
    tensor   u8 dtype (TensorFlow's DataType number), u8 rank, i64 x rank dimensions, u8 arena (0 input, 1 output), u64 offset, u64 bytes
    spec     str name, u8 dtype, u8 rank, i64 x rank dimensions (-1: any)

Server to worker:
    1 LOAD       u32 version of the protocol, u32 n, n x (str key, str value)
    2 PREDICT    u64 id, i64 microseconds left (-1: no deadline), u32 place of the signature, u32 n, n x tensor
    3 CALL       u64 id, i64 microseconds left, u64 offset, u64 bytes: a JSON request in the input arena
    4 UNLOAD     the worker unloads and exits with status 0

Worker to server:
    101 READY    u8 kind (0 JSON, 1 tensors), u8 batchable, u32 n, n x (str key, str method name, u32 n, n x spec, u32 n, n x spec)
    102 RESULT   u64 id, u32 n, n x tensor
    103 ERROR    u64 id (0 for LOAD), u32 gRPC status code, u8 1 if the worker ends now, str message
    104 ANSWER   u64 id, u8 is_error, u64 offset, u64 bytes: JSON in the output arena
"""

import struct
from typing import BinaryIO, Mapping, NamedTuple, Optional, Tuple

from ._signature import Signature, TensorSpec

VERSION = 1
MAX_FRAME_BYTES = 16 << 20  # the largest is LOAD, with what a configuration file says of the model

LOAD, PREDICT, CALL, UNLOAD = 1, 2, 3, 4
READY, RESULT, ERROR, ANSWER = 101, 102, 103, 104

_HEAD = struct.Struct("<IB")
_U32 = struct.Struct("<I")
_TYPE_AND_RANK = struct.Struct("<BB")
_PLACE = struct.Struct("<BQQ")
_SHAPES = [struct.Struct(f"<{rank}q") for rank in range(256)]
PREDICT_HEAD = struct.Struct("<QqII")
CALL_HEAD = struct.Struct("<QqQQ")
_RESULT_HEAD = struct.Struct("<QI")
_ERROR_HEAD = struct.Struct("<QIB")
_ANSWER = struct.Struct("<QBQQ")


class ProtocolError(Exception):
    """The server said something that is no frame. The worker cannot go on: it does not know where the next one begins."""


class TensorPlace(NamedTuple):
    """Where a tensor lies, and what it is."""

    number: int  # of TensorFlow's DataType
    shape: Tuple[int, ...]
    arena: int
    offset: int
    size: int  # in bytes

    def encoded(self) -> bytes:
        return (_TYPE_AND_RANK.pack(self.number, len(self.shape)) + _SHAPES[len(self.shape)].pack(*self.shape)
                + _PLACE.pack(self.arena, self.offset, self.size))


class Frame:
    """A received frame, read field by field. ProtocolError beyond its end."""

    def __init__(self, kind: int, fields: bytes):
        self.kind = kind
        self._fields = fields
        self._at = 0

    def unpack(self, form: struct.Struct) -> tuple:
        try:
            values = form.unpack_from(self._fields, self._at)
        except struct.error:
            raise ProtocolError(f"a frame of type {self.kind} ends inside of a field") from None
        self._at += form.size
        return values

    def number(self) -> int:
        return self.unpack(_U32)[0]

    def text(self) -> str:
        size = self.number()
        if size > len(self._fields) - self._at:
            raise ProtocolError(f"a frame of type {self.kind} ends inside of a field")
        self._at += size
        return self._fields[self._at - size:self._at].decode("utf-8", "surrogateescape")

    def tensor(self) -> TensorPlace:
        number, rank = self.unpack(_TYPE_AND_RANK)
        return TensorPlace(number, self.unpack(_SHAPES[rank]), *self.unpack(_PLACE))


def receive(stream: BinaryIO) -> Optional[Frame]:
    """Waits for the next frame; None where the stream ends between two. ProtocolError if it ends inside of one, or for an impossible size."""
    head = stream.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise ProtocolError("the stream ended inside of a frame")
    size, kind = _HEAD.unpack(head)
    if not 1 <= size <= MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {size} bytes: expected 1 to {MAX_FRAME_BYTES}")
    fields = stream.read(size - 1)
    if len(fields) < size - 1:
        raise ProtocolError("the stream ended inside of a frame")
    return Frame(kind, fields)


def _frame(kind: int, *fields: bytes) -> bytes:
    return _HEAD.pack(1 + sum(map(len, fields)), kind) + b"".join(fields)


def _str(text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    return _U32.pack(len(data)) + data


def _specs(specs: Mapping[str, TensorSpec]) -> bytes:
    return _U32.pack(len(specs)) + b"".join(
        _str(name) + _TYPE_AND_RANK.pack(spec.number, len(spec.shape))
        + _SHAPES[len(spec.shape)].pack(*(-1 if size is None else size for size in spec.shape)) for name, spec in specs.items())


def ready(signatures: Optional[Mapping[str, Signature]], batchable: bool) -> bytes:
    """`signatures` None: a servable that takes JSON."""
    return _frame(READY, bytes([signatures is not None, batchable]), _U32.pack(len(signatures or ())), *(
        _str(key) + _str(signature.method_name) + _specs(signature.inputs) + _specs(signature.outputs)
        for key, signature in (signatures or {}).items()))


def result(request: int, tensors: list) -> bytes:
    return _frame(RESULT, _RESULT_HEAD.pack(request, len(tensors)), *(tensor.encoded() for tensor in tensors))


def error(request: int, code: int, message: str, is_last: bool) -> bytes:
    return _frame(ERROR, _ERROR_HEAD.pack(request, code, is_last), _str(message))


def answer(request: int, is_error: bool, offset: int, size: int) -> bytes:
    return _frame(ANSWER, _ANSWER.pack(request, is_error, offset, size))
