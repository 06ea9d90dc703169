"""`import triton_python_backend_utils as pb_utils`, as far as Triton's Python backend maps to this server.

What does not map, decoupled answers, calls of other models and metrics, raises TritonModelException or AttributeError where it is asked for.
"""

import sys
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

TRITON_TO_NUMPY = {"TYPE_BOOL": np.bool_, "TYPE_UINT8": np.uint8, "TYPE_UINT16": np.uint16, "TYPE_UINT32": np.uint32, "TYPE_UINT64": np.uint64,
                   "TYPE_INT8": np.int8, "TYPE_INT16": np.int16, "TYPE_INT32": np.int32, "TYPE_INT64": np.int64, "TYPE_FP16": np.float16,
                   "TYPE_FP32": np.float32, "TYPE_FP64": np.float64, "TYPE_STRING": np.object_}


class TritonModelException(Exception):
    """What a model raises, or what it asks for in vain."""


class TritonError:
    """The error of one response. Codes are Triton's names for gRPC's."""

    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG, UNAVAILABLE, UNSUPPORTED, ALREADY_EXISTS, CANCELLED = 2, 13, 5, 3, 14, 12, 6, 1

    def __init__(self, message: str, code: int = INTERNAL):
        self._message = message
        self._code = code

    def message(self) -> str:
        return self._message

    def code(self) -> int:
        return self._code


class Tensor:
    """A name and an array; strings are bytes objects in an array of type object."""

    def __init__(self, name: str, array: np.ndarray):
        self._name = name
        self._array = np.asarray(array)

    @classmethod
    def from_dlpack(cls, name: str, array: Any) -> "Tensor":
        return cls(name, np.from_dlpack(array))

    def to_dlpack(self) -> Any:
        return self._array.__dlpack__()

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> np.ndarray:
        return self._array

    def shape(self) -> tuple:
        return self._array.shape

    def triton_dtype(self) -> str:
        return numpy_to_triton_type(self._array.dtype)

    def is_cpu(self) -> bool:
        return True


class InferenceRequest:
    """One request: here, all rows of one call. Models may also make one, but not send it."""

    def __init__(self, inputs: Sequence[Tensor], requested_output_names: Sequence[str], model_name: str = "", model_version: int = -1,
                 request_id: str = "", correlation_id: int = 0, **_: Any):
        self._inputs = list(inputs)
        self._outputs = list(requested_output_names)
        self._model_name, self._model_version = model_name, model_version
        self._request_id, self._correlation_id = request_id, correlation_id

    def inputs(self) -> List[Tensor]:
        return self._inputs

    def requested_output_names(self) -> List[str]:
        return self._outputs

    def model_name(self) -> str:
        return self._model_name

    def model_version(self) -> int:
        return self._model_version

    def request_id(self) -> str:
        return self._request_id

    def correlation_id(self) -> int:
        return self._correlation_id

    def parameters(self) -> str:
        return "{}"

    def is_cancelled(self) -> bool:
        return False

    def exec(self, decoupled: bool = False) -> "InferenceResponse":
        raise TritonModelException("a servable cannot call other models (Triton's business logic scripting)")

    async_exec = exec

    def get_response_sender(self) -> Any:
        raise TritonModelException("a servable answers each request once: Triton's decoupled mode has no counterpart")


class InferenceResponse:
    def __init__(self, output_tensors: Sequence[Tensor] = (), error: Optional[TritonError] = None):
        self._tensors = list(output_tensors)
        self._error = error

    def output_tensors(self) -> List[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> Optional[TritonError]:
        return self._error


class ModelConfig:
    """What auto_complete_config completes."""

    def __init__(self, name: str):
        self._config: Dict[str, Any] = {"name": name, "backend": "python", "max_batch_size": 0, "input": [], "output": []}

    def as_dict(self) -> Dict[str, Any]:
        return self._config

    def set_max_batch_size(self, size: int) -> None:
        self._config["max_batch_size"] = size

    def set_dynamic_batching(self) -> None:
        self._config.setdefault("dynamic_batching", {})

    def set_model_transaction_policy(self, policy: Dict[str, Any]) -> None:
        if policy.get("decoupled"):
            raise TritonModelException("a servable answers each request once: Triton's decoupled mode has no counterpart")

    def add_input(self, tensor: Dict[str, Any]) -> None:
        self._add("input", tensor)

    def add_output(self, tensor: Dict[str, Any]) -> None:
        self._add("output", tensor)

    def _add(self, kind: str, tensor: Dict[str, Any]) -> None:
        if tensor.get("data_type") not in TRITON_TO_NUMPY or "name" not in tensor or "dims" not in tensor:
            raise ValueError(f"{kind} {tensor}: expected name, dims and data_type, one of {', '.join(TRITON_TO_NUMPY)}")
        self._config[kind] = [each for each in self._config[kind] if each["name"] != tensor["name"]] + [tensor]


class Logger:
    """Lines on stderr, which the server logs."""

    INFO, WARNING, ERROR, VERBOSE = "info", "warning", "error", "verbose"

    @staticmethod
    def log(message: str, level: str = INFO) -> None:
        print(f"{level}: {message}", file=sys.stderr)

    @classmethod
    def log_info(cls, message: str) -> None:
        cls.log(message, cls.INFO)

    @classmethod
    def log_warn(cls, message: str) -> None:
        cls.log(message, cls.WARNING)

    @classmethod
    def log_error(cls, message: str) -> None:
        cls.log(message, cls.ERROR)

    @classmethod
    def log_verbose(cls, message: str) -> None:
        cls.log(message, cls.VERBOSE)


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Optional[Tensor]:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Optional[Tensor]:
    return next((tensor for tensor in response.output_tensors() if tensor.name() == name), None)


def get_input_config_by_name(model_config: Dict[str, Any], name: str) -> Optional[Dict[str, Any]]:
    return next((tensor for tensor in model_config.get("input", ()) if tensor["name"] == name), None)


def get_output_config_by_name(model_config: Dict[str, Any], name: str) -> Optional[Dict[str, Any]]:
    return next((tensor for tensor in model_config.get("output", ()) if tensor["name"] == name), None)


def using_decoupled_model_transaction_policy(model_config: Dict[str, Any]) -> bool:
    return False


def triton_string_to_numpy(triton_type: str) -> Any:
    return TRITON_TO_NUMPY[triton_type]


def numpy_to_triton_type(dtype: Any) -> str:
    dtype = np.dtype(object if np.dtype(dtype).kind in "SU" else dtype)
    return next(name for name, numpy_type in TRITON_TO_NUMPY.items() if np.dtype(numpy_type) == dtype)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"triton_python_backend_utils: this server has no counterpart of {name}")
