"""The worker process: serves one servable to the server, one request at a time, over the frames of _protocol.py.

User code runs on the main thread. It may print, close standard streams, start threads and processes, call sys.exit: none of that reaches the
protocol's socket, which no child process inherits, and the process ends by os._exit, which waits for no thread.
"""

import os
import signal
import sys
import traceback
from typing import Any, List, Tuple

from . import _adapters, _arena, _protocol
from ._errors import ServableError, describe
from ._protocol import Frame, ProtocolError
from ._signature import Signature

# Exit statuses, for the server's log. 0: as asked, or the server is gone.
EXIT_LOAD_FAILED, EXIT_PROTOCOL, EXIT_USER_CODE = 1, 2, 3


def main() -> None:
    """Does not return: the process ends with one of the statuses above."""
    socket, input_fd, output_fd = map(int, sys.argv[1:4])
    del sys.argv[1:]  # user code may parse them
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal goes to the whole group; the server says when to end
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for fd in (socket, input_fd, output_fd):
        os.set_inheritable(fd, False)
    os.register_at_fork(after_in_child=lambda: os.close(socket))
    streams: Any = (sys.stdout, sys.stderr)
    for stream in streams:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    try:
        status = Worker(socket, input_fd, output_fd).run()
    except (BrokenPipeError, ConnectionResetError):
        status = 0
    except ProtocolError as fault:
        _say(f"tflite_serving worker: {fault}")
        status = EXIT_PROTOCOL
    _flush()
    os._exit(status)


class Worker:
    """The protocol's loop, over a connected socket and two memfds, which stay the caller's."""

    def __init__(self, socket: int, input_fd: int, output_fd: int):
        self._socket = socket
        self._frames = open(socket, "rb", closefd=False)
        self._input = _arena.Arena(_arena.INPUT, input_fd)
        self._output = _arena.OutputArena(output_fd)
        _arena.allocate = self._output.empty
        self._servable: Any = None  # _adapters.AnyServable
        self._signatures: List[Tuple[str, Signature]] = []
        self._request = 0  # the id of the one in hand; 0 while loading

    def run(self) -> int:
        """Serves until the server wants no more, or this process cannot; returns the exit status. OSError: the server is gone. ProtocolError."""
        handlers = {_protocol.LOAD: self._load, _protocol.PREDICT: self._predict, _protocol.CALL: self._call}
        status = 0
        while status == 0:
            frame = _protocol.receive(self._frames)
            if frame is None or frame.kind == _protocol.UNLOAD:
                self._unload()
                break
            if frame.kind not in handlers or (frame.kind == _protocol.LOAD) != (self._servable is None):
                raise ProtocolError(f"a frame of type {frame.kind} {'before' if self._servable is None else 'after'} LOAD")
            self._output.clear()
            try:
                reply = handlers[frame.kind](frame)
            except ProtocolError:
                raise
            except BaseException as error:  # sys.exit() and KeyboardInterrupt too: the request gets its answer first
                if not isinstance(error, ServableError):
                    _print_traceback(error)
                if self._servable is None:
                    status = EXIT_LOAD_FAILED
                elif not isinstance(error, Exception):
                    status = EXIT_USER_CODE
                reply = _protocol.error(self._request, *describe(error), status != 0)
            _flush()  # what this request has printed is not taken for the next one's
            self._send(reply)
        return status

    def _load(self, frame: Frame) -> bytes:
        version = frame.number()
        if version != _protocol.VERSION:
            raise ProtocolError(f"the server speaks version {version} of the protocol, this worker {_protocol.VERSION}")
        config = _adapters.Config()
        for _ in range(frame.number()):
            key, value = frame.text(), frame.text()
            config.setdefault(key, int(value) if key in ("version", "instance") else value)
        servable = _adapters.load(config)
        self._signatures = list((servable.signatures or {}).items())
        self._servable = servable
        return _protocol.ready(servable.signatures, servable.batchable)

    def _predict(self, frame: Frame) -> bytes:
        self._request, _, place, count = frame.unpack(_protocol.PREDICT_HEAD)
        if place >= len(self._signatures):
            raise ProtocolError(f"signature {place} of {len(self._signatures)}")
        key, signature = self._signatures[place]
        if count != len(signature.inputs):
            raise ProtocolError(f"{count} inputs for a signature of {len(signature.inputs)}")
        inputs = {name: self._input.array_at(frame.tensor()) for name in signature.inputs}
        outputs = self._servable.predict(key, inputs)
        numbers = [spec.number for spec in signature.outputs.values()]
        return _protocol.result(self._request, [
            self._input.place_of(array, number) or self._output.place_of(array, number) or self._output.write(array, number)
            for array, number in zip(outputs, numbers)])

    def _call(self, frame: Frame) -> bytes:
        self._request, _, offset, size = frame.unpack(_protocol.CALL_HEAD)
        if self._signatures:
            raise ProtocolError("CALL for a servable that takes tensors")
        answer, is_error = self._servable.call(self._input.bytes_at(offset, size))
        return _protocol.answer(self._request, is_error, self._output.write_bytes(answer), len(answer))

    def _unload(self) -> None:
        try:
            if self._servable is not None:
                self._servable.unload()
        except BaseException as error:  # nobody waits for an answer
            _print_traceback(error)

    def _send(self, frame: bytes) -> None:
        sent = 0
        while sent < len(frame):
            sent += os.write(self._socket, frame[sent:])


def _print_traceback(error: BaseException) -> None:
    _say("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except Exception:  # user code has closed or replaced it
        pass


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
