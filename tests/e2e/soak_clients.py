"""The clients of soak.py: good ones, which check every answer, bad ones, and hasty ones."""

import contextlib
import functools
import gzip
import http.client
import io
import json
import socket
import time

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
import numpy as np
from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

import grpc_client
import lifecycle_load
import raw_requests

# What kinds raise if the server does not answer as it should.
FAILURES = (AssertionError, OSError, ValueError, LookupError, http.client.HTTPException, grpc.RpcError)
TIMEOUT_SECONDS = 60
IDLE_SECONDS = 30  # half of what the server allows a REST connection
RUN_SECONDS = 0.05  # after which a run of while_loop has begun
SIZES = (1, 3, 100, 5000)  # of good requests; the last is past every limit of what runs inline
LARGE = 40_000  # numbers, whose reply does not fit into the server's socket if segments are small
SMALL_SEGMENT_BYTES = 536
ENDLESS = 2_000_000_000  # rounds of while_loop


def npy(x):
    file = io.BytesIO()
    np.save(file, x)
    return file.getvalue()


def protobuf(x, model=""):
    return grpc_client.predict_request(model, {"x": grpc_client.tensor_content(x)}).SerializeToString()


# name: (Content-Type, numbers to a body, a reply to numbers)
FORMATS = {
    "rows": ("application/json", lambda x: json.dumps({"instances": x.tolist()}).encode(),
             lambda reply: json.loads(reply)["predictions"]),
    "columns": ("application/json", lambda x: json.dumps({"inputs": {"x": x.tolist()}}).encode(),
                lambda reply: json.loads(reply)["outputs"]),
    "npy": ("application/x-npy", npy, lambda reply: np.load(io.BytesIO(reply)).tolist()),
    "raw": ("application/octet-stream", bytes, lambda reply: np.frombuffer(reply, np.float32).tolist()),
    "protobuf": ("application/x-protobuf", protobuf,
                 lambda reply: list(predict_pb2.PredictResponse.FromString(reply).outputs["y"].float_val)),
}
PERSON = {"age": 1.5, "size": [2.0, 3.0]}
CODINGS = ("", "gzip", "chunked", "gzip, chunked")


def check(condition, got):
    if not condition:
        raise AssertionError(f"got {got!r:.300}")


class Client:
    """One client with its connections. kinds() says what it asks: {name: (method, *arguments)}."""

    def __init__(self, changes, generator):
        self.server, self.changes, self.generator = changes.server, changes, generator
        self.grpc = grpc_client.Client(self.server.grpc_target)

    def close(self):
        self.grpc.close()

    def numbers(self, size=None):
        first = self.generator.randrange(1000)
        return np.arange(first, first + (size or self.generator.choice(SIZES)), dtype=np.float32)


