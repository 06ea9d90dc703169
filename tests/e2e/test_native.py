"""Shared libraries of users' own through the real server: the plug-in and the operator of examples/, and libraries that are none."""

import json
import pathlib
import shutil

import numpy as np
import pytest
import requests

import grpc
import grpc_client
import server_process
from ai_edge_litert.interpreter import Interpreter
from server_process import MODELS, REPOSITORY

PLUGINS = pathlib.Path(server_process.binary()).parents[1] / "plugins"  # where the build puts them
OPERATORS = PLUGINS / "libunit_rows.so"
UNIT_ROWS = REPOSITORY / "examples" / "custom_operator" / "model.tflite"
DIGITS = MODELS / "digits" / "1" / "model.tflite"
[EXAMPLE] = json.loads((MODELS / "digits" / "example.json").read_text())["instances"]
IMAGE = [round(255 * (1 - value / 16)) for value in EXAMPLE]


@pytest.fixture
def serve(tmp_path):
    """serve(entries, *flags): a server of a configuration with these entries."""
    servers = []

    def start(entries, *flags):
        file = tmp_path / "models.config"
        file.write_text(f"model_config_list {{ {entries} }}")
        servers.append(server_process.ConfiguredServer(file, "--max_num_load_retries=0", *flags))
        return servers[-1].wait_until_ready()

    yield start
    for server in servers:
        if server.running():
            server.stop()


def entry(name, base_path, platform, more):
    return f'config {{ name: "{name}" base_path: "{base_path}" model_platform: "{platform}" {more} }}'


def plugin(directory, module_path="libdigits_plugin.so", more=""):
    """An entry of a version directory with the example's plug-in and its model."""
    version = directory / "1"
    version.mkdir(parents=True)
    shutil.copy(DIGITS, version / "model.tflite")
    shutil.copy(PLUGINS / "libdigits_plugin.so", version)
    return entry("m", directory, "plugin", f'custom_model_config {{ module_path: "{module_path}" {more} }}')


def ask(server, instances, model="m"):
    return requests.post(f"{server.base_url}/v1/models/{model}:predict", json={"instances": instances}, timeout=60)


def failure(server, model="m"):
    """Why the one version of a model is not served."""
    [version] = requests.get(f"{server.base_url}/v1/models/{model}", timeout=60).json()["model_version_status"]
    assert version["state"] == "END", version
    return version["status"]["error_message"]


