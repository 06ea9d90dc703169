"""Servables without a server: tflite_serving.load, and python -m tflite_serving."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import tflite_serving
from worker_process import ROOT

TYPED = """
import numpy as np
from tflite_serving import Servable, Signature, TensorSpec

class Model(Servable):
    signatures = {
        "serving_default": Signature({"x": TensorSpec("float32", [None, 2])},
                                     {"y": TensorSpec("float32", [None, 2]), "n": TensorSpec("int32", [None])}),
        "text": Signature({"s": TensorSpec("string", [None]), "n": TensorSpec("uint8", [None])}, {"s": TensorSpec("string", [None])})}

    def predict(self, inputs, signature_name):
        if signature_name == "text":
            return {"s": [s * int(n) for s, n in zip(inputs["s"], inputs["n"])]}
        return {"y": inputs["x"] * 2.0, "n": np.arange(len(inputs["x"]))}

    def unload(self):
        print("unloaded")
"""
JSON = """
import json
def load_servable(path, config_obj):
    def call(request):
        if request == b"raise":
            raise ValueError("fault")
        print("called")
        return {"error": "no"} if request == b"{}" else {"predictions": [path, config_obj.get("key")]}
    return call
"""


@pytest.fixture
def typed(module, capsys):
    with tflite_serving.load(module(TYPED), "Model") as servable:
        yield servable
    assert capsys.readouterr().out == "unloaded\n"


def test_predict(typed):
    outputs = typed.predict({"x": [[1, 2]]})
    assert outputs["y"].tolist() == [[2, 4]] and [array.dtype.name for array in outputs.values()] == ["float32", "int32"]
    assert typed.predict({"s": ["a\0"], "n": np.uint8([2])}, "text")["s"].tolist() == [b"a\0a\0"]
    assert list(typed.signatures) == ["serving_default", "text"]


@pytest.mark.parametrize("inputs, says", [
    ({"x": np.zeros([2, 3])}, 'input "x": expected float[?,2], got double[2,3]'),
    ({"x": ["a"]}, 'input "x": expected float[?,2], got string[1]'),
    ({"z": 1}, 'expected inputs "x", got "z"'),
])
def test_inputs_that_the_server_would_refuse(typed, inputs, says):
    with pytest.raises(tflite_serving.InvalidArgument) as caught:
        typed.predict(inputs)
    assert str(caught.value) == says


def test_requests_in_json(typed):
    assert typed({"instances": [[1, 2], [3, 4]]}) == {"predictions": [{"y": [2.0, 4.0], "n": 0}, {"y": [6.0, 8.0], "n": 1}]}
    assert typed('{"inputs": [[1, 2]]}') == {"outputs": {"y": [[2.0, 4.0]], "n": [0]}}
    assert typed({"instances": [{"s": "ab", "n": 2}], "signature_name": "text"}) == {"predictions": ["abab"]}


@pytest.mark.parametrize("request_, says", [
    ({"instances": [["a", "b"]]}, 'input "x": expected float[?,2], got string[1,2]'),
    ({"instances": [[1, 2, 3]]}, 'input "x": expected float[?,2], got float[1,3]'),
    ({"instances": [{"s": "a", "n": 1.5}], "signature_name": "text"}, 'input "n": expected uint8[?], got double[1]'),
    ({"instances": [{"s": "a", "n": 256}], "signature_name": "text"}, 'input "n": expected uint8[?], got int64[1]'),
    ({"instances": [{"s": 5, "n": 1}], "signature_name": "text"}, 'input "s": expected string[?], got int64[1]'),
    ({"instances": [5], "signature_name": "text"}, "values without names, but the inputs are s, n"),
    ({"instances": [5], "signature_name": "other"}, 'no signature "other": there are serving_default, text'),
])
def test_requests_in_json_that_are_wrong(typed, request_, says):
    with pytest.raises(tflite_serving.InvalidArgument) as caught:
        typed(request_)
    assert str(caught.value) == says


def test_a_servable_that_takes_json(module, tmp_path):
    servable = tflite_serving.load(module(JSON), path=tmp_path / "models", key="value")
    assert servable(b"5") == {"predictions": [str(tmp_path / "models"), "value"]}
    assert servable({}) == {"error": "no"}
    with pytest.raises(ValueError, match="fault"):
        servable.call(b"raise")
    with pytest.raises(Exception, match="takes JSON"):
        servable.predict({})


def test_a_module_is_loaded_anew_each_time(module):
    path = module("calls = []\ndef load_servable(path, config):\n    return lambda request: [calls.append(1), len(calls)][1:]")
    assert [tflite_serving.load(path)({}) for _ in range(3)] == [[1]] * 3


def test_the_guide(tmp_path, monkeypatch):
    python = re.findall(r"```python\n(.*?)```", (ROOT / "docs/custom-servables.md").read_text(), re.DOTALL)
    module, test = (next(block for block in python if head in block) for head in ("class Scale", "def test_scale"))
    (tmp_path / "model_wrapper.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    names = {"tflite_serving": tflite_serving, "np": np}
    exec(test, names)
    names["test_scale"]()


def test_empty_is_numpys_outside_of_a_worker():
    assert tflite_serving.empty([2, 3]).shape == (2, 3) and tflite_serving.empty([1], object).dtype == object


def _run(*arguments, stdin=""):
    return subprocess.run([sys.executable, "-m", "tflite_serving", "run", *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python")}, timeout=30)


def test_run(module, tmp_path):
    path = module(JSON)
    ran = _run(path, "--class", "load_servable", "--path", tmp_path, "--config", "key=a=b", "--request", "-", "--repeat", 3, stdin="5")
    assert (ran.returncode, ran.stdout) == (0, "called\n" * 3 + json.dumps({"predictions": [str(tmp_path), "a=b"]}, separators=(",", ":")) + "\n")
    assert ran.stderr.startswith("3 times: median ")


@pytest.mark.parametrize("arguments, stdin, status, stdout, stderr", [
    (["--request", "-"], "{}", 1, 'called\n{"error":"no"}\n', ""),
    (["--request", "-"], "raise", 1, "", "ValueError: fault"),
    (["--class", "servable"], "", 1, "", "has no servable; it has load_servable. Did you mean load_servable?"),
    ([], "", 0, "takes JSON\n", ""),
    (["--repeat", "0"], "", 2, "", "--repeat is at least 1"),
    (["--request", "absent"], "", 2, "", "absent"),
])
def test_the_status_of_run(module, arguments, stdin, status, stdout, stderr):
    ran = _run(module(JSON), *arguments, stdin=stdin)
    assert (ran.returncode, ran.stdout) == (status, stdout) and stderr in ran.stderr


def test_run_without_a_request_prints_the_signatures(module):
    ran = _run(module(TYPED), "--class", "Model")
    assert ran.stdout == "serving_default: x float[?,2] -> y float[?,2], n int32[?]\ntext: s string[?], n uint8[?] -> s string[?]\nunloaded\n"
