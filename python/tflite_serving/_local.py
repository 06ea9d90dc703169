"""A servable in this process, without a server: for tests with pytest, and for `python -m tflite_serving run`."""

import json
import os
from typing import Any, Dict, Mapping, Optional, Union

import numpy as np

from . import _adapters, _json_tensors
from ._errors import ServableError
from ._signature import DEFAULT_SIGNATURE, Signature, check_inputs

_Path = Union[str, "os.PathLike[str]"]


class LocalServable:
    """A loaded servable, called as the server would call it, through the same code as in its worker. Exceptions of user code pass through.

    Ends with unload(), or as a `with` block.
    """

    def __init__(self, servable: _adapters.AnyServable):
        self._servable = servable

    def __enter__(self) -> "LocalServable":
        return self

    def __exit__(self, *_: Any) -> None:
        self.unload()

    @property
    def signatures(self) -> Optional[Mapping[str, Signature]]:
        """None: the servable takes JSON."""
        return self._servable.signatures

    def unload(self) -> None:
        self._servable.unload()

    def call(self, request: bytes) -> bytes:
        """The answer to the body of a REST predict request."""
        if isinstance(self._servable, _adapters.JsonServable):
            return self._servable.call(request)[0]
        key, rows, inputs = _json_tensors.decode(request, self.signatures)
        return _json_tensors.encode(self.predict(inputs, key), rows)

    def __call__(self, request: Union[bytes, str, Mapping[str, Any]]) -> Any:
        """The same for Python values: servable({"instances": [[1.0]]}) may be {"predictions": [[2.5]]}."""
        body = _json_tensors.dumps(request) if isinstance(request, Mapping) else request.encode("utf-8") if isinstance(request, str) else request
        return json.loads(self.call(body))

    def predict(self, inputs: Mapping[str, Any], signature_name: str = DEFAULT_SIGNATURE) -> Dict[str, np.ndarray]:
        """The outputs for the inputs, as arrays. InvalidArgument for inputs that the server would refuse."""
        if isinstance(self._servable, _adapters.JsonServable):
            raise ServableError("this servable takes JSON: call it with a request")
        signature = self._servable.signatures[signature_name]
        outputs = self._servable.predict(signature_name, check_inputs(inputs, signature))
        return {name: array.astype(spec.dtype, copy=False) for (name, spec), array in zip(signature.outputs.items(), outputs)}


def load(module_path: _Path, class_name: str = "", path: _Path = "", **config: Any) -> LocalServable:
    """Loads the servable that `model_class_name: class_name` in the file `module_path` names, with `path` as its servable_path and base_path.

    `path` is the module's folder if it is not given. `config` are keys of custom_model_config, and may replace name ("local") and version (1).
    """
    module_path = os.path.abspath(module_path)
    path = os.path.abspath(path or os.path.dirname(module_path))
    return LocalServable(_adapters.load(_adapters.Config({
        "name": "local", "version": 1, "base_path": path, "servable_path": path, "module_path": module_path, "model_class_name": class_name,
        "instance": 0, **config})))
