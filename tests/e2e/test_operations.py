"""What operators do: read logs, change levels, ask for keys, reload, stop."""

import contextlib
import http.client
import json
import re
import shutil
import signal
import socket
import subprocess

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import (get_model_status_pb2, model_management_pb2, model_service_pb2_grpc,
                                     prediction_service_pb2_grpc)

from grpc_client import predict_request, tensor_content
import server_process
from server_process import ConfiguredServer, base_path, run_to_exit, settles

HALF = base_path("half_plus_two")


def predict(server, **headers):
    return requests.post(server.predict_url, json={"instances": [1.0]}, headers=headers, timeout=60)


def json_lines(server):
    return [json.loads(line) for line in server.log.splitlines()]


# --- Logs ---

def test_each_line_of_a_json_log_is_an_object(start_server):
    server = start_server("half_plus_two", HALF, "--log_format=json", "--access_log=stderr")
    assert predict(server, **{"X-Request-Id": "my-request"}).headers["X-Request-Id"] == "my-request"
    server.wait_for_log("my-request")
    server.stop()
    lines = json_lines(server)
    assert all({"time", "level", "source", "message"} <= line.keys() for line in lines)
    messages = [line["message"] for line in lines]
    assert f"Exporting HTTP/REST API at:localhost:{server.rest_port} ..." in messages
    assert f"Running gRPC ModelServer at 0.0.0.0:{server.grpc_port} ..." in messages
    assert "Successfully loaded servable version {name: half_plus_two version: 1}" in messages
    request = next(line for line in lines if line.get("id") == "my-request")
    assert {name: request[name] for name in ("protocol", "method", "model", "version", "signature", "code", "request_bytes")} == {
        "protocol": "rest", "method": "predict", "model": "half_plus_two", "version": 1, "signature": "serving_default",
        "code": "OK", "request_bytes": len('{"instances": [1.0]}')}
    assert request["total_us"] >= request["run_us"] > 0


def test_the_access_log_of_both_protocols(start_server, grpc_client, tmp_path):
    log = tmp_path / "access.log"
    server = start_server("half_plus_two", HALF, f"--access_log={log}")
    made = predict(server).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert requests.post(f"{server.base_url}/v1/models/a%0Ab:predict", data="{}", timeout=60).status_code == 404
    requests.get(server.model_url, timeout=60)
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        _, call = stub.Predict.with_call(predict_request("half_plus_two", {"x": tensor_content(np.float32([1.0]))}),
                                         metadata=[("x-request-id", "of-grpc")], timeout=60)
        assert ("x-request-id", "of-grpc") in [tuple(pair) for pair in call.initial_metadata()]
    assert settles(lambda: log.read_text().count("\n") == 4, server.running)
    first, bad, status, last = log.read_text().splitlines()
    assert f"request id={made} protocol=rest method=predict model=half_plus_two version=1 signature=serving_default code=OK" in first
    assert "method=predict model=a\\nb code=NOT_FOUND" in bad and "version=" not in bad
    assert "method=status model=half_plus_two code=OK" in status and "total_us" not in status
    assert "id=of-grpc protocol=grpc method=predict" in last
    # Rotation, as logrotate does it.
    log.rename(tmp_path / "access.log.1")
    server.send_signal(signal.SIGHUP)
    assert settles(log.exists, server.running)
    predict(server)
    assert settles(lambda: log.read_text().count("\n") == 1, server.running)


def test_ids_that_could_forge_a_line_are_not_taken(start_server):
    server = start_server("half_plus_two", HALF)
    assert "X-Request-Id" not in predict(server).headers, "nobody asked for one, and nobody could look it up"
    assert predict(server, **{"X-Request-Id": "a b"}).headers.get("X-Request-Id") is None
    assert predict(server, **{"X-Request-Id": "x" * 129}).headers.get("X-Request-Id") is None
    assert predict(server, **{"X-Request-Id": "x" * 128}).headers["X-Request-Id"] == "x" * 128


# --- Admin ---

