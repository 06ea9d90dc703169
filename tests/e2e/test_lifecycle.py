"""Versions that come, go, change and fail under a running server, and configurations that do."""

import os
import random
import re
import shutil
import signal

from google.protobuf import text_format
import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1 import health_pb2_grpc
import pytest
import requests
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_service_pb2_grpc

from grpc_client import fails_with
import lifecycle_load
import many_models
import server_process
from server_process import ConfiguredServer, base_path, settles

HALF_PLUS_TWO = base_path("half_plus_two").read_bytes()  # y = x / 2 + 2
SCALAR = base_path("scalar").read_bytes()
CORRUPT = HALF_PLUS_TWO[:len(HALF_PLUS_TWO) // 2]
EVERY_LOOK = "--file_system_poll_wait_seconds=1"
REPLACED = "whose options have changed"


def put(path, data=HALF_PLUS_TWO):
    """Written elsewhere and renamed, so that it is there whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name("." + path.name)
    part.write_bytes(data)
    os.replace(part, path)
    return path


def states(server, model="m"):
    response = requests.get(f"{server.base_url}/v1/models/{model}")
    if response.status_code != 200:
        return {}
    return {int(row["version"]): row["state"] for row in response.json()["model_version_status"]}


def reason(server, version, model="m"):
    rows = requests.get(f"{server.base_url}/v1/models/{model}").json()["model_version_status"]
    return next(row["status"] for row in rows if int(row["version"]) == version)


def become(server, expected, model="m"):
    """Waits, asking, until the states of these versions are `expected`."""
    def reached():
        now = states(server, model)
        return all(now.get(version) == state for version, state in expected.items())
    assert settles(reached, server.running), server.describe(
        f"states are {states(server, model)}, expected {expected}")


def predict(server, path="m", x=1.0):
    return requests.post(f"{server.base_url}/v1/models/{path}:predict",
                         json={"inputs": [x]})


def config_of(*models):
    """A ModelServerConfig from (name, base path, more text) of each model."""
    return "model_config_list {\n" + "".join(
        f"  config {{ name: '{name}' base_path: '{path}' model_platform: 'tensorflow' {more} }}\n"
        for name, path, more in models) + "}\n"


@pytest.fixture
def configured(tmp_path):
    """configured(text, *flags): a server of this configuration, which lies in models.config."""
    servers = []

    def start(text, *flags):
        (tmp_path / "models.config").write_text(text)
        servers.append(ConfiguredServer(tmp_path / "models.config", *flags))
        return servers[-1].wait_until_ready()

    yield start
    for server in servers:
        if not server.ended_on_purpose:
            server.stop()


def reload_config(server, text):
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(text, request.config)
    with grpc.insecure_channel(server.grpc_target) as channel:
        return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(
            request, timeout=60)


class TestVersions:

    def test_a_new_version_takes_over(self, tmp_path, start_server):
        put(tmp_path / "1" / "model.tflite", SCALAR)
        server = start_server("m", tmp_path, EVERY_LOOK)
        put(tmp_path / "2" / "model.tflite")
        become(server, {2: "AVAILABLE", 1: "END"})
        assert predict(server).json() == {"outputs": [2.5]}
        server.wait_for_log("Done unloading servable version {name: m version: 1}")

    def test_a_corrupt_version_leaves_the_old_one_serving(self, tmp_path, start_server):
        put(tmp_path / "1" / "model.tflite")
        server = start_server("m", tmp_path, EVERY_LOOK)
        put(tmp_path / "2" / "model.tflite", CORRUPT)
        become(server, {2: "END", 1: "AVAILABLE"})
        assert reason(server, 2)["error_code"] == "INVALID_ARGUMENT"
        assert "2/model.tflite" in reason(server, 2)["error_message"]
        assert predict(server).json() == {"outputs": [2.5]}
        put(tmp_path / "2" / "model.tflite")  # mended
        become(server, {2: "AVAILABLE", 1: "END"})

    @pytest.mark.parametrize("layout", ["1/model.tflite", "model.tflite", "file"])
    def test_a_file_replaced_in_place(self, tmp_path, start_server, layout):
        path = tmp_path / ("m.tflite" if layout == "file" else layout)
        put(path, SCALAR)
        server = start_server("m", path if layout == "file" else tmp_path, EVERY_LOOK)
        put(path)
        server.wait_for_log("Replaced servable version {name: m version: 1} by ")
        assert predict(server).json() == {"outputs": [2.5]}
        assert states(server) == {1: "AVAILABLE"}
        put(path, CORRUPT)
        server.wait_for_log("the version goes on with the file it had")
        assert predict(server).json() == {"outputs": [2.5]}
        assert reason(server, 1)["error_code"] == "INVALID_ARGUMENT"
        assert "its replacement could not be loaded, and it serves on as it was: " in reason(
            server, 1)["error_message"]
        assert states(server) == {1: "AVAILABLE"}
        assert requests.get(f"{server.base_url}/readyz").status_code == 200
        put(path, SCALAR)  # mended
        assert settles(lambda: reason(server, 1) == {"error_code": "OK", "error_message": ""},
                       server.running)

    def test_a_file_written_slowly_is_waited_for(self, tmp_path, start_server):
        put(tmp_path / "1" / "model.tflite")
        server = start_server("m", tmp_path, EVERY_LOOK)
        slow = tmp_path / "2" / "model.tflite"
        slow.parent.mkdir()
        half = len(HALF_PLUS_TWO) // 2
        with slow.open("wb") as file:
            file.write(HALF_PLUS_TWO[:half])
            file.flush()
            become(server, {2: "START"})  # seen, and not taken
            file.write(HALF_PLUS_TWO[half:])
        become(server, {2: "AVAILABLE"})
        assert "{name: m version: 2} failed" not in server.log

    def test_an_emptied_and_a_vanished_directory(self, tmp_path, start_server):
        models = tmp_path / "models"
        put(models / "1" / "model.tflite")
        server = start_server("m", models, EVERY_LOOK)
        shutil.rmtree(models / "1")
        server.wait_for_log(r"No versions of servable m found.*version\(s\) 1 of it serve on")
        models.rmdir()
        server.wait_for_log(r"Could not find base path.*version\(s\) 1 of it serve on")
        assert predict(server).json() == {"outputs": [2.5]}
        put(models / "2" / "model.tflite")
        become(server, {2: "AVAILABLE", 1: "END"})

    def test_a_link_switched_to_another_directory(self, tmp_path, start_server):
        """As Kubernetes updates a volume: ..data is a link that is replaced."""
        put(tmp_path / "first" / "model.tflite", SCALAR)
        put(tmp_path / "second" / "model.tflite")
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "1").symlink_to(tmp_path / "first")
        server = start_server("m", tmp_path / "m", EVERY_LOOK)
        (tmp_path / "m" / "new").symlink_to(tmp_path / "second")
        os.replace(tmp_path / "m" / "new", tmp_path / "m" / "1")
        server.wait_for_log("Replaced servable version")
        assert predict(server).json() == {"outputs": [2.5]}


class TestStart:

    def test_a_missing_base_path_is_a_warning_and_looked_at_again(self, tmp_path, start_server):
        server = start_server("m", tmp_path / "m", EVERY_LOOK)
        server.wait_for_log("Could not find base path")
        assert predict(server).status_code == 404
        put(tmp_path / "m" / "1" / "model.tflite")
        become(server, {1: "AVAILABLE"})
        assert predict(server).json() == {"outputs": [2.5]}

    def test_a_corrupt_model_is_a_state(self, tmp_path, start_server, grpc_client):
        server = start_server("m", put(tmp_path / "m.tflite", CORRUPT), EVERY_LOOK)
        assert states(server) == {1: "END"}
        assert predict(server).status_code == 404
        health = health_pb2_grpc.HealthStub(grpc_client(server).channel)
        assert (health.Check(health_pb2.HealthCheckRequest(), timeout=60).status
                == health_pb2.HealthCheckResponse.NOT_SERVING)
        put(tmp_path / "m.tflite")
        become(server, {1: "AVAILABLE"})
        request = health_pb2.HealthCheckRequest(service="m")
        assert settles(lambda: health.Check(request, timeout=60).status ==
                       health_pb2.HealthCheckResponse.SERVING, server.running)

    def test_stops_while_it_loads(self, tmp_path):
        """SIGTERM in the middle of the start ends it as at any other time."""
        server = server_process.Server("m", base_path("digits"))
        server.wait_for_log(r"\S")
        server.stop(signal.SIGTERM)


class TestConfigFile:

    def test_several_models(self, tmp_path, configured):
        put(tmp_path / "a" / "1" / "model.tflite")
        put(tmp_path / "b.tflite", SCALAR)
        server = configured(config_of(("a", tmp_path / "a", ""), ("b", tmp_path / "b.tflite", "")))
        assert predict(server, "a").json() == {"outputs": [2.5]}
        assert states(server, "b") == {1: "AVAILABLE"}
        assert [model["name"] for model in requests.get(f"{server.base_url}/v1/models").json()[
            "models"]] == ["a", "b"]

    def test_policies_and_labels(self, tmp_path, configured):
        for version in (1, 2, 3):
            put(tmp_path / "m" / str(version) / "model.tflite")
        server = configured(config_of(
            ("m", tmp_path / "m", "model_version_policy { specific { versions: 1 versions: 2 } } "
             "version_labels { key: 'stable' value: 1 } version_labels { key: 'canary' value: 2 }")))
        assert states(server) == {1: "AVAILABLE", 2: "AVAILABLE"}
        assert predict(server, "m/labels/stable").status_code == 200
        assert predict(server, "m/labels/canary").status_code == 200
        assert predict(server, "m/labels/other").status_code == 400
        metadata = requests.get(f"{server.base_url}/v1/models/m/labels/stable/metadata").json()
        assert metadata["model_spec"]["version"] == "1"

    @pytest.mark.parametrize("text, expected", [
        ("model_config_list { config { nam: 'm' } }",
         r"Error parsing text-format tensorflow\.serving\.ModelServerConfig: 1:33: .*nam"),
        (config_of(("m", "/a", ""), ("m", "/b", "")),
         "Illegal to list model m multiple times in config list"),
        (config_of(("m", "relative/path", "")), "to have an absolute path or URI"),
        ("model_config_list { config { name: 'm' base_path: '/m' } }", "Illegal setting neither"),
    ])
    def test_a_wrong_file_ends_the_start(self, tmp_path, text, expected):
        file = tmp_path / "models.config"
        file.write_text(text)
        process = ConfiguredServer(file)
        assert process.wait() > 0
        process.wait_for_log("Failed to start server. Error: .*" + expected)
        assert str(file) in process.log

    def test_a_missing_file_is_named(self, tmp_path):
        process = ConfiguredServer(tmp_path / "none.config")
        assert process.wait() > 0
        process.wait_for_log("none.config; No such file or directory")

    def test_the_file_is_read_again(self, tmp_path, configured):
        put(tmp_path / "a" / "1" / "model.tflite")
        put(tmp_path / "b" / "1" / "model.tflite")
        server = configured(config_of(("a", tmp_path / "a", "")),
                            "--model_config_file_poll_wait_seconds=1")
        (tmp_path / "models.config").write_text("nonsense")
        server.wait_for_log("reloading the model config failed: INVALID_ARGUMENT: .*models.config")
        assert predict(server, "a").status_code == 200
        (tmp_path / "models.config").write_text(config_of(("b", tmp_path / "b", "")))
        become(server, {1: "AVAILABLE"}, "b")
        assert predict(server, "a").status_code == 404
        applied = "the model config is applied: 1 model(s), 1 of them new or changed"
        server.wait_for_log(re.escape(f"models.config: {applied}"))
        (tmp_path / "models.config").write_text("nonsense again")
        assert settles(lambda: server.log.count("reloading the model config failed") == 2,
                       server.running)
        assert server.log.count(applied) == 1  # and not at each look at the file


class TestReload:

    def test_models_come_and_go(self, tmp_path, configured):
        put(tmp_path / "a" / "1" / "model.tflite")
        put(tmp_path / "b" / "1" / "model.tflite")
        server = configured(config_of(("a", tmp_path / "a", "")))
        reply = reload_config(server, config_of(("b", tmp_path / "b", "")))
        assert reply.status.error_code == 0
        assert predict(server, "b").status_code == 200  # it is there when the call returns
        assert predict(server, "a").status_code == 404
        server.wait_for_log(re.escape(
            "HandleReloadConfigRequest: the model config is applied: 1 model(s), 1 of them new or changed"))

    def test_a_label_moves_with_its_version(self, tmp_path, configured):
        """Nobody who asks for it is refused meanwhile."""
        def labelled(version):
            return config_of(("m", tmp_path / "m",
                              f"version_labels {{ key: 'stable' value: {version} }}"))

        put(tmp_path / "m" / "1" / "model.tflite", lifecycle_load.model_of(1))
        server = configured(labelled(1))
        stable = lifecycle_load.Allowed({1, 2})
        load = lifecycle_load.Load(server, {"m/labels/stable": stable}, clients=2)
        try:
            put(tmp_path / "m" / "2" / "model.tflite", lifecycle_load.model_of(2))
            reload_config(server, labelled(2))
            stable.set({2})
            assert predict(server, "m/labels/stable").json() == {"outputs": [2.5]}
        finally:
            tally = load.stop()
        assert not tally.problems, "\n".join(tally.problems[:20])

    def test_a_label_keeps_its_version_until_the_new_one_serves(self, tmp_path, configured):
        def config(versions, stable):
            policy = " ".join(f"versions: {version}" for version in versions)
            return config_of(("m", tmp_path / "m", f"model_version_policy {{ specific {{ {policy} }} }} "
                              f"version_labels {{ key: 'stable' value: {stable} }}"))

        put(tmp_path / "m" / "2" / "model.tflite", lifecycle_load.model_of(2))
        server = configured(config([2], 2), EVERY_LOOK)
        put(tmp_path / "m" / "3" / "model.tflite", lifecycle_load.model_of(3))
        put(tmp_path / "m" / "9" / "model.tflite", CORRUPT)
        with fails_with(grpc.StatusCode.UNKNOWN, "1 model(s) did not become available"):
            reload_config(server, config([3, 9], 9))
        become(server, {9: "END", 3: "AVAILABLE", 2: "AVAILABLE"})
        assert predict(server, "m/labels/stable").json() == {"outputs": [2.5]}
        put(tmp_path / "m" / "9" / "model.tflite", lifecycle_load.model_of(9))
        become(server, {9: "AVAILABLE", 3: "AVAILABLE", 2: "END"})
        assert predict(server, "m/labels/stable").json() == {"outputs": [9.5]}
        server.wait_for_log('Label "stable" of servable m means version 9 now, not 2')

    @pytest.mark.parametrize("more, code, message", [
        ("version_labels { key: 'stable' value: 9 }", "FAILED_PRECONDITION",
         "Request to assign label to version 9 of model m, which is not currently available"),
    ])
    def test_a_refused_configuration_changes_nothing(self, tmp_path, configured, more, code,
                                                     message):
        put(tmp_path / "m" / "1" / "model.tflite")
        put(tmp_path / "n" / "1" / "model.tflite")
        server = configured(config_of(("m", tmp_path / "m", "")))
        with fails_with(getattr(grpc.StatusCode, code), message):
            reload_config(server, config_of(("m", tmp_path / "m", more), ("n", tmp_path / "n", "")))
        assert predict(server, "m").status_code == 200
        assert predict(server, "n").status_code == 404

    def test_a_missing_path_refuses_and_blocks_nothing(self, tmp_path, configured):
        put(tmp_path / "m" / "1" / "model.tflite")
        server = configured(config_of(("m", tmp_path / "m", "")), EVERY_LOOK)
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Could not find base path"):
            reload_config(server, config_of(("m", tmp_path / "m", ""), ("n", tmp_path / "none", "")))
        put(tmp_path / "m" / "2" / "model.tflite")
        become(server, {2: "AVAILABLE"})
        reload_config(server, config_of(("m", tmp_path / "m", "")))

    def test_a_model_that_cannot_be_loaded_is_reported_and_stays(self, tmp_path, configured):
        put(tmp_path / "m" / "1" / "model.tflite")
        put(tmp_path / "n" / "1" / "model.tflite", CORRUPT)
        server = configured(config_of(("m", tmp_path / "m", "")), EVERY_LOOK)
        with fails_with(grpc.StatusCode.UNKNOWN, "1 model(s) did not become available"):
            reload_config(server, config_of(("m", tmp_path / "m", ""), ("n", tmp_path / "n", "")))
        assert predict(server, "m").status_code == 200
        assert states(server, "n") == {1: "END"}
        put(tmp_path / "n" / "1" / "model.tflite")
        become(server, {1: "AVAILABLE"}, "n")

    def test_an_empty_list_unloads_everything(self, tmp_path, configured):
        put(tmp_path / "m" / "1" / "model.tflite")
        server = configured(config_of(("m", tmp_path / "m", "")))
        reload_config(server, "model_config_list {}")
        assert predict(server, "m").status_code == 404
        assert requests.get(f"{server.base_url}/v1/models").json() == {"models": []}


class TestTfliteOptions:

    @pytest.mark.parametrize("flags, more, expected", [
        ([], "", r"\d+ interpreters? of \d+ threads? \(auto: .+\)"),
        (["--num_tflite_pools=3"], "", r"3 interpreters of 1 thread \(as configured\)"),
        (["--num_tflite_pools=3"], "tflite_options {}", r"3 interpreters of 1 thread \(as configured\)"),
        (["--num_tflite_pools=3"], "tflite_options { threads_per_interpreter: 2 }",
         r"3 interpreters of 2 threads \(as configured\)"),
        (["--num_tflite_pools=3", "--tensorflow_intra_op_parallelism=4"],
         "tflite_options { num_interpreters: 1 threads_per_interpreter: 2 }",
         r"1 interpreter of 2 threads \(as configured\)"),
    ])
    def test_those_of_a_model_win_over_the_flags(self, tmp_path, configured, flags, more, expected):
        put(tmp_path / "m" / "1" / "model.tflite")
        server = configured(config_of(("m", tmp_path / "m", more)), *flags)
        server.wait_for_log(rf"\] {{name: m version: 1}}: {expected}$")
        assert predict(server).json() == {"outputs": [2.5]}

    def test_the_answers_do_not_depend_on_them(self, tmp_path, configured):
        options = ["", "tflite_options { num_interpreters: 4 }",
                   "tflite_options { num_interpreters: 1 threads_per_interpreter: 4 }"]
        server = configured(config_of(*((f"m{i}", base_path("digits"), more)
                                        for i, more in enumerate(options))))
        rows = [[(17 * i + j) % 16 / 16 for j in range(64)] for i in range(32)]
        answers = [requests.post(f"{server.base_url}/v1/models/m{i}:predict", json={"inputs": rows}).json()
                   for i in range(len(options))]
        assert len(answers[0]["outputs"]) == len(rows)
        assert answers[1] == answers[2] == answers[0]

    # By the file: the original's clients do not know this field.
    def test_a_reload_changes_them_without_a_gap(self, tmp_path, configured):
        def of_interpreters(number):
            return config_of(("m", tmp_path / "m", f"tflite_options {{ num_interpreters: {number} }}"))

        put(tmp_path / "m" / "1" / "model.tflite", lifecycle_load.model_of(1))
        server = configured(of_interpreters(1), "--model_config_file_poll_wait_seconds=1")
        load = lifecycle_load.Load(server, {"m": lifecycle_load.Allowed({1})}, clients=2)
        try:
            for number in (2, 3, 4):
                put(tmp_path / "models.config", of_interpreters(number).encode())
                server.wait_for_log(rf"m version: 1}}: {number} interpreters of 1 thread")
                assert settles(lambda: server.log.count(REPLACED) == number - 1, server.running)
        finally:
            tally = load.stop()
        assert not tally.problems, "\n".join(tally.problems[:20])

    def test_a_reload_with_wrong_ones_changes_nothing(self, tmp_path, configured):
        put(tmp_path / "m" / "1" / "model.tflite")
        server = configured(config_of(("m", tmp_path / "m", "")), "--model_config_file_poll_wait_seconds=1")
        wrong = config_of(("m", tmp_path / "m", "tflite_options { num_interpreters: 4097 }"))
        put(tmp_path / "models.config", wrong.encode())
        server.wait_for_log("reloading the model config failed: INVALID_ARGUMENT: Model m has "
                            "tflite_options.num_interpreters 4097, where 0 to 4096 are allowed")
        assert predict(server).json() == {"outputs": [2.5]}


def test_no_request_fails_while_everything_changes(tmp_path):
    """The long form, which also shows the times, is lifecycle_load.py as a script."""
    changes = lifecycle_load.Changes(tmp_path, seed=1)
    server = changes.start_server()
    try:
        load = lifecycle_load.Load(server, changes.routes, clients=4)
        try:
            while len(changes.counts) < 7:  # each kind at least once
                changes.step()
        finally:
            tally = load.stop()
        assert not tally.problems, "\n".join(tally.problems[:20])
        assert len(tally.latencies_ms) > 1000
    finally:
        server.stop()


def corrupted(data, generator):
    """With a few bits flipped, a span of zeros, or the end cut off."""
    changed = bytearray(data)
    kind = generator.randrange(3)
    if kind == 0:
        del changed[generator.randrange(len(changed)):]
    elif kind == 1:
        start = generator.randrange(len(changed))
        end = min(len(changed), start + generator.randrange(1, 64))
        changed[start:end] = bytes(end - start)
    else:
        for _ in range(generator.randrange(1, 9)):
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("batch", range(4))
def test_corrupt_versions(tmp_path, configured, batch):
    """200 in all. Whatever is offered, the server lives and the sound version serves; which of the
    others load depends on which byte was hit."""
    generator = random.Random(batch)
    put(tmp_path / "m" / "1" / "model.tflite")
    server = configured(config_of(("m", tmp_path / "m", "model_version_policy { all {} }")),
                        EVERY_LOOK)
    offered = range(2, 52)
    for version in offered:
        put(tmp_path / "m" / str(version) / "model.tflite", corrupted(HALF_PLUS_TWO, generator))

    def all_decided():
        now = states(server)
        return all(now.get(version) in ("AVAILABLE", "END") for version in offered)

    def still_serves():
        assert predict(server, "m/versions/1").json() == {"outputs": [2.5]}

    assert settles(all_decided, still_serves, 120), server.describe(f"{states(server)}")
    ended = [version for version in offered if states(server)[version] == "END"]
    assert len(ended) > len(offered) / 2
    for version in ended:
        assert reason(server, version)["error_message"], version


def test_many_models(tmp_path):
    """many_models.py as a script does it with a thousand, and shows what each costs."""
    server = ConfiguredServer(many_models.write_models(tmp_path, 60)).wait_until_ready()
    try:
        assert many_models.wrong_answers(server, 60) == []
        assert len(requests.get(f"{server.base_url}/v1/models").json()["models"]) == 60
    finally:
        server.stop()
