"""Input that no honest client sends, and files that change under a loaded model. Whatever arrives,
the server answers the next good request, and holds no more sockets and memory than before."""

from concurrent import futures
import contextlib
import json
import resource
import signal
import socket
import struct

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from grpc_client import Client, fails_with, predict_request, tensor_content
import raw_requests
from raw_requests import read_to_end, status_of
from server_process import base_path, settles

MODEL = "half_plus_two"
GOOD_BODY = b'{"instances": [1.0, 2.0, 5.0]}'
GOOD_ANSWER = '{"predictions":[2.5,3.0,4.5]}'
PREDICT_LINE = f"POST /v1/models/{MODEL}:predict HTTP/1.1\r\nHost: localhost\r\n".encode()
REPEATS = 20
CONNECTIONS = 300
# What one test may leave behind: a few connections that are being closed, and what the allocator
# keeps of memory that was freed. The tests that send much send twice that.
MAX_MORE_FDS = 4
MAX_MORE_MIB = 256
MIB = 1 << 20
BUSY_SECONDS = 0.5  # of processor time: only a model that runs takes so much


def answers(server):
    """Checks that a good request is answered, on a new connection."""
    over_rest = requests.post(server.predict_url, data=GOOD_BODY)
    assert over_rest.text == GOOD_ANSWER, server.describe(f"answered {over_rest.text}")


def answers_grpc(server):
    client = Client(server.grpc_target)
    try:
        outputs = client.predict_arrays(MODEL, {"x": np.float32([1, 2, 5])})
        assert outputs["y"].tolist() == [2.5, 3.0, 4.5]
    finally:
        client.close()


@pytest.fixture(scope="module")
def victim(serving):
    """The server that this module attacks; warm, so that growth is what an attack left."""
    server = serving(MODEL, "--num_tflite_pools=2")
    for _ in range(50):
        answers(server)
    answers_grpc(server)
    return server


@pytest.fixture
def server(victim):
    """The same, checked after each test."""
    fds, memory = victim.fd_count(), victim.rss_mib()
    yield victim
    answers(victim)
    answers_grpc(victim)
    assert settles(lambda: victim.fd_count() <= fds + MAX_MORE_FDS, lambda: answers(victim)), (
        victim.describe(f"{victim.fd_count()} descriptors, {fds} before"))
    assert settles(lambda: victim.rss_mib() <= memory + MAX_MORE_MIB, lambda: answers(victim)), (
        victim.describe(f"{victim.rss_mib():.0f} MiB, {memory:.0f} before"))


@contextlib.contextmanager
def connected(server, port=None):
    with socket.create_connection(("127.0.0.1", port or server.rest_port), 60) as connection:
        yield connection


def exchange(server, request):
    """The server's bytes for a request after which this side sends nothing more."""
    return raw_requests.exchange(server.rest_port, request)