def test_the_level_changes_while_it_runs(start_server):
    server = start_server("half_plus_two", HALF, "--admin_api=on")
    url = f"{server.base_url}/admin/log_level"
    assert requests.get(url, timeout=60).text == "info\n"
    assert requests.put(url, data="debug", timeout=60).text == "debug\n"
    server.wait_for_log("level is debug now")
    assert requests.get(url, timeout=60).text == "debug\n"
    wrong = requests.put(url, data="loud", timeout=60)
    assert (wrong.status_code, wrong.json()) == (400, {"error": "expected a body of debug, info, warning or error"})
    assert requests.get(f"{server.base_url}/admin/reload", timeout=60).status_code == 400


def test_web_pages_change_nothing(start_server):
    """A browser sends a page's POST to a loopback address too, with its Origin."""
    server = start_server("half_plus_two", HALF, "--bind_address=127.0.0.1", "--rest_api_enable_cors_support")
    for method, path in (("POST", "log_level"), ("PUT", "log_level"), ("POST", "reload")):
        reply = requests.request(method, f"{server.base_url}/admin/{path}", data="debug", headers={"Origin": "https://elsewhere.example"}, timeout=60)
        assert (reply.status_code, reply.json()) == (403, {"error": "changes are not taken from web pages: the request has an Origin"})
    assert requests.get(f"{server.base_url}/admin/log_level", timeout=60).text == "info\n"


@pytest.mark.parametrize("flags, status", [((), 404), (("--bind_address=127.0.0.1",), 200), (("--admin_api=off", "--bind_address=127.0.0.1"), 404)])
def test_admin_routes_are_not_for_a_public_port(start_server, flags, status):
    server = start_server("half_plus_two", HALF, *flags)
    assert requests.get(f"{server.base_url}/admin/log_level", timeout=60).status_code == status


# --- API keys ---

def new_key(name, scopes, file):
    made = subprocess.run([server_process.binary(), "api_key", name, scopes], capture_output=True, text=True, check=True)
    with open(file, "a", encoding="utf-8") as keys:
        keys.write(made.stdout)
    return made.stderr.split()[-1]


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def test_keys_are_asked_for(start_server, tmp_path):
    file = tmp_path / "keys"
    mobile, ops = new_key("mobile", "inference", file), new_key("ops", "metadata,metrics,admin", file)
    server = start_server("half_plus_two", HALF, f"--api_keys_file={file}", "--access_log=stderr", "--rest_api_enable_cors_support")
    nobody = predict(server)
    assert nobody.headers["Access-Control-Allow-Headers"] == "Content-Type, Authorization, X-API-Key"  # a page can read why it was refused
    assert (nobody.status_code, nobody.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert nobody.json() == {"error": "an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY"}
    assert predict(server, **bearer(mobile)).json() == {"predictions": [2.5]}
    assert predict(server, **{"X-API-Key": mobile}).ok
    wrong = predict(server, **bearer("wrong_key"))
    assert (wrong.status_code, wrong.json()) == (401, {"error": "the API key is not known"})
    other = predict(server, **bearer(ops))
    assert (other.status_code, other.json()) == (403, {"error": "the API key of ops is not for inference"})
    large = requests.post(server.predict_url, data=b" " * 10_000_000, headers={"X-Request-Id": "large"}, timeout=60)
    assert large.status_code == 401  # before its body is read
    server.wait_for_log("id=large .*code=UNAUTHENTICATED")
    for page in (server.model_url, f"{server.model_url}/metadata", f"{server.base_url}/v1/models", f"{server.base_url}/metrics",
                 f"{server.base_url}/admin/log_level", f"{server.base_url}/openapi.json"):
        assert [requests.get(page, headers=headers, timeout=60).status_code for headers in ({}, bearer(mobile), bearer(ops))] == [401, 403, 200], page
    for page in ("healthz", "readyz"):
        assert requests.get(f"{server.base_url}/{page}", timeout=60).ok
    metrics = requests.get(f"{server.base_url}/metrics", headers=bearer(ops), timeout=60).text
    assert 'tflite_serving_requests_rejected_total{reason="unauthenticated"} 9' in metrics
    assert 'tflite_serving_requests_rejected_total{reason="permission_denied"} 7' in metrics
    server.wait_for_log("client=mobile protocol=rest method=predict .* code=OK")
    assert mobile not in server.log and ops not in server.log and "wrong_key" not in server.log


def test_keys_over_grpc_and_their_change(start_server, tmp_path):
    file = tmp_path / "keys"
    mobile, ops = new_key("mobile", "inference", file), new_key("ops", "metadata,admin", file)
    server = start_server("half_plus_two", HALF, f"--api_keys_file={file}")
    request = predict_request("half_plus_two", {"x": tensor_content(np.float32([1.0]))})
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        models = model_service_pb2_grpc.ModelServiceStub(channel)

        def code(call, message, key=None):
            try:
                call(message, timeout=60, metadata=[("authorization", f"Bearer {key}")] if key else [])
            except grpc.RpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = "half_plus_two"
        reload = model_management_pb2.ReloadConfigRequest()
        reload.config.model_config_list.config.add(name="half_plus_two", base_path=str(HALF), model_platform="tflite")
        denied, none, ok = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.OK
        assert [code(stub.Predict, request, key) for key in (None, mobile, ops)] == [none, ok, denied]
        assert [code(models.GetModelStatus, status, key) for key in (None, mobile, ops)] == [none, denied, ok]
        assert [code(models.HandleReloadConfigRequest, reload, key) for key in (None, mobile, ops)] == [none, denied, ok]
        # A key is taken away, and a file that is wrong changes nothing.
        file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("ops")))
        server.send_signal(signal.SIGHUP)
        assert settles(lambda: code(stub.Predict, request, mobile) == none, server.running)
        file.write_text("ops admin not_a_hash\n")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("The API keys stay as they are: INVALID_ARGUMENT: .*keys:1: behind the scopes goes sha256:")
        assert code(models.GetModelStatus, status, ops) == ok


