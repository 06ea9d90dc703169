"""A real worker process, and the server's side of the protocol: frames over a socketpair, tensors in sealed memfds."""

import fcntl
import mmap
import os
import pathlib
import socket
import struct
import subprocess
import sys
import threading
from typing import NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKER = ROOT / "python/tflite_serving_worker.py"

NUMPY_TYPE = {1: "f4", 2: "f8", 3: "i4", 4: "u1", 5: "i2", 6: "i1", 8: "c8", 9: "i8", 10: "?", 14: "u2", 17: "u2", 18: "c16", 19: "f2", 22: "u4",
              23: "u8"}
STRING = 7


class Tensor(NamedTuple):
    """A tensor in a frame; `values` is a copy, of bytes objects for strings."""

    number: int
    arena: int
    offset: int
    values: np.ndarray


class Reply(NamedTuple):
    """What the worker answered; the fields that its type has."""

    kind: str  # READY, RESULT, ERROR, ANSWER
    request: int = 0
    tensors: tuple = ()
    code: int = 0
    is_last: bool = False  # and the worker ends
    message: str = ""
    body: bytes = b""
    is_error: bool = False
    takes_tensors: bool = False
    batchable: bool = False
    signatures: tuple = ()  # of (key, method name, {input: (number, shape)}, {output: …})


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def unpack(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def text(self):
        size = self.unpack("I")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def shape(self, rank):
        self.at += 8 * rank
        return struct.unpack_from(f"<{rank}q", self.data, self.at - 8 * rank)

    def spec(self):
        name = self.text()
        number, rank = self.unpack("BB")
        return name, (number, self.shape(rank))


def _str(text):
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def string_bytes(strings):
    sizes = np.cumsum([4 * (len(strings) + 2), *map(len, strings)])
    return struct.pack("<I", len(strings)) + sizes.astype("<i4").tobytes() + b"".join(strings)


def _memfd(name):
    fd = os.memfd_create(name, os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL)
    return fd


class Server:
    """The server's end of a connection and the arenas; the worker's end is `workers_socket`."""

    def __init__(self):
        self.socket, self.workers_socket = socket.socketpair()
        self.socket.settimeout(30)
        self.arenas = [_memfd("input"), _memfd("output")]
        self.next_offset = 0
        self.next_request = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        self.workers_socket.close()
        for fd in self.arenas:
            os.close(fd)

    # Server to worker

    def send(self, kind, *fields):
        body = bytes([kind]) + b"".join(fields)
        self.socket.sendall(struct.pack("<I", len(body)) + body)

    def send_load(self, module_path, name, version=1, **config):
        values = {"name": "m", "version": str(version), "base_path": str(pathlib.Path(module_path).parent),
                  "servable_path": str(pathlib.Path(module_path).parent), "module_path": str(module_path), "model_class_name": name, "instance": "0",
                  **config}
        self.send(1, struct.pack("<II", 1, len(values)), *(_str(text) for pair in values.items() for text in pair))

    def load(self, module_path, name="load_servable", **config):
        self.send_load(module_path, name, **config)
        return self.receive()

    def put(self, data):
        """Writes bytes to the input arena, growing it, and returns their offset."""
        offset = self.next_offset
        os.ftruncate(self.arenas[0], max(os.fstat(self.arenas[0]).st_size, offset + len(data)))
        if data:
            os.pwrite(self.arenas[0], data, offset)
        self.next_offset += -(-len(data) // 64) * 64
        return offset

    def predict(self, *arrays, signature=0, numbers=None):
        """Arrays of a NumPy type, or of bytes objects, as one PREDICT."""
        self.next_offset = 0
        fields = []
        for place, array in enumerate(arrays):
            array = np.asarray(array)
            if array.dtype == object:
                number, data = STRING, string_bytes(array.ravel().tolist())
            else:
                number = numbers[place] if numbers else next(each for each, code in NUMPY_TYPE.items() if np.dtype(code) == array.dtype)
                data = array.tobytes()
            fields.append(struct.pack(f"<BB{array.ndim}q", number, array.ndim, *array.shape) + struct.pack("<BQQ", 0, self.put(data), len(data)))
        self.next_request += 1
        self.send(2, struct.pack("<QqII", self.next_request, -1, signature, len(arrays)), *fields)
        return self.receive()

    def call(self, body):
        self.next_offset = 0
        offset = self.put(body)
        self.next_request += 1
        self.send(3, struct.pack("<QqQQ", self.next_request, -1, offset, len(body)))
        return self.receive()

    # Worker to server

    def _exactly(self, size):
        data = bytearray()
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError("the worker has ended")
            data += part
        return bytes(data)

    def receive(self):
        frame = Reader(self._exactly(struct.unpack("<I", self._exactly(4))[0]))
        reply = {101: self._ready, 102: self._result, 103: self._error, 104: self._answer}[frame.unpack("B")](frame)
        assert frame.at == len(frame.data)
        assert reply.kind == "READY" or reply.request == self.next_request
        return reply

    @staticmethod
    def _ready(frame):
        takes_tensors, batchable, count = frame.unpack("BBI")
        signatures = tuple((frame.text(), frame.text(), dict(frame.spec() for _ in range(frame.unpack("I"))),
                            dict(frame.spec() for _ in range(frame.unpack("I")))) for _ in range(count))
        return Reply("READY", takes_tensors=bool(takes_tensors), batchable=bool(batchable), signatures=signatures)

    def _result(self, frame):
        request, count = frame.unpack("QI")
        return Reply("RESULT", request, tuple(self._tensor(frame) for _ in range(count)))

    def _tensor(self, frame):
        number, rank = frame.unpack("BB")
        shape = frame.shape(rank)
        arena, offset, size = frame.unpack("BQQ")
        assert offset % 64 == 0
        data = self.bytes_at(arena, offset, size)
        if number != STRING:
            return Tensor(number, arena, offset, np.frombuffer(data, NUMPY_TYPE[number]).reshape(shape))
        count = struct.unpack_from("<i", data)[0]
        offsets = struct.unpack_from(f"<{count + 1}i", data, 4)
        assert offsets[-1] == size
        values = np.empty(count, object)
        values[:] = [data[begin:end] for begin, end in zip(offsets, offsets[1:])]
        return Tensor(number, arena, offset, values.reshape(shape))

    @staticmethod
    def _error(frame):
        request, code, is_last = frame.unpack("QIB")
        return Reply("ERROR", request, code=code, is_last=bool(is_last), message=frame.text())

    def _answer(self, frame):
        request, is_error, offset, size = frame.unpack("QBQQ")
        return Reply("ANSWER", request, body=self.bytes_at(1, offset, size), is_error=bool(is_error))

    def bytes_at(self, arena, offset, size):
        if size == 0:
            return b""
        with mmap.mmap(self.arenas[arena], 0, prot=mmap.PROT_READ) as mapped:
            assert offset + size <= len(mapped)
            return mapped[offset:offset + size]


class Worker(Server):
    """A worker process, and its server. The end of the `with` block ends it. `output` is what it has written so far."""

    def __init__(self, *python_options, env=None):
        super().__init__()
        fds = [self.workers_socket.fileno(), *self.arenas]
        self.process = subprocess.Popen([sys.executable, *python_options, str(WORKER), *map(str, fds)], pass_fds=fds, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, start_new_session=True)
        self.workers_socket.close()
        self.output = {"stdout": b"", "stderr": b""}
        self._changed = threading.Condition()
        self._readers = [threading.Thread(target=self._collect, args=(name,)) for name in self.output]
        for reader in self._readers:
            reader.start()

    def __exit__(self, *_):
        self.socket.close()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            self.process.wait()
            for reader in self._readers:
                reader.join(20)
            self.process.stdout.close()
            self.process.stderr.close()
            super().__exit__()

    def _collect(self, name):
        stream = getattr(self.process, name)
        for data in iter(lambda: os.read(stream.fileno(), 65536), b""):
            with self._changed:
                self.output[name] += data
                self._changed.notify_all()

    def wait_for_output(self, name, text):
        """Waits until the worker has written `text`, and returns all that it has."""
        with self._changed:
            assert self._changed.wait_for(lambda: text.encode() in self.output[name], 20), (text, self.output)
            return self.output[name].decode()

    def wait(self):
        """Its exit status, once it and its output have ended."""
        status = self.process.wait(20)
        for reader in self._readers:
            reader.join(20)
        return status

    @property
    def stderr(self):
        return self.output["stderr"].decode()

    def unload(self):
        self.send(4)
        return self.wait()