class TestTensors:
    """Requests that are well-formed and wrong."""

    def test_wrong_type_with_the_same_byte_count(self, server, grpc_client):
        client = grpc_client(server)
        for wrong in (np.int32([1, 2]), np.uint32([1, 2]), np.float64([1]), np.int64([1]),
                      np.uint8([1] * 8), np.complex64([1])):
            with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "expected float[?], got"):
                client.predict_arrays(MODEL, {"x": wrong})

    def test_same_bad_shape_twice_in_a_row(self, serving, grpc_client):
        """The original leaves a broken interpreter in its pool, and the second time it dies."""
        cases = [("baked_batch", {"x": np.ones([3, 4], np.float32)}),
                 ("multi_io", {"a": np.ones([2, 3], np.float32), "b": np.ones([3, 3], np.float32)})]
        for model, inputs in cases:
            server = serving(model, "--num_tflite_pools=1")
            client = grpc_client(server)
            messages = set()
            for _ in range(4):
                with pytest.raises(grpc.RpcError) as error:
                    client.predict_arrays(model, inputs)
                assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT,
                                              grpc.StatusCode.INTERNAL), error.value
                messages.add(error.value.details())
                rows = requests.post(server.predict_url, data=json.dumps(
                    {"inputs": {name: array.tolist() for name, array in inputs.items()}}))
                assert rows.status_code in (400, 500), rows.text
            assert len(messages) == 1, f"one error in several words: {messages}"
            good = {name: np.ones([1, *array.shape[1:]], np.float32)
                    for name, array in inputs.items()}
            assert client.predict_arrays(model, good)

    @pytest.mark.parametrize("shape", [[2**40], [2**20, 2**20], [2**62, 2**62], [0, 2**62],
                                       [2**63 - 1]])
    @pytest.mark.parametrize("fields", [{"float_val": [1.0]}, {"tensor_content": bytes(4)}, {}])
    def test_huge_shape(self, server, grpc_client, shape, fields):
        tensor = TensorProto(dtype=tf.float32.as_datatype_enum, **fields)
        for size in shape:
            tensor.tensor_shape.dim.add().size = size
        for _ in range(3):
            with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "x"):
                grpc_client(server).predict(predict_request(MODEL, {"x": tensor}))

    def test_string_tensor_that_lies_about_its_lengths(self, serving, grpc_client):
        server = serving("type_string")
        client = grpc_client(server)
        for content in (b"\xff\xff\xff\xff\x0f\x01a", b"\x05\x05ab", b"\x01", b"\x80" * 40,
                        b"\x01\x01abc"):
            tensor = TensorProto(dtype=tf.string.as_datatype_enum, tensor_content=content,
                                    tensor_shape=tf.TensorShape([1, 2]).as_proto())
            with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "tensor parsing error: x"):
                client.predict(predict_request("type_string", {"x": tensor}))
        good = np.array([[b"a", b"b"]], np.object_)
        outputs = client.predict_arrays("type_string", {"x": good})
        assert outputs["y"].tolist() == [[b"b", b"a"]]

    def test_while_loop_past_its_deadline(self, serving, grpc_client):
        """A run longer than the client waits; others are answered meanwhile and afterwards."""
        server = serving("while_loop", "--num_tflite_pools=2")
        client = grpc_client(server)
        request = predict_request("while_loop", {"trips": tensor_content(np.int32(2_000_000))})
        with fails_with(grpc.StatusCode.DEADLINE_EXCEEDED):
            client.prediction.Predict(request, timeout=0.1)
        for trips in (0, 3):
            outputs = client.predict_arrays("while_loop", {"trips": np.int32(trips)})
            assert outputs["count"] == trips


class TestJson:

    DEPTH = 500_000

    def test_deep_nesting_in_an_unknown_key_is_skipped(self, server):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            body = ('{"unknown": ' + opening * self.DEPTH + "1" + closing * self.DEPTH
                    + ', "instances": [1.0, 2.0, 5.0]}')
            response = requests.post(server.predict_url, data=body)
            assert (response.status_code, response.text) == (200, GOOD_ANSWER)

    @pytest.mark.parametrize("key", ["instances", "inputs", "signature_name"])
    def test_deep_nesting_in_a_known_key(self, server, key):
        for body in (f'{{"{key}": ' + "[" * self.DEPTH + "]" * self.DEPTH + "}",
                     f'{{"{key}": ' + "[" * self.DEPTH,
                     f'{{"{key}": ' + '{"x":' * self.DEPTH + "1" + "}" * self.DEPTH + "}"):
            response = requests.post(server.predict_url, data=body)
            assert response.status_code == 400, response.text[:500]
            assert len(response.text) < 2000, "the message quotes the whole request"

    def test_many_keys_and_long_ones(self, server):
        keys = ", ".join(f'"k{number}": {number}' for number in range(100_000))
        body = '{"' + "k" * MIB + '": 1, ' + keys + ', "instances": [1.0, 2.0, 5.0]}'
        assert requests.post(server.predict_url, data=body).text == GOOD_ANSWER

    def test_long_numbers(self, server):
        number = "0." + "1" * MIB
        body = f'{{"instances": [{number}, -{"9" * 38}, 1e-{"0" * 1000}1]}}'
        answer = requests.post(server.predict_url, data=body)
        assert answer.status_code == 200, answer.text[:500]
        expected = np.float32([1 / 9, -1e38, 0.1]) * np.float32(0.5) + np.float32(2)
        np.testing.assert_array_equal(np.float32(answer.json()["predictions"]), expected)

    def test_random_mutations_of_a_good_body(self, server):
        """Never 5xx, and never a hang: the bytes of a request decide, not their number."""
        generator = np.random.default_rng(7)
        with requests.Session() as session:
            for _ in range(300):
                body = bytearray(GOOD_BODY)
                for _ in range(generator.integers(1, 4)):
                    body[generator.integers(len(body))] = generator.integers(256)
                response = session.post(server.predict_url, data=bytes(body))
                assert response.status_code in (200, 400), f"{bytes(body)!r}: {response.text}"


