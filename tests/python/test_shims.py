"""The stand-ins for TensorFlow and tflite-runtime, among made-up packages that say who they are: worker processes that see no others."""

import pathlib
import textwrap

import numpy as np
import pytest

from worker_process import Worker

INTERPRETER = """
print("imported", __name__)
class Interpreter:
    def __init__(self, model_path=None, model_content=None, num_threads=None):
        self.says = [__name__, model_path, num_threads]
def load_delegate(library):
    return __name__ + " " + library
class OpResolverType:
    BUILTIN = 3
"""
BROKEN = """
import sys
class Interpreter:
    def __init__(self, **arguments):
        print("A module that was compiled using NumPy 1.x cannot be run", file=sys.stderr)
        raise SystemError("returned a result with an exception set")
"""
SERVABLE = """
import json
{imports}
def load_servable(path, config):
    return lambda request: json.dumps({expression})
"""


@pytest.fixture
def see(tmp_path, worker_that_sees):
    """see(packages, imports, expression): the value of the expression in a worker's servable, or its ERROR's message, and the worker."""
    def run(packages, imports, expression):
        worker = worker_that_sees(packages)
        path = tmp_path / "model.py"
        path.write_text(SERVABLE.format(imports=imports, expression=expression))
        reply = worker.load(path)
        if reply.kind == "READY":
            reply = worker.call(b"{}")
        return reply.body.decode() or reply.message, worker
    return run


@pytest.fixture
def worker_that_sees(tmp_path):
    """A worker whose only packages are NumPy and {name: source of its interpreter module}, or, for tensorflow, of the package itself."""
    workers = []

    def start(packages):
        folder = tmp_path / "packages"
        folder.mkdir()
        site = pathlib.Path(np.__file__).parents[1]
        for name in ("numpy", "numpy.libs"):
            (folder / name).symlink_to(site / name)
        for name, source in packages.items():
            (folder / name).mkdir()
            (folder / name / "__init__.py").write_text(source if name == "tensorflow" else "")
            (folder / name / "interpreter.py").write_text(textwrap.dedent(source))
        workers.append(Worker("-S", env={"PYTHONPATH": str(folder)}))
        return workers[-1].__enter__()

    yield start
    for worker in workers:
        worker.__exit__()


TF_INTERPRETER = ("import tensorflow as tf", 'tf.lite.Interpreter(model_path="m", num_threads=2).says')
RUNTIME_INTERPRETER = ("from tflite_runtime.interpreter import Interpreter", 'Interpreter("m").says')


@pytest.mark.parametrize("packages, asked, answer", [
    ({"ai_edge_litert": INTERPRETER}, TF_INTERPRETER, '["ai_edge_litert.interpreter", "m", 2]'),
    ({"tflite_runtime": INTERPRETER}, TF_INTERPRETER, '["tflite_runtime.interpreter", "m", 2]'),
    ({"tflite_runtime": BROKEN, "ai_edge_litert": INTERPRETER}, TF_INTERPRETER, '["ai_edge_litert.interpreter", "m", 2]'),
    ({"tensorflow": "class lite:" + textwrap.indent(INTERPRETER, "    "), "ai_edge_litert": INTERPRETER}, TF_INTERPRETER, '["tensorflow", "m", 2]'),
    ({"ai_edge_litert": INTERPRETER}, RUNTIME_INTERPRETER, '["ai_edge_litert.interpreter", "m", null]'),
    ({"ai_edge_litert": INTERPRETER, "tflite_runtime": INTERPRETER}, RUNTIME_INTERPRETER, '["tflite_runtime.interpreter", "m", null]'),
    ({"ai_edge_litert": INTERPRETER, "tflite_runtime": BROKEN}, RUNTIME_INTERPRETER, '["ai_edge_litert.interpreter", "m", null]'),
    ({"tflite_runtime": INTERPRETER}, RUNTIME_INTERPRETER, '["tflite_runtime.interpreter", "m", null]'),
    ({"ai_edge_litert": INTERPRETER}, ("import tflite_runtime.interpreter as tflite", 'tflite.load_delegate("d")'), '"ai_edge_litert.interpreter d"'),
    ({"ai_edge_litert": INTERPRETER},
     ("import tensorflow.lite as lite", '[lite.experimental.load_delegate("d"), lite.experimental.OpResolverType.BUILTIN]'),
     '["ai_edge_litert.interpreter d", 3]'),
    ({"ai_edge_litert": INTERPRETER}, ("from tensorflow import lite", "lite.Interpreter().says[0]"), '"ai_edge_litert.interpreter"'),
])
def test_who_gives_the_interpreter(see, packages, asked, answer):
    said, worker = see(packages, *asked)
    assert said == answer
    worker.unload()
    assert "NumPy 1.x" not in worker.stderr


@pytest.mark.parametrize("packages, imports, says", [
    ({"ai_edge_litert": INTERPRETER}, "import tensorflow as tf\ntf.constant(1)",
     "AttributeError: TensorFlow is not installed: its stand-in has tensorflow.lite.Interpreter and "
     "tensorflow.lite.experimental.load_delegate, no tensorflow.constant ("),
    ({"ai_edge_litert": INTERPRETER}, "import tensorflow.keras.layers", "ModuleNotFoundError: TensorFlow is not installed: its stand-in has "),
    ({"ai_edge_litert": INTERPRETER}, "import tensorflow as tf\ntf.lite.TFLiteConverter", "AttributeError: TensorFlow is not installed: "),
    ({"ai_edge_litert": INTERPRETER}, "from tflite_runtime.interpreter import no_such", "ImportError: cannot import name 'no_such'"),
    ({}, "import tensorflow", "ModuleNotFoundError: No module named 'tensorflow'"),
    ({}, "from tflite_runtime.interpreter import Interpreter", "ModuleNotFoundError: No module named 'tflite_runtime'"),
    ({"tflite_runtime": BROKEN}, "from tflite_runtime.interpreter import Interpreter\nInterpreter()", "SystemError: returned a result"),
])
def test_what_no_stand_in_has(see, packages, imports, says):
    said, _ = see(packages, imports, "1")
    assert said.startswith(says)


def test_nothing_is_imported_before_it_is_asked_for(see):
    said, worker = see({"ai_edge_litert": INTERPRETER}, "import sys, tensorflow",
                       '[name for name in sys.modules if "litert" in name or name.startswith(("tflite_runtime", "triton", "tflite_serving._tri"))]')
    assert said == "[]"
    worker.unload()
    assert worker.output["stdout"] == b""


def test_a_mere_folder_is_no_package(see, tmp_path):
    (tmp_path / "tensorflow").mkdir()
    said, _ = see({"ai_edge_litert": INTERPRETER}, *TF_INTERPRETER)
    assert said == '["ai_edge_litert.interpreter", "m", 2]'
