"""Every test model's answers, over REST and over gRPC, are those of LiteRT's own interpreter for
Python, bit for bit: whatever the encoding, the batch, the number of interpreters and of clients."""

import base64
from concurrent import futures
import io
import itertools
import json
import sys

from ai_edge_litert.interpreter import Interpreter
import grpc
import ml_dtypes
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from grpc_client import Client, ENCODINGS, predict_request
from server_process import MODELS, base_path, free_port, run_to_exit

sys.path.insert(0, str(MODELS))
import tflite_writer

BATCHES = (1, 2, 5)
CLIENTS = 8
POOLS = (1, 3)

# Models that LiteRT's C API cannot run, which has to be said at start.
NOT_SERVED = {
    "stateful_tensor": "LiteRT's C API refuses a file with variable tensors",
    "type_complex128": "LiteRT's C API refuses the element type",
    "type_float8_e4m3fn": "the server has no such element type",
    "type_float8_e5m2": "the same",
}
# Python's interpreter takes the address of a string of rank 0 for the string: not as a reference.
KNOWN_ANSWERS = {"string_scalar": lambda text: {"text_bytes": text}}
WORDS = np.array([b"yes", b"no", b"", "\u00e9t\u00e9".encode(), b"\x00\xff"], np.object_)
# What a model needs by its meaning: labels that exist, a loop that ends.
RANGES = {"index": (0, 5), "trips": (0, 100)}
WITHOUT_A_SIGNATURE = None


def model_names():
    """All models: a .tflite file, or a directory of versions."""
    files = [path.stem for path in MODELS.glob("*.tflite")]
    bundles = [path.parents[1].name for path in MODELS.glob("*/*/model.tflite")]
    return sorted(files + bundles)


def model_file(model):
    path = base_path(model)
    return path if path.is_file() else path / "1" / "model.tflite"


def served_names(tensors):
    """{tensor name: the name that clients use} for a model without signatures: cut at the
    colon, or in full where two would then be the same."""
    short = [name.split(":")[0] for name in tensors]
    return {name: cut if short.count(cut) == 1 else name for name, cut in zip(tensors, short)}


class Case:
    """One signature at one batch with seeded inputs, and the answers that are expected."""

    def __init__(self, model, key, batch, seed):
        data = model_file(model).read_bytes()
        inputs, outputs = tflite_writer.signatures(data)[key]
        generator = np.random.default_rng([seed, batch])
        values = {name: sample(name, dtype, at_batch(shape, batch), generator)
                  for name, (dtype, shape) in inputs.items()}
        answers = reference(model, data, key, values)
        self.signature_name = key or ""
        if key is WITHOUT_A_SIGNATURE:
            values = renamed(values, served_names(inputs))
            answers = renamed(answers, served_names(outputs))
        self.description = f"{model}, signature {key}, batch {batch}, seed {seed}"
        self.inputs = values
        self.answers = {name: np.asarray(answer) for name, answer in answers.items()}

    def has_rows(self):
        """Whether the row form can carry it: one first dimension for all inputs and outputs."""
        arrays = [*self.inputs.values(), *self.answers.values()]
        return (all(array.ndim > 0 for array in arrays)
                and len({array.shape[0] for array in arrays}) == 1)


    def is_one_array(self):
        """Whether a body of one array can carry it, and each answer."""
        return len(self.inputs) == 1 and not any(
            array.dtype == np.object_ for array in [*self.inputs.values(), *self.answers.values()])


def renamed(arrays, names):
    return {names[name]: array for name, array in arrays.items()}


def at_batch(shape, batch):
    return [batch if dimension == -1 else dimension for dimension in shape]


def sample(name, dtype, shape, generator):
    """Random values of a type's whole range, or normal ones for floats."""
    if dtype == "string":
        return np.asarray(WORDS[generator.integers(len(WORDS), size=shape)], np.object_)
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    if dtype == np.bool_:
        return np.asarray(generator.integers(2, size=shape), dtype)
    if np.issubdtype(dtype, np.integer):
        limits = np.iinfo(dtype)
        low, high = RANGES.get(name, (limits.min, int(limits.max) + 1))
        return np.asarray(generator.integers(low, high, shape, dtype))
    values = np.asarray(generator.normal(size=shape))
    if dtype == np.complex64:
        values = values + 1j * generator.normal(size=shape)
    return values.astype(dtype)


