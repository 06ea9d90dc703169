"""Custom servables for tflite-serving in Python: what user code imports. docs/custom-servables.md is the guide."""

from ._arena import empty
from ._errors import InvalidArgument
from ._local import load
from ._servable import Servable, servable
from ._signature import Signature, TensorSpec

__all__ = ["InvalidArgument", "Servable", "Signature", "TensorSpec", "empty", "load", "servable"]
