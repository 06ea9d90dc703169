"""Classes with predict() and declared types, and functions under @servable."""

import numpy as np
import pytest

import tflite_serving
from tflite_serving._errors import describe

HEAD = """
import typing
import numpy as np
from tflite_serving import InvalidArgument, Servable, Signature, TensorSpec, servable

if hasattr(typing, "Annotated"):
    from typing import Annotated, Any, Dict, TypedDict
"""

Y = {"y": (1, (-1, 4))}


@pytest.mark.parametrize("source", [
    """
class Model(Servable):
    def load(self):
        self.signatures = {"serving_default": Signature({"x": TensorSpec("float32", [None, 4])}, {"y": TensorSpec("float32", [None, 4])})}
    def predict(self, inputs):
        return {"y": inputs["x"] * 2}
""", """
class Model(Servable):
    @property
    def signatures(self):
        return Signature({"x": TensorSpec(np.float32, (-1, 4))}, {"y": TensorSpec(np.dtype("f4"), (-1, 4))})
    def predict(self, inputs):
        return {"y": inputs["x"] * 2}
""", """
class Model:
    def predict(self, *, x: Annotated[np.ndarray, TensorSpec("float32", [None, 4])]) -> Annotated[dict, {"y": TensorSpec("float32", [None, 4])}]:
        return {"y": x * 2}
""", """
class Inputs(TypedDict):
    x: Annotated[np.ndarray, TensorSpec("float32", [None, 4])]
class Outputs(TypedDict):
    y: Annotated[np.ndarray, TensorSpec("float32", [None, 4])]
class Model(Servable):
    def predict(self, inputs: Inputs) -> Outputs:
        return {"y": inputs["x"] * 2}
""", """
class Model:
    def predict(self, inputs: Annotated[Dict[str, Any], {"x": TensorSpec("float32", [None, 4])}], signature_name: str) -> "Outputs":
        assert signature_name == "serving_default"
        return {"y": inputs["x"] * 2}
class Outputs(TypedDict):
    y: Annotated[np.ndarray, TensorSpec("float32", [None, 4])]
""", """
@servable(inputs={"x": TensorSpec("float32", [None, 4])}, outputs={"y": TensorSpec("float32", [None, 4])})
def Model(x):
    return {"y": x * 2}
assert Model(3) == {"y": 6}
""", """
class Callable(Servable):
    signatures = Signature({"x": TensorSpec("float32", [None, 4])}, {"y": TensorSpec("float32", [None, 4])})
    def __call__(self, request):
        return b"{}"
    def predict(self, inputs):
        return {"y": inputs["x"] * 2}
def Model(path, config_obj):
    return Callable(path, config_obj)
"""])
def test_how_types_are_declared(serve, source):
    worker, ready = serve("from __future__ import annotations\n" * ("Inputs" in source) + HEAD + source, "Model")
    assert ready.message == ""
    assert ready.signatures == (("serving_default", "", {"x": (1, (-1, 4))}, Y),)
    assert ready.takes_tensors and not ready.batchable
    assert worker.predict(np.ones([3, 4], "f4")).tensors[0].values.tolist() == [[2] * 4] * 3


def test_several_signatures_in_their_order(serve):
    worker, ready = serve(HEAD + """
class Model:
    signatures = {"b": Signature({"z": TensorSpec(float, []), "a": TensorSpec(str, [2])},
                                 {"n": TensorSpec("int64", []), "m": TensorSpec("string", [2])}, "tensorflow/serving/classify"),
                  "a": Signature({}, {"m": TensorSpec("bool", [])})}
    def predict(self, inputs, signature_name):
        return {"m": inputs["a"][::-1], "n": np.int64(inputs["z"])} if signature_name == "b" else {"m": not inputs}
""", "Model")
    assert ready.signatures == (("b", "tensorflow/serving/classify", {"z": (2, ()), "a": (7, (2,))}, {"n": (9, ()), "m": (7, (2,))}),
                                ("a", "", {}, {"m": (10, ())}))
    assert [list(specs) for specs in ready.signatures[0][2:]] == [["z", "a"], ["n", "m"]]
    n, m = worker.predict(np.float64(5.5), np.array([b"x", b"y"], object)).tensors
    assert n.values == 5 and m.values.tolist() == [b"y", b"x"]
    assert worker.predict(signature=1).tensors[0].values


def test_predict_batch(serve):
    worker, ready = serve(HEAD + """
class Model:
    signatures = Signature({"x": TensorSpec("float32", [None])}, {"y": TensorSpec("float32", [None])})
    def predict(self, inputs): raise AssertionError
    def predict_batch(self, inputs): return {"y": inputs["x"]}

@servable(inputs=Model.signatures.inputs, outputs=Model.signatures.outputs, batchable=True)
def batched(x):
    return {"y": x}
""", "Model")
    assert ready.batchable and worker.predict(np.float32([1])).kind == "RESULT"


