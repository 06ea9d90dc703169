"""Models from versitygw, which checks the signature of each request and keeps its objects as files."""

import os
import subprocess

import boto3
import pytest
import requests

from server_process import Server, base_path, free_port, settles

HALF_PLUS_TWO = base_path("half_plus_two").read_bytes()
KEYS = {"AWS_ACCESS_KEY_ID": "gateway-key", "AWS_SECRET_ACCESS_KEY": "gateway/secret+="}
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Its URL, and a client of it."""
    root = tmp_path_factory.mktemp("objects")
    port = free_port()
    with open(tmp_path_factory.mktemp("log") / "log", "wb") as log:
        process = subprocess.Popen([os.environ["VERSITYGW"], "--port", f"127.0.0.1:{port}", "--region", REGION, "posix", "--sidecar", tmp_path_factory.mktemp("tags"), root],
                                   env={**os.environ, "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"], "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"]},
                                   stdout=log, stderr=subprocess.STDOUT)
    session = requests.Session()
    session.trust_env = False

    def listens():
        try:
            return session.get(f"http://127.0.0.1:{port}/", timeout=10).status_code > 0
        except requests.ConnectionError:
            return False

    assert settles(listens, lambda: None), open(log.name).read()
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name=REGION, aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"])
    client.create_bucket(Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION})
    yield f"http://127.0.0.1:{port}", client
    process.terminate()
    process.wait()


@pytest.fixture
def serve(gateway, tmp_path):
    servers = []

    def start(key, **environment):
        servers.append(Server("m", f"s3://models/{key}", f"--model_cache_dir={tmp_path / 'cache'}", "--object_storage_poll_wait_seconds=1",
                              environment={"AWS_ENDPOINT_URL": gateway[0], "AWS_REGION": REGION, **KEYS, **environment}))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


def answers(server, path=""):
    def asked():
        try:
            answer = requests.post(f"{server.model_url}{path}:predict", json={"instances": [1.0]}, timeout=60)
        except requests.ConnectionError:
            return False
        return answer.status_code == 200 and answer.json() == {"predictions": [2.5]}

    return settles(asked, lambda: None)


def test_versions(gateway, serve):
    gateway[1].put_object(Bucket="models", Key="v/1/model.tflite", Body=HALF_PLUS_TWO)
    server = serve("v")
    assert answers(server, "/versions/1"), server.log
    gateway[1].put_object(Bucket="models", Key="v/2/a model.tflite", Body=HALF_PLUS_TWO)
    assert answers(server, "/versions/2"), server.log


@pytest.mark.parametrize("key", ["a file.tflite", "ä+&=~(1)/f.tflite"])
def test_names(gateway, serve, key):
    gateway[1].put_object(Bucket="models", Key=key, Body=HALF_PLUS_TWO)
    server = serve(key)
    assert answers(server), server.log


def test_many_pages(gateway, serve):
    for i in range(1100):
        gateway[1].put_object(Bucket="models", Key=f"many/{i + 1}/notes", Body=b"")
    gateway[1].put_object(Bucket="models", Key="many/1101/model.tflite", Body=HALF_PLUS_TWO)
    server = serve("many")
    assert answers(server, "/versions/1101"), server.log


def test_wrong_keys(gateway, serve):
    gateway[1].put_object(Bucket="models", Key="w/1/model.tflite", Body=HALF_PLUS_TWO)
    assert serve("w", AWS_SECRET_ACCESS_KEY="wrong").wait_for_log("error PERMISSION_DENIED: s3://models/w: SignatureDoesNotMatch")
    assert serve("w", AWS_ACCESS_KEY_ID="nobody").wait_for_log("error PERMISSION_DENIED: s3://models/w: InvalidAccessKeyId|error NOT_FOUND: s3://models/w: XAdminUserNotFound")
    assert serve("w", AWS_REGION="us-east-1").wait_for_log("error .*s3://models/w: ")
