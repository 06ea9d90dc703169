"""The golden transcripts of tests/golden over the wire; its README says what they mean."""

import email
import json
import math
import subprocess

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


def with_requests(method, url, headers, body):
    response = requests.request(method, url, headers=headers, data=body, timeout=TIMEOUT_SECONDS)
    return response.status_code, response.headers, response.content


def with_curl(method, url, headers, body):
    request = ["--head"] if method == "HEAD" else ["--request", method, "--include"]
    if body:
        request += ["--data-binary", "@-"]
    for name, value in {"Content-Type": "", **headers}.items():  # curl would say it is a form
        request += ["--header", f"{name}: {value}" if value else f"{name}:"]
    output = subprocess.run(
        ["curl", "-sS", "--path-as-is", "--globoff", "--compressed", *request, url], input=body,
        capture_output=True, check=True, timeout=TIMEOUT_SECONDS).stdout
    head, _, content = output.partition(b"\r\n\r\n")
    status_line, _, fields = head.partition(b"\r\n")
    return int(status_line.split()[1]), email.message_from_bytes(fields), content


@pytest.mark.parametrize("client", [with_requests, with_curl])
@pytest.mark.parametrize("transcript", list(transcripts(rpc=False)))
def test_transcript(serving, transcript, client):
    request, expected = transcript["request"], transcript["response"]
    assert (transcript.keys() <= KEYS and request.keys() <= REQUEST_KEYS
            and expected.keys() <= RESPONSE_KEYS), "a key that the README does not know"
    status, headers, body = client(
        request["method"], serving(transcript["model"]).base_url + request["path"],
        request.get("headers", {}), request.get("body", "").encode())
    assert status == expected["status"], body
    for name, value in expected.get("headers", {}).items():
        assert headers.get(name) == value, f"{name}: {headers.get(name)}"
    if "body" in expected:
        assert body.decode() == expected["body"]
    if "body_json" in expected:
        tolerance = expected.get("tolerance", 0)
        assert equal(json.loads(body), expected["body_json"], tolerance), (
            f"got {body}\nexpected {json.dumps(expected['body_json'])}")


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