def test_predict_batch_gives_a_row_for_each(serve):
    worker, _ = serve(HEAD + """
class Model:
    signatures = {"rows": Signature({"x": TensorSpec("float32", [None, 1]), "n": TensorSpec("int32", [None])},
                                    {"y": TensorSpec("float32", [None, 1]), "s": TensorSpec("string", [None])}),
                  "sum": Signature({"x": TensorSpec("float32", [None, 1])}, {"y": TensorSpec("float32", [])})}
    def predict_batch(self, inputs, signature_name):
        x = inputs.pop("x")
        if signature_name == "sum":
            return {"y": x.sum()}
        return {"y": x[x >= 0][:, None], "s": ["a"] * len(x)}
""", "Model")
    x, n = np.float32([[3], [2], [7]]), np.arange(3, dtype=np.int32)
    assert worker.predict(x, n).tensors[0].values.tolist() == x.tolist()
    assert worker.predict(x[:0], n[:0]).kind == "RESULT"
    reply = worker.predict(x - 3, n)
    assert (reply.kind, reply.code, reply.message) == ("ERROR", 13, 'output "y": expected 3 row(s), as the inputs have, got 2')
    assert worker.predict(x - 3, n[:1]).kind == "RESULT", "inputs without common rows are not batched"
    assert worker.predict(x, signature=1).tensors[0].values == 12


def test_predict_may_give_any_number_of_rows(serve):
    worker, ready = serve(HEAD + """
class Model:
    signatures = Signature({"x": TensorSpec("float32", [None])}, {"y": TensorSpec("float32", [None])})
    def predict(self, inputs): return {"y": inputs["x"][:1]}
""", "Model")
    assert not ready.batchable and worker.predict(np.float32([1, 2])).kind == "RESULT"


def test_the_types_of_predict_hold_for_predict_batch(serve):
    worker, ready = serve(HEAD + """
class Model:
    def predict(self, *, x: Annotated[Any, TensorSpec("float32", [None])]) -> Annotated[dict, {"y": TensorSpec("float32", [None])}]:
        raise AssertionError
    def predict_batch(self, x):
        return {"y": x}
""", "Model")
    assert ready.batchable and worker.predict(np.float32([1])).kind == "RESULT"


def test_a_batchable_function(serve):
    worker, ready = serve(HEAD + """
@servable(inputs={"x": TensorSpec("float32", [None])}, outputs={"y": TensorSpec("float32", [None])}, batchable=True)
def batched(x):
    return {"y": x}
""", "batched")
    assert ready.batchable and worker.predict(np.float32([1])).kind == "RESULT"


def test_the_order_of_calls(serve):
    worker, _ = serve(HEAD + """
class Model(Servable):
    def __init__(self, path, config_obj):
        super().__init__(path, config_obj)
        print("init", config_obj.name)
    def load(self):
        print("load", self.config_obj.name)
        self.signatures = Signature({}, {"y": TensorSpec("float32", [])})
    def warmup(self):
        print("warmup")
    def predict(self, inputs):
        print("predict")
        return {"y": 1}
    def unload(self):
        print("unload")
""", "Model")
    worker.predict()
    assert worker.unload() == 0
    assert worker.output["stdout"].decode().split("\n") == ["init m", "load m", "warmup", "predict", "unload", ""]


OUTPUTS = HEAD + """
class Tensor:  # such as other frameworks' arrays
    def __array__(self, dtype=None, copy=None):
        return np.ones([2, 4], "f4")

RETURNS = [
    {"y": np.zeros([2, 4]), "s": ["a", b"b"]},
    {"s": np.array([b"a", "b"], object), "y": np.zeros([2, 4], "f2")}, {"y": [[0] * 4] * 2, "s": np.array(["a", "b"])},
    {"y": Tensor(), "s": np.array([b"a", b"b"])},
    {"y": np.zeros([2, 4], ">f4"), "s": ("a", "b")}, {"y": np.asfortranarray(np.zeros([2, 4], "f4")), "s": []},
    {"y": np.zeros([2, 3], np.int64), "s": []}, {"y": np.zeros([4], np.float32), "s": []}, {"y": np.zeros([2, 4], complex), "s": []},
    {"y": "text", "s": []}, {"y": [[0] * 4] * 2, "s": [1]}, {"y": [[0] * 4] * 2, "s": np.array([b"a", 5], object)}, {"y": None, "s": []},
    {"y": [[0] * 4] * 2}, {"y": [[0] * 4] * 2, "s": [], "z": 1}, [1], None, {}, {"y": [[1], [2, 3]], "s": []}]

class Model:
    signatures = Signature({"n": TensorSpec("int32", [])}, {"y": TensorSpec("float32", [None, 4]), "s": TensorSpec("string", [None])})
    def predict(self, inputs):
        return RETURNS[inputs["n"]]
"""


