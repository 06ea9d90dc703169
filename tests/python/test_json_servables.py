"""Callables that take a JSON request as bytes, and classes with predict() that declare no types."""

import json

import pytest

import tflite_serving
from worker_process import Worker

BODY = b'{"instances": [[1.0, 2.0]]}'

ANSWERS = """
import json
import numpy as np

ANSWERS = {
    "bytes": b'{"predictions": [1]}', "bytearray": bytearray(b'{"predictions": [1]}'), "memoryview": memoryview(b'{"predictions": [1]}'),
    "str": '{"predictions": [1]}', "dict": {"predictions": [1]}, "numpy": {"predictions": np.array([1])}, "scalar": {"predictions": [np.int64(1)]},
    "error": {"error": "no"}, "error_bytes": b'{"error": "no"}', "both": {"error": "no", "outputs": 1}, "list": [1, "two"],
    "text": {"predictions": ["drei \\u2462", b"four"]}, "large": {"predictions": "x" * 3_000_000}, "nan": {"predictions": [float("nan")]},
    "none": None, "number": 5, "not_json": b"predictions: 1", "cut": '{"predictions": [1', "object": {"predictions": object()},
    "not_utf8": b'"\\xff"', "empty": b"",
}

def load_servable(path, config):
    return lambda request: ANSWERS[json.loads(request)]
"""


@pytest.mark.parametrize("source", [
    "def load_servable(servable_path, config_obj): return Model(servable_path, config_obj.version)",
    "class load_servable(Model):\n    def __init__(self, servable_path, config_obj): super().__init__(servable_path, config_obj.version)",
    "class load_servable(Model):\n    def __init__(self, model_path): super().__init__(model_path, 7)",
    "class load_servable(Model):\n    def __init__(self, model_path, version=7): super().__init__(model_path, version)",
    "class load_servable(Model):\n    def __init__(self, path, config=None): super().__init__(path, config['version'])",
    "def load_servable(*arguments): return Model(arguments[0], arguments[1].version)",
    "class load_servable(Model):\n    def __init__(self): super().__init__(__file__.rpartition('/')[0], 7)",
    "def load_servable(servable_path, config_obj):\n    return Model(servable_path, 7).__call__",
])
def test_how_a_servable_is_made(module, tmp_path, source):
    model = """
import json
class Model:
    def __init__(self, path, version): self.says = [path, version]
    def __call__(self, request): return json.dumps({"predictions": [request.decode(), *self.says]}).encode()
"""
    with tflite_serving.load(module(model + source), "load_servable", version=7) as servable:
        assert servable.signatures is None
        assert servable(BODY) == {"predictions": [BODY.decode(), str(tmp_path), 7]}


def test_answers(serve):
    worker, ready = serve(ANSWERS)
    assert (ready.kind, ready.takes_tensors, ready.batchable, ready.signatures) == ("READY", False, False, ())

    def answer(name):
        reply = worker.call(json.dumps(name).encode())
        assert reply.kind == "ANSWER", reply
        return json.loads(reply.body), reply.is_error

    for name in ("bytes", "bytearray", "memoryview", "str", "dict", "numpy", "scalar"):
        assert answer(name) == ({"predictions": [1]}, False)
    assert answer("error") == answer("error_bytes") == ({"error": "no"}, True)
    assert answer("both") == ({"error": "no", "outputs": 1}, False)
    assert answer("list") == ([1, "two"], False)
    assert answer("text") == ({"predictions": ["drei \u2462", "four"]}, False)
    assert answer("large") == ({"predictions": "x" * 3_000_000}, False)
    assert worker.call(b'"nan"').body == b'{"predictions":[NaN]}'