def reference(model, data, key, inputs):
    if model in KNOWN_ANSWERS:
        return KNOWN_ANSWERS[model](**inputs)
    interpreter = Interpreter(model_content=data, num_threads=1)
    if key is not WITHOUT_A_SIGNATURE:
        return interpreter.get_signature_runner(key)(**inputs)
    details = interpreter.get_input_details()
    for detail in details:
        interpreter.resize_tensor_input(detail["index"], inputs[detail["name"]].shape)
    interpreter.allocate_tensors()
    for detail in details:
        interpreter.set_tensor(detail["index"], inputs[detail["name"]])
    interpreter.invoke()
    return {detail["name"]: interpreter.get_tensor(detail["index"])
            for detail in interpreter.get_output_details()}


def cases(model, seeds=(1,)):
    data = model_file(model).read_bytes()
    for key, (inputs, _) in tflite_writer.signatures(data).items():
        dynamic = any(-1 in shape for _, shape in inputs.values())
        for batch, seed in itertools.product(BATCHES if dynamic else BATCHES[:1], seeds):
            yield Case(model, key, batch, seed)


# --- JSON ------------------------------------------------------------------------------------


def to_json(array):
    """Nested lists of what JSON can say; every string in base64."""
    if array.dtype == np.object_:
        encode = np.vectorize(lambda b: {"b64": base64.b64encode(b).decode()}, [np.object_])
        return encode(array).tolist() if array.size else array.tolist()
    if array.dtype in (np.float16, ml_dtypes.bfloat16):
        return array.astype(np.float32).tolist()
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], axis=-1).tolist()
    return array.tolist()


def from_json(value, like):
    """The parsed answer as an array of the expected type."""
    if like.size == 0 and value == []:
        return like  # JSON has one way to write no rows, whatever is in a row
    if like.dtype == np.object_:
        leaves = np.array(value, np.object_)
        decode = np.vectorize(
            lambda leaf: base64.b64decode(leaf["b64"]) if isinstance(leaf, dict)
            else leaf.encode(errors="surrogateescape"), [np.object_])
        return decode(leaves) if leaves.size else leaves.reshape(like.shape)
    if like.dtype in (np.float16, ml_dtypes.bfloat16):
        return np.asarray(value, np.float32).astype(like.dtype)
    if like.dtype.kind == "c":
        pairs = np.asarray(value, like.real.dtype).reshape(*like.shape, 2)
        return (pairs[..., 0] + 1j * pairs[..., 1]).astype(like.dtype)
    return np.asarray(value, like.dtype)


def over_rest(server, case, rows):
    if rows:
        count = len(next(iter(case.inputs.values())))
        columns = {name: to_json(array) for name, array in case.inputs.items()}
        body = {"instances": [{name: column[row] for name, column in columns.items()}
                              for row in range(count)]}
    else:
        body = {"inputs": {name: to_json(array) for name, array in case.inputs.items()}}
    body["signature_name"] = case.signature_name
    response = requests.post(server.predict_url, data=json.dumps(body))
    assert response.status_code == 200, f"{case.description}: {response.text}"
    answer = json.loads(response.content.decode(errors="surrogateescape"))
    if rows:
        result = answer["predictions"]
        if len(case.answers) > 1:
            result = {name: [row[name] for row in result] for name in case.answers}
    else:
        result = answer["outputs"]
    if len(case.answers) == 1:
        result = {next(iter(case.answers)): result}
    return {name: from_json(value, case.answers[name]) for name, value in result.items()}


def post_body(server, case, content_type, body, **parameters):
    """The answer, in the format of the request, to a body that is not JSON."""
    response = requests.post(server.predict_url, data=body, params=parameters,
                             headers={"Content-Type": content_type})
    assert response.status_code == 200, f"{case.description}, {content_type}: {response.text}"
    assert response.headers["Content-Type"] == content_type
    return response


def over_protobuf(server, case, encode):
    inputs = {name: encode(array) for name, array in case.inputs.items()}
    request = predict_request("", inputs, signature_name=case.signature_name)
    reply = predict_pb2.PredictResponse.FromString(
        post_body(server, case, "application/x-protobuf", request.SerializeToString()).content)
    return {name: tf.make_ndarray(tensor) for name, tensor in reply.outputs.items()}


