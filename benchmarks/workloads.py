"""What is measured: the models, the requests in each protocol, and which servers answer them."""

import collections
import io
import json
import pathlib
import struct

import numpy as np

import grpc_client

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAMS = ROOT / "build" / "release" / "bin"
SEED = 5
JSON, JSON_17, NPY, GRPC = "REST JSON", "REST JSON 17", "REST npy", "gRPC"
CONTENT_TYPES = {JSON: "application/json", JSON_17: "application/json", NPY: "application/x-npy", GRPC: "application/grpc"}

# Servers: this one, with its defaults or with batching; the Python server that people write; and
# this one's transports with a constant answer.
THIS, BATCHING, FASTAPI, CONSTANT = "this", "this, batching", "FastAPI", "constant"
FLAGS = {
    THIS: [],
    BATCHING: ["--enable_batching", f"--batching_parameters_file={ROOT / 'benchmarks' / 'batching_parameters.txt'}"],
}

# clients: numbers of them in the table. cases: (server, protocol). batches: whether the bare
# runtime gains by more rows in a run, so that its best batch size is looked for.
Workload = collections.namedtuple("Workload", "model title input_name input clients cases batches")


def _image(dtype):
    generator = np.random.default_rng(SEED)
    if dtype == np.int8:
        return generator.integers(-128, 128, [1, 224, 224, 3]).astype(np.int8)
    return generator.uniform(-1, 1, [1, 224, 224, 3]).astype(np.float32)


def _cases(server, *protocols):
    return tuple((server, protocol) for protocol in protocols)


WORKLOADS = (
    Workload("half_plus_two", "half_plus_two", "x", np.float32([1.0]), (1, 8, 32),
             _cases(THIS, JSON, GRPC) + _cases(CONSTANT, JSON, GRPC) + _cases(FASTAPI, JSON), False),
    Workload("mlp_2048", "MLP 2048", "x",
             np.random.default_rng(SEED).uniform(-1, 1, [1, 256]).astype(np.float32), (1, 64),
             _cases(THIS, JSON, GRPC) + _cases(BATCHING, JSON, GRPC), True),
    Workload("mobilenet_v2_float", "MobileNetV2 float", "image", _image(np.float32), (1, 8),
             _cases(THIS, JSON, JSON_17, NPY, GRPC) + _cases(BATCHING, GRPC) + _cases(FASTAPI, JSON), True),
    Workload("mobilenet_v2_int8", "MobileNetV2 int8", "image", _image(np.int8), (1, 8),
             _cases(THIS, JSON, NPY, GRPC) + _cases(BATCHING, GRPC), True),
)


# --- Requests ---------------------------------------------------------------------------------


def _json(values):
    return json.dumps({"instances": values.tolist()}).encode()


def _shortest_digits(values):
    """Every float32 as the double whose fewest digits read back as the same float32."""
    return np.char.mod("%s", values).astype(np.float64) if values.dtype == np.float32 else values


def _npy(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def grpc_request(workload):
    return grpc_client.predict_request(
        workload.model, {workload.input_name: grpc_client.tensor_content(workload.input)})


def grpc_frame(message):
    """A message as gRPC sends it: not compressed, its length, its bytes."""
    data = message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def request_body(workload, protocol):
    """JSON_17 is what Python's tolist() writes of float32: the 17 digits of a double."""
    values = workload.input
    return {
        JSON: lambda: _json(_shortest_digits(values)),
        JSON_17: lambda: _json(values.astype(np.float64)),
        NPY: lambda: _npy(values),
        GRPC: lambda: grpc_frame(grpc_request(workload)),
    }[protocol]()
