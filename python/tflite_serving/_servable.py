"""What user code may build on: the base class and the decorator. Neither is needed: any class of the same shape is served."""

from typing import Any, Callable, Dict, Mapping

import numpy as np

from ._signature import DEFAULT_SIGNATURE, Signature, TensorSpec


class Servable:
    """A class with predict(), made and called by the worker, on its main thread, one call at a time:

        __init__(servable_path, config_obj), load(), signatures, warmup(), predict() for each request, unload()

    `predict` is the subclass's: predict(self, inputs) takes the inputs as a dict of arrays by name and returns such a dict of outputs.
    `predict_batch` in its place declares that rows of several requests may be put together into one call. The arrays lie in memory that the
    server shares: they may be changed, and are gone when the call ends, so that what is kept must be copied.

    Types are declared by `signatures`, {key: Signature} or one Signature, which may be set as late as in load(), or by annotations of predict
    (docs/custom-servables.md). An exception fails the request; InvalidArgument blames the client.
    """

    signatures: Any

    def __init__(self, servable_path: str, config_obj: Any):
        self.servable_path = servable_path
        self.config_obj = config_obj

    def load(self) -> None:
        """Called once, before anything else."""

    def warmup(self) -> None:
        """Called once after load(); the servable is available when it returns."""

    def unload(self) -> None:
        """Called once at the end, unless the process dies."""


class FunctionServable:
    """A function that @servable made servable. It can still be called as before."""

    def __init__(self, function: Callable[..., Mapping[str, Any]], signature: Signature, batchable: bool):
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = function.__name__
        self.signatures = {DEFAULT_SIGNATURE: signature}
        self._function = function
        if batchable:
            self.predict_batch = self.predict

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def predict(self, inputs: Dict[str, np.ndarray]) -> Any:
        return self._function(**inputs)


def servable(inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], *,
             batchable: bool = False) -> Callable[[Callable[..., Mapping[str, Any]]], FunctionServable]:
    """Makes a function a servable: it is called with each input as a keyword, and returns the outputs as a dict of arrays by name.

        @tflite_serving.servable(inputs={"x": TensorSpec("float32", [None])}, outputs={"y": TensorSpec("float32", [None])})
        def half_plus_two(x):
            return {"y": x / 2 + 2}

    `model_class_name` is the function's name. `batchable` declares that rows of several requests may be put together into one call.
    """
    return lambda function: FunctionServable(function, Signature(inputs, outputs), batchable)