def over_npy(server, case):
    """One output a request; bfloat16 is NumPy's two-byte void in a file."""
    file = io.BytesIO()
    np.save(file, next(iter(case.inputs.values())))
    answers = {}
    for name, expected in case.answers.items():
        response = post_body(server, case, "application/x-npy", file.getvalue(),
                             signature_name=case.signature_name, output_filter=name)
        array = np.load(io.BytesIO(response.content))
        answers[name] = array.view(expected.dtype) if array.dtype.kind == "V" else array
    return answers


def over_raw(server, case):
    """One output a request."""
    body = next(iter(case.inputs.values())).tobytes()
    answers = {}
    for name in case.answers:
        response = post_body(server, case, "application/octet-stream", body,
                             signature_name=case.signature_name, output_filter=name)
        shape = json.loads(response.headers["X-Tensor-Shape"])
        dtype = np.dtype(response.headers["X-Tensor-Dtype"])
        answers[name] = np.frombuffer(response.content, dtype).reshape(shape)
    return answers


def over_grpc(client, server, case, encode):
    return client.predict_arrays(server.model_name, case.inputs, encode,
                                 signature_name=case.signature_name)


# --- Comparison --------------------------------------------------------------------------------


def bits(array):
    """What two arrays have in common if they are the same: every not-a-number counts as one."""
    if array.dtype.kind in "fc" or array.dtype == ml_dtypes.bfloat16:
        return np.where(np.isnan(array), np.array(np.nan, array.dtype), array).tobytes()
    return array.tolist() if array.dtype == np.object_ else array.tobytes()


def check_same(how, case, got):
    where = f"{case.description}, {how}"
    assert sorted(got) == sorted(case.answers), f"{where}: outputs {sorted(got)}"
    for name, expected in case.answers.items():
        array = got[name]
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape), (
            f"{where}, {name}: {array.dtype}{array.shape}, expected "
            f"{expected.dtype}{expected.shape}")
        assert bits(array) == bits(expected), f"{where}, {name}: {array}, expected {expected}"


def check_all_ways(server, client, case):
    for name, encode in ENCODINGS.items():
        check_same(f"gRPC with {name}", case, over_grpc(client, server, case, encode))
        check_same(f"protobuf over REST with {name}", case, over_protobuf(server, case, encode))
    check_same("REST columns", case, over_rest(server, case, rows=False))
    if case.has_rows():
        check_same("REST rows", case, over_rest(server, case, rows=True))
    if case.is_one_array():
        check_same("REST with .npy", case, over_npy(server, case))
        check_same("REST with a raw tensor", case, over_raw(server, case))


SERVED = [model for model in model_names() if model not in NOT_SERVED]


def test_there_are_models():
    assert len(SERVED) > 30, f"{MODELS} has only {SERVED}"
    assert set(NOT_SERVED) <= set(model_names()), "the list names a model that is gone"


@pytest.mark.parametrize("model", SERVED)
def test_one_at_a_time(serving, grpc_client, model):
    server = serving(model)
    for case in cases(model):
        check_all_ways(server, grpc_client(server), case)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("model", ["digits", "digits_int8", "multi_io", "multi_signature",
                                   "string_cube", "computed_shape", "stateful", "fixed_batch_1"])
def test_many_at_once(start_server, model, pool):
    """Eight clients, batches that change from request to request: nobody gets another's answer,
    however many interpreters there are."""
    server = start_server(model, base_path(model), f"--num_tflite_pools={pool}")
    client = Client(server.grpc_target)
    everything = list(cases(model, seeds=range(4)))

    def check_from(position):
        for case in everything[position:] + everything[:position]:
            check_all_ways(server, client, case)

    with futures.ThreadPoolExecutor(CLIENTS) as executor:
        list(executor.map(check_from, range(CLIENTS)))
    client.close()


@pytest.mark.parametrize("model", sorted(NOT_SERVED))
def test_not_served(model):
    """If one of these starts one day, it belongs to the models above."""
    status, output = run_to_exit(f"--port={free_port()}", f"--model_name={model}",
                                 f"--model_base_path={base_path(model)}", "--strict_start")
    assert status > 0 and "Failed to start server. Error: " in output, (
        f"{model} ({NOT_SERVED[model]}): exit status {status}\n{output}")


@pytest.mark.parametrize("model, batch", [("baked_batch", 3)])
def test_batch_that_the_graph_refuses(serving, grpc_client, model, batch):
    client = grpc_client(serving(model))
    with pytest.raises(grpc.RpcError) as error:
        client.predict_arrays(model, {"x": np.ones([batch, 4], np.float32)})
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT, error.value
