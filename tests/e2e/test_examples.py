"""Models that parse serialized tf.Examples answer as TensorFlow does, over gRPC and REST."""

import base64
import json

import grpc
import numpy as np
import pytest
import requests

from grpc_client import fails_with
from server_process import MODELS, base_path, free_port, run_to_exit

EXAMPLES = MODELS / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.json"))
OPERATORS = {"flex_operator": "FlexErf v1 at operator 0", "custom_operator": "MyOperator v1 at",
             "new_version": "ABS v99 at operator 0"}


@pytest.fixture
def example_server(start_server):
    return lambda name: start_server(name, EXAMPLES / f"{name}.tflite")


def cases(name):
    """Serialized Examples, and TensorFlow's answer to them (tests/models/example_models.py)."""
    for case in json.loads((EXAMPLES / f"{name}.json").read_text()):
        yield [base64.b64decode(each) for each in case["examples"]], case["outputs"]


def check(got, expected):
    assert sorted(got) == sorted(expected)
    for name, value in expected.items():
        array = np.asarray(got[name])
        assert list(array.shape) == value["shape"], name
        if array.dtype == np.object_:
            assert [base64.b64encode(v).decode() for v in array.ravel()] == value["values"], name
        else:
            np.testing.assert_allclose(array.ravel(), np.reshape(value["values"], [-1]),
                                       rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_answers_as_tensorflow_does(example_server, grpc_client, name):
    server = example_server(name)
    for examples, expected in cases(name):
        inputs = {"inputs": np.array(examples, np.object_)}
        check(grpc_client(server).predict_arrays(name, inputs), expected)


def test_over_rest(example_server):
    server = example_server("regressor")
    for examples, expected in cases("regressor"):
        body = {"instances": [{"b64": base64.b64encode(each).decode()} for each in examples]}
        response = requests.post(server.predict_url, json=body)
        assert response.status_code == 200, response.text
        assert np.ravel(response.json()["predictions"]).tolist() == expected["outputs"]["values"]


def test_what_is_wrong_with_an_example(example_server, grpc_client):
    server = example_server("dense")
    for example, text in ((b"", "Feature: x (data type: float) is required but could not be found"),
                          (b"?", "Could not parse example input")):
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, text):
            grpc_client(server).predict_arrays(
                "dense", {"inputs": np.array([example], np.object_)})


@pytest.mark.parametrize("name", ["legacy_signatures", "legacy_signatures_only"])
def test_signatures_of_the_metadata_win(example_server, grpc_client, name):
    """As a model was prepared for TensorFlow Serving: names and methods of its own."""
    server = example_server(name)
    signatures = requests.get(f"{server.model_url}/metadata").json()[
        "metadata"]["signature_def"]["signature_def"]
    assert sorted(signatures) == ["raw", "serving_default"]
    assert signatures["serving_default"]["method_name"] == "tensorflow/serving/classify"
    examples, expected = next(cases("classifier"))
    got = grpc_client(server).predict_arrays(
        server.model_name, {"examples": np.array(examples, np.object_)}, signature_name="raw")
    check(got, {"probabilities": expected["scores"]})


@pytest.mark.parametrize("name", OPERATORS)
def test_missing_operators_are_named_at_start(name):
    status, output = run_to_exit(f"--port={free_port()}", f"--model_name={name}",
                                 f"--model_base_path={MODELS / 'refused' / name}.tflite", "--strict_start")
    assert status > 0, output
    assert OPERATORS[name] in output