class TestHttp:

    def test_declared_gigabyte_is_refused_unread(self, server):
        """413 comes before a single byte of the body."""
        for extra in (b"", b"Expect: 100-continue\r\n"):
            with connected(server) as connection:
                connection.sendall(PREDICT_LINE + extra + b"Content-Length: 1073741824\r\n\r\n")
                answer = connection.recv(65536)
                assert status_of(answer) == 413, answer

    def test_large_declared_body_takes_no_memory_before_it_comes(self, server):
        with contextlib.ExitStack() as stack:
            before = server.rss_mib()
            for _ in range(REPEATS):
                connection = stack.enter_context(connected(server))
                connection.sendall(PREDICT_LINE + b"Content-Length: 209715200\r\n\r\n{")
            answers(server)
            assert server.rss_mib() < before + MAX_MORE_MIB, server.describe(
                f"{REPEATS} connections that declared 200 MiB each")

    def test_expect_continue(self, server):
        with connected(server) as connection:
            connection.sendall(PREDICT_LINE + b"Expect: 100-continue\r\nConnection: close\r\n"
                               + f"Content-Length: {len(GOOD_BODY)}\r\n\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
            connection.sendall(GOOD_BODY)
            assert read_to_end(connection).endswith(GOOD_ANSWER.encode())

    def test_truncated_body(self, server):
        for _ in range(REPEATS):
            answer = exchange(server, PREDICT_LINE + b"Content-Length: 1000\r\n\r\n" + GOOD_BODY)
            assert status_of(answer) in (None, 400), answer

    def test_connection_closed_in_mid_body(self, server):
        """A megabyte of a body that never ends, many times: anything kept would show."""
        piece = PREDICT_LINE + b"Content-Length: 200000000\r\n\r\n" + b"[" * MIB
        for number in range(2 * MAX_MORE_MIB):
            with connected(server) as connection:
                if number % 2:  # closes with a reset instead of an end
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                          struct.pack("ii", 1, 0))
                connection.sendall(piece)

    def test_connection_closed_before_the_answer(self, server):
        request = PREDICT_LINE + f"Content-Length: {len(GOOD_BODY)}\r\n\r\n".encode() + GOOD_BODY
        for _ in range(200):
            with connected(server) as connection:
                connection.sendall(request)

    def test_slow_headers_hold_up_nobody(self, server):
        with contextlib.ExitStack() as stack:
            for _ in range(CONNECTIONS):
                connection = stack.enter_context(connected(server))
                connection.sendall(PREDICT_LINE[:30])
            for _ in range(10):
                answers(server)

    @pytest.mark.parametrize("request_bytes, statuses", [
        (b"\r\n\r\n\x16\x03\x01\x02\x00\x01", {None, 400}),
        (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(240), {None, 400}),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {None, 400, 505}),
        (b"GET\r\n\r\n", {400}),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", {400, 505}),
        (b"GET / HTTP/1.1\r\n\r\n", {400}),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", {400}),
        (PREDICT_LINE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", {400}),
        (PREDICT_LINE + b"Content-Length: -1\r\n\r\n", {400}),
        (PREDICT_LINE + b"Content-Length: 99999999999999999999999\r\n\r\n", {400, 413}),
        (PREDICT_LINE + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         {400}),
        (PREDICT_LINE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400, 501}),
        (PREDICT_LINE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", {400}),
        (PREDICT_LINE + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
         {400, 413}),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {414, 431}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", {431}),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 10_000 + b"\r\n", {431}),
    ])
    def test_malformed_request(self, server, request_bytes, statuses):
        for _ in range(5):
            answer = exchange(server, request_bytes)
            assert status_of(answer) in statuses, answer[:300]

    def test_random_bytes(self, server):
        generator = np.random.default_rng(11)
        for size in (1, 10, 100, 1000, 100_000):
            for _ in range(10):
                answer = exchange(server, generator.bytes(size))
                assert status_of(answer) in (None, 400, 414, 431, 505), answer[:300]

    def test_pipelined_requests_are_answered_in_order(self, server):
        values = range(1000)
        requests_bytes = b"".join(
            PREDICT_LINE + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            for body in (b'{"instances": [%d]}' % value for value in values))
        last = b"GET /v1/models/nope HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        with futures.ThreadPoolExecutor(1) as executor, connected(server) as connection:
            received = executor.submit(read_to_end, connection)
            connection.sendall(requests_bytes + last)
            answer = received.result()
        bodies = [part.split(b"\r\n\r\n")[1] for part in answer.split(b"HTTP/1.1 ")[1:]]
        assert len(bodies) == len(values) + 1, f"{len(bodies)} answers"
        assert [json.loads(body)["predictions"] for body in bodies[:-1]] == [
            [0.5 * value + 2] for value in values]

    def test_reads_no_answers(self, server):
        """A client that only sends: the server must not keep all its answers in memory."""
        request = PREDICT_LINE + f"Content-Length: {len(GOOD_BODY)}\r\n\r\n".encode() + GOOD_BODY
        with connected(server) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            connection.settimeout(1)
            with pytest.raises(TimeoutError):
                for _ in range(200):
                    connection.sendall(request * 5000)
            answers(server)

    def test_many_connections(self, server):
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(connected(server)) for _ in range(CONNECTIONS)]
            connections += [stack.enter_context(connected(server, server.grpc_port))
                            for _ in range(CONNECTIONS)]
            answers(server)
            answers_grpc(server)


