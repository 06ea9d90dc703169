"""Frames, arenas and the end of the process, whatever the user code."""

import os
import signal
import socket
import struct

import numpy as np
import pytest

from tflite_serving import _arena, _worker
from tflite_serving._protocol import ProtocolError
from worker_process import NUMPY_TYPE, STRING, Server

IDENTITY = """
import numpy as np
from tflite_serving import Signature, TensorSpec, empty

class Identity:
    def __init__(self, path, config_obj):
        spec = TensorSpec(config_obj.get("dtype", "float32"), [None if size == "?" else int(size) for size in config_obj.get("shape", "?").split()])
        self.signatures = Signature({"x": spec}, {"y": spec})

    def predict(self, inputs):
        return {"y": inputs["x"]}

    def unload(self):
        print("unloaded")

class Copy(Identity):
    def predict(self, inputs):
        return {"y": np.copy(inputs["x"])}

class InPlace(Identity):
    def predict(self, inputs):
        y = empty(inputs["x"].shape)
        return {"y": np.add(inputs["x"], 1, out=y)}
"""


@pytest.mark.parametrize("copies", [False, True])
def test_every_type_comes_back_as_it_went(serve, copies):
    types = {number: np.dtype(code) for number, code in NUMPY_TYPE.items() if number != 14}
    worker, ready = serve("""
        import numpy as np
        from tflite_serving import Signature, TensorSpec
        class EveryType:
            def __init__(self, path, config_obj):
                specs = {name: TensorSpec(name, [None, 2]) for name in config_obj.types.split()}
                self.signatures = {name: Signature({"x": spec}, {"y": spec}) for name, spec in specs.items()}
                self.copies = config_obj.copies == "True"
            def predict(self, inputs, signature_name):
                assert inputs["x"].dtype == signature_name
                return {"y": np.copy(inputs["x"]) if self.copies else inputs["x"]}
        """, "EveryType", types=" ".join(dtype.name for dtype in types.values()), copies=str(copies))
    for place, (number, dtype) in enumerate(types.items()):
        assert ready.signatures[place] == (dtype.name, "", {"x": (number, (-1, 2))}, {"y": (number, (-1, 2))})
        values = np.random.default_rng(7).bytes(6 * dtype.itemsize) if dtype != bool else bytes([0, 1, 1, 0, 1, 0])
        answer, = worker.predict(np.frombuffer(values, dtype).reshape(3, 2), signature=place).tensors
        assert (answer.number, answer.arena, answer.values.shape, answer.values.tobytes()) == (number, int(copies), (3, 2), values)


def test_strings_come_back_with_every_byte(serve):
    worker, _ = serve(IDENTITY, "Identity", dtype="string", shape="? 2")
    values = np.array([[b"", b"\0\0"], ["drei \u2462".encode(), b"\xff\0"], [b"x" * 70000, b"end"]], object)
    answer, = worker.predict(values).tensors
    assert answer.number == STRING and answer.arena == 1
    assert answer.values.tolist() == values.tolist()
    assert worker.predict(np.empty([0, 2], object)).tensors[0].values.shape == (0, 2)


@pytest.mark.parametrize("name", ["Identity", "Copy"])
@pytest.mark.parametrize("dtype", ["float32", "string"])
def test_scalars(serve, name, dtype):
    worker, _ = serve(IDENTITY, name, dtype=dtype, shape="")
    value = np.array(b"text", object) if dtype == "string" else np.float32(3)
    answer, = worker.predict(value).tensors
    assert answer.values.shape == () and answer.values[()] == value


@pytest.mark.parametrize("name", ["Identity", "Copy"])
def test_tensors_without_elements(serve, name):
    worker, _ = serve(IDENTITY, name, shape="? 3")
    assert worker.predict(np.zeros([0, 3], "f4")).tensors[0].values.shape == (0, 3)
    assert worker.predict(np.ones([1, 3], "f4")).tensors[0].values.shape == (1, 3)