def test_answers_that_are_none(serve):
    worker, _ = serve(ANSWERS)
    for name, says in [("none", "the servable returned NoneType, expected bytes of JSON"), ("number", "the servable returned int, expected bytes"),
                       ("not_json", "the servable returned bytes that are not JSON (Expecting value: line 1 column 1 (char 0)): b'predictions: 1'"),
                       ("cut", "bytes that are not JSON"), ("not_utf8", "bytes that are not JSON"), ("empty", "bytes that are not JSON"),
                       ("object", "cannot be written as JSON: object has no form in JSON")]:
        reply = worker.call(json.dumps(name).encode())
        assert (reply.kind, reply.code) == ("ERROR", 13) and says in reply.message
        assert "\n" not in reply.message
    assert worker.call(b'"dict"').kind == "ANSWER"
    assert worker.stderr == ""


def test_config_obj(serve, tmp_path):
    worker, ready = serve("""
        import copy, json
        def load_servable(path, config_obj):
            assert config_obj.labels == config_obj["labels"] == config_obj.get("labels") == "labels.txt"
            assert config_obj.get("other") is None and "other" not in config_obj and copy.deepcopy(config_obj) == config_obj
            for look in (lambda: config_obj.model_platform, lambda: config_obj["model_platform"]):
                try:
                    look()
                except (AttributeError, KeyError) as error:
                    print(error)
            return lambda request: dict(config_obj)
        """, labels="labels.txt", version=123, instance="2")
    assert json.loads(worker.call(b"{}").body) == {
        "name": "m", "version": 123, "base_path": str(tmp_path), "servable_path": str(tmp_path), "module_path": str(tmp_path / "model.py"),
        "model_class_name": "load_servable", "instance": 2, "labels": "labels.txt"}
    worker.unload()
    assert worker.output["stdout"].decode().count(
        'config_obj has no "model_platform": it has name, version, base_path, servable_path, module_path, model_class_name, instance, labels') == 2


def test_siblings_of_the_module(worker, module):
    module("import model\nLABELS = ['a']\ndef same(module): return module is model", "labels.py")
    path = module("""
        import sys
        from labels import LABELS, same
        assert same(sys.modules[__name__])
        def load_servable(path, config):
            return lambda request: LABELS
        """)
    assert worker.load(path).kind == "READY"
    assert worker.call(b"{}").body == b'["a"]'


@pytest.mark.parametrize("name", ["json.py", "numpy.py", "my-model.py", "tflite_serving.py"])
def test_a_module_with_any_name(worker, module, name):
    path = module("import json, numpy\ndef load_servable(path, config): return lambda request: json.loads(request)", name)
    assert worker.load(path).kind == "READY"
    assert worker.call(b"[1]").body == b"[1]"


def test_an_unload_of_a_callable(serve):
    worker, _ = serve("""
        class load_servable:
            def __call__(self, request): return b"{}"
            def unload(self): print("gone")
        """)
    assert worker.unload() == 0 and worker.output["stdout"] == b"gone\n"


UNTYPED = """
import numpy as np
class Model:
    def __init__(self, path): pass
    def predict(self, inputs, signature_name):
        if signature_name == "types":
            return {"types": [f"{name} {array.dtype}{list(array.shape)}" for name, array in inputs.items()]}
        if signature_name == "sums":
            return {"sum": inputs["a"] + inputs["b"], "rows": np.arange(len(inputs["a"]))}
        if signature_name == "uneven":
            return {"a": np.zeros(2), "b": np.zeros([3, 1])}
        if signature_name == "list":
            return [1]
        return inputs
"""


