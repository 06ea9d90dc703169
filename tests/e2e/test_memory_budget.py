"""--model_memory_budget_mb: more models than memory for them."""

import concurrent.futures
import shutil

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import prediction_service_pb2_grpc

from grpc_client import predict_request, tensor_content
from server_process import ConfiguredServer, base_path, run_to_exit

DIGITS = base_path("digits") / "1" / "model.tflite"
PIXELS = [[0.0] * 64]
MIB = 1 << 20
NAMES = ["a", "b", "c", "d", "e", "f"]


@pytest.fixture
def models(tmp_path):
    """A configuration of six models of which each takes several hundred KiB."""
    lines = []
    for name in NAMES:
        (tmp_path / name / "1").mkdir(parents=True)
        shutil.copy(DIGITS, tmp_path / name / "1" / "model.tflite")
        lines.append(f"config {{ name: '{name}' base_path: '{tmp_path}/{name}' "
                     "model_platform: 'tflite' }")
    config = tmp_path / "models.config"
    config.write_text("model_config_list {\n" + "\n".join(lines) + "\n}\n")
    return config


@pytest.fixture
def budgeted(models):
    """budgeted(*flags): a server of these models and 1 MiB for them."""
    servers = []

    def start(*flags):
        servers.append(ConfiguredServer(models, "--model_memory_budget_mb=1", "--num_tflite_pools=2",
                                        *flags))
        return servers[-1].wait_until_ready()

    yield start
    for server in servers:
        server.stop()


def memory(server):
    """The bytes of each model in memory; all must be AVAILABLE."""
    listed = requests.get(f"{server.base_url}/v1/models").json()["models"]
    assert [version["state"] for model in listed for version in model["versions"]
            ] == ["AVAILABLE"] * len(NAMES)
    return {model["name"]: int(model["versions"][0]["memory_bytes"]) for model in listed}


def predict(server, name):
    return requests.post(f"{server.base_url}/v1/models/{name}:predict", json={"instances": PIXELS})


class TestBudget:

    def test_all_models_answer_and_few_are_in_memory(self, budgeted):
        server = budgeted()
        answers = set()
        for _ in range(3):
            for name in NAMES:
                response = predict(server, name)
                assert response.status_code == 200, response.text
                answers.add(response.text)
                now = memory(server)
                assert now[name] > 0
                assert sum(now.values()) <= MIB
                assert any(size == 0 for size in now.values())
        assert len(answers) == 1
        samples = server.metrics()
        assert samples["tflite_serving_model_memory_budget_bytes"] == MIB
        now = memory(server)
        assert samples["tflite_serving_model_memory_budget_used_bytes"] == sum(now.values())
        loaded = sum(size > 0 for size in now.values())
        assert samples["tflite_serving_model_memory_budget_loaded_versions"] == loaded
        assert samples["tflite_serving_model_memory_budget_unloaded_versions"] == len(NAMES) - loaded
        evictions = samples["tflite_serving_model_memory_budget_evictions_total"]
        assert evictions == len(NAMES) - loaded + samples['tflite_serving_model_memory_budget_reloads_total{code="OK"}']
        assert samples["tflite_serving_model_memory_budget_waiting_requests"] == 0
        for name, size in now.items():
            assert samples[f'tflite_serving_model_memory_bytes{{model="{name}",version="1"}}'] == size

    def test_a_model_out_of_memory_tells_its_signatures_without_being_loaded(self, budgeted):
        server = budgeted()
        before = memory(server)
        away = next(name for name, size in before.items() if size == 0)
        metadata = requests.get(f"{server.base_url}/v1/models/{away}/metadata").json()
        signatures = metadata["metadata"]["signature_def"]["signature_def"]
        assert "pixels" in signatures["serving_default"]["inputs"]
        assert memory(server) == before

    def test_many_clients_of_all_models(self, budgeted):
        server = budgeted()

        def client(number):
            with grpc.insecure_channel(server.grpc_target) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
                for i in range(30):
                    name = NAMES[(i * (number + 1)) % len(NAMES)]
                    assert predict(server, name).status_code == 200
                    stub.Predict(predict_request(name, {"pixels": tensor_content(np.zeros((1, 64), np.float32))}),
                                 timeout=60)

        with concurrent.futures.ThreadPoolExecutor(6) as clients:
            list(clients.map(client, range(6)))
        assert sum(memory(server).values()) <= MIB

    def test_a_file_that_is_gone_fails_its_model_alone(self, budgeted, tmp_path):
        server = budgeted("--file_system_poll_wait_seconds=0")
        away = next(name for name, size in memory(server).items() if size == 0)
        (tmp_path / away / "1" / "model.tflite").unlink()
        response = predict(server, away)
        assert response.status_code == 503
        assert f"{away}/1/model.tflite" in response.json()["error"]
        for name in NAMES:
            assert name == away or predict(server, name).status_code == 200

    def test_a_model_larger_than_all_of_it_says_so(self, budgeted):
        server = budgeted("--num_tflite_pools=64")
        for name in NAMES:
            status = requests.get(f"{server.base_url}/v1/models/{name}").json()
            version = status["model_version_status"][0]
            assert version["state"] == "END"
            assert version["status"]["error_code"] == "FAILED_PRECONDITION"
            assert "MiB of memory, and --model_memory_budget_mb allows 1.0" in version["status"][
                "error_message"]

    def test_a_dry_run_says_so_too(self, models):
        refusal = run_to_exit("--dry_run", f"--model_config_file={models}",
                              "--model_memory_budget_mb=1", "--num_tflite_pools=64")
        assert refusal.status == 1
        assert "--model_memory_budget_mb allows 1.0" in " ".join(refusal.output.split())
        enough = run_to_exit("--dry_run", f"--model_config_file={models}",
                             "--model_memory_budget_mb=1", "--num_tflite_pools=1")
        assert enough.status == 0, enough.output