def test_bfloat16_comes_as_uint16_and_is_refused_as_output(serve):
    worker, reply = serve(IDENTITY, "Identity", dtype="bfloat16", shape="?")
    assert (reply.kind, reply.code) == ("ERROR", 13)
    assert reply.message == 'output "y": NumPy has no bfloat16, so a servable cannot answer with it'


def test_bfloat16_inputs_are_uint16(serve):
    worker, ready = serve("""
        from tflite_serving import TensorSpec, servable
        @servable(inputs={"x": TensorSpec("bfloat16", [None])}, outputs={"y": TensorSpec("uint16", [None])})
        def f(x):
            return {"y": x}
        """, "f")
    assert ready.signatures[0][2] == {"x": (14, (-1,))}
    assert worker.predict(np.array([1, 2], "u2"), numbers=[14]).tensors[0].values.tolist() == [1, 2]


def test_an_output_in_an_arena_is_not_copied(serve):
    worker, _ = serve(IDENTITY, "InPlace", shape="? 1000")
    answer, = worker.predict(np.zeros([5, 1000], "f4")).tensors
    assert (answer.arena, answer.offset) == (1, 0) and (answer.values == 1).all()
    assert os.fstat(worker.arenas[1]).st_size == 1 << 20


def test_parts_of_inputs_are_named_only_where_they_are_tensors_in_themselves(serve):
    spec = 'TensorSpec("float32", [None, 16])'
    worker, _ = serve(f"""
        from tflite_serving import TensorSpec, servable
        @servable(inputs={{"x": {spec}}}, outputs={{name: {spec} for name in ("rows", "backwards", "again")}})
        def f(x):
            return {{"rows": x[1:], "backwards": x[::-1], "again": x[1:]}}
        """, "f")
    x = np.arange(48, dtype="f4").reshape(3, 16)
    rows, backwards, again = worker.predict(x).tensors
    assert (rows.arena, rows.offset, backwards.arena, again.arena) == (0, 64, 1, 0)
    assert (rows.values == x[1:]).all() and (backwards.values == x[::-1]).all()


def test_unaligned_parts_of_inputs_are_copied(serve):
    worker, _ = serve("""
        from tflite_serving import TensorSpec, servable
        @servable(inputs={"x": TensorSpec("float32", [None])}, outputs={"y": TensorSpec("float32", [None])})
        def f(x):
            return {"y": x[1:]}
        """, "f")
    answer, = worker.predict(np.arange(4, dtype="f4")).tensors
    assert answer.arena == 1 and answer.values.tolist() == [1, 2, 3]


def test_arenas_grow_and_views_of_before_stay_readable(serve):
    worker, _ = serve("""
        import numpy as np
        from tflite_serving import TensorSpec, servable
        seen = []
        @servable(inputs={"x": TensorSpec("float32", [None])}, outputs={"y": TensorSpec("float32", [None])})
        def f(x):
            seen.append(x)
            assert all(len(np.copy(each)) == len(each) for each in seen)
            return {"y": np.concatenate([x, x + 1])}
        """, "f")
    for size in (1, 1000, 300_000, 3_000_000, 5):
        answer, = worker.predict(np.arange(size, dtype="f4")).tensors
        assert (answer.values == np.concatenate([np.arange(size, dtype="f4"), np.arange(size, dtype="f4") + 1])).all()
    assert os.fstat(worker.arenas[1]).st_size >= 2 * 4 * 3_000_000


def test_several_outputs_lie_beside_each_other(serve):
    worker, _ = serve("""
        import numpy as np
        from tflite_serving import TensorSpec, servable
        @servable(inputs={"x": TensorSpec("float32", [None])}, outputs={name: TensorSpec("float64", [None]) for name in "abc"})
        def f(x):
            return {"c": x + 2.0, "b": [5.0], "a": np.arange(200_000.0)}
        """, "f")
    a, b, c = worker.predict(np.float32([1])).tensors
    assert len({each.offset for each in (a, b, c)}) == 3
    assert (a.values == np.arange(200_000)).all() and b.values.tolist() == [5] and c.values.tolist() == [3]


