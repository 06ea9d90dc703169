"""The command line: what is refused and how, what is accepted, and how the process ends."""

import contextlib
import pathlib
import signal
import socket

import grpc
import numpy as np
import pytest
import requests

from grpc_client import Client, fails_with, predict_request, tensor_content
import server_process
from server_process import base_path, free_port, run_to_exit

MODEL = "half_plus_two"


def model_flags(**changes):
    """Flags that would start a server of half_plus_two on free ports."""
    flags = {"port": free_port(), "rest_api_port": free_port(), "model_name": MODEL,
             "model_base_path": base_path(MODEL), **changes}
    return [f"--{name}={value}" for name, value in flags.items() if value is not None]


def predicts(server):
    response = requests.post(server.predict_url, data='{"instances": [1.0]}')
    return response.text == '{"predictions":[2.5]}'


@contextlib.contextmanager
def occupied_port():
    """A port that somebody else listens on, on all addresses."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", free_port()))
        listener.listen()
        yield listener.getsockname()[1]


class TestRefused:

    @pytest.mark.parametrize("flag, texts", [
        ("--rest_api_prot=8501", ["rest_api_prot", "--rest_api_port"]),
        ("--model_base_pth=/m", ["model_base_pth", "--model_base_path"]),
        ("--no_such_flag_at_all=1", ["no_such_flag_at_all"]),
        ("--port=abc", ["--port", "abc"]),
        ("--port=", ["--port"]),
        ("--port=70000", ["--port", "70000"]),
        ("--rest_api_port=-1", ["--rest_api_port", "-1"]),
        ("--port=85 00", ["--port", "85 00"]),
        ("--num_tflite_pools=1.5", ["--num_tflite_pools", "1.5"]),
        ("--keep_state=1", ["--keep_state", "1"]),  # a boolean is true or false
        ("--keep_state=yes", ["--keep_state", "yes"]),
        ("--grpc_channel_arguments=grpc.so_reuseport", ["grpc_channel_arguments"]),
        ("positional", ["positional"]),
        ("-port=8500", ["-port"]),
        ("--port", ["--port="]),  # a value after a blank is not understood, as in the original
    ])
    def test_malformed(self, flag, texts):
        status, output = run_to_exit(*model_flags(), flag)
        assert status > 0, f"status {status}: {output}"
        missing = [text for text in texts if text not in output]
        assert not missing, f"{flag}: the message lacks {missing}: {output}"

    # Features of the original that are not here: silence would look like success.
    @pytest.mark.parametrize("flag", ["--use_alts_credentials=true"])
    def test_not_supported(self, flag):
        status, output = run_to_exit(*model_flags(), flag)
        assert status > 0, f"status {status}: {output}"
        assert flag.split("=")[0] in output and "not supported" in output, output

    @pytest.mark.parametrize("text, error", [
        ("model_config_list {\n  config { nme: 'm' }\n}",
         "INVALID_ARGUMENT: Invalid protobuf file: '{path}': Error parsing text-format "
         "tensorflow.serving.ModelServerConfig: 2:15: Message type "
         '"tensorflow.serving.ModelConfig" has no field named "nme". (expected is text like: '),
        ("model_config_list { config { name: 'm' base_path: 'm' model_platform: 'tensorflow' } }",
         "INVALID_ARGUMENT: Expected model m to have an absolute path or URI; "
         "got base_path()=m (in '{path}')"),
        ("model_config_list { config { name: 'm' base_path: '/m' model_platform: 'custom' } }",
         "INVALID_ARGUMENT: Model m of platform custom has no custom_model_config.module_path: expected custom_model_config {"),
        (None, "NOT_FOUND: {path}; No such file or directory"),
    ])
    def test_wrong_config_file(self, tmp_path, text, error):
        path = tmp_path / "models.config"
        if text is not None:
            path.write_text(text)
        status, output = run_to_exit(f"--port={free_port()}", f"--model_config_file={path}")
        assert status > 0, f"status {status}: {output}"
        start = "Failed to start server. Error: " + error.replace("{path}", str(path))
        assert output.startswith(start), output  # and no line of libprotobuf's before it

    def test_missing_base_path(self):
        status, output = run_to_exit(*model_flags(model_base_path=None))
        assert status > 0
        assert ("Both server_options.model_base_path and server_options.model_config_file are "
                "empty!") in output, output

    def test_no_port_at_all(self):
        status, output = run_to_exit(*model_flags(port=0))
        assert status > 0
        assert ("At least one of server_options.grpc_port or server_options.grpc_socket_path "
                "must be set.") in output, output

    def test_one_port_for_both(self):
        port = free_port()
        status, output = run_to_exit(*model_flags(port=port, rest_api_port=port))
        assert status > 0 and str(port) in output, output

    @pytest.mark.parametrize("flag", ["port", "rest_api_port"])
    def test_port_in_use_is_named(self, flag):
        with occupied_port() as port:
            status, output = run_to_exit(*model_flags(**{flag: port}))
        assert status > 0, f"status {status}: {output}"
        assert "Failed to start server. Error: " in output, output
        assert f"{port}" in output and "Address already in use" in output, output

    @pytest.mark.parametrize("flag", ["port", "rest_api_port"])
    def test_port_of_another_server(self, serving, flag):
        """Two servers must never share a port and each get half of the requests."""
        other = serving(MODEL)
        port = other.grpc_port if flag == "port" else other.rest_port
        status, output = run_to_exit(*model_flags(**{flag: port}))
        assert status > 0 and "Address already in use" in output, output
        assert predicts(other)


class TestAccepted:

    def test_help(self):
        status, output = run_to_exit("--help")
        assert status == 0
        for name in ("port", "rest_api_port", "model_name", "model_base_path", "num_tflite_pools",
                     "keep_state", "max_body_bytes"):
            assert name in output, f"--help does not tell of --{name}"

    def test_version(self):
        status, output = run_to_exit("--version")
        assert status == 0
        assert "tflite-serving" in output or "TensorFlow ModelServer" in output, output

    def test_flags_without_a_meaning_here_are_logged_once(self, start_server):
        ignored = ["--per_process_gpu_memory_fraction=0.5", "--saved_model_tags=serve,gpu",
                   "--tensorflow_inter_op_parallelism=4", "--flush_filesystem_caches=false"]
        server = start_server(MODEL, base_path(MODEL), *ignored, "--prefer_tflite_model=true")
        assert predicts(server)
        for flag in ignored:
            name = flag[2:].split("=")[0]
            mentions = [line for line in server.log.splitlines() if name in line]
            assert len(mentions) == 1, server.describe(f"{name} is mentioned {len(mentions)} times")

    def test_features_not_built_may_be_switched_off(self, start_server):
        server = start_server(MODEL, base_path(MODEL), "--ssl_config_file=",
                              "--model_config_file=", "--enable_model_warmup=true",
                              "--file_system_poll_wait_seconds=0")
        assert predicts(server)

    def test_last_of_a_repeated_flag_counts(self, start_server):
        """The image's entrypoint puts its defaults before what the user adds."""
        server = start_server("unused", "/nowhere", f"--model_name={MODEL}",
                              f"--model_base_path={base_path(MODEL)}")
        response = requests.post(f"{server.base_url}/v1/models/{MODEL}:predict",
                                 data='{"instances": [1.0]}')
        assert response.text == '{"predictions":[2.5]}'

    def test_model_name_defaults_to_default(self, start_server):
        server = start_server("default", base_path(MODEL))
        assert predicts(server)

    def test_without_rest(self):
        grpc_port = free_port()
        server = server_process.Process(model_flags(port=grpc_port, rest_api_port=None))
        try:
            assert int(server.wait_for_log(server_process.GRPC_READY)[1]) == grpc_port
            client = Client(f"127.0.0.1:{grpc_port}")
            outputs = client.predict_arrays(MODEL, {"x": np.float32([1])})
            assert outputs["y"].tolist() == [2.5]
            client.close()
            server.stop()
        finally:
            server.kill()

    def test_tensor_content_in_replies(self, serving, grpc_client):
        server = serving(MODEL, "--enable_serialization_as_tensor_content")
        response = grpc_client(server).predict(
            predict_request(MODEL, {"x": tensor_content(np.float32([1, 2]))}))
        y = response.outputs["y"]
        assert not y.float_val and np.frombuffer(y.tensor_content, np.float32).tolist() == [2.5, 3]
        assert predicts(server)

    def test_bind_address(self, start_server):
        server = start_server(MODEL, base_path(MODEL), "--bind_address=127.0.0.1")
        assert predicts(server)
        for port in (server.rest_port, server.grpc_port):
            with socket.socket(socket.AF_INET6) as connection:
                assert connection.connect_ex(("::1", port)) != 0, f"port {port} listens on ::1"

    def test_max_body_bytes_at_the_limit_and_one_past_it(self, serving):
        body = b'{"instances": [1.0]}'
        server = serving(MODEL, f"--max_body_bytes={len(body)}")
        assert requests.post(server.predict_url, data=body).text == '{"predictions":[2.5]}'
        response = requests.post(server.predict_url, data=body + b" ")
        assert response.status_code == 413 and "error" in response.json(), response.text
        chunks = iter([body, b" "])
        assert requests.post(server.predict_url, data=chunks).status_code == 413

    def test_grpc_channel_arguments(self, start_server):
        server = start_server(MODEL, base_path(MODEL),
                              "--grpc_channel_arguments=grpc.max_concurrent_streams=7,"
                              "grpc.max_metadata_size=1000,grpc.so_reuseport=1")
        assert predicts(server)
        assert "grpc.so_reuseport has no meaning for this server" in server.log
        assert "max_metadata_size" not in server.log
        client = Client(server.grpc_target)
        request = predict_request(MODEL, {"x": tensor_content(np.float32([1]))})
        client.predict(request)
        with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "received metadata size exceeds limit"):
            client.predict(request, metadata=[("x-large", "a" * 1000)])
        client.close()