class TestGrpcWire:

    @pytest.mark.parametrize("message", [
        b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x0b" * 100_000,
        b"\x12\x80\x80\x80\x80\x10" + b"a" * 100, bytes(1000), b"\x0a" * 200_000])
    def test_message_that_is_none(self, server, grpc_client, message):
        for _ in range(5):
            with pytest.raises(grpc.RpcError) as error:
                grpc_client(server).unary("/tensorflow.serving.PredictionService/Predict", message)
            assert error.value.code() in (grpc.StatusCode.INVALID_ARGUMENT,
                                          grpc.StatusCode.INTERNAL), error.value

    def test_random_mutations_of_a_good_message(self, server, grpc_client):
        generator = np.random.default_rng(13)
        good = predict_request(MODEL, {"x": tensor_content(np.float32([1, 2, 5]))})
        good = good.SerializeToString()
        allowed = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND,
                   grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.INTERNAL}
        for _ in range(300):
            message = bytearray(good)
            for _ in range(generator.integers(1, 4)):
                message[generator.integers(len(message))] = generator.integers(256)
            try:
                grpc_client(server).unary("/tensorflow.serving.PredictionService/Predict",
                                          bytes(message))
            except grpc.RpcError as error:
                assert error.code() in allowed, f"{bytes(message)!r}: {error}"

    @pytest.mark.parametrize("data", [
        b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01" + bytes(300),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 1000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9) * 100, b"PRI * HT"])
    def test_bytes_that_are_no_grpc(self, server, data):
        for _ in range(REPEATS):
            with connected(server, server.grpc_port) as connection:
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    connection.sendall(data)

    def test_cancelled_in_mid_upload(self, server):
        """A megabyte given up at once, many times."""
        client = Client(server.grpc_target)
        request = predict_request(MODEL, {"x": tensor_content(np.ones(MIB // 4, np.float32))})
        for _ in range(2 * MAX_MORE_MIB):
            client.prediction.Predict.future(request, timeout=60).cancel()
        client.close()

    def test_huge_metadata(self, server, grpc_client):
        request = predict_request(MODEL, {"x": tensor_content(np.float32([1]))})
        for size in (17_000, 60_000, 200_000):
            with pytest.raises(grpc.RpcError):
                grpc_client(server).predict(request, metadata=[("x-large", "a" * size)])


class TestClientsThatLeave:

    def test_their_run_ends(self, start_server):
        """The only interpreter is busy for minutes; when its client goes, the next one has it."""
        server = start_server("while_loop", base_path("while_loop"), "--num_tflite_pools=1",
                              "--rest_api_timeout_in_ms=0")
        body = b'{"inputs": 2000000000}'
        for _ in range(3):
            with connected(server) as leaving, futures.ThreadPoolExecutor(1) as executor:
                idle = server.cpu_seconds()
                leaving.sendall(b"POST /v1/models/while_loop:predict HTTP/1.1\r\nHost: a\r\n"
                                b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
                assert settles(lambda: server.cpu_seconds() > idle + BUSY_SECONDS,
                               lambda: requests.get(server.model_url))
                next_one = executor.submit(requests.post, server.predict_url,
                                           data='{"inputs": 5}', timeout=60)
                assert not next_one.done()
                leaving.close()
                assert next_one.result().json() == {"outputs": 5}


class TestFiles:
    """The file of a loaded model changes; the loaded version must not notice."""

    @pytest.mark.parametrize("change", ["truncate", "overwrite", "shorten", "delete", "replace"])
    def test_loaded_file(self, tmp_path, start_server, change):
        path = tmp_path / f"{MODEL}.tflite"
        path.write_bytes(base_path(MODEL).read_bytes())
        server = start_server(MODEL, path)
        answers(server)
        if change == "truncate":
            path.write_bytes(b"")
        elif change == "overwrite":
            path.write_bytes(b"\xff" * path.stat().st_size)
        elif change == "shorten":
            with open(path, "r+b") as file:
                file.truncate(path.stat().st_size // 2)
        elif change == "delete":
            path.unlink()
        else:
            (tmp_path / "other").write_bytes(base_path("scalar").read_bytes())
            (tmp_path / "other").rename(path)
        for _ in range(5):
            answers(server)
            answers_grpc(server)
            # A batch not seen before makes the runtime plan its memory anew.
            x = np.arange(1000, dtype=np.float32)
            response = requests.post(server.predict_url, json={"inputs": x.tolist()})
            assert response.json()["outputs"] == (0.5 * x + 2).tolist()


class TestDescriptors:

    def test_recovers_after_running_out(self, start_server):
        """More connections than descriptors, on both ports."""
        server = start_server(MODEL, base_path(MODEL))
        answers(server)
        answers_grpc(server)
        limit = server.fd_count() + 64
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
        for port in (server.rest_port, server.grpc_port):
            with contextlib.ExitStack() as stack:
                for _ in range(200):
                    stack.enter_context(connected(server, port))
            answers(server)
            answers_grpc(server)


class TestShutdown:

    def test_requests_in_flight_are_answered(self, start_server):
        """SIGTERM while the model runs: the answer still comes."""
        server = start_server("while_loop", base_path("while_loop"))
        body = json.dumps({"inputs": 300_000})
        with futures.ThreadPoolExecutor(1) as executor, connected(server) as connection:
            head = (f"POST /v1/models/while_loop:predict HTTP/1.1\r\nHost: a\r\n"
                    f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # the server has the request
            connection.sendall(body.encode())
            stopped = executor.submit(server.stop)
            answer = read_to_end(connection)
            stopped.result()
        assert status_of(answer) == 200, answer
        assert json.loads(answer.split(b"\r\n\r\n")[1]) == {"outputs": 300_000}

    def test_both_ports_close_at_once(self, start_server):
        """A request that never ends keeps REST draining: gRPC does not wait for it."""
        server = start_server(MODEL, base_path(MODEL))
        with connected(server) as stuck:
            stuck.sendall(b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{")
            answers(server)  # so that the loops have seen it
            server.send_signal(signal.SIGTERM)

            def refused():
                try:
                    with connected(server, server.grpc_port):
                        return False
                except ConnectionError:  # reset: it met the listener's end
                    return True
            assert settles(refused, still_alive=lambda: None)
            stuck.setblocking(False)
            with pytest.raises(BlockingIOError):  # REST is draining still
                stuck.recv(1)
            server.ended_on_purpose = True
        assert server.wait() == 0

    def test_ends_with_many_idle_connections(self, start_server):
        server = start_server(MODEL, base_path(MODEL))
        with contextlib.ExitStack() as stack:
            for port in (server.rest_port, server.grpc_port):
                for _ in range(50):
                    stack.enter_context(connected(server, port))
            client = Client(server.grpc_target)
            client.predict_arrays(MODEL, {"x": np.float32([1])})
            server.stop()
            client.close()