def _process_state(pid):
    with open(f"/proc/{pid}/statm") as file:
        resident = int(file.read().split()[1]) * 4096
    return len(os.listdir(f"/proc/{pid}/fd")), resident


def test_a_thousand_requests_take_no_more_memory_and_files(serve):
    worker, _ = serve(IDENTITY, "Copy", shape="? 1000")
    x = np.ones([10, 1000], "f4")
    for _ in range(100):
        worker.predict(x)
    files, resident = _process_state(worker.process.pid)
    for _ in range(1000):
        assert worker.predict(x).kind == "RESULT"
    files_after, resident_after = _process_state(worker.process.pid)
    assert files_after == files
    assert resident_after - resident < 1 << 20


def test_unload_calls_the_servable_and_exits(serve):
    worker, _ = serve(IDENTITY, "Identity")
    assert worker.unload() == 0
    assert worker.output == {"stdout": b"unloaded\n", "stderr": b""}


def test_the_end_of_the_connection_is_an_unload(serve):
    worker, _ = serve(IDENTITY, "Identity")
    worker.socket.close()
    assert worker.wait() == 0
    assert worker.output == {"stdout": b"unloaded\n", "stderr": b""}


def test_the_end_of_the_connection_in_a_request_is_quiet(serve):
    worker, _ = serve("""
        def load_servable(path, config):
            def call(request):
                print("begun")
                open(request.decode()).read()
                return b"{}"
            return call
        """)
    read, write = os.pipe()
    pipe = f"/proc/{os.getpid()}/fd/{read}"
    worker.send(3, struct.pack("<QqQQ", 1, -1, worker.put(pipe.encode()), len(pipe)))
    worker.wait_for_output("stdout", "begun")
    worker.socket.close()
    os.close(write)
    assert worker.wait() == 0 and worker.stderr == ""
    os.close(read)


@pytest.fixture
def run_here(monkeypatch):
    """run_here(says): the worker's loop in this process, for a server that has said it all."""
    monkeypatch.setattr(_arena, "allocate", np.empty)

    def run(says):
        with Server() as server:
            says(server)
            server.socket.shutdown(socket.SHUT_WR)
            return _worker.Worker(server.workers_socket.fileno(), *server.arenas).run()
    return run


def test_unload_before_load(worker):
    assert worker.unload() == 0


def test_ctrl_c_is_the_servers_and_sigterm_ends(serve):
    worker, _ = serve(IDENTITY, "Identity")
    worker.process.send_signal(signal.SIGINT)
    assert worker.predict(np.float32([1])).kind == "RESULT"
    worker.process.send_signal(signal.SIGTERM)
    assert worker.wait() == -signal.SIGTERM


def test_threads_of_user_code_do_not_keep_the_process(serve):
    worker, _ = serve("""
        import threading
        def load_servable(path, config):
            threading.Thread(target=threading.Event().wait).start()
            return lambda request: b"{}"
        """)
    assert worker.call(b"{}").body == b"{}"
    assert worker.unload() == 0


def _head(request=1, signature=0, count=1):
    return struct.pack("<QqII", request, -1, signature, count)


def _tensor(number=1, shape=(2,), arena=0, offset=0, size=8):
    return struct.pack(f"<BB{len(shape)}q", number, len(shape), *shape) + struct.pack("<BQQ", arena, offset, size)