class TestProcess:

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_ends_by_signal(self, start_server, number):
        server = start_server(MODEL, base_path(MODEL))
        assert predicts(server)
        server.stop(number)

    def test_restart_takes_the_same_ports_at_once(self, start_server):
        """Though connections of the server before linger in TIME_WAIT."""
        server = start_server(MODEL, base_path(MODEL))
        for _ in range(2):
            with requests.Session() as session:
                body = '{"instances": [1.0]}'
                assert session.post(server.predict_url, data=body).status_code == 200
                client = Client(server.grpc_target)
                client.predict_arrays(MODEL, {"x": np.float32([1])})
                server.stop()  # closes first, with both connections open
                client.close()
            server = start_server(MODEL, base_path(MODEL), rest_port=server.rest_port,
                                  grpc_port=server.grpc_port)
        assert predicts(server)

    def test_restart_after_kill_9(self, start_server):
        server = start_server(MODEL, base_path(MODEL))
        with requests.Session() as session:
            session.post(server.predict_url, data='{"instances": [1.0]}')
            server.kill()
        server = start_server(MODEL, base_path(MODEL), rest_port=server.rest_port,
                              grpc_port=server.grpc_port)
        assert predicts(server)

    def test_log_lines_that_tools_wait_for(self, serving):
        server = serving(MODEL)
        assert f"Running gRPC ModelServer at 0.0.0.0:{server.grpc_port} ..." in server.log
        assert f"Exporting HTTP/REST API at:localhost:{server.rest_port} ..." in server.log
        assert ("Successfully loaded servable version {name: half_plus_two version: 1}"
                in server.log)

    def test_runtime_says_nothing_on_its_own(self, serving):
        """LiteRT writes to stderr as it likes; in this log everything is the server's."""
        log = serving(MODEL).log
        assert "XNNPACK" not in log and "TensorFlow Lite" not in log, log

    def test_starts_in_any_directory(self, tmp_path, monkeypatch, start_server):
        """A relative base path is relative to where the server is started."""
        binary = pathlib.Path(server_process.binary()).resolve()
        monkeypatch.setenv("TFLITE_MODEL_SERVER", str(binary))
        (tmp_path / "models").mkdir()
        (tmp_path / "models" / "m.tflite").write_bytes(base_path(MODEL).read_bytes())
        monkeypatch.chdir(tmp_path)
        assert predicts(start_server("m", "models/m.tflite"))