def test_a_clients_rate(start_server, tmp_path):
    file = tmp_path / "keys"
    key = new_key("slow", "inference", file)
    file.write_text(file.read_text().rstrip() + " rate=0.001 burst=2\n")
    server = start_server("half_plus_two", HALF, f"--api_keys_file={file}")
    assert [predict(server, **bearer(key)).status_code for _ in range(2)] == [200, 200]
    refused = predict(server, **bearer(key))
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json() == {"error": "slow has had its 0.001 requests a second; try again later"}


def test_keys_that_cannot_be_read(tmp_path):
    flags = ("--port=8500", "--model_name=m", f"--model_base_path={HALF}")
    file = tmp_path / "keys"
    file.write_text("a inference sha256:1\n")
    assert "keys:1: behind the scopes goes sha256:" in run_to_exit(*flags, f"--api_keys_file={file}").output
    assert "none: No such file" in run_to_exit(*flags, f"--api_keys_file={tmp_path}/none").output
    refusal = run_to_exit("api_key", "a b", "inference")
    assert (refusal.status, "a name is up to 64 letters" in refusal.output) == (1, True)


# --- Reload and end ---

def test_sighup_applies_the_file_again(tmp_path):
    config = tmp_path / "models.config"

    def write(*names):
        config.write_text("model_config_list {" + "".join(
            f"config {{ name: '{name}' base_path: '{HALF}' model_platform: 'tflite' }}" for name in names) + "}")

    write("a")
    server = ConfiguredServer(config)
    try:
        server.wait_until_ready()
        write("a", "b")
        server.send_signal(signal.SIGHUP)
        assert settles(lambda: requests.get(f"{server.base_url}/v1/models/b", timeout=60).ok, server.running)
        config.write_text("model_config_list {")
        server.send_signal(signal.SIGHUP)
        server.wait_for_log("reloading the model config failed: .*Error parsing text-format")
        assert requests.get(f"{server.base_url}/v1/models/b", timeout=60).ok
        server.stop()
    finally:
        server.kill()


