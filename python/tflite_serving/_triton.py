"""Classes as Triton's Python backend has them: initialize(args), execute(requests), finalize()."""

import json
from typing import Any, Dict

import numpy as np

from . import _triton_backend as pb_utils
from ._adapters import Config, TensorServable
from ._errors import InvalidArgument, ServableError
from ._signature import DEFAULT_SIGNATURE, Signature, TensorSpec

_SERVERS_OWN = {"name", "version", "base_path", "servable_path", "instance"}


def load_triton(model_class: type, config: Config) -> TensorServable:
    """Makes the model. Its inputs and outputs are those that auto_complete_config adds: there is no config.pbtxt here.

    With a max_batch_size the first dimension of each is the batch's. Keys of custom_model_config are `parameters` of args["model_config"].
    """
    if not hasattr(model_class, "auto_complete_config"):
        raise ServableError(f"{model_class.__name__} has no auto_complete_config, which has to declare its inputs and outputs "
                            "(config.pbtxt is not read)")
    completed = pb_utils.ModelConfig(config.name)
    model_config = (model_class.auto_complete_config(completed) or completed).as_dict()
    model_config["parameters"] = {key: {"string_value": value} for key, value in config.items() if key not in _SERVERS_OWN}
    rows_max = model_config["max_batch_size"]
    signature = Signature(_specs(model_config["input"], rows_max), _specs(model_config["output"], rows_max))
    model = model_class()
    if hasattr(model, "initialize"):
        model.initialize({
            "model_config": json.dumps(model_config), "model_name": config.name, "model_version": str(config.version),
            "model_repository": config.base_path, "model_instance_name": f"{config.name}_0_{config.get('instance', 0)}", "model_instance_kind": "CPU",
            "model_instance_device_id": "0"})

    def execute(inputs: Dict[str, np.ndarray], key: str) -> Dict[str, np.ndarray]:
        if rows_max and any(len(array) > rows_max for array in inputs.values()):
            raise InvalidArgument(f"{max(map(len, inputs.values()))} rows: max_batch_size is {rows_max}")
        request = pb_utils.InferenceRequest([pb_utils.Tensor(name, array) for name, array in inputs.items()], list(signature.outputs), config.name,
                                            config.version)
        return _outputs(model.execute([request]))

    return TensorServable(execute, {DEFAULT_SIGNATURE: signature}, bool(rows_max) and "dynamic_batching" in model_config,
                          getattr(model, "finalize", lambda: None))


def _specs(tensors: Any, rows_max: int) -> Dict[str, TensorSpec]:
    return {tensor["name"]: TensorSpec(pb_utils.triton_string_to_numpy(tensor["data_type"]), [None] * bool(rows_max) + list(tensor["dims"]))
            for tensor in tensors}


def _outputs(responses: Any) -> Dict[str, np.ndarray]:
    if not isinstance(responses, (list, tuple)) or len(responses) != 1 or not isinstance(responses[0], pb_utils.InferenceResponse):
        raise ServableError(f"execute returned {responses!r:.200}, expected a list with one InferenceResponse for each request")
    error = responses[0].error()
    if error is not None:
        failure = ServableError(error.message() if isinstance(error, pb_utils.TritonError) else str(error))
        failure.code = error.code() if isinstance(error, pb_utils.TritonError) else failure.code
        raise failure
    return {tensor.name(): tensor.as_numpy() for tensor in responses[0].output_tensors()}
