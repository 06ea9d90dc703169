"""A differential fuzzer: one random request, said in every way there is, gets one answer.

REST JSON in rows and in columns, gRPC with *_val and with tensor_content, a serialized PredictRequest over REST,
a raw tensor and a .npy file: a valid request has the same answer in each, bit for bit, and an invalid one fails in each
with the same class of error. It runs for DIFFERENTIAL_SECONDS (60); a failure names the seed to run again with
DIFFERENTIAL_SEED, alone and first.
"""

import base64
import collections
import io
import json
import os
import time
import urllib.parse

import grpc
import ml_dtypes
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from grpc_client import TIMEOUT_SECONDS, predict_request, tensor_content, tensor_values
from server_process import settles

SECONDS = float(os.environ.get("DIFFERENTIAL_SECONDS", "60"))
FIRST_SEED = int(os.environ.get("DIFFERENTIAL_SEED", "0"))
LEAST_REQUESTS = 200  # whatever the machine
MAX_ROWS = 5
MAX_ELEMENTS = 4096
# What a run may keep: buffers that grow with the largest request so far, on every thread.
MAX_GROWTH_MIB = 64

# HTTP status of each canonical code that a predict request may end with.
HTTP_STATUS = {grpc.StatusCode.INVALID_ARGUMENT: 400, grpc.StatusCode.FAILED_PRECONDITION: 400,
               grpc.StatusCode.NOT_FOUND: 404}

# Models and the inputs of the signature that is asked, as shapes in which n is the number of rows.
Model = collections.namedtuple("Model", "name signature inputs")
F32, I8, I32, I64, U8, STR = np.float32, np.int8, np.int32, np.int64, np.uint8, np.object_
MODELS = (
    Model("half_plus_two", "", {"x": (F32, ("n",))}),
    Model("digits", "", {"pixels": (F32, ("n", 64))}),
    Model("digits_int8", "", {"pixels": (I8, ("n", 64))}),
    Model("multi_io", "", {"a": (F32, ("n", 3)), "b": (F32, ("n", 3))}),
    Model("multi_signature", "encode", {"x": (F32, ("n", 128))}),
    Model("multi_signature", "serving_default", {"x": (F32, ("n", 128))}),
    Model("string_cube", "", {"text": (STR, ("n", 2, 3))}),
    Model("type_float64", "", {"x": (np.float64, ("n", 2))}),
    Model("type_float16", "", {"x": (np.float16, ("n", 2))}),
    Model("type_bfloat16", "", {"x": (ml_dtypes.bfloat16, ("n", 2))}),
    Model("type_complex64", "", {"x": (np.complex64, ("n", 2))}),
    Model("type_int64", "", {"x": (I64, ("n", 2))}),
    Model("type_int32", "", {"x": (I32, ("n", 2))}),
    Model("type_uint8", "", {"x": (U8, ("n", 2))}),
    Model("type_uint64", "", {"x": (np.uint64, ("n", 2))}),
    Model("type_bool", "", {"x": (np.bool_, ("n", 2))}),
)


# The output that a reply of one tensor is to hold, for models that have several.
SOLE_OUTPUT = {"multi_signature": "code"}


class Request:
    """Arrays by input name, for one signature of one model."""

    def __init__(self, model, arrays, signature=None, name=None, version=None, output_filter=()):
        self.model = name or model.name
        self.signature = model.signature if signature is None else signature
        self.arrays = arrays
        self.version = version
        self.output_filter = output_filter

    def message(self, encode):
        return predict_request(self.model, {name: encode(array) for name, array in self.arrays.items()},
                               self.signature, version=self.version, output_filter=self.output_filter)

    def has_rows(self):
        counts = {array.shape[:1] for array in self.arrays.values()}
        return len(counts) == 1 and counts != {()} and counts != {(0,)}

    def __str__(self):
        arrays = {name: f"{array.dtype}{list(array.shape)}" for name, array in self.arrays.items()}
        return (f"model {self.model}, version {self.version}, signature {self.signature!r}, outputs {self.output_filter}, "
                f"inputs {arrays}")


# --- The ways to ask: each gives {output name: array}, or raises Refused -------------------------