def test_neither_idle_connections_nor_half_sent_requests_hold_it(start_server):
    server = start_server("half_plus_two", HALF, "--drain_timeout_seconds=86400")
    halves = [b"GET /healthz HTTP/1.1\r\nHo", b"POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n{"]
    with requests.Session() as session, contextlib.ExitStack() as open_sockets:
        for half in halves:
            connection = open_sockets.enter_context(socket.create_connection(server.address))
            connection.sendall(half)
        assert session.get(f"{server.base_url}/healthz", timeout=60).ok
        server.stop()


def test_a_second_signal_ends_it_at_once(start_server):
    server = start_server("half_plus_two", HALF, "--shutdown_grace_seconds=3600")
    server.send_signal(signal.SIGTERM)
    server.wait_for_log("SIGTERM: not ready any more, and serving on for 3600 s")
    server.ended_on_purpose = True
    server.send_signal(signal.SIGTERM)  # again, as timeout(1) does
    # In its grace time it answers, and says that it is to be left alone.
    assert settles(lambda: requests.get(f"{server.base_url}/readyz", timeout=60).status_code == 503, server.running)
    assert predict(server).ok
    server.send_signal(signal.SIGINT)
    assert server.wait() == 128 + signal.SIGINT


def test_what_the_flags_refuse():
    flags = ("--port=8500", "--model_name=m", f"--model_base_path={HALF}")
    assert "--log_format=xml: expected one of text, json" in run_to_exit(*flags, "--log_format=xml").output
    assert "--admin_api=yes: expected one of auto, on, off" in run_to_exit(*flags, "--admin_api=yes").output
    assert "/none/access.log: No such file" in run_to_exit(*flags, "--access_log=/none/access.log").output


# --- Logged requests ---

def read_logs(path):
    """The messages of a TFRecord file, read by the original's own definitions."""
    from tensorflow_serving.apis import prediction_log_pb2
    data, logs = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        logs.append(prediction_log_pb2.PredictionLog.FromString(data[12:12 + size]))
        data = data[12 + size + 4:]
    return logs


def test_requests_are_logged_and_serve_to_warm_up(tmp_path):
    config = tmp_path / "models.config"

    config.write_text(f"""model_config_list {{ config {{ name: 'm' base_path: '{HALF}' model_platform: 'tflite' logging_config {{
        log_collector_config {{ filename_prefix: '{tmp_path}/m' }} sampling_config {{ sampling_rate: 1 }} }} }} }}""")
    server = ConfiguredServer(config)
    try:
        server.wait_until_ready()
        assert requests.post(server.predict_url, json={"instances": [1.0, 2.0]}, timeout=60).ok
        assert requests.post(server.predict_url, data="{", timeout=60).status_code == 400
        assert requests.post(f"{server.model_url}:regress", timeout=60,
                             json={"examples": [{"x": 4.0}]}).json() == {"results": [4.0]}
        with grpc.insecure_channel(server.grpc_target) as channel:
            prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(
                predict_request("m", {"x": tensor_content(np.float32([3.0]))}), timeout=60)
        written = 'tflite_serving_logged_requests_total{outcome="written"}'
        assert settles(lambda: server.metrics()[written] == 3, server.running)
        server.stop()
    finally:
        server.kill()
    logs = read_logs(tmp_path / "m.tfrecord")
    rest, regress, over_grpc = logs[:3]
    assert list(rest.predict_log.request.inputs["x"].float_val) == [1.0, 2.0]
    assert list(rest.predict_log.response.outputs["y"].float_val) == [2.5, 3.0]
    assert (rest.log_metadata.model_spec.name, rest.log_metadata.model_spec.version.value, rest.log_metadata.sampling_config.sampling_rate) == (
        "m", 1, 1.0)
    assert [result.value for result in regress.regress_log.response.result.regressions] == [4.0]
    assert list(over_grpc.predict_log.request.inputs["x"].float_val) == [3.0]
    # What was logged warms up the next version.
    version = tmp_path / "warm" / "1"
    (version / "assets.extra").mkdir(parents=True)
    shutil.copy(HALF, version / "model.tflite")
    shutil.copy(tmp_path / "m.tfrecord", version / "assets.extra" / "tf_serving_warmup_requests")
    warm = server_process.Server("m", tmp_path / "warm")
    try:
        warm.wait_until_ready()
        assert predict(warm).ok
        warm.stop()
    finally:
        warm.kill()