@pytest.mark.parametrize("request_, answer", [
    ({"instances": [[1, 2.5], [3, 4]]}, {"predictions": [[1.0, 2.5], [3.0, 4.0]]}),
    ({"inputs": [[1, 2.5]]}, {"outputs": [[1.0, 2.5]]}),
    ({"inputs": "text"}, {"outputs": "text"}),
    ({"inputs": {"b64": "/w=="}}, {"outputs": {"b64": "/w=="}}),
    ({"instances": ["drei \u2462", {"b64": "AAE="}, {"b64": "/w=="}]}, {"predictions": ["drei \u2462", "\0\x01", {"b64": "/w=="}]}),
    ({"inputs": {"a_bytes": ["x"], "n": 5}}, {"outputs": {"a_bytes": [{"b64": "eA=="}], "n": 5}}),
    ({"instances": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}, {"predictions": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}),
    ({"instances": [{"a": [1, 2], "b": 1}, {"a": [3, 4], "b": 2}], "signature_name": "types"}, {"predictions": ["a int64[2, 2]", "b int64[2]"]}),
    ({"inputs": {"a": [1.5], "b": [True], "c": ["x", "y"]}, "signature_name": "types"},
     {"outputs": ["a float64[1]", "b bool[1]", "c object[2]"]}),
    ({"inputs": [[1]] * 100}, {"outputs": [[1]] * 100}),
    ({"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "signature_name": "sums"}, {"predictions": [{"sum": 3, "rows": 0}, {"sum": 7, "rows": 1}]}),
    ({"inputs": {"a": [], "b": []}, "signature_name": "sums"}, {"outputs": {"sum": [], "rows": []}}),
])
def test_predict_without_types(untyped, request_, answer):
    reply = untyped.call(json.dumps(request_).encode())
    assert reply.kind == "ANSWER", reply
    assert json.loads(reply.body) == answer and not reply.is_error


@pytest.mark.parametrize("body, says", [
    (b"", "the request is not JSON: Expecting value"),
    (b'{"instances": [1}', "the request is not JSON"),
    (b"\xff", "the request is not JSON"),
    (b"[" * 200_000, "the request is not JSON"),
    (b"[1]", 'either "instances" or "inputs"'),
    (b"{}", 'either "instances" or "inputs"'),
    (b'{"inputs": 1, "signature_name": []}', 'no signature "[]"'),
    (b'{"instances": [1], "inputs": 1}', 'either "instances" or "inputs"'),
    (b'{"instances": []}', '"instances" is not a list of at least one row'),
    (b'{"instances": 5}', '"instances" is not a list of at least one row'),
    (b'{"instances": [{"a": 1}, {"b": 1}]}', "different names"),
    (b'{"instances": [[1, 2], [3]]}', 'input "inputs": '),
    (b'{"instances": ["a", ["b"]]}', 'input "inputs": '),
    (b'{"instances": ["a", 1]}', 'input "inputs": '),
    (b'{"instances": [null]}', 'input "inputs": its values are not of one type'),
    (b'{"instances": [{"a": {"b": 1}}]}', 'input "a": its values are not of one type'),
    (b'{"instances": [{"b64": "%%"}]}', 'input "inputs": '),
    (b'{"instances": [{"b64": 5}]}', 'input "inputs": '),
    (b'{"inputs": [100000000000000000000000]}', 'input "inputs": its values'),
    (b'{"inputs": ' + b"[" * 500 + b"]" * 500 + b"}", 'input "inputs": '),
])
def test_wrong_requests_are_the_clients_fault(untyped, body, says):
    reply = untyped.call(body)
    assert (reply.kind, reply.code) == ("ERROR", 3) and says in reply.message


@pytest.mark.parametrize("body, says", [
    (b'{"inputs": 5, "signature_name": "list"}', "predict returned list, expected a dict of arrays by output name"),
    (b'{"instances": [5], "signature_name": "uneven"}', 'outputs without a common number of rows: "a" double[2], "b" double[3,1]'),
])
def test_wrong_answers_of_predict_without_types(untyped, body, says):
    reply = untyped.call(body)
    assert (reply.kind, reply.code, reply.message) == ("ERROR", 13, says)


@pytest.fixture(scope="module")
def untyped(tmp_path_factory):
    """One worker for all requests to UNTYPED."""
    path = tmp_path_factory.mktemp("untyped") / "model.py"
    path.write_text(UNTYPED)
    with Worker() as worker:
        assert not worker.load(path, "Model").takes_tensors
        yield worker