class Refused(Exception):
    """The answer was an error; its class is the HTTP status, that of gRPC's code by HTTP_STATUS."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        assert text, f"an error of status {status} says nothing"


class NotSaid:
    """A way that has no words for a request."""


def over_grpc(encode):
    def ask(server, client, request):
        try:
            response = client.predict(request.message(encode))
        except grpc.RpcError as error:
            assert error.code() in HTTP_STATUS, f"{request}: {error.code()}: {error.details()}"
            raise Refused(HTTP_STATUS[error.code()], error.details()) from None
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
    return ask


def post(server, request, body, content_type, query=""):
    version = "" if request.version is None else f"/versions/{request.version}"
    url = f"{server.base_url}/v1/models/{request.model}{version}:predict{query}"
    response = requests.post(url, data=body, headers={"Content-Type": content_type}, timeout=TIMEOUT_SECONDS)
    if response.status_code != 200:
        raise Refused(response.status_code, response.json()["error"])
    return response


def to_json(array):
    if array.dtype == STR:
        leaf = np.frompyfunc(lambda text: {"b64": base64.b64encode(text).decode()}, 1, 1)
        return np.asarray(leaf(array), STR).tolist()
    if np.iscomplexobj(array):
        array = np.stack([array.real, array.imag], -1)
    if array.dtype in (np.float16, ml_dtypes.bfloat16):
        array = array.astype(np.float32)
    return array.tolist()


def over_json(rows):
    def ask(server, client, request):
        if rows and not request.has_rows():
            return NotSaid
        columns = {name: to_json(array) for name, array in request.arrays.items()}
        body = {"signature_name": request.signature}
        if request.output_filter:
            body["output_filter"] = list(request.output_filter)
        if rows:
            count = len(next(iter(columns.values())))
            body["instances"] = [{name: column[row] for name, column in columns.items()} for row in range(count)]
        else:
            body["inputs"] = columns
        text = post(server, request, json.dumps(body), "application/json").content
        answer = json.loads(text.decode(errors="surrogateescape"))
        return JsonAnswer(answer["predictions"] if rows else answer["outputs"], rows)
    return ask


JsonAnswer = collections.namedtuple("JsonAnswer", "value rows")


def json_arrays(answer, like):
    """A JSON answer as arrays of the types that another way's answer has."""
    value = answer.value
    if answer.rows and len(like) > 1:
        value = {name: [row[name] for row in value] for name in value[0]}
    if len(like) == 1 and not (isinstance(value, dict) and set(value) == set(like)):
        value = {next(iter(like)): value}
    assert set(value) == set(like), f"outputs {sorted(value)}, expected {sorted(like)}"
    return {name: json_array(value[name], like[name]) for name in like}


def json_array(value, like):
    if like.dtype == STR:
        def text(leaf):
            return base64.b64decode(leaf["b64"]) if isinstance(leaf, dict) else leaf.encode(errors="surrogateescape")
        leaves = np.asarray(value, STR)
        return np.asarray(np.frompyfunc(text, 1, 1)(leaves), STR) if leaves.size else leaves.reshape(like.shape)
    if np.iscomplexobj(like):
        return np.asarray(value, like.real.dtype).reshape(*like.shape, 2).view(like.dtype)[..., 0]
    if like.dtype in (np.float16, ml_dtypes.bfloat16):
        return np.asarray(value, np.float32).astype(like.dtype)
    return np.asarray(value, like.dtype)


def over_protobuf(server, client, request):
    message = request.message(tensor_content)
    response = post(server, request, message.SerializeToString(), "application/x-protobuf")
    answer = predict_pb2.PredictResponse.FromString(response.content)
    return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}


def sole_array(request):
    """The array of a request that one tensor can say."""
    arrays = list(request.arrays.values())
    if len(arrays) != 1 or arrays[0].dtype == STR or request.output_filter:
        return None
    return arrays[0]


def one_tensor_query(request):
    query = {"signature_name": request.signature, "output_filter": SOLE_OUTPUT.get(request.model)}
    return "?" + urllib.parse.urlencode({name: value for name, value in query.items() if value})


def over_npy(server, client, request):
    array = sole_array(request)
    if array is None or array.dtype == ml_dtypes.bfloat16:
        return NotSaid
    file = io.BytesIO()
    np.save(file, array)
    response = post(server, request, file.getvalue(), "application/x-npy", one_tensor_query(request))
    return {None: np.load(io.BytesIO(response.content))}


def over_raw(server, client, request):
    array = sole_array(request)
    if array is None or array.size == 0:
        return NotSaid
    response = post(server, request, array.tobytes(), "application/octet-stream", one_tensor_query(request))
    name = response.headers["X-Tensor-Dtype"]
    dtype = np.dtype(getattr(ml_dtypes, name, None) or tf.as_dtype(name).as_numpy_dtype)
    shape = json.loads(response.headers["X-Tensor-Shape"])
    return {None: np.frombuffer(response.content, dtype).reshape(shape)}


WAYS = {"gRPC tensor_content": over_grpc(tensor_content), "gRPC values": over_grpc(tensor_values),
        "JSON columns": over_json(rows=False), "JSON rows": over_json(rows=True),
        "x-protobuf": over_protobuf, "npy": over_npy, "raw": over_raw}


# --- Random requests -----------------------------------------------------------------------------


def random_values(dtype, shape, random):
    if dtype == STR:
        values = np.empty(shape, STR)
        for index in np.ndindex(*shape):
            values[index] = random.bytes(random.integers(0, 40))
        return values
    dtype = np.dtype(dtype)
    if dtype == np.bool_:
        return random.integers(2, size=shape).astype(dtype)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    values = random.normal(size=shape) * 10.0 ** random.integers(-6, 6)
    if np.iscomplexobj(np.zeros(0, dtype)):
        values = values + 1j * random.normal(size=shape)
    with np.errstate(over="ignore"):  # an infinity is a value like others
        values = np.asarray(values).astype(dtype)
    if values.size and random.random() < 0.2:
        flat = values.reshape(-1)
        flat[random.integers(flat.size)] = random.choice([np.inf, -np.inf, 0.0, -0.0])
    return values