def digits(pixels):
    interpreter = Interpreter(model_path=str(DIGITS))
    [inputs], [outputs] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(inputs["index"], pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(inputs["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(outputs["index"])


@pytest.mark.parametrize("batching", [False, True])
def test_a_plugin_around_a_model(serve, tmp_path, batching):
    plugin(tmp_path / "digits")
    config = (REPOSITORY / "examples" / "plugin" / "model_config.conf").read_text().replace("/models/", f"{tmp_path}/").replace('name: "digits"', 'name: "m"')
    server = serve(config.split("{", 1)[1].rsplit("}", 1)[0], *(["--enable_batching"] if batching else []))
    pixels = 16 * (1 - np.float32([IMAGE, IMAGE[::-1]]) / np.float32(255))
    expected = digits(pixels)
    answer = ask(server, [IMAGE, IMAGE[::-1]])
    assert answer.status_code == 200, answer.text
    rows = answer.json()["predictions"]
    np.testing.assert_allclose([row["probabilities"] for row in rows], expected, rtol=1e-4, atol=1e-6)
    assert [row["class"] for row in rows] == expected.argmax(axis=1).tolist() and rows[0]["class"] == 2
    metadata = requests.get(f"{server.base_url}/v1/models/m/metadata", timeout=60).json()["metadata"]
    assert set(metadata["signature_def"]["signature_def"]["serving_default"]["outputs"]) == {"probabilities", "class"}

    client = grpc_client.Client(server.grpc_target)
    outputs = client.predict_arrays("m", {"image": np.uint8([IMAGE])})
    np.testing.assert_allclose(outputs["probabilities"], expected[:1], rtol=1e-4, atol=1e-6)
    assert outputs["class"].tolist() == [2]
    with pytest.raises(grpc.RpcError, match="expected uint8"):
        client.predict_arrays("m", {"image": np.uint8([IMAGE[:5]])})


@pytest.mark.parametrize("module_path, more, expected", [
    ("libnone.so", "", "1/libnone.so: No such file or directory"),
    ("model.tflite", "", "1/model.tflite: "),
    (str(OPERATORS), "", "exports no function tflite_serving_plugin"),
    (str(PLUGINS / "libtest_plugin_of_other_version.so"), "", "was compiled for version 2"),
    ("libdigits_plugin.so", "white: -1", "1/libdigits_plugin.so: white is no number above 0"),
])
def test_plugins_that_cannot_be_loaded_are_told_of(serve, tmp_path, module_path, more, expected):
    server = serve(plugin(tmp_path / "digits", module_path, more) + entry("other", DIGITS, "tflite", ""))
    assert expected in failure(server)
    assert ask(server, [EXAMPLE], "other").status_code == 200


def test_a_plugins_model_is_tried_first(serve, tmp_path):
    config = plugin(tmp_path / "digits")
    (tmp_path / "digits" / "1" / "model.tflite").write_bytes(b"none" * 100)
    assert "1/model.tflite: not a sound .tflite file" in failure(serve(config))


def test_an_operator_for_all_models(start_server, grpc_client):
    server = start_server("m", UNIT_ROWS, f"--custom_op_library={PLUGINS}/libtest_operators.so,{OPERATORS}")
    answer = ask(server, [[3, 0, 4], [0, 0, 0]])
    assert answer.status_code == 200, answer.text
    np.testing.assert_allclose(answer.json()["predictions"], [[0.6, 0, 0.8], [0, 0, 0]], rtol=1e-5)
    np.testing.assert_allclose(grpc_client(server).predict_arrays("m", {"x": np.float32([[0, 2, 0]])})["y"], [[0, 1, 0]], rtol=1e-5)


def test_an_operator_of_one_model(serve):
    options = f'tflite_options {{ custom_op_library: "{OPERATORS}" }}'
    server = serve(entry("m", UNIT_ROWS, "tflite", options) + entry("without", UNIT_ROWS, "tflite", ""), "--enable_batching")
    np.testing.assert_allclose(ask(server, [[3, 0, 4]]).json()["predictions"], [[0.6, 0, 0.8]], rtol=1e-5)
    assert 'UnitRows v1 at operator 0 of subgraph 0 "main" (output tensor "y"), a custom operator, which no --custom_op_library has' \
        in failure(server, "without")


def test_libraries_of_operators_that_cannot_be_loaded_are_told_of(serve, tmp_path):
    crashing = tmp_path / "crashing.tflite"
    crashing.write_bytes((MODELS / "refused" / "library_operators.tflite").read_bytes().replace(b"scale 2.", b"crash..."))
    option = 'tflite_options {{ custom_op_library: "{}" }}'.format
    server = serve(entry("gone", UNIT_ROWS, "tflite", option("/none/libops.so")) +
                   entry("plugin", UNIT_ROWS, "tflite", option(PLUGINS / "libdigits_plugin.so")) +
                   entry("crashing", crashing, "tflite", option(PLUGINS / "libtest_operators.so")) + entry("other", DIGITS, "tflite", ""))
    assert "/none/libops.so: No such file or directory" in failure(server, "gone")
    assert "exports no function tflite_serving_operators" in failure(server, "plugin")
    assert "the model ended the process that tried it (SIGABRT)" in failure(server, "crashing")
    assert ask(server, [EXAMPLE], "other").status_code == 200


def test_a_library_that_a_configuration_adds_reloads_the_model(serve, tmp_path):
    server = serve(entry("m", UNIT_ROWS, "tflite", ""), "--model_config_file_poll_wait_seconds=1")
    assert "which no --custom_op_library has" in failure(server)
    (tmp_path / "models.config").write_text(
        f"model_config_list {{ {entry('m', UNIT_ROWS, 'tflite', f'tflite_options {{ custom_op_library: {json.dumps(str(OPERATORS))} }}')} }}")
    server.wait_for_log("Successfully loaded servable version {name: m version: 1}")
    np.testing.assert_allclose(ask(server, [[3, 0, 4]]).json()["predictions"], [[0.6, 0, 0.8]], rtol=1e-5)


def test_inspect_and_bench_take_libraries():
    flag = f"--custom_op_library={OPERATORS}"
    inspected = server_process.run_to_exit("inspect", UNIT_ROWS, flag)
    assert inspected.status == 0 and "UnitRows  v1   x 1" in inspected.output, inspected.output
    benched = server_process.run_to_exit("bench", UNIT_ROWS, flag, "--seconds=0.01")
    assert benched.status == 0 and "rows/s" in benched.output, benched.output
    assert server_process.run_to_exit("inspect", UNIT_ROWS).status == 1