# --- Limits ---

def test_what_never_reaches_the_api_is_counted(start_server):
    server = start_server("half_plus_two", HALF, "--max_body_bytes=1000", "--grpc_max_message_bytes=1000")

    def body_of(size):
        return requests.post(server.predict_url, data=b" " * size, timeout=60).status_code

    assert [body_of(1000), body_of(1001)] == [400, 413]
    with socket.create_connection(server.address) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")
    with grpc.insecure_channel(server.grpc_target) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for size, code in ((1000, grpc.StatusCode.INVALID_ARGUMENT), (1001, grpc.StatusCode.RESOURCE_EXHAUSTED)):
            with pytest.raises(grpc.RpcError) as error:
                call(b"\xff" * size, timeout=60)
            assert error.value.code() == code
    metrics = server.metrics()
    refused = 'tflite_serving_transport_refusals_total{protocol="%s",code="%s"}'
    assert metrics[refused % ("rest", "413")] == 1
    assert metrics[refused % ("rest", "400")] == 1
    assert metrics[refused % ("grpc", "RESOURCE_EXHAUSTED")] == 1


def test_memory_and_an_address_have_limits(start_server):
    server = start_server("half_plus_two", HALF, "--max_in_flight_mb=1", "--max_connections_per_address=3")

    def ask(size):
        return requests.post(server.predict_url, data=json.dumps({"instances": [1]}).ljust(size), timeout=60)

    assert ask(1_000_000).json() == {"predictions": [2.5]}
    assert ask((1 << 20) + 1).status_code == 413  # which will never fit
    with socket.create_connection(server.address) as slow:
        slow.sendall("POST /v1/models/half_plus_two:predict HTTP/1.1\r\nHost: h\r\nContent-Length: 600000\r\n\r\n".encode() + b" " * 100_000)
        assert server_process.settles(lambda: server.metrics()["tflite_serving_in_flight_bytes"] >= 600_000, server.running)
        refused = ask(600_000)
        assert (refused.status_code, refused.json()) == (503, {
            "error": "the requests that this server is busy with leave no memory for another of this size, try again later"})
        assert ask(1000).json() == {"predictions": [2.5]}

    def connect():
        connection = socket.create_connection((server.address[0], server.address[1]), 60, source_address=("127.0.0.2", 0))
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        return connection

    connections = [connect() for _ in range(3)]
    assert [connection.recv(12) for connection in connections] == [b"HTTP/1.1 200"] * 3
    with pytest.raises(ConnectionError):
        with connect() as one_more:
            if not one_more.recv(12):
                raise ConnectionError
    metrics = server.metrics()  # another address
    assert metrics['tflite_serving_connections_refused_total{protocol="rest"}'] == 1
    assert metrics['tflite_serving_transport_refusals_total{protocol="rest",code="503"}'] == 1
    assert metrics["tflite_serving_in_flight_bytes"] < 1 << 20
    server.wait_for_log(r"HTTP: a connection of 127.0.0.2:\d+ is refused: its address has 3 open")
    for connection in connections:
        connection.close()


def test_rest_over_a_unix_socket(start_server, tmp_path):
    path = tmp_path / "rest.sock"
    server = start_server("half_plus_two", HALF, f"--rest_api_socket_path={path}")
    server.wait_for_log(re.escape(f"Exporting HTTP/REST API at UNIX socket {path} ..."))
    with contextlib.closing(http.client.HTTPConnection("localhost")) as connection:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        for body in ('{"instances": [1.0]}', json.dumps({"instances": [1.0] * 100_000})):
            connection.request("POST", "/v1/models/half_plus_two:predict", body)
            assert json.loads(connection.getresponse().read())["predictions"][0] == 2.5
    server.stop()
    assert not path.exists()