def test_outputs_that_fit(serve):
    worker, _ = serve(OUTPUTS, "Model")
    for place in range(6):
        y, s = worker.predict(np.int32(place)).tensors
        assert (y.number, y.values.shape, s.number) == (1, (2, 4), 7)
        assert s.values.tolist() == [b"a", b"b"] * (place < 5)


def test_strings_in_every_form_keep_their_last_zeros(serve):
    worker, _ = serve(HEAD + """
class Model:
    signatures = Signature({}, {name: TensorSpec("string", [1]) for name in "abc"})
    def predict(self, inputs):
        return {"a": [b"x\\0"], "b": ("x\\0",), "c": np.array([b"x\\0"], object)}
""", "Model")
    assert [tensor.values.tolist() for tensor in worker.predict().tensors] == [[b"x\0"]] * 3


def test_outputs_that_do_not_fit(serve):
    worker, _ = serve(OUTPUTS, "Model")
    for place, says in enumerate([
            'output "y": expected float[?,4], got int64[2,3]',
            'output "y": expected float[?,4], got float[4]',
            'output "y": expected float[?,4], got complex128[2,4]',
            'output "y": expected float[?,4], got string[]',
            'output "s": expected string[?], got object[1]',
            'output "s": expected string[?], got object[2]',
            'output "y": expected float[?,4], got object[]',
            'expected outputs "y", "s", got "y"',
            'expected outputs "y", "s", got "y", "s", "z"',
            "predict returned list, expected a dict of arrays by output name",
            "predict returned NoneType, expected a dict of arrays by output name",
            'expected outputs "y", "s", got none'], 6):
        reply = worker.predict(np.int32(place))
        assert (reply.kind, reply.code, reply.message) == ("ERROR", 13, says)
    assert worker.predict(np.int32(18)).kind == "ERROR"
    assert worker.predict(np.int32(0)).kind == "RESULT"


@pytest.mark.parametrize("source, says", [
    ("signatures = 5", "signatures: expected a dict of Signature by key, got 5"),
    ("signatures = {}", "signatures: expected a dict of Signature by key, got {}"),
    ("signatures = {'a': 5}", 'signatures["a"]: expected a Signature, got 5'),
    ("signatures = Signature({}, {'y': np.float32})",
     "signatures[\"serving_default\"].outputs[\"y\"]: expected a TensorSpec, got <class 'numpy.float32'>"),
    ("signatures = Signature({}, {'y': TensorSpec('bfloat16', [])})", 'output "y": NumPy has no bfloat16, so a servable cannot answer with it'),
    ("signatures = TensorSpec('float23', [])", "ValueError: 'float23' is no element type of tensors: say \"float32\", np.int64, \"string\" …"),
    ("signatures = TensorSpec('M8[s]', [])", "ValueError: 'M8[s]' is no element type"),
    ("signatures = TensorSpec('float32', [-2])", "ValueError: [-2] is no shape"),
    ("signatures = TensorSpec('float32', 5)", "TypeError: 'int' object is not iterable"),
    ("def predict(self, x: Annotated[Any, TensorSpec('float32', [])]): pass", "the annotations of Model.predict declare no outputs"),
    ("def predict(self, x) -> Annotated[Any, {'y': TensorSpec('float32', [])}]: pass", "the annotations of Model.predict declare no inputs"),
    ("def predict(self, x: Annotated[Any, TensorSpec('float32', [])], z) -> Annotated[Any, {'y': TensorSpec('float32', [])}]: pass",
     "Model.predict: the parameter z is not annotated with a TensorSpec, but others are"),
    ("signatures = property(lambda self: self.absent)", "AttributeError: 'Model' object has no attribute 'absent' ("),
    ("predict = None", "Model has neither __call__ nor predict: nothing to call with a request"),
])
def test_declarations_that_are_none(module, source, says):
    path = module(HEAD + f"class Model:\n    def predict(self, inputs): pass\n    {source}\n")
    with pytest.raises(Exception) as caught:
        tflite_serving.load(path, "Model")
    code, message = describe(caught.value)
    assert code == 13 and message.startswith(says)


def test_the_clients_fault(serve):
    worker, _ = serve(HEAD + """
@servable(inputs={"x": TensorSpec("float32", [None])}, outputs={"y": TensorSpec("float32", [None])})
def positive(x):
    if (x <= 0).any():
        raise InvalidArgument("x has to be positive")
    return {"y": x}
""", "positive")
    reply = worker.predict(np.float32([1, 0]))
    assert (reply.kind, reply.code, reply.message) == ("ERROR", 3, "x has to be positive")
    assert worker.predict(np.float32([1])).kind == "RESULT" and worker.stderr == ""
