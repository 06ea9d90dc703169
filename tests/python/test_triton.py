"""Classes written for Triton's Python backend."""

import json

import numpy as np
import pytest

MODEL = """
import json
import sys
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        config.add_input({"name": "x", "data_type": "TYPE_FP32", "dims": [2]})
        config.add_input({"name": "text", "data_type": "TYPE_STRING", "dims": [-1]})
        config.add_output({"name": "y", "data_type": "TYPE_FP32", "dims": [2]})
        config.add_output({"name": "same", "data_type": "TYPE_STRING", "dims": [-1]})
        config.set_max_batch_size(4)
        config.set_dynamic_batching()
        assert config.as_dict()["max_batch_size"] == 4
        return config

    def initialize(self, args):
        self.args = args
        self.config = json.loads(args["model_config"])
        assert pb_utils.get_input_config_by_name(self.config, "text")["dims"] == [-1]
        self.dtype = pb_utils.triton_string_to_numpy(pb_utils.get_output_config_by_name(self.config, "y")["data_type"])
        self.factor = float(self.config["parameters"]["factor"]["string_value"])
        assert not pb_utils.using_decoupled_model_transaction_policy(self.config)
        pb_utils.Logger.log_info("loaded " + args["model_name"] + " " + args["model_version"])

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        text = pb_utils.get_input_tensor_by_name(request, "text")
        assert [tensor.name() for tensor in request.inputs()] == ["x", "text"] and request.requested_output_names() == ["y", "same"]
        what = text.as_numpy().flat[0]
        if what == b"refuse":
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("refused", pb_utils.TritonError.INVALID_ARG))
        if what == b"error":
            return pb_utils.InferenceResponse([], pb_utils.TritonError("an error"))
        if what == b"raise":
            raise pb_utils.TritonModelException("raised")
        if what == b"sender":
            request.get_response_sender()
        if what == b"other":
            pb_utils.InferenceRequest(model_name="other", inputs=[text], requested_output_names=["y"]).exec()
        if what == b"metrics":
            pb_utils.MetricFamily
        if what == b"nothing":
            return None
        response = pb_utils.InferenceResponse(output_tensors=[pb_utils.Tensor("same", text.as_numpy()),
                                                              pb_utils.Tensor("y", (x * self.factor).astype(self.dtype))])
        assert pb_utils.get_output_tensor_by_name(response, "y").triton_dtype() == "TYPE_FP32"
        return response

    def finalize(self):
        print("finalized")
"""


def test_a_model(serve):
    worker, ready = serve(MODEL, "TritonPythonModel", factor="3")
    assert ready.message == ""
    assert ready.signatures == (("serving_default", "", {"x": (1, (-1, 2)), "text": (7, (-1, -1))}, {"y": (1, (-1, 2)), "same": (7, (-1, -1))}),)
    assert ready.takes_tensors and ready.batchable
    y, same = worker.predict(np.float32([[1, 2]]), np.array([[b"a", b"b"]], object)).tensors
    assert y.values.tolist() == [[3, 6]] and same.values.tolist() == [[b"a", b"b"]]
    for what, code, says in [
            (b"refuse", 3, "refused"), (b"error", 13, "an error"), (b"raise", 13, "TritonModelException: raised ("),
            (b"sender", 13, "TritonModelException: a servable answers each request once: Triton's decoupled mode has no counterpart"),
            (b"other", 13, "TritonModelException: a servable cannot call other models"),
            (b"metrics", 13, "AttributeError: triton_python_backend_utils: this server has no counterpart of MetricFamily"),
            (b"nothing", 13, "execute returned [None], expected a list with one InferenceResponse for each request")]:
        reply = worker.predict(np.float32([[1, 2]]), np.array([[what]], object))
        assert (reply.kind, reply.code) == ("ERROR", code) and reply.message.startswith(says)
    reply = worker.predict(np.zeros([5, 2], "f4"), np.array([[b""]] * 5, object))
    assert (reply.code, reply.message) == (3, "5 rows: max_batch_size is 4")
    assert worker.unload() == 0
    assert worker.output["stdout"] == b"finalized\n" and worker.stderr.startswith("info: loaded m 1\n")


@pytest.mark.parametrize("source, says", [
    ("pass", "TritonPythonModel has no auto_complete_config, which has to declare its inputs and outputs (config.pbtxt is not read)"),
    ("def auto_complete_config(config): config.set_model_transaction_policy({'decoupled': True})",
     "TritonModelException: a servable answers each request once"),
    ("def auto_complete_config(config): config.add_input({'name': 'x', 'data_type': 'TYPE_BF16', 'dims': [1]})", "ValueError: input {'name': 'x'"),
])
def test_what_does_not_map_is_refused(serve, source, says):
    worker, reply = serve(f"class TritonPythonModel:\n    def execute(self, requests): pass\n    {source}\n", "")
    assert (reply.kind, reply.code) == ("ERROR", 13) and reply.message.startswith(says)


def test_a_model_without_batches_or_other_methods(serve):
    worker, ready = serve("""
        import triton_python_backend_utils as pb_utils
        class Mine:
            def auto_complete_config(config):
                config.add_output({"name": "y", "data_type": "TYPE_INT64", "dims": []})
            def execute(self, requests):
                return [pb_utils.InferenceResponse([pb_utils.Tensor("y", 5)])]
        """, "Mine")
    assert ready.signatures == (("serving_default", "", {}, {"y": (9, ())}),) and not ready.batchable
    assert worker.predict().tensors[0].values == 5
    assert worker.unload() == 0


def test_the_configuration_that_initialize_gets(serve, tmp_path):
    worker, _ = serve("""
        import triton_python_backend_utils as pb_utils
        class Mine:
            def auto_complete_config(config):
                config.add_output({"name": "y", "data_type": "TYPE_STRING", "dims": [1]})
            def initialize(self, args):
                self.args = args
            def execute(self, requests):
                import json
                return [pb_utils.InferenceResponse([pb_utils.Tensor("y", [json.dumps(self.args)])])]
        """, "Mine", key="value")
    args = json.loads(worker.predict().tensors[0].values[0])
    config = json.loads(args.pop("model_config"))
    assert args == {"model_name": "m", "model_version": "1", "model_repository": str(tmp_path), "model_instance_name": "m_0_0",
                    "model_instance_kind": "CPU", "model_instance_device_id": "0"}
    assert config["output"] == [{"name": "y", "data_type": "TYPE_STRING", "dims": [1]}] and config["parameters"]["key"] == {"string_value": "value"}
