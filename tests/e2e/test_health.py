"""/healthz and /readyz: what a probe is told, and when."""

import os
import shutil
import signal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
import pytest
import requests

import server_process
from server_process import ConfiguredServer, base_path


@pytest.fixture
def configured(tmp_path):
    """configured(names, *flags): a server of these models, of which those that are not there begin with "missing"."""
    servers = []

    def start(names, *flags):
        lines = []
        for name in names:
            if not name.startswith("missing"):
                shutil.copy(base_path("half_plus_two"), tmp_path / f"{name}.tflite")
            lines.append(f"config {{ name: '{name}' base_path: '{tmp_path}/{name}.tflite' model_platform: 'tflite' }}")
        config = tmp_path / "models.config"
        config.write_text("model_config_list {" + "\n".join(lines) + "}")
        servers.append(ConfiguredServer(config, *flags))
        return servers[-1].wait_until_ready()

    yield start
    for server in servers:
        if server.running():
            server.stop()


def ready(server):
    response = requests.get(f"{server.base_url}/readyz", timeout=60)
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["ready"] == (response.status_code == 200)
    with grpc.insecure_channel(server.grpc_target) as channel:
        overall = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=60).status
    assert (overall == health_pb2.HealthCheckResponse.SERVING) == (response.status_code == 200)
    return response.status_code, response.json()["models"]


def test_a_model_that_is_missing_blocks_until_it_comes(configured, tmp_path):
    server = configured(["a", "missing"])
    alive = requests.get(f"{server.base_url}/healthz")
    assert (alive.status_code, alive.text) == (200, "ok\n")
    code, models = ready(server)
    assert code == 503 and list(models) == ["missing"]
    assert f"{tmp_path}/missing.tflite" in models["missing"]
    shutil.copy(base_path("half_plus_two"), tmp_path / "missing.tflite")
    assert server_process.settles(lambda: requests.get(f"{server.base_url}/readyz", timeout=60).status_code == 200, server.running)
    assert ready(server) == (200, {})


@pytest.mark.parametrize("names, policy, code", [
    (["a", "missing"], "all_models", 503), (["a", "missing"], "any_model", 200), (["missing", "missing_too"], "any_model", 503),
    (["missing"], "started", 200)])
def test_policies(configured, names, policy, code):
    server = configured(names, f"--readiness={policy}")
    assert ready(server)[0] == code


def test_a_server_that_drains_is_alive_and_not_ready(configured, tmp_path):
    server = configured(["a"])
    with requests.Session() as session:
        assert session.get(f"{server.base_url}/readyz").status_code == 200
        corrupt = tmp_path / "a.tflite"
        part = tmp_path / "part"
        part.write_bytes(b"no model")
        os.replace(part, corrupt)
        server.wait_for_log("not a sound")
        assert session.get(f"{server.base_url}/readyz").json() == {"ready": True, "draining": False, "models": {}}, "the old one serves"
    server.stop(signal.SIGTERM)