def random_shape(dims, rows):
    return tuple(rows if dim == "n" else dim for dim in dims)


def valid_request(model, random):
    rows = int(random.integers(1, MAX_ROWS + 1))
    arrays = {name: random_values(dtype, random_shape(dims, rows), random) for name, (dtype, dims) in model.inputs.items()}
    return Request(model, arrays)


def other_dtype(array):
    """An array of the same shape whose type no way can take for the right one."""
    return np.full(array.shape, b"text", STR) if array.dtype != STR else np.zeros(array.shape, F32)


def invalid_request(model, random):
    """A valid request with one thing wrong with it, and the ways that can say it."""
    request = valid_request(model, random)
    name = random.choice(sorted(request.arrays))
    array = request.arrays[name]
    everywhere = set(WAYS)
    kind = random.choice(["type", "rank", "dimension", "missing", "signature", "model", "version", "output"])
    if kind == "type":
        request.arrays[name] = other_dtype(array)
        return request, everywhere
    if kind == "rank":  # ones in front do not make it fit
        request.arrays[name] = np.stack([array, array])[..., None]
        return request, everywhere - {"raw"}
    if kind == "dimension":
        if array.ndim == 1:
            request.arrays[name] = np.stack([array, array], -1)
        else:
            request.arrays[name] = np.concatenate([array, array[..., :1]], -1)
        return request, everywhere - {"raw"}
    if kind == "missing":
        request.arrays = {key: value for key, value in request.arrays.items() if key != name}
        return request, everywhere - {"JSON rows"} if request.arrays else {"gRPC tensor_content", "x-protobuf", "JSON columns"}
    if kind == "signature":
        request.signature = "no_such_signature"
    elif kind == "model":
        request.model = "no_such_model"
    elif kind == "version":
        request.version = 4711
    else:
        request.output_filter = ("no_such_output",)
    return request, everywhere


# --- Comparison ----------------------------------------------------------------------------------


def bits(array):
    """Equal for arrays that are the same: every not-a-number counts as one."""
    if array.dtype.kind in "fc" or array.dtype == ml_dtypes.bfloat16:
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return array.dtype, array.shape, array.tolist() if array.dtype == STR else array.tobytes()


def check_same_answers(server, client, request, where):
    expected = WAYS["gRPC tensor_content"](server, client, request)
    for name, ask in WAYS.items():
        answer = ask(server, client, request)
        if answer is NotSaid:
            continue
        if isinstance(answer, JsonAnswer):
            answer = json_arrays(answer, expected)
        if set(answer) == {None}:
            answer = {SOLE_OUTPUT.get(request.model) or next(iter(expected)): answer[None]}
        else:
            assert set(answer) == set(expected), f"{where}, {name}: outputs {sorted(answer)}"
        for output in answer:
            assert bits(answer[output]) == bits(expected[output]), (
                f"{where}, {name}, {output}: {answer[output]!r}, over gRPC {expected[output]!r}")


def check_same_errors(server, client, request, ways, where):
    statuses = {}
    for name, ask in WAYS.items():
        if name not in ways:
            continue
        try:
            answer = ask(server, client, request)
        except Refused as refusal:
            statuses[name] = refusal.status
            continue
        assert answer is NotSaid, f"{where}, {name}: answered, {answer!r}"
    assert len(set(statuses.values())) == 1, f"{where}: {statuses}"


@pytest.mark.timeout(SECONDS + 240)
def test_every_way_says_the_same(serving, grpc_client):
    servers = {model.name: serving(model.name) for model in MODELS}
    for model in MODELS:  # the largest requests first, so that growth after it is a leak
        random = np.random.default_rng(0)
        check_same_answers(servers[model.name], grpc_client(servers[model.name]), valid_request(model, random), model.name)
    before = {name: (server.rss_mib(), server.fd_count()) for name, server in servers.items()}
    deadline = time.monotonic() + SECONDS
    seed, done = FIRST_SEED, 0
    while done < LEAST_REQUESTS or time.monotonic() < deadline:
        random = np.random.default_rng(seed)
        model = MODELS[random.integers(len(MODELS))]
        server = servers[model.name]
        client = grpc_client(server)
        if random.random() < 0.6:
            request = valid_request(model, random)
            check_same_answers(server, client, request, f"DIFFERENTIAL_SEED={seed}: {request}")
        else:
            request, ways = invalid_request(model, random)
            check_same_errors(server, client, request, ways, f"DIFFERENTIAL_SEED={seed}: {request}")
        seed, done = seed + 1, done + 1
    print(f"{done} requests, each in up to {len(WAYS)} ways")
    for name, server in servers.items():
        rss, descriptors = before[name]
        assert server.running(), server.describe("the server ended")
        assert server.rss_mib() - rss < MAX_GROWTH_MIB, f"{name}: {rss} MiB before, {server.rss_mib()} after"
        assert settles(lambda: server.fd_count() <= descriptors + 2, lambda: requests.get(server.model_url, timeout=TIMEOUT_SECONDS)), (
            f"{name}: {descriptors} descriptors before, {server.fd_count()} after")
