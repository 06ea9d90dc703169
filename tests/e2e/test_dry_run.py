"""--dry_run: what it says of models that are known, what fails it, and that it opens no port."""

import collections
import re
import resource
import subprocess

import pytest

from server_process import CRASH_TEXTS, base_path, binary

SECONDS = 100  # far less than load_retry_interval_micros times max_num_load_retries
COLUMNS = 120
HALF_PLUS_TWO = base_path("half_plus_two").read_bytes()
CORRUPT = HALF_PLUS_TWO[:len(HALF_PLUS_TWO) // 2]

TIME = r"[0-9.]+ (?:ns|us|ms|s)"
BYTES = r"[0-9.]+ (?:bytes|[KM]iB)"
HEADING = "MODEL VERSION MEMORY POOL BATCH ONE RUN SIGNATURES, OPERATORS"
# Half_plus_two's lines, after the name and the version.
SIGNATURE = "serving_default: x float[?] -> y float[?]"
SERVED = rf" +{BYTES} +\d+x\d+ +yes +{TIME} +{re.escape(SIGNATURE)}\n +operators: ADD, MUL\n"

DryRun = collections.namedtuple("DryRun", "status table log")


def dry_run(*flags, open_files=None):
    """`open_files`: what the process may have open at first, and at most. Set by a program of its own: between fork and exec, gRPC's threads
    in this process would find too little and abort."""
    limit = ["prlimit", "--nofile={}:{}".format(*open_files)] if open_files else []
    result = subprocess.run([*limit, binary(), "--dry_run", *flags], capture_output=True, text=True, timeout=SECONDS)
    assert not any(text in result.stderr for text in CRASH_TEXTS), result.stderr
    return DryRun(result.returncode, result.stdout, result.stderr)


def dry_run_model(path, *flags, **options):
    return dry_run("--model_name=m", f"--model_base_path={path}", *flags, **options)


@pytest.fixture
def dry_run_config(tmp_path):
    """dry_run_config((name, base path, more text), …, flags=[…]): of a file with these models."""
    def run(*models, flags=()):
        path = tmp_path / "models.config"
        path.write_text("model_config_list {\n" + "".join(
            f"config {{ name: '{name}' base_path: '{base}' model_platform: 'tensorflow' {more} }}\n"
            for name, base, more in models) + "}\n")
        return dry_run(f"--model_config_file={path}", *flags)
    return run


def versions_directory(path, **contents):
    """A base path with these versions, as v1=bytes."""
    for name, content in contents.items():
        (path / name[1:]).mkdir(parents=True)
        (path / name[1:] / "model.tflite").write_bytes(content)
    return path


def flat(table):
    """The table in one line, however it was broken."""
    return " ".join(table.split())


def counts(run):
    match = re.fullmatch(rf"models: (\d+), versions that can be served: (\d+), failures: (\d+), "
                         rf"memory: {BYTES}", run.table.splitlines()[-1])
    assert match, run.table
    return tuple(map(int, match.groups()))


class TestTable:

    def test_one_model(self):
        run = dry_run_model(base_path("half_plus_two"))
        assert run.status == 0, run
        lines = run.table.splitlines(keepends=True)
        assert len(lines) == 4 and flat(lines[0]) == HEADING, run.table
        assert re.fullmatch(f"m +1{SERVED}", "".join(lines[1:3])), run.table
        # The last cells stand below their heading.
        column = lines[0].index("SIGNATURES")
        assert lines[1].index(SIGNATURE) == lines[2].index("operators") == column, run.table
        assert counts(run) == (1, 1, 0)
        assert "Successfully loaded servable version {name: m version: 1}" in run.log

    def test_several_models_in_the_width_of_a_terminal(self, dry_run_config):
        models = ["digits", "inference", "multi_io", "multi_signature", "string_cube", "stateful"]
        run = dry_run_config(*((name, base_path(name), "") for name in models))
        assert run.status == 0 and counts(run) == (6, 6, 0), run
        assert max(map(len, run.table.splitlines())) <= COLUMNS, run.table
        assert re.findall(r"^(\w+) +1 ", run.table, re.M) == models
        text = flat(run.table)
        for signature in ("decode: code float[?,128] -> x float[?,128]",
                          "encode: x float[?,128] -> code float[?,128]",
                          "serving_default: x float[?,128] -> code float[?,128], energy float[?]",
                          "serving_default: text string[?,2,3] -> reversed string[?,2,3], "
                          "reversed_bytes string[?,2,3]",
                          "one_row: age float[?], size float[?,2] -> scores float[1,3]"):
            assert signature in text, run.table
        assert ("operators: CONV_2D x 2, FULLY_CONNECTED, MAX_POOL_2D, MUL, RESHAPE x 2, SOFTMAX"
                in text), run.table
        assert re.search(rf"stateful 1 {BYTES} \d+x\d+ no {TIME} serving_default: ", text), run.table
        assert re.search(rf"string_cube 1 {BYTES} \d+x\d+ yes {TIME} serving_default: ", text), run.table
        # Where a line is broken, a name stays with its type and a number with its operator.
        broken = [line.strip() for line in run.table.splitlines()[1:-1]
                  if line.startswith(" " * 30)]
        assert all(re.match(r"(yes|no|operators:|[\w.]+ [a-z0-9]+\[|[A-Z_0-9]+(,|$| x \d))", line)
                   for line in broken), run.table

    def test_a_long_name_leaves_room_for_the_text(self, dry_run_config):
        name = "m" * COLUMNS
        run = dry_run_config((name, base_path("multi_io"), ""))
        heading, *lines = run.table.splitlines()
        column = heading.index("SIGNATURES")
        assert column > COLUMNS
        texts = [line[column:] for line in lines[:-1]]
        assert texts == ["serving_default: a float[?,3],", "  b float[?,3] -> cls int64[?],",
                         "  prod float[?,3], sum float[?,3]", "operators: ADD, ARG_MAX, MUL"]

    def test_versions_and_their_labels(self, tmp_path, dry_run_config):
        base = versions_directory(tmp_path / "m", v1=HALF_PLUS_TWO, v2=HALF_PLUS_TWO,
                                  v3=HALF_PLUS_TWO)
        run = dry_run_config(("m", base, """
            model_version_policy { specific { versions: 1 versions: 3 } }
            version_labels { key: 'stable' value: 1 } version_labels { key: 'old' value: 1 }"""))
        assert run.status == 0 and counts(run) == (1, 2, 0), run
        served = rf"^m +3{SERVED}m +1 \(old, stable\){SERVED}models: "
        assert re.search(served, run.table, re.M), run.table

    def test_interpreters_and_threads(self, dry_run_config):
        run = dry_run_config(
            ("all", base_path("digits"), "tflite_options { num_interpreters: 3 threads_per_interpreter: 2 }"),
            ("flags", base_path("digits"), ""), flags=["--num_tflite_pools=5"])
        assert run.status == 0, run
        assert re.findall(rf"^(\w+) +1 +{BYTES} +(\w+) ", run.table, re.M) == [("all", "3x2"), ("flags", "5x1")]

    def test_an_empty_configuration(self, tmp_path):
        (tmp_path / "models.config").write_text("")
        run = dry_run(f"--model_config_file={tmp_path / 'models.config'}")
        assert run.status == 0 and counts(run) == (0, 0, 0), run

    def test_what_a_terminal_acts_on_is_escaped(self, dry_run_config):
        run = dry_run_config(("m", "/none/\\033[1m", ""))
        assert run.status == 1 and "\033" not in run.table and r"/none/\x1b[1m" in run.table, run


class TestFailures:

    def test_each_has_its_reason_and_holds_up_no_other(self, tmp_path, dry_run_config):
        corrupt = versions_directory(tmp_path / "corrupt", v1=HALF_PLUS_TWO, v2=CORRUPT)
        empty = versions_directory(tmp_path / "empty", v4=HALF_PLUS_TWO)
        (empty / "5").mkdir()
        every = "model_version_policy { all {} }"
        run = dry_run_config(
            ("corrupt", corrupt, every), ("empty", empty, every),
            ("gone", tmp_path / "none", ""),
            ("missing", corrupt, "model_version_policy { specific { versions: 1 versions: 7 } }"),
            ("nothing", corrupt, "model_version_policy { specific { versions: 8 } }"),
            ("refused", base_path("refused/flex_operator"), ""),
            ("sound", base_path("half_plus_two"), ""))
        assert run.status == 1 and counts(run) == (7, 4, 6), run
        text = flat(run.table)
        for failure in (
                f"corrupt 2 FAILED: INVALID_ARGUMENT: {corrupt}/2/model.tflite: not a sound ",
                "empty 5 FAILED: NOT_FOUND: ",
                "gone - FAILED: INVALID_ARGUMENT: Could not find base path "
                f"{tmp_path}/none for servable gone",
                f"missing 7 FAILED: the version policy names it, and it is not under {corrupt}",
                "nothing - FAILED: NOT_FOUND: No version of servable nothing under base path "
                f"{corrupt} is one that its version policy names",
                "refused 1 FAILED: UNIMPLEMENTED: "):
            assert failure in text, run.table
        for served in ("corrupt", "empty", "missing", "sound"):
            assert re.search(rf"^{served} +\d{SERVED}", run.table, re.M), run.table

    def test_warm_up_requests_that_cannot_be_read(self, tmp_path):
        base = versions_directory(tmp_path / "m", v1=HALF_PLUS_TWO)
        (base / "1" / "assets.extra").mkdir()
        (base / "1" / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"not a TFRecord")
        run = dry_run_model(base)
        assert run.status == 1 and counts(run) == (1, 0, 1), run
        assert "m 1 FAILED: DATA_LOSS: " in flat(run.table), run
        assert dry_run_model(base, "--enable_model_warmup=false").status == 0

    def test_what_a_server_would_try_again_is_tried_once(self):
        run = dry_run_model(base_path("half_plus_two"), open_files=(4, 4))
        assert run.status == 1 and counts(run) == (1, 0, 1), run
        assert "m 1 FAILED: RESOURCE_EXHAUSTED: " in flat(run.table), run

    def test_descriptors_are_those_of_a_server(self):
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert dry_run_model(base_path("half_plus_two"), open_files=(4, most)).status == 0


class TestRefused:
    """What a server would not start with, in its words, and without a table."""

    def refused(self, run, error):
        assert run.status == 1 and run.table == "", run
        assert f"Failed to start server. Error: {error}" in run.log, run

    def test_a_wrong_configuration(self, tmp_path):
        path = tmp_path / "models.config"
        path.write_text("model_config_list { config { nme: 'm' } }")
        self.refused(dry_run(f"--model_config_file={path}"),
                     f"INVALID_ARGUMENT: Invalid protobuf file: '{path}': ")
        self.refused(dry_run(), "INVALID_ARGUMENT: Both server_options.model_base_path and ")

    def test_a_label_of_a_version_that_is_not_served(self, dry_run_config):
        model = ("m", base_path("half_plus_two"), "version_labels { key: 'new' value: 2 }")
        self.refused(dry_run_config(model),
                     "FAILED_PRECONDITION: Request to assign label to version 2 of model m")
        allowing = "--allow_version_labels_for_unavailable_models"
        run = dry_run_config(model, flags=[allowing])
        assert run.status == 0 and counts(run) == (1, 1, 0), run
        assert f"m 2 (new) not served, which {allowing} lets pass" in flat(run.table), run


def test_a_server_that_runs_already_is_in_nobodys_way(serving):
    server = serving("half_plus_two")
    run = dry_run_model(base_path("half_plus_two"), f"--port={server.grpc_port}",
                        f"--rest_api_port={server.rest_port}")
    assert run.status == 0, run
    assert "Running gRPC ModelServer" not in run.log and "Exporting HTTP" not in run.log, run


def test_it_can_be_switched_off_again(start_server):
    start_server("half_plus_two", base_path("half_plus_two"), "--dry_run", "--dry_run=false")
