"""The shapes of user code that can be served, found behind a module's path and a name in it, and brought to two: JSON and tensors.

    a function or class called with (servable_path, config_obj), or servable_path alone, that gives
        a callable                          bytes in, bytes out                JsonServable
        an object with predict()            arrays in, arrays out              TensorServable; without declared types JsonServable
    a function under @servable              the same                           TensorServable
    a class with execute()                  Triton's Python backend            TensorServable

Not thread-safe: one call at a time, as the worker and the local runner make them. Exceptions of user code pass through as they are; what is
wrong with it otherwise is a ServableError.
"""

import difflib
import importlib.util
import inspect
import itertools
import json
import os
import sys
import types
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

import numpy as np

from . import _json_tensors, _shims
from ._errors import ServableError
from ._signature import DEFAULT_SIGNATURE, Signature, annotated_signature, check_outputs, checked_signatures, common_rows

DEFAULT_NAMES = ("load_servable", "TritonPythonModel")  # tried where no model_class_name is given


class Config(Dict[str, Any]):
    """`config_obj`: what the server knows of the servable, as attributes and as items. Strings, except version and instance, which are int."""

    def __missing__(self, key: str) -> Any:
        raise KeyError(self._absent(key))

    def __getattr__(self, key: str) -> Any:
        if key in self:
            return self[key]
        raise AttributeError(self._absent(key))

    def _absent(self, key: str) -> str:
        return f'config_obj has no "{key}": it has {", ".join(self)}'


class JsonServable:
    """A servable that takes a JSON request and gives a JSON answer."""

    signatures = None
    batchable = False

    def __init__(self, function: Callable[[bytes], Any], unload: Callable[[], Any]):
        self._function = function
        self.unload = unload

    def call(self, request: bytes) -> Tuple[bytes, bool]:
        """The answer and whether it is an error: an object with "error" and neither "predictions" nor "outputs"."""
        answer = self._function(request)
        if isinstance(answer, (dict, list)):
            return _json_tensors.dumps(answer), _says_error(answer)
        if isinstance(answer, str):
            answer = answer.encode("utf-8")
        if not isinstance(answer, (bytes, bytearray, memoryview)):
            raise ServableError(f"the servable returned {type(answer).__name__}, expected bytes of JSON")
        try:
            return bytes(answer), is_error(answer)
        except ValueError as fault:
            raise ServableError(f"the servable returned bytes that are not JSON ({fault}): {bytes(answer[:80])!r}") from None


def is_error(answer: Union[bytes, bytearray, memoryview]) -> bool:
    """Whether a JSON answer is an error. ValueError if it is not JSON."""
    return _says_error(json.loads(str(answer, "utf-8")))


def _says_error(answer: Any) -> bool:
    return isinstance(answer, dict) and "error" in answer and "predictions" not in answer and "outputs" not in answer


class TensorServable:
    """A servable with declared inputs and outputs. `batchable`: rows of several requests may be put together into one call."""

    def __init__(self, function: Callable[[Dict[str, np.ndarray], str], Any], signatures: Mapping[str, Signature], batchable: bool,
                 unload: Callable[[], Any]):
        self._function = function
        self.signatures = checked_signatures(signatures)
        self.batchable = batchable
        self.unload = unload

    def predict(self, key: str, inputs: Dict[str, np.ndarray]) -> list:
        """The outputs of the signature `key`, in its order: checked against it, but not yet of its element types."""
        signature = self.signatures[key]
        rows = common_rows(inputs, signature) if self.batchable else None  # now: the function may change its inputs
        return check_outputs(self._function(inputs, key), signature, rows)


AnyServable = Union[JsonServable, TensorServable]


def load(config: Config) -> AnyServable:
    """Imports config.module_path, makes what config.model_class_name names there, calls its load() and warmup(), and says what it serves."""
    _shims.install()
    module = import_module(config.module_path)
    target = _named(module, config.get("model_class_name", ""))
    if inspect.isclass(target) and hasattr(target, "execute") and not hasattr(target, "predict"):
        from ._triton import load_triton
        return load_triton(target, config)
    if not hasattr(target, "predict") or inspect.isclass(target):  # not one that @servable made
        target = _constructed(target, config)
    return _adapted(target)


