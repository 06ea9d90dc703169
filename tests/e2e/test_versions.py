"""What a base path may be, and how a start ends that cannot succeed."""

from concurrent import futures
import random

import pytest
import requests

import server_process
from server_process import base_path, free_port, run_to_exit

HALF_PLUS_TWO = base_path("half_plus_two").read_bytes()
SCALAR = base_path("scalar").read_bytes()
CORRUPTIONS = 60
AT_ONCE = 4


def put(path, data=HALF_PLUS_TWO):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def predict(server, path=""):
    return requests.post(f"{server.model_url}{path}:predict", data='{"inputs": [1.0]}')


def start_flags(path):
    return [f"--port={free_port()}", f"--rest_api_port={free_port()}", "--model_name=m",
            f"--model_base_path={path}", "--strict_start"]


def refusal(path):
    """The output of a start that has to fail."""
    status, output = run_to_exit(*start_flags(path))
    assert status > 0, f"status {status}: {output}"
    assert "Failed to start server. Error: " in output, output
    assert "Exporting HTTP/REST API" not in output, output
    assert "SIGTERM" not in output, "nobody has sent one: " + output
    return output


class TestLayouts:

    def test_numeric_directories_highest_is_served(self, tmp_path, start_server):
        put(tmp_path / "1" / "model.tflite", SCALAR)
        put(tmp_path / "00000123" / "model.tflite")
        put(tmp_path / "not_a_version" / "model.tflite", SCALAR)
        server = start_server("m", tmp_path)
        assert predict(server).text == '{"outputs":[2.5]}'
        assert predict(server, "/versions/123").text == '{"outputs":[2.5]}'
        server.wait_for_log("Successfully loaded servable version {name: m version: 123}")
        missing = predict(server, "/versions/1")
        assert (missing.status_code, missing.json()) == (
            404, {"error": "Servable not found for request: Specific(m, 1)"})
        versions = requests.get(server.model_url).json()["model_version_status"]
        assert [version["version"] for version in versions] == ["123"]

    def test_version_of_a_timestamp(self, tmp_path, start_server):
        put(tmp_path / "20170111173521" / "model.tflite")
        assert predict(start_server("m", tmp_path), "/versions/20170111173521").status_code == 200

    @pytest.mark.parametrize("path", ["1/model.tflite", "7/digits-v7.tflite", "model.tflite",
                                      "whatever.tflite"])
    def test_model_by_any_name(self, tmp_path, start_server, path):
        put(tmp_path / path)
        assert predict(start_server("m", tmp_path)).text == '{"outputs":[2.5]}'

    def test_directory_without_versions_is_version_1(self, tmp_path, start_server):
        put(tmp_path / "model.tflite")
        put(tmp_path / "README.md", b"beside it")
        assert predict(start_server("m", tmp_path), "/versions/1").text == '{"outputs":[2.5]}'

    def test_file_is_version_1(self, tmp_path, start_server):
        server = start_server("m", put(tmp_path / "some model.tflite"))
        assert predict(server, "/versions/1").text == '{"outputs":[2.5]}'

    def test_symbolic_link(self, tmp_path, start_server):
        """As a Kubernetes volume lays its files out."""
        put(tmp_path / "..data" / "model.tflite")
        (tmp_path / "mount" / "1").mkdir(parents=True)
        (tmp_path / "mount" / "1" / "model.tflite").symlink_to(tmp_path / "..data" / "model.tflite")
        assert predict(start_server("m", tmp_path / "mount")).text == '{"outputs":[2.5]}'


class TestCannotStart:

    def test_missing_path(self, tmp_path):
        path = tmp_path / "nowhere"
        output = refusal(path)
        assert f"Could not find base path {path} for servable m" in output, output

    def test_directory_without_a_model(self, tmp_path):
        put(tmp_path / "notes.txt", b"no model here")
        output = refusal(tmp_path)
        assert f"No versions of servable m found under base path {tmp_path}" in output, output
        assert "Did you forget to name your leaf directory as a number (eg. '/1/')?" in output

    def test_version_without_a_model(self, tmp_path):
        (tmp_path / "1").mkdir()
        assert str(tmp_path / "1") in refusal(tmp_path)

    def test_several_models_to_choose_from(self, tmp_path):
        put(tmp_path / "1" / "a.tflite")
        put(tmp_path / "1" / "b.tflite")
        output = refusal(tmp_path)
        assert "a.tflite" in output and "b.tflite" in output, output

    @pytest.mark.parametrize("data", [
        b"", b"\0", b"no model at all", b"\0\0\0\0TFL3", HALF_PLUS_TWO[:100],
        HALF_PLUS_TWO[:len(HALF_PLUS_TWO) // 2], b"\xff" * 4096, b"PK\x03\x04" + bytes(1000)],
        ids=["empty", "one byte", "text", "identifier", "start", "half", "ones", "zip"])
    def test_file_that_is_no_model(self, tmp_path, data):
        path = put(tmp_path / "model.tflite", data)
        assert str(path) in refusal(path)

    def test_runtime_refuses_the_model(self):
        """Variable tensors are nothing that LiteRT's C API runs: it has to be said."""
        assert "stateful_tensor.tflite" in refusal(base_path("stateful_tensor"))


def corrupt(data, generator):
    """A model with a few bits flipped, a span of zeros, or its end cut off."""
    data = bytearray(data)
    kind = generator.randrange(4)
    if kind == 0:
        return bytes(data[:generator.randrange(8, len(data))])
    if kind == 1:
        start = generator.randrange(len(data))
        end = min(len(data), start + generator.randrange(1, 64))
        data[start:end] = bytes(end - start)
        return bytes(data)
    for _ in range(generator.randrange(1, 9)):
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    return bytes(data)


def start_outcome(path):
    """What became of a start: None if it served and ended well, or exited with a reason;
    otherwise what was wrong. Whether it serves depends on which byte was hit."""
    process = server_process.Process(start_flags(path))
    try:
        refused = "Failed to start server. Error: [A-Z_]+: ."
        if "Failed" in process.wait_for_log(f"{server_process.REST_READY}|{refused}")[0]:
            status = process.wait()
            process.check_log_is_clean()
            return None if status > 0 else process.describe(f"exit status {status}")
        process.stop()
        return None
    except AssertionError as problem:
        return str(problem)
    finally:
        process.kill()


def test_corrupt_models_never_end_the_process_by_a_signal(tmp_path):
    generator = random.Random(3)
    paths = [put(tmp_path / f"corrupt_{number}.tflite", corrupt(HALF_PLUS_TWO, generator))
             for number in range(CORRUPTIONS)]
    with futures.ThreadPoolExecutor(AT_ONCE) as executor:
        problems = [problem for problem in executor.map(start_outcome, paths) if problem]
    assert not problems, "\n".join(problems)
