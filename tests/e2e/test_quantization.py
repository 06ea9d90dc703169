"""A quantised model asked in floats: the answer is what a client gets that quantises and dequantises by itself."""

import io
import json

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf

from grpc_client import fails_with, predict_request, tensor_content
from server_process import MODELS

MODEL = "digits_int8"
INPUT, OUTPUT = "pixels", "probabilities"
# tests/models/README.md
INPUT_SCALE, INPUT_ZERO = 16 / 255, -128
OUTPUT_SCALE, OUTPUT_ZERO = 1 / 256, -128

PIXELS = np.random.default_rng(3).uniform(-3, 20, [4, 64]).astype(np.float32)  # beyond both ends of 0 to 16


def quantized(pixels):
    rounded = np.sign(pixels) * np.floor(np.abs(pixels) / np.float32(INPUT_SCALE) + 0.5)
    return np.clip(rounded + INPUT_ZERO, -128, 127).astype(np.int8)


@pytest.fixture
def server(serving):
    return serving(MODEL)


@pytest.fixture
def expected(server, grpc_client):
    """Through the raw integers, which nothing converts."""
    answer = grpc_client(server).predict_arrays(MODEL, {INPUT: quantized(PIXELS)})[OUTPUT]
    assert answer.dtype == np.int8
    return (answer.astype(np.float32) - OUTPUT_ZERO) * np.float32(OUTPUT_SCALE)


def test_rest(server, expected):
    url = f"{server.predict_url}?dequantize=1"
    response = requests.post(url, json={"instances": PIXELS.tolist()})
    assert np.array_equal(np.float32(response.json()["predictions"]), expected), response.text
    file = io.BytesIO()
    np.save(file, PIXELS)
    response = requests.post(url, data=file.getvalue(), headers={"Content-Type": "application/x-npy"})
    answer = np.load(io.BytesIO(response.content))
    assert answer.dtype == np.float32 and np.array_equal(answer, expected)


def test_grpc(server, grpc_client, expected):
    request = predict_request(MODEL, {INPUT: tensor_content(PIXELS)})
    response = grpc_client(server).predict(request, metadata=[("x-dequantize", "1")])
    assert np.array_equal(tf.make_ndarray(response.outputs[OUTPUT]), expected)


def test_integers_are_still_taken(server, grpc_client, expected):
    request = predict_request(MODEL, {INPUT: tensor_content(quantized(PIXELS))})
    response = grpc_client(server).predict(request, metadata=[("x-dequantize", "1")])
    assert np.array_equal(tf.make_ndarray(response.outputs[OUTPUT]), expected)


def test_without_being_asked_floats_are_refused(server, grpc_client):
    request = predict_request(MODEL, {INPUT: tensor_content(PIXELS)})
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "expected int8[?,64], got float[4,64]"):
        grpc_client(server).predict(request)
    response = requests.post(server.predict_url, json={"instances": PIXELS.tolist()})
    assert response.status_code == 400, response.text


def test_a_float_model_is_not_changed(serving):
    example = (MODELS / "digits" / "example.json").read_text()
    server = serving("digits")
    plain = requests.post(server.predict_url, data=example)
    assert requests.post(f"{server.predict_url}?dequantize=1", data=example).text == plain.text


def test_a_signature_named_behind_the_inputs(serving):
    """What was read as the default signature's must not run as another's."""
    server = serving("multi_signature")
    row = [[0.5] * 128]
    for inputs, name in (({"x": row}, "decode"), ({"code": row}, "decode"), ({"x": row}, "encode")):
        bodies = [{"inputs": inputs, "signature_name": name}, {"signature_name": name, "inputs": inputs}]
        answers = [requests.post(server.predict_url + query, data=json.dumps(body))
                   for body in bodies for query in ("", "?dequantize=1")]
        assert len({(answer.status_code, answer.text) for answer in answers}) == 1, [answer.text for answer in answers]


def test_the_switch_is_on_or_off(server, grpc_client):
    response = requests.post(f"{server.predict_url}?dequantize=maybe", data="{}")
    assert response.status_code == 400 and "expected 1 or 0" in response.json()["error"]
    with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "x-dequantize: expected 1 or 0"):
        grpc_client(server).predict(predict_request(MODEL, {INPUT: tensor_content(PIXELS)}), metadata=[("x-dequantize", "maybe")])


def test_metadata_shows_it_when_asked(server):
    plain = requests.get(f"{server.model_url}/metadata")
    assert "quantization" not in plain.text
    shown = requests.get(f"{server.model_url}/metadata?quantization=1").json()
    signature = shown["metadata"]["signature_def"]["signature_def"]["serving_default"]
    pixels = signature["inputs"][INPUT].pop("quantization")
    probabilities = signature["outputs"][OUTPUT].pop("quantization")
    assert (np.float32(pixels["scale"]), pixels["zero_point"]) == (np.float32(INPUT_SCALE), str(INPUT_ZERO))
    assert (np.float32(probabilities["scale"]), probabilities["zero_point"]) == (np.float32(OUTPUT_SCALE), str(OUTPUT_ZERO))
    assert shown == json.loads(plain.text)