def import_module(path: str) -> types.ModuleType:
    """The module in that file, with its folder on sys.path, under the file's name if that is free, so that its siblings can import it too."""
    path = os.path.abspath(path)
    folder, file = os.path.split(path)
    if not os.path.isfile(path):
        raise ServableError(f"module_path: there is no file {path}")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    stem = os.path.splitext(file)[0]
    names = itertools.chain([stem], (f"{stem}_{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in sys.modules)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ServableError(f"module_path: {path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _named(module: types.ModuleType, name: str) -> Any:
    found = next((getattr(module, each) for each in ([name] if name else DEFAULT_NAMES) if hasattr(module, each)), None)
    if callable(found):
        return found
    if found is not None:
        raise ServableError(f"model_class_name: {name} in {module.__file__} is {type(found).__name__}, expected a class or a function")
    own = [each for each, value in vars(module).items() if callable(value) and getattr(value, "__module__", None) == module.__name__]
    message = f"{module.__file__} has no {name or ' or '.join(DEFAULT_NAMES)}; it has {', '.join(own) or 'no class or function'}"
    close = difflib.get_close_matches(name, own, 1)
    raise ServableError(f"model_class_name: {message}" + (f". Did you mean {close[0]}?" if close else ""))


def _constructed(factory: Callable[..., Any], config: Config) -> Any:
    """What `factory` makes of (servable_path, config_obj), of servable_path alone, or of nothing, by the parameters that it has."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except ValueError:  # what is written in C may not say
        return factory(config.servable_path, config)
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    # A second parameter with a default is the servable's own, such as num_threads=1, unless it is named after the configuration.
    takes_config = any(each.kind == each.VAR_POSITIONAL for each in parameters) or len(positional) > 1 and (
        positional[1].default is inspect.Parameter.empty or "config" in positional[1].name)
    return factory(*(config.servable_path, config)[:2 if takes_config else min(1, len(positional))])


def _adapted(instance: Any) -> AnyServable:
    methods = [getattr(instance, name) for name in ("predict_batch", "predict") if getattr(instance, name, None)]
    unload = _optional(instance, "unload")
    declared = next(filter(None, map(annotated_signature, methods)), None)
    if callable(instance) and not (methods and (declared or _has_signatures(instance))):
        return JsonServable(instance, unload)
    if not methods:
        raise ServableError(f"{type(instance).__name__} has neither __call__ nor predict: nothing to call with a request")
    _optional(instance, "load")()
    function = _by_name_of_signature(methods[0], bool(declared and declared[1]))
    batchable = hasattr(instance, "predict_batch")
    if _has_signatures(instance):
        servable: AnyServable = TensorServable(function, instance.signatures, batchable, unload)
    elif declared:
        servable = TensorServable(function, {DEFAULT_SIGNATURE: declared[0]}, batchable, unload)
    else:
        servable = JsonServable(_through_json(function), unload)
    _optional(instance, "warmup")()
    return servable


def _has_signatures(instance: Any) -> bool:
    return "signatures" in dir(instance)  # hasattr() would take an AttributeError in a property for its absence


def _optional(instance: Any, name: str) -> Callable[[], Any]:
    return getattr(instance, name, None) or (lambda: None)


def _by_name_of_signature(predict: Callable[..., Any], by_keyword: bool) -> Callable[[Dict[str, np.ndarray], str], Any]:
    """`predict` as a function of the inputs and the signature's name, which it gets if it has a parameter for it."""
    takes_name = "signature_name" in inspect.signature(predict).parameters

    def call(inputs: Dict[str, np.ndarray], key: str) -> Any:
        name = {"signature_name": key} if takes_name else {}
        return predict(**inputs, **name) if by_keyword else predict(inputs, **name)

    return call


def _through_json(function: Callable[[Dict[str, np.ndarray], str], Any]) -> Callable[[bytes], bytes]:
    def call(request: bytes) -> bytes:
        key, rows, inputs = _json_tensors.decode(request, None)
        outputs = function(inputs, key)
        if not isinstance(outputs, Mapping):
            raise ServableError(f"predict returned {type(outputs).__name__}, expected a dict of arrays by output name")
        return _json_tensors.encode(outputs, rows)

    return call
