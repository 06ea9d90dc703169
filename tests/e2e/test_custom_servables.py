"""Servables in Python, through the real server: the examples as users write them, what their code may do wrong, and what happens to their processes."""

import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import threading
import time

import numpy as np
import pytest
import requests

import grpc
import grpc_client
import server_process
from ai_edge_litert.interpreter import Interpreter
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_log_pb2
from server_process import MODELS, REPOSITORY

PYTHON = REPOSITORY / "build" / "custom-venv" / "bin" / "python"  # has NumPy and ai-edge-litert, as on a fresh machine
TENSORFLOW_PYTHON = REPOSITORY / "build" / "venv" / "bin" / "python"
EXAMPLE = REPOSITORY / "examples" / "custom_servable"
DIGITS = MODELS / "digits" / "1" / "model.tflite"
PIXELS = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64)
FLAGS = [f"--python={PYTHON}", "--file_system_poll_wait_seconds=1"]


def digits(pixels):
    """What the interpreter answers, in this process."""
    interpreter = Interpreter(model_path=str(DIGITS))
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(inputs["index"], pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(outputs["index"])


def config(name, directory, class_name="load_servable", more=""):
    return (f'model_config_list {{ config {{ name: "{name}" base_path: "{directory}" model_platform: "custom" '
            f'custom_model_config {{ module_path: "{directory}/model_wrapper.py" model_class_name: "{class_name}" {more} }} }} }}')


@pytest.fixture
def serve(tmp_path):
    """serve(source, class_name, more, *flags): a server of the servable "m" whose module has this source."""
    servers = []

    def start(source, class_name="load_servable", more="", *flags, ready=True):
        directory = tmp_path / "m"
        directory.mkdir(exist_ok=True)
        (directory / "model_wrapper.py").write_text(source)
        file = tmp_path / "models.config"
        file.write_text(config("m", directory, class_name, more))
        server = server_process.ConfiguredServer(file, *FLAGS, *flags)
        servers.append(server)
        return server.wait_until_ready() if ready else server

    yield start
    for server in servers:
        if server.running():
            server.stop()


def ask(server, body, model="m"):
    data = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return requests.post(f"{server.base_url}/v1/models/{model}:predict", data=data, timeout=60)


def status(server, model="m"):
    [version] = requests.get(f"{server.base_url}/v1/models/{model}", timeout=60).json()["model_version_status"]
    return version


def workers(server):
    """The processes that it has started and that live."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == server.pid and fields[0] != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("python", [PYTHON, TENSORFLOW_PYTHON], ids=["ai-edge-litert", "tensorflow"])
def test_the_example_as_users_have_it(tmp_path, python):
    for file in ("model_wrapper.py", "model_config.conf"):
        shutil.copy(EXAMPLE / file, tmp_path / file)
    shutil.copy(DIGITS, tmp_path / "model.tflite")
    file = tmp_path / "model_config.conf"
    file.write_text(file.read_text().replace("/models", str(tmp_path)))
    server = server_process.ConfiguredServer(file, f"--python={python}").wait_until_ready()
    try:
        answer = ask(server, {"instances": PIXELS.tolist()}, "tflite_model")
        assert answer.status_code == 200, answer.text
        np.testing.assert_array_equal(np.float32(answer.json()["predictions"]), digits(PIXELS))
        wrong = ask(server, {"instances": "no"}, "tflite_model")
        assert wrong.status_code == 400 and list(wrong.json()) == ["error"], wrong.text
        client = grpc_client.Client(server.grpc_target)
        request = grpc_client.predict_request("tflite_model", {"x": grpc_client.tensor_content(PIXELS)})
        [output] = client.predict(request).outputs.values()
        np.testing.assert_array_equal(np.float32(grpc_client.tf.make_ndarray(output)), digits(PIXELS))
        request = grpc_client.predict_request("tflite_model", {"x": grpc_client.tensor_content(np.float32([["nan"]]))})
        with pytest.raises(grpc.RpcError) as error:
            client.predict(request)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        client.close()
        assert requests.get(f"{server.base_url}/v1/models/tflite_model/metadata", timeout=60).status_code == 200
    finally:
        server.stop()


ECHO = """
class Servable:
    def __init__(self, servable_path, config):
        self.config = config
    def __call__(self, request):
        return request.replace(b"instances", b"predictions")
def load_servable(servable_path, config_obj):
    return Servable(servable_path, config_obj)
"""


def test_bytes_go_through_as_they_are(serve):
    server = serve(ECHO)
    assert ask(server, b'{"instances":   [1,  2]}').content == b'{"predictions":   [1,  2]}'
    assert requests.post(f"{server.base_url}/v1/models/m:predict", data=b"x", headers={"Content-Type": "application/x-npy"},
                         timeout=60).status_code == 400


def test_config_obj_has_what_is_configured(serve):
    server = serve("""
import json
def load_servable(servable_path, config_obj):
    return lambda request: json.dumps({"predictions": [config_obj.name, config_obj.version, config_obj.base_path, config_obj.module_path,
                                                       config_obj.model_class_name, config_obj.threshold, servable_path]})
""", more='parameters { key: "threshold" value: "0.5" } parameters { key: "name" value: "other" }')
    directory = str(pathlib.Path(server.command[-3].split("=")[1]).parent / "m")
    assert ask(server, "{}").json()["predictions"] == ["m", 1, directory, f"{directory}/model_wrapper.py", "load_servable", "0.5", directory]


TENSORS = """
import numpy as np
import tflite_serving as ts
class Sum(ts.Servable):
    signatures = {"serving_default": ts.Signature({"x": ts.TensorSpec("float32", [None, 3])}, {"y": ts.TensorSpec("float32", [None])})}
    calls = 0
    def predict(self, inputs):
        return {"y": inputs["x"].sum(axis=1)}
    def predict_batch(self, inputs):
        return self.predict(inputs)
"""


def test_tensors_by_their_signature(serve):
    server = serve(TENSORS, "Sum")
    assert ask(server, {"instances": [[1, 2, 3], [4, 5, 6]]}).json() == {"predictions": [6.0, 15.0]}
    assert 'expected float[?,3], got float[1,2]' in ask(server, {"instances": [[1, 2]]}).json()["error"]
    signature = requests.get(f"{server.model_url}/metadata", timeout=60).json()["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT" and list(signature["outputs"]) == ["y"]
    client = grpc_client.Client(server.grpc_target)
    response = client.predict(grpc_client.predict_request("m", {"x": grpc_client.tensor_content(np.float32([[1, 2, 3]]))}))
    assert grpc_client.tf.make_ndarray(response.outputs["y"]).tolist() == [6.0]
    client.close()


def test_predict_batch_has_to_give_a_row_for_each(serve):
    server = serve(TENSORS.replace("return self.predict(inputs)", "return {'y': self.predict(inputs)['y'][:1]}"), "Sum")
    assert ask(server, {"instances": [[1, 2, 3]]}).json() == {"predictions": [6.0]}
    answer = ask(server, {"instances": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]})
    assert answer.status_code == 500 and 'output "y": expected 3 row(s), as the inputs have, got 1' in answer.json()["error"], answer.text


def test_rows_are_batched(serve, tmp_path):
    parameters = tmp_path / "batching.txt"
    parameters.write_text("max_batch_size { value: 8 } batch_timeout_micros { value: 1000 } max_enqueued_batches { value: 1000 }")
    server = serve(TENSORS, "Sum", "", "--enable_batching", f"--batching_parameters_file={parameters}")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: ask(server, {"instances": [[i, i, i]]}).json(), range(200)))
    assert answers == [{"predictions": [3.0 * i]} for i in range(200)]


FAULTY = """
import os, sys, time
class Servable:
    def __call__(self, request):
        if b"raise" in request: raise ValueError("it broke")
        if b"exit" in request: sys.exit(5)
        if b"kill" in request: os.kill(os.getpid(), 9)
        if b"none" in request: return None
        if b"text" in request: return b"no json"
        if b"print" in request: print("a line from the servable"); print("another", file=sys.stderr)
        if b"hang" in request:
            while True: pass
        return b'{"predictions": [1]}'
def load_servable(servable_path, config_obj):
    return Servable()
"""


def test_faults_fail_their_request_alone(serve):
    server = serve(FAULTY, "load_servable", "request_timeout_seconds: 1")
    for body, code, text in (("raise", 500, "ValueError: it broke"), ("exit", 500, "SystemExit"), ("kill", 503, "SIGKILL"), ("none", 500, "NoneType"),
                             ("text", 500, "not JSON"), ("hang", 503, "request_timeout_seconds")):
        answer = ask(server, {"instances": [body]})
        assert answer.status_code == code and text in answer.json()["error"], (body, answer.text)
        assert ask(server, "{}").json() == {"predictions": [1]}, body
    ask(server, {"instances": ["print"]})
    server.wait_for_log(r"\{name: m version: 1\} worker 0: a line from the servable")
    server.wait_for_log("worker 0: another")
    server.wait_for_log("worker 0: ValueError: it broke")
    server.wait_for_log("worker 0: .*model_wrapper.py")
    server.wait_for_log(r": W custom/.*\{name: m version: 1\} worker 0: a request failed: ValueError: it broke")
    assert status(server)["state"] == "AVAILABLE"


@pytest.mark.parametrize("source, class_name, expected", [
    ("import no_such_module", "load_servable", "no_such_module"),
    ("x = 1", "load_servable", "load_servable"),
    ("def load_servable(path, config): raise KeyError('gone')", "load_servable", "KeyError: 'gone'"),
    ("def load_servable(path, config): return 7", "load_servable", "int"),
    ("def load_servable(:", "load_servable", "SyntaxError"),
    ("import os; os._exit(9)", "load_servable", "exit status 9"),
])
def test_a_module_that_cannot_be_loaded_is_told_of(serve, tmp_path, source, class_name, expected):
    server = serve(source, class_name, "", "--max_num_load_retries=0")
    version = status(server)
    assert version["state"] == "END" and expected in version["status"]["error_message"], version
    assert "model_wrapper.py" in version["status"]["error_message"]
    assert ask(server, "{}").status_code == 404


def test_one_that_cannot_be_loaded_leaves_others_alone(tmp_path):
    directory = tmp_path / "bad"
    directory.mkdir()
    (directory / "model_wrapper.py").write_text("raise RuntimeError('no')")
    file = tmp_path / "models.config"
    good = f'config {{ name: "digits" base_path: "{MODELS / "digits"}" model_platform: "tflite" }}'
    file.write_text(config("m", directory).replace("model_config_list {", f"model_config_list {{ {good}"))
    server = server_process.ConfiguredServer(file, *FLAGS).wait_until_ready()
    try:
        assert status(server)["state"] == "END"
        assert ask(server, {"instances": PIXELS.tolist()}, "digits").status_code == 200
    finally:
        server.stop()


def test_a_worker_killed_under_load_fails_what_it_runs_alone(serve):
    server = serve(ECHO)
    [worker] = workers(server)
    stop = threading.Event()

    def load():
        codes = []
        with requests.Session() as session:
            while not stop.is_set():
                codes.append(session.post(f"{server.base_url}/v1/models/m:predict", data=b'{"instances": [1]}', timeout=60).status_code)
        return codes

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(load) for _ in range(8)]
        while not ask(server, b'{"instances": [1]}').ok:
            pass
        os.kill(worker, signal.SIGKILL)
        server.wait_for_log("ended \\(SIGKILL\\)")
        killed = time.monotonic()
        while not ask(server, b'{"instances": [1]}').ok:
            pass
        back = time.monotonic() - killed
        stop.set()
        codes = [code for client in clients for code in client.result()]
    assert set(codes) <= {200, 503}
    assert codes.count(503) <= 1, "the request that it had"
    assert back < server_process.SETTLE_SECONDS
    [other] = workers(server)
    assert other != worker
    samples = server.metrics()
    assert samples['tflite_serving_custom_worker_restarts_total{model="m",version="1"}'] == 1
    assert samples['tflite_serving_custom_workers{model="m",version="1"}'] == 1
    assert samples['tflite_serving_custom_queue_depth{model="m",version="1"}'] == 0
    assert samples['tflite_serving_model_version_healthy{model="m",version="1"}'] == 1
    assert samples['tflite_serving_model_memory_bytes{model="m",version="1"}'] > 1 << 20  # a process
    counted = 'tflite_serving_requests_total{model="m",protocol="rest",method="predict",code="%s"}'
    assert samples[counted % "OK"] > codes.count(200)
    assert samples.get(counted % "UNAVAILABLE", 0) >= codes.count(503)
    assert samples['tflite_serving_request_stage_duration_seconds_count{model="m",signature="serving_default",stage="run"}'] == samples[counted % "OK"]


def test_workers_end_with_the_server(serve):
    server = serve(FAULTY, "load_servable", "instances: 2")
    pids = workers(server)
    assert len(pids) == 2
    server.kill()
    for pid in pids:
        descriptor = None
        try:
            descriptor = os.pidfd_open(pid)
            import select
            assert select.select([descriptor], [], [], 30)[0], "it lives on"
        except ProcessLookupError:
            pass
        finally:
            if descriptor is not None:
                os.close(descriptor)


def test_a_crash_loop_backs_off_and_is_told(serve):
    server = serve(FAULTY)
    for _ in range(3):
        ask(server, {"instances": ["kill"]})
    deadline = time.monotonic() + 30
    while "error_message" not in (version := status(server))["status"] or not version["status"]["error_message"]:
        ask(server, {"instances": ["kill"]})
        assert time.monotonic() < deadline, version
    assert version["state"] == "AVAILABLE"
    assert re.search(r"worker 0 has ended \d+ times without an answer, and is started again after .* s: .*SIGKILL", version["status"]["error_message"])


def test_the_reason_of_an_end_is_no_line_of_another_request(serve):
    server = serve(FAULTY)
    for _ in range(2):
        assert ask(server, {"instances": ["print"]}).ok
        answer = ask(server, {"instances": ["kill"]})
        assert answer.status_code == 503 and answer.json()["error"].endswith("worker ended (SIGKILL)"), answer.text


def test_versions_and_a_changed_module(tmp_path):
    source = "def load_servable(path, config):\n    return lambda request: '{{\"predictions\": [{}]}}'\n"
    for version in (1, 2):
        directory = tmp_path / "m" / str(version)
        directory.mkdir(parents=True)
        (directory / "wrapper.py").write_text(source.format(version))
    file = tmp_path / "models.config"
    file.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{tmp_path}/m" model_platform: "custom" model_version_policy {{ all {{}} }} '
                    'version_labels { key: "old" value: 1 } '
                    'custom_model_config { module_path: "wrapper.py" model_class_name: "load_servable" } } }')
    server = server_process.ConfiguredServer(file, *FLAGS, "--reload_custom_on_change").wait_until_ready()
    try:
        assert ask(server, "{}").json() == {"predictions": [2]}
        assert ask(server, "{}", "m/labels/old").json() == {"predictions": [1]}
        (tmp_path / "m" / "2" / "wrapper.py").write_text(source.format(22))
        server.wait_for_log("Replaced servable version {name: m version: 2}")
        assert ask(server, "{}").json() == {"predictions": [22]}
    finally:
        server.stop()


def test_a_servable_may_have_an_environment_of_its_own(tmp_path):
    directory = tmp_path / "m"
    directory.mkdir()
    (directory / "model_wrapper.py").write_text("import sys\ndef load_servable(path, config): return lambda request: {'predictions': [sys.prefix]}")
    file = tmp_path / "models.config"
    file.write_text(config("m", directory, more=f'virtual_environment: "{PYTHON.parents[1]}"'))
    server = server_process.ConfiguredServer(file, "--python=/none").wait_until_ready()
    try:
        assert ask(server, "{}").json() == {"predictions": [str(PYTHON.parents[1])]}
    finally:
        server.stop()


def test_requests_that_are_logged_warm_it_up(serve, tmp_path):
    path = tmp_path / "m" / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir(parents=True)
    request = grpc_client.predict_request("m", {"x": grpc_client.tensor_content(np.float32([[1, 2, 3]]))})
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with grpc_client.tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
    server = serve("""
class Servable:
    def __call__(self, request):
        print("asked", request.decode())
        return b'{"predictions": [1]}'
def load_servable(path, config): return Servable()
""")
    server.wait_for_log(r'asked \{"instances":\[\[1.0,2.0,3.0\]\]\}')
    server.wait_for_log("Number of warmup records read: 1")


def reload(server, directory, class_name):
    """Asks for "m" by HandleReloadConfigRequest; the original's message does not know the fields that are ours."""
    def field(number, data):
        key, size = number << 3 | 2, len(data)
        assert size < 128
        return bytes([key & 127 | 128, key >> 7]) + bytes([size]) + data if number > 15 else bytes([key, size]) + data
    code = field(1, f"{directory}/model_wrapper.py".encode()) + field(2, class_name.encode())
    model = field(1, b"m") + field(2, str(directory).encode()) + field(4, b"custom") + field(1000, code)
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add().ParseFromString(model)
    with grpc.insecure_channel(server.grpc_target) as channel:
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60).status


@pytest.mark.parametrize("flags", [[], ["--allow_code_in_reload_requests"]], ids=["by default", "allowed"])
def test_clients_bring_no_code_unless_that_is_allowed(serve, tmp_path, flags):
    server = serve(ECHO + "\nload_other = load_servable", "load_servable", "", *flags)
    assert reload(server, tmp_path / "m", "load_servable").error_code == 0, "what is configured stays"
    if flags:
        assert reload(server, tmp_path / "m", "load_other").error_code == 0
        return
    with pytest.raises(grpc.RpcError, match="names code to run") as error:
        reload(server, tmp_path / "m", "load_other")
    assert error.value.code() == grpc.StatusCode.PERMISSION_DENIED


def test_unload_is_called_when_the_server_stops(serve):
    server = serve("""
class Servable:
    def __init__(self, path, config): pass
    def __call__(self, request): return b"{}"
    def unload(self): print("unloaded at last")
def load_servable(path, config): return Servable(path, config)
""")
    server.stop()
    assert "unloaded at last" in server.log