class Good(Client):
    """Asks everything that is served, in every form, and checks each answer."""

    def __init__(self, changes, generator):
        super().__init__(changes, generator)
        self.rest = http.client.HTTPConnection(*self.server.address, timeout=TIMEOUT_SECONDS)
        self.last_asked = time.monotonic()

    def close(self):
        self.rest.close()
        super().close()

    def kinds(self):
        return {
            **{f"REST {name} {coding}".rstrip(): (self.predict, name, coding) for name in FORMATS for coding in CODINGS},
            "REST a model that changes": (self.predict_changing,),
            "REST while_loop": (self.answer, "while_loop:predict", {"inputs": 5}, {"outputs": 5}),
            "REST classify": (self.answer, "inference:classify", {"examples": [PERSON]}, {"results": [[["", 1.5], ["", 2], ["", 3]]]}),
            "REST regress": (self.answer, "inference:regress", {"signature_name": "sum", "examples": [PERSON]}, {"results": [6.5]}),
            "REST metadata": (self.page, "/v1/models/inference/metadata", '"signature_def"'),
            "REST status": (self.page, "/v1/models/inference", '"AVAILABLE"'),
            "REST models": (self.page, "/v1/models", '"while_loop"'),
            "REST /metrics": (self.page, "/metrics", "tflite_serving_requests_total{"),
            "REST /healthz": (self.page, "/healthz", "ok"),
            "REST /readyz": (self.page, "/readyz", '"ready": true'),
            "gRPC Predict": (self.grpc_predict,),
            "gRPC Predict compressed": (self.grpc_predict, grpc.Compression.Gzip),
            "gRPC Classify": (self.grpc_classify,),
            "gRPC Regress": (self.grpc_regress,),
            "gRPC GetModelMetadata": (self.grpc_metadata,),
            "gRPC GetModelStatus": (self.grpc_status,),
            "gRPC health": (self.grpc_health,),
            "gRPC reflection": (self.grpc_reflection,),
        }

    def ask(self, method, path, body=None, headers=None):
        if time.monotonic() - self.last_asked > IDLE_SECONDS:
            self.rest.close()  # before the server does; it opens by itself
        self.rest.request(method, path, body, headers or {})
        response = self.rest.getresponse()
        reply = response.read()
        self.last_asked = time.monotonic()
        check(response.status == 200, (response.status, reply))
        return gzip.decompress(reply) if response.headers["Content-Encoding"] else reply

    def steady(self):
        return self.generator.choice(("half_plus_two", "batched"))

    def predict(self, name, coding):
        content_type, encode, decode = FORMATS[name]
        x = self.numbers()
        body = encode(x)
        headers = {"Content-Type": content_type, "Accept-Encoding": self.generator.choice(("gzip", "identity"))}
        if "gzip" in coding:
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        if "chunked" in coding:
            cut = self.generator.randrange(len(body))
            body = iter([body[:cut], body[cut:]])  # which http.client sends in chunks
        reply = self.ask("POST", f"/v1/models/{self.steady()}:predict", body, headers)
        check(decode(reply) == (x / 2 + 2).tolist(), reply)

    def predict_changing(self):
        route = self.generator.choice(list(self.changes.routes))
        begin = time.monotonic()
        reply = self.ask("POST", f"/v1/models/{route}:predict", json.dumps({"inputs": [lifecycle_load.X]}))
        allowed = self.changes.routes[route].between(begin, time.monotonic())
        check(lifecycle_load.number_of(json.loads(reply)) in allowed, (route, reply, allowed))

    def answer(self, target, body, expected):
        reply = self.ask("POST", f"/v1/models/{target}", json.dumps(body))
        check(json.loads(reply) == expected, reply)

    def page(self, path, text):
        reply = self.ask("GET", path)
        check(text in reply.decode(), reply)

    def grpc_predict(self, compression=None):
        x = self.numbers()
        encode = self.generator.choice(list(grpc_client.ENCODINGS.values()))
        request = grpc_client.predict_request(self.steady(), {"x": encode(x)})
        response = self.grpc.predict(request, compression=compression)
        check(list(response.outputs["y"].float_val) == (x / 2 + 2).tolist(), response)

    def fill(self, request, signature):
        request.model_spec.name, request.model_spec.signature_name = "inference", signature
        features = request.input.example_list.examples.add().features.feature
        features["age"].float_list.value.append(1.5)
        features["size"].float_list.value.extend([2, 3])
        return request

    def grpc_classify(self):
        request = self.fill(classification_pb2.ClassificationRequest(), "")
        result = self.grpc.prediction.Classify(request, timeout=TIMEOUT_SECONDS).result
        check([one.score for one in result.classifications[0].classes] == [1.5, 2, 3], result)

    def grpc_regress(self):
        request = self.fill(regression_pb2.RegressionRequest(), "sum")
        result = self.grpc.prediction.Regress(request, timeout=TIMEOUT_SECONDS).result
        check([one.value for one in result.regressions] == [6.5], result)

    def grpc_metadata(self):
        signatures = grpc_client.signatures(self.grpc.metadata("inference"))
        check("sum" in signatures, signatures)

    def grpc_status(self):
        response = self.grpc.status("inference")
        check([row.version for row in response.model_version_status] == [1], response)

    def grpc_health(self):
        request = health_pb2.HealthCheckRequest(service=self.generator.choice(("", "inference")))
        response = health_pb2_grpc.HealthStub(self.grpc.channel).Check(request, timeout=TIMEOUT_SECONDS)
        check(response.status == health_pb2.HealthCheckResponse.SERVING, response)

    def grpc_reflection(self):
        services = ProtoReflectionDescriptorDatabase(self.grpc.channel).get_services()
        check("tensorflow.serving.PredictionService" in services, services)