@pytest.mark.parametrize("frame, says", [
    (b"\0\0\0\0", "ended inside of a frame"),
    (b"\0\0\0\0\0", "a frame of 0 bytes"),
    (b"\xff\xff\xff\xff\x01", "a frame of 4294967295 bytes"),
    (struct.pack("<IB", (16 << 20) + 1, 1), "a frame of 16777217 bytes"),
    (struct.pack("<IB", 100, 2) + b"abc", "ended inside of a frame"),
    (b"GET / HTTP/1.1\r\n\r\n", "a frame of 542393671 bytes"),
], ids=range(6))
def test_what_is_no_frame_ends_the_worker(serve, frame, says):
    worker, _ = serve(IDENTITY, "Identity")
    worker.socket.sendall(frame)
    worker.socket.shutdown(socket.SHUT_WR)
    assert worker.wait() == 2
    assert says in worker.stderr and worker.stderr.count("\n") == 1


@pytest.mark.parametrize("kind, fields, says", [
    (99, b"", "type 99"),
    (101, b"", "type 101"),
    (1, struct.pack("<II", 1, 0), "type 1 after LOAD"),
    (2, b"", "ends inside of a field"),
    (2, _head(), "ends inside of a field"),
    (2, _head() + b"\x01\xff", "ends inside of a field"),
    (2, _head(signature=1) + _tensor(), "signature 1 of 1"),
    (2, _head(count=2) + 2 * _tensor(), "2 inputs for a signature of 1"),
    (2, _head() + _tensor(number=77), "number=77"),
    (2, _head() + _tensor(shape=(-2,)), "shape=(-2,)"),
    (2, _head() + _tensor(shape=(1 << 62,)), "shape=(4611686018427387904,)"),
    (2, _head() + _tensor(shape=(3,)), "size=8"),
    (2, _head() + _tensor(offset=1 << 40), "an arena of 4096"),
    (2, _head() + _tensor(offset=1 << 63, size=1 << 63), "an arena of 4096"),
    (2, _head() + _tensor(shape=(1,)), "expected 4 bytes"),
    (2, _head() + _tensor(number=7, shape=(1,), size=4), "size=4"),
    (2, _head() + _tensor(number=7, shape=(1 << 40,), size=64), "size=64"),
    (3, struct.pack("<QqQQ", 1, -1, 0, 1), "takes tensors"),
])
def test_frames_that_cannot_be(module, run_here, kind, fields, says):
    with pytest.raises(ProtocolError) as caught:
        run_here(lambda server: (server.put(bytes(4096)), server.send_load(module(IDENTITY), "Identity"), server.send(kind, fields)))
    assert says in str(caught.value)


@pytest.mark.parametrize("kind, fields, says", [
    (2, _head() + _tensor(), "type 2 before LOAD"),
    (1, struct.pack("<II", 2, 0), "version 2"),
    (1, struct.pack("<II", 1, 1 << 31), "ends inside of a field"),
    (1, struct.pack("<III", 1, 1, 1 << 31), "ends inside of a field"),
])
def test_frames_that_cannot_be_first(run_here, kind, fields, says):
    with pytest.raises(ProtocolError) as caught:
        run_here(lambda server: server.send(kind, fields))
    assert says in str(caught.value)


def test_a_frame_that_cannot_be_ends_the_worker(worker):
    worker.send(99)
    assert worker.wait() == 2
    assert worker.output == {"stdout": b"", "stderr": b"tflite_serving worker: a frame of type 99 before LOAD\n"}


def test_a_load_without_its_keys_is_an_error(worker):
    worker.send(1, struct.pack("<II", 1, 0))
    assert 'config_obj has no "module_path"' in worker.receive().message
    assert worker.wait() == 1


def test_wild_string_offsets_do_not_reach_beyond_the_tensor(serve):
    worker, _ = serve(IDENTITY, "Identity", dtype="string")
    data = struct.pack("<I2i", 1, -1000, 1 << 30) + b"secret" + bytes(64)
    worker.put(data)
    worker.next_request = 1
    worker.send(2, _head() + _tensor(number=7, shape=(1,), size=12))
    assert worker.receive().tensors[0].values.tolist() == [data[:12]]
