"""`tflite_model_server inspect FILE` and `bench FILE`: what they say of models that are known, and how they fail."""

import re
import subprocess

import pytest

from server_process import base_path, binary

SECONDS = 100
TIME = r"[0-9.]+ (?:ns|us|ms|s)"
# The beginnings of bench's lines: rows, or interpreters and threads, and the median.
MEASURED_ROWS = rf" *\d+ +{TIME} "
MEASURED_CONFIGURATION = rf" *\d+ +\d+ +{TIME} "


def command(*arguments):
    return subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True,
                          timeout=SECONDS)


def output(*arguments):
    """The standard output of a command that has to succeed, and say nothing else."""
    result = command(*arguments)
    assert result.returncode == 0, result
    assert result.stderr == "", result
    return result.stdout


class TestInspect:

    def test_signature_operators_and_memory(self):
        text = output("inspect", base_path("half_plus_two"))
        assert text.splitlines()[0] == str(base_path("half_plus_two"))
        assert 'signature "serving_default" (tensorflow/serving/predict)\n' in text
        assert re.search(r"^  input   x  float\[\?\]  tensor serving_default_x:0$", text, re.M), text
        assert re.search(r"^  output  y  float\[\?\]", text, re.M), text
        assert re.search(r"^  rows    batchable: ", text, re.M), text
        assert re.search(rf"^  one run {TIME} on float\[1\]$", text, re.M), text
        assert re.search(r"^operators\n  ADD +v\d+ +x 1\n  MUL +v\d+ +x 1\n", text, re.M), text
        assert re.search(r"^  each interpreter  [0-9.]+ (KiB|MiB), about$", text, re.M), text
        assert re.search(r"^  in all +[0-9.]+ (KiB|MiB) with \d+ interpreters? of \d+ threads? \(auto: .+\)$", text, re.M), text
        assert re.search(rf"^loads in {TIME}$", text, re.M), text

    def test_every_signature(self):
        text = output("inspect", base_path("multi_signature"))
        assert re.findall(r'^signature "(\w+)"', text, re.M) == [
            "decode", "encode", "serving_default"]

    @pytest.mark.parametrize("model, line", [
        ("stateful", "not batchable: the model has state"),
        ("row_mixing", "not batchable: rows answered together differ, or cannot be"),
        ("dynamic_output", "not batchable: the size of an output depends on the data"),
        ("scalar", "not batchable: the first dimensions are not all open, nor all 1"),
        ("string_mixing", "not batchable: rows answered together differ, or cannot be"),
        ("dynamic_strings", "not batchable: the size of an output depends on the data"),
        ("string_equal", "batchable: two rows of one run are answered as alone, bit for bit"),
        ("string_lookup", "batchable: two rows of one run are answered as alone, bit for bit"),
        ("examples/dense", "batchable: two rows of one run are answered as alone, bit for bit"),
        ("fixed_batch_1", "batchable: two rows of one run are answered as alone, bit for bit"),
    ])
    def test_why_rows_share_a_run_or_not(self, model, line):
        assert f"  rows    {line}\n" in output("inspect", base_path(model))

    def test_a_batch_of_one_that_is_free(self):
        assert "the file fixes one row, and the graph takes any number" in output(
            "inspect", base_path("fixed_batch_1"))

    def test_quantization_and_labels(self):
        text = output("inspect", base_path("digits_int8") / "1" / "model.tflite")
        assert re.search(r"^  input .*int8\[\?,64\].*scale 0.0627\d* zero point -128$", text, re.M), text
        assert re.search(r"\d+ labels: \w+, ", output("inspect", base_path("class_labels")))