ROWS = b'{"instances": [1.0, 2.0, 5.0]}'
PREDICT = "/v1/models/half_plus_two:predict"
HTTP2 = raw_requests.GRPC_PREFACE
# name: (a request, the statuses that it may be answered with; None: closed without an answer)
WRONG_REST = {
    "JSON": (raw_requests.rest_request(PREDICT, b'{"instances": [1.0,'), {400}),
    "shape": (raw_requests.rest_request(PREDICT, b'{"instances": [[1.0], [2.0, 3.0]]}'), {400}),
    "type": (raw_requests.rest_request(PREDICT, b'{"instances": ["a"]}'), {400}),
    "model": (raw_requests.rest_request("/v1/models/nope:predict", ROWS), {404}),
    "version": (raw_requests.rest_request("/v1/models/half_plus_two/versions/9:predict", ROWS), {404}),
    "label": (raw_requests.rest_request("/v1/models/half_plus_two/labels/nope:predict", ROWS), {400}),
    "path": (raw_requests.rest_request("/v2/nothing"), {400, 404}),
    "npy": (raw_requests.rest_request(PREDICT, b"{}", "Content-Type: application/x-npy"), {400}),
    "protobuf": (raw_requests.rest_request(PREDICT, b"\xff\xff", "Content-Type: application/x-protobuf"), {400}),
    "gzip": (raw_requests.rest_request(PREDICT, ROWS, "Content-Encoding: gzip"), {400}),
    "coding": (raw_requests.rest_request(PREDICT, ROWS, "Content-Encoding: br"), {415}),
    "chunk": (raw_requests.rest_request(PREDICT, b"zz\r\n\r\n", "Transfer-Encoding: chunked"), {400}),
    "length": (raw_requests.rest_request(PREDICT, b"{", "Content-Length: 999999999999"), {413}),
    "target": (raw_requests.rest_request("/" + "a" * 100_000), {414, 431}),
    "header": (raw_requests.rest_request("/", None, "X: " + "a" * 100_000), {431}),
    "headers": (raw_requests.rest_request("/", None, *["X: a"] * 10_000), {431}),
    "protocol": (HTTP2, {None, 400, 505}),
    "TLS": (b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(240), {None, 400}),
}
WRONG_GRPC = {
    "REST": raw_requests.rest_request(PREDICT, ROWS), "TLS": WRONG_REST["TLS"][0],
    "frames": HTTP2 + b"\xff" * 1000, "empty frames": HTTP2 + bytes(9) * 100,
    "header table": HTTP2 + raw_requests.frame(raw_requests.HEADERS, raw_requests.END_HEADERS, b"\xff" * 50),
}
CODES = grpc.StatusCode


class Bad(Client):
    """Sends what no honest client does."""

    def kinds(self):
        nothing = grpc_client.predict_request("nope", {})
        shape = grpc_client.predict_request("half_plus_two", {"x": grpc_client.tensor_content(np.ones([2, 2], np.float32))})
        return {
            **{f"REST wrong {name}": (self.rest, *case) for name, case in WRONG_REST.items()},
            "REST garbage": (self.garbage,),
            **{f"gRPC port wrong {name}": (raw_requests.exchange, self.server.grpc_port, data) for name, data in WRONG_GRPC.items()},
            "gRPC port garbage": (self.grpc_garbage,),
            "gRPC wrong model": (self.call, raw_requests.PREDICT, nothing.SerializeToString(), CODES.NOT_FOUND),
            "gRPC wrong shape": (self.call, raw_requests.PREDICT, shape.SerializeToString(), CODES.INVALID_ARGUMENT),
            "gRPC wrong message": (self.call, raw_requests.PREDICT, b"\xff" * 10, CODES.INVALID_ARGUMENT),
            "gRPC wrong method": (self.call, "/nope/Nope", b"", CODES.UNIMPLEMENTED),
            "gRPC wrong metadata": (self.call, raw_requests.PREDICT, b"", CODES.RESOURCE_EXHAUSTED, [("x", "a" * 20_000)]),
        }

    def rest(self, request, statuses):
        answer = raw_requests.exchange(self.server.rest_port, request)
        check(raw_requests.status_of(answer) in statuses, answer)

    def garbage(self):
        self.rest(self.generator.randbytes(self.generator.choice((1, 100, 100_000))), {None, 400, 414, 431, 505})

    def grpc_garbage(self):
        size = self.generator.choice((1, 100, 100_000))
        raw_requests.exchange(self.server.grpc_port, self.generator.choice((b"", HTTP2)) + self.generator.randbytes(size))

    def call(self, path, message, code, metadata=()):
        try:
            reply = self.grpc.unary(path, message, metadata=metadata)
        except grpc.RpcError as error:
            return check(error.code() == code, error)
        raise AssertionError(f"got {reply!r:.300}")


