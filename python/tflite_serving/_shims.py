"""Stand-ins for packages that user code imports and that are not there, or do not work.

    import tensorflow as tf; tf.lite.Interpreter(…)           where TensorFlow is missing, from ai-edge-litert or tflite-runtime
    from tflite_runtime.interpreter import Interpreter        where tflite-runtime is missing or broken, from ai-edge-litert
    import triton_python_backend_utils as pb_utils            _triton_backend.py

tflite-runtime 2.14 is broken with NumPy 2: it imports, and its Interpreter raises SystemError. install() costs nothing: real packages are
looked for, and imported, when user code asks for them.
"""

import contextlib
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import sys
import types
from typing import Any, Callable, Dict, Optional

# A model without operators, tensors or anything else, to see whether an Interpreter can be made.
_EMPTY_MODEL = bytes.fromhex(
    "1800000054464c3300000e00140010000c000800000004000e000000100000001c000000500000000300000001000000080000000400040004000000010000001000"
    "00000c00140010000c00080004000c000000100000001000000010000000100000000000000000000000000000000000000000000000")


def install() -> None:
    """Makes the stand-ins importable, once for the process."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _StandIn(types.ModuleType):
    """A module whose attributes are made when they are first asked for."""

    def __init__(self, name: str, makers: Dict[str, Callable[[], Any]], missing: str):
        super().__init__(name)
        self.__path__: list = []  # it may have submodules, for the finder below
        self._makers = makers
        self._missing = missing

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in self._makers:
            raise AttributeError(f"{self._missing}, no {self.__name__}.{name}")
        value = self._makers[name]()
        setattr(self, name, value)
        return value


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[importlib.machinery.ModuleSpec]:
        find = _FINDERS.get(name)
        if find is None and name.startswith("tensorflow.") and isinstance(sys.modules.get("tensorflow"), _StandIn):
            find = _no_submodule
        module = find(name, path) if find else None
        return importlib.machinery.ModuleSpec(name, self, loader_state=module) if module else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return spec.loader_state

    def exec_module(self, module: types.ModuleType) -> None:
        """It has been executed."""


def _installed(name: str, path: Any = None) -> Any:
    """The spec of the package or module if it is there, otherwise None."""
    spec = importlib.machinery.PathFinder.find_spec(name, path)
    return spec if spec and spec.origin else None  # a mere folder of that name is no package


def _interpreter_attributes(*names: str) -> Dict[str, Callable[[], Any]]:
    """{name: what imports the interpreter package that is there, and gets its attribute of that name}."""
    def get(name: str) -> Any:
        package = "ai_edge_litert" if _installed("ai_edge_litert") else "tflite_runtime"
        return getattr(importlib.import_module(f"{package}.interpreter"), name)
    return {name: functools.partial(get, name) for name in names}


def _tensorflow(name: str, path: Any) -> Optional[types.ModuleType]:
    if _installed(name, path) or not (_installed("ai_edge_litert") or _installed("tflite_runtime")):
        return None
    return _StandIn(name, {"lite": lambda: importlib.import_module("tensorflow.lite")}, _NO_TENSORFLOW)


def _tensorflow_lite(name: str, path: Any) -> Optional[types.ModuleType]:
    if not isinstance(sys.modules["tensorflow"], _StandIn):
        return None
    experimental = _StandIn(f"{name}.experimental", _interpreter_attributes("OpResolverType", "load_delegate"), _NO_TENSORFLOW)
    return _StandIn(name, {**_interpreter_attributes("Interpreter"), "experimental": lambda: experimental}, _NO_TENSORFLOW)


def _no_submodule(name: str, path: Any) -> None:
    raise ModuleNotFoundError(f"{_NO_TENSORFLOW}, no {name}", name=name)


def _tflite_runtime(name: str, path: Any) -> Optional[types.ModuleType]:
    """The package; its module `interpreter` is the next function's."""
    if _installed(name, path) or not _installed("ai_edge_litert"):
        return None
    return _StandIn(name, {"interpreter": lambda: importlib.import_module("tflite_runtime.interpreter")}, _NO_TFLITE_RUNTIME)


def _tflite_interpreter(name: str, path: Any) -> Optional[types.ModuleType]:
    spec = _installed(name, path)
    if not _installed("ai_edge_litert"):
        return None
    makers = _interpreter_attributes("Interpreter", "InterpreterWithCustomOps", "Delegate", "OpResolverType", "load_delegate")
    return spec and _working(spec) or _StandIn(name, makers, _NO_TFLITE_RUNTIME)


def _working(spec: Any) -> Optional[types.ModuleType]:
    """The module, if its Interpreter can be made."""
    said = io.StringIO()  # NumPy's warning, a screenful, and of no consequence where a stand-in follows
    try:
        with contextlib.redirect_stderr(said):
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            module.Interpreter(model_content=_EMPTY_MODEL)
    except Exception:
        return None
    sys.stderr.write(said.getvalue())
    return module


def _triton(name: str, path: Any) -> Optional[types.ModuleType]:
    return None if _installed(name, path) else importlib.import_module("tflite_serving._triton_backend")


_NO_TENSORFLOW = "TensorFlow is not installed: its stand-in has tensorflow.lite.Interpreter and tensorflow.lite.experimental.load_delegate"
_NO_TFLITE_RUNTIME = "tflite-runtime is not installed, or does not work: its stand-in has what tflite_runtime.interpreter has"
_FINDERS = {"tensorflow": _tensorflow, "tensorflow.lite": _tensorflow_lite, "tflite_runtime": _tflite_runtime,
            "tflite_runtime.interpreter": _tflite_interpreter, "triton_python_backend_utils": _triton}
