"""Custom servables for tflite-serving in Python: what user code imports. docs/custom-servables.md is the guide."""

from ._arena import empty
from ._errors import InvalidArgument
from ._servable import Servable, servable
from ._signature import Signature, TensorSpec

__all__ = ["InvalidArgument", "Servable", "Signature", "TensorSpec", "empty", "load", "servable"]


def __getattr__(name: str):
    if name == "load":  # imported when it is asked for: a worker needs none of it
        from ._local import load
        return load
    raise AttributeError(f"module tflite_serving has no attribute {name!r}")
