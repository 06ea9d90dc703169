"""Messages for models that the converter does not write, over the wire: each is made here from a test model."""

import sys

import grpc
import numpy as np
import requests
from tensorflow_serving.apis import classification_pb2

from grpc_client import TIMEOUT_SECONDS, fails_with, predict_request, tensor_content
from server_process import MODELS

sys.path.insert(0, str(MODELS))
import tflite_writer

METHOD_NAME = b"tensorflow/serving/classify"
OTHER_METHOD_NAME = b"tensorflow/serving/whatever"


def serve(start_server, tmp_path, data, *flags):
    path = tmp_path / "m.tflite"
    path.write_bytes(data)
    return start_server("m", path, *flags)


def error(server, verb, body):
    response = requests.post(f"{server.model_url}:{verb}", data=body)
    assert response.status_code == 400, response.text
    return response.json()["error"]


def test_a_signature_without_inputs(tmp_path, start_server):
    graph = tflite_writer.Graph()
    one = graph.constant("one", np.float32([1]))
    y = graph.tensor("y", "float32", [1])
    graph.op("ABS", [one], [y])
    server = serve(start_server, tmp_path, graph.finish([], [y], signature="only"))
    message = "Failed to get input map for signature: "
    assert error(server, "predict", '{"signature_name": "only", "instances": [1]}') == message + "only"


def test_an_output_without_rows(tmp_path, start_server):
    graph = tflite_writer.Graph()
    x = graph.tensor("x", "float32", [1], dynamic=[0])
    y = graph.tensor("y", "float32", [])
    axis = graph.constant("axis", np.int32([0]))
    graph.op("SUM", [x, axis], [y], tflite_writer.schema.ReducerOptionsT())
    server = serve(start_server, tmp_path, graph.finish([x], [y], signature="serving_default"))
    assert error(server, "predict", '{"instances": [1, 2]}') == "Tensor name: y has no shape information "
    assert requests.post(server.predict_url, data='{"inputs": [1, 2]}').text == '{"outputs":3.0}'


def test_classes_that_do_not_follow_the_batch(tmp_path, start_server, grpc_client):
    model = tflite_writer.unpack((MODELS / "constant_output.tflite").read_bytes())
    [signature] = model.signatureDefs
    [labels] = [entry for entry in signature.outputs if entry.name == b"labels"]
    labels.name = b"classes"
    model.subgraphs[0].tensors[labels.tensorIndex].shape = [1, 2]
    model.subgraphs[0].outputs = [labels.tensorIndex]
    signature.outputs = [labels]
    server = serve(start_server, tmp_path, tflite_writer.pack(model))
    message = "Expected classes output batch size of 2. Got: 1"
    assert error(server, "classify", '{"examples": [{"x": 1.0}, {"x": 2.0}]}') == message
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "m"
    for _ in range(2):
        feature = request.input.example_list.examples.add().features.feature["x"]
        feature.float_list.value.append(1)
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, message):
        grpc_client(server).prediction.Classify(request, timeout=TIMEOUT_SECONDS)


def test_a_method_name_of_its_own(tmp_path, start_server, grpc_client):
    data = (MODELS / "examples" / "legacy_signatures_only.tflite").read_bytes()
    assert data.count(METHOD_NAME) == 1 and len(METHOD_NAME) == len(OTHER_METHOD_NAME)
    server = serve(start_server, tmp_path, data.replace(METHOD_NAME, OTHER_METHOD_NAME),
                   "--enable_signature_method_name_check")
    request = predict_request("m", {"inputs": tensor_content(np.array([b""], np.object_))})
    with fails_with(grpc.StatusCode.INTERNAL, "Expected prediction signature method_name to be one of {",
                    "}. Was: " + OTHER_METHOD_NAME.decode()):
        grpc_client(server).predict(request)
    response = requests.post(server.predict_url, data='{"instances": ["a"]}')
    assert (response.status_code, "Was: " + OTHER_METHOD_NAME.decode() in response.text) == (500, True)
