"""The golden transcripts of tests/golden over the wire; its README says what they mean."""

import json
import math

from google.protobuf import text_format
from google.protobuf.message_factory import GetMessageClass
import grpc
import pytest
import requests
from tensorflow_serving.apis import prediction_service_pb2

from server_process import REPOSITORY

GOLDEN = REPOSITORY / "tests" / "golden"
KEYS = {"name", "model", "request", "response"}
RPC_KEYS = {"name", "model", "rpc", "request", "status", "message", "response"}
PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
TIMEOUT_SECONDS = 60
REQUEST_KEYS = {"method", "path", "headers", "body"}
RESPONSE_KEYS = {"status", "headers", "body", "body_json", "tolerance"}


def transcripts(rpc):
    for path in sorted(GOLDEN.glob("*.json")):
        for transcript in json.loads(path.read_text()):
            if ("rpc" in transcript) == rpc:
                yield pytest.param(transcript, id=f"{path.stem}: {transcript['name']}")


def equal(got, expected, tolerance):
    if isinstance(expected, dict):
        return isinstance(got, dict) and got.keys() == expected.keys() and all(
            equal(got[key], value, tolerance) for key, value in expected.items())
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(
            equal(one, other, tolerance) for one, other in zip(got, expected))
    if isinstance(expected, float):
        return isinstance(got, float) and math.isclose(got, expected, rel_tol=0, abs_tol=tolerance)
    return type(got) is type(expected) and got == expected


@pytest.mark.parametrize("transcript", list(transcripts(rpc=False)))
def test_transcript(serving, transcript):
    request, expected = transcript["request"], transcript["response"]
    assert (transcript.keys() <= KEYS and request.keys() <= REQUEST_KEYS
            and expected.keys() <= RESPONSE_KEYS), "a key that the README does not know"
    response = requests.request(
        request["method"], serving(transcript["model"]).base_url + request["path"],
        headers=request.get("headers"), data=request.get("body", "").encode())
    assert response.status_code == expected["status"], response.text
    for name, value in expected.get("headers", {}).items():
        assert response.headers.get(name) == value, f"{name}: {response.headers.get(name)}"
    if "body" in expected:
        assert response.content.decode() == expected["body"]
    if "body_json" in expected:
        tolerance = expected.get("tolerance", 0)
        assert equal(response.json(), expected["body_json"], tolerance), (
            f"got {response.text}\nexpected {json.dumps(expected['body_json'])}")


@pytest.mark.parametrize("transcript", list(transcripts(rpc=True)))
def test_rpc_transcript(serving, grpc_client, transcript):
    assert transcript.keys() <= RPC_KEYS, "a key that the README does not know"
    method = PREDICTION.methods_by_name[transcript["rpc"]]
    request = text_format.Parse(transcript["request"], GetMessageClass(method.input_type)())
    call = getattr(grpc_client(serving(transcript["model"])).prediction, transcript["rpc"])
    try:
        response, status, message = call(request, timeout=TIMEOUT_SECONDS), "OK", None
    except grpc.RpcError as error:
        response, status, message = None, error.code().name, error.details()
    assert status == transcript["status"], message
    if "message" in transcript:
        assert message == transcript["message"]
    if "response" in transcript:
        assert response == text_format.Parse(
            transcript["response"], GetMessageClass(method.output_type)())


def test_names_are_unique():
    for path in GOLDEN.glob("*.json"):
        names = [transcript["name"] for transcript in json.loads(path.read_text())]
        assert len(names) == len(set(names)), path