class TestBench:

    def test_measures_rows_and_configurations_and_recommends_flags(self):
        lines = output("bench", base_path("half_plus_two"), "--seconds=0.001").splitlines()
        assert 'signature "serving_default"' in lines[0]
        rows = [int(line.split()[0]) for line in lines if re.match(MEASURED_ROWS, line)]
        assert rows == [1, 2, 4, 8, 16, 32, 64]
        configurations = [tuple(map(int, line.split()[:2])) for line in lines
                          if re.match(MEASURED_CONFIGURATION, line)]
        assert configurations[0] == (1, 1) and len(set(configurations)) == len(configurations)
        recommended = re.fullmatch(
            r"most answers: --num_tflite_pools=(\d+) --tensorflow_intra_op_parallelism=(\d+) "
            r"\(auto: .+\)", lines[-1])
        assert recommended, lines[-1]
        assert tuple(map(int, recommended.groups())) in configurations

    def test_a_model_of_one_row_is_measured_with_one(self):
        lines = output("bench", base_path("scalar"), "--seconds=0.001").splitlines()
        rows = [int(line.split()[0]) for line in lines if re.match(MEASURED_ROWS, line)]
        assert rows == [1]

    def test_other_kinds_of_inputs(self):
        for model in ("string_cube", "stateful", "examples/dense", "while_loop"):
            assert "--num_tflite_pools=" in output("bench", base_path(model), "--seconds=0.001")

    def test_operators(self):
        text = output("bench", base_path("digits_int8") / "1" / "model.tflite", "--operators")
        assert re.search(rf'^signature "serving_default", 1 thread, 100 runs of {TIME} on average '
                         rf"\({TIME} to {TIME}\) on \w+ int8\[1,64\]$", text, re.M), text
        count = re.search(r"^(\d+) operators, (\d+) of them in 1 partition of the XNNPACK delegate$",
                          text, re.M)
        assert count and int(count[1]) == int(count[2]) + 1, text
        assert re.search(rf"^ +0  XNNPACK delegate: {count[2]} operators +{TIME} +[0-9.]+ % +1$",
                         text, re.M), text
        assert re.search(rf"^ +1  SOFTMAX +\S+ +{TIME} +[0-9.]+ % +1$", text, re.M), text
        assert re.search(rf"^ +outside of operators +{TIME} +[0-9.]+ %$", text, re.M), text


class TestErrors:

    @pytest.mark.parametrize("name", ["inspect", "bench"])
    def test_a_file_that_is_not_there(self, name, tmp_path):
        result = command(name, tmp_path / "none.tflite")
        assert result.returncode == 1 and result.stdout == ""
        assert result.stderr.startswith(f"{name}: NOT_FOUND: {tmp_path}/none.tflite"), result

    @pytest.mark.parametrize("name", ["inspect", "bench"])
    def test_a_file_that_is_no_model(self, name, tmp_path):
        (tmp_path / "m.tflite").write_bytes(b"not a model")
        result = command(name, tmp_path / "m.tflite")
        assert result.returncode == 1 and result.stdout == ""
        assert result.stderr.startswith(
            f"{name}: INVALID_ARGUMENT: {tmp_path}/m.tflite: not a sound .tflite file"), result

    @pytest.mark.parametrize("arguments", [
        ["inspect"], ["inspect", "a", "b"], ["bench"], ["bench", "a", "b"],
        ["bench", "a", "--seconds=0"], ["bench", "a", "--seconds=x"], ["bench", "a", "--seconds=1x"],
        ["bench", "a", "--seconds=1e99"], ["bench", "a", "--seconds=nan"],
        ["inspect", "a", "--operators"], ["bench", "a", "--operators=1"],
    ])
    def test_wrong_arguments_show_the_usage(self, arguments):
        result = command(*arguments)
        assert result.returncode == 1 and result.stdout == ""
        complaint = f"{arguments[0]} does not take {arguments[2]}\n" if len(arguments) > 2 else ""
        assert result.stderr.startswith(complaint + "usage: tflite_model_server inspect FILE"), result

    @pytest.mark.parametrize("name", ["inspect", "bench"])
    def test_help_is_no_error(self, name):
        assert output(name, "--help").startswith("usage: tflite_model_server inspect FILE")