class Hasty(Client):
    """Leaves before all is said."""

    def kinds(self):
        rows = raw_requests.rest_request(PREDICT, ROWS)
        large = raw_requests.rest_request(PREDICT, bytes(self.numbers(LARGE)), "Content-Type: application/octet-stream")
        pieces = b"10\r\n" + ROWS[:16] + b"\r\n%x\r\n" % len(ROWS[16:]) + ROWS[16:] + b"\r\n0\r\n\r\n"
        chunks = raw_requests.rest_request(PREDICT, pieces, "Transfer-Encoding: chunked")
        loop = raw_requests.rest_request("/v1/models/while_loop:predict", b'{"inputs": %d}' % ENDLESS)
        call = raw_requests.grpc_call(raw_requests.PREDICT, protobuf(self.numbers(5000), "half_plus_two"))
        one_for_all = grpc_client.tensor_values(np.float32([1]))
        one_for_all.tensor_shape.dim[0].size = LARGE
        large_answer = raw_requests.grpc_call(raw_requests.PREDICT, grpc_client.predict_request(
            "half_plus_two", {"x": one_for_all}).SerializeToString())
        rest, grpc_port = self.server.rest_port, self.server.grpc_port
        return {
            "REST cut in the head": (self.cut, rest, rows[:-len(ROWS)]),
            "REST cut in the body": (self.cut, rest, large),
            "REST cut in the chunks": (self.cut, rest, chunks),
            "REST cut in the run": (self.cut_later, rest, loop),
            "REST cut in the reply": (self.cut_reply, rest, large),
            "REST cut before the reply": (self.cut_reply, rest, large, 0),
            "gRPC cut in the call": (self.cut, grpc_port, call),
            "gRPC cut in the reply": (self.cut_reply, grpc_port, large_answer),
            "gRPC cut before the reply": (self.cut_reply, grpc_port, large_answer, 0),
            "gRPC cancelled at once": (self.cancel, self.predict_request()),
            "gRPC cancelled in the run": (self.cancel, self.loop_request(), RUN_SECONDS),
            "gRPC deadline in the run": (self.deadline, self.loop_request()),
            "gRPC deadline of 1 ms": (self.deadline, self.predict_request()),
            "gRPC channel closed in the run": (self.close_channel,),
            "gRPC watch left": (self.leave_watch,),
        }

    def predict_request(self):
        return grpc_client.predict_request("half_plus_two", {"x": grpc_client.tensor_content(self.numbers())})

    def loop_request(self):
        return grpc_client.predict_request("while_loop", {"trips": grpc_client.tensor_content(np.int32(ENDLESS))})

    def connect(self, port):
        connection = socket.socket()
        connection.settimeout(TIMEOUT_SECONDS)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT_BYTES)
        connection.connect(("127.0.0.1", port))
        return connection

    def leave(self, connection):
        self.generator.choice((connection.close, functools.partial(raw_requests.close_with_reset, connection)))()

    def cut(self, port, request):
        connection = self.connect(port)
        connection.sendall(request[:self.generator.randrange(len(request))])
        self.leave(connection)

    def cut_later(self, port, request):
        connection = self.connect(port)
        connection.sendall(request)
        connection.settimeout(RUN_SECONDS)
        with contextlib.suppress(TimeoutError):
            raise AssertionError(f"got {connection.recv(1000)!r}")
        self.leave(connection)

    def cut_reply(self, port, request, max_bytes=1000):
        connection = self.connect(port)
        connection.sendall(request)
        if max_bytes:
            connection.recv(self.generator.randrange(1, max_bytes))
        self.leave(connection)

    def cancel(self, request, seconds=0):
        call = self.grpc.prediction.Predict.future(request, timeout=TIMEOUT_SECONDS)
        if seconds:
            with contextlib.suppress(grpc.FutureTimeoutError):
                raise AssertionError(f"got {call.result(seconds)!r}")
        call.cancel()

    def deadline(self, request):
        try:
            self.grpc.prediction.Predict(request, timeout=0.001)
        except grpc.RpcError as error:
            check(error.code() == CODES.DEADLINE_EXCEEDED, error)

    def close_channel(self):
        client = grpc_client.Client(self.server.grpc_target)
        client.predict(self.predict_request())
        client.prediction.Predict.future(self.loop_request(), timeout=TIMEOUT_SECONDS)
        client.close()

    def leave_watch(self):
        watch = health_pb2_grpc.HealthStub(self.grpc.channel).Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        check(next(watch).status == health_pb2.HealthCheckResponse.SERVING, "another status")
        watch.cancel()
