"""Model status and metadata over both protocols. Scripts grep the REST texts: layout counts."""

from google.protobuf import json_format
import grpc
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2

from grpc_client import fails_with, signatures

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE

STATUS_TEXT = """{
 "model_version_status": [
  {
   "version": "1",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
"""


def tensor_info(name, dtype, *dims):
    return {"dtype": dtype, "name": name, "tensor_shape": {
        "dim": [{"size": str(size), "name": ""} for size in dims], "unknown_rank": False}}


HALF_PLUS_TWO_METADATA = {
    "model_spec": {"name": "half_plus_two", "signature_name": "", "version": "1"},
    "metadata": {"signature_def": {"signature_def": {"serving_default": {
        "inputs": {"x": tensor_info("serving_default_x:0", "DT_FLOAT", -1)},
        "outputs": {"y": tensor_info("PartitionedCall:0", "DT_FLOAT", -1)},
        "method_name": "tensorflow/serving/predict", "defaults": {}}}}}}


@pytest.fixture
def half_plus_two(serving):
    return serving("half_plus_two")


class TestStatus:

    @pytest.mark.parametrize("path", ["", "/versions/1", "/versions/001"])
    def test_rest_text(self, half_plus_two, path):
        response = requests.get(half_plus_two.model_url + path)
        assert (response.status_code, response.text) == (200, STATUS_TEXT)
        assert response.headers["Content-Type"] == "application/json"

    def test_grpc(self, half_plus_two, grpc_client):
        for version in (None, 1):
            response = grpc_client(half_plus_two).status("half_plus_two", version)
            [status] = response.model_version_status
            assert (status.version, status.state) == (1, AVAILABLE)
            assert (status.status.error_code, status.status.error_message) == (0, "")

    def test_a_label_is_ignored(self, half_plus_two, grpc_client):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = "half_plus_two"
        request.model_spec.version_label = "none"
        response = grpc_client(half_plus_two).model.GetModelStatus(request, timeout=60)
        assert [status.version for status in response.model_version_status] == [1]

    def test_unknown_model(self, half_plus_two, grpc_client):
        message = "Could not find any versions of model nope"
        response = requests.get(f"{half_plus_two.base_url}/v1/models/nope")
        assert (response.status_code, response.json()) == (404, {"error": message})
        with fails_with(grpc.StatusCode.NOT_FOUND, message):
            grpc_client(half_plus_two).status("nope")

    def test_unknown_version(self, half_plus_two, grpc_client):
        message = "Could not find version 9 of model half_plus_two"
        response = requests.get(half_plus_two.model_url + "/versions/9")
        assert (response.status_code, response.json()) == (404, {"error": message})
        with fails_with(grpc.StatusCode.NOT_FOUND, message):
            grpc_client(half_plus_two).status("half_plus_two", 9)

    def test_missing_model_spec(self, half_plus_two, grpc_client):
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"):
            grpc_client(half_plus_two).model.GetModelStatus(
                get_model_status_pb2.GetModelStatusRequest(), timeout=60)


class TestMetadata:

    def test_rest_says_the_same_as_the_original(self, half_plus_two):
        response = requests.get(half_plus_two.model_url + "/metadata")
        assert (response.status_code, response.json()) == (200, HALF_PLUS_TWO_METADATA)
        assert response.headers["Content-Type"] == "application/json"

    def test_rest_layout(self, half_plus_two):
        """The original glues three texts together: two from protobuf, with one blank of
        indentation, inside a frame with none."""
        text = requests.get(half_plus_two.model_url + "/versions/1/metadata").text
        assert text.startswith('{\n"model_spec":{\n "name": "half_plus_two",\n'), text
        assert ',\n"metadata": {"signature_def": {\n "signature_def": {\n' in text, text
        assert text.endswith("}\n}\n"), text

    @pytest.mark.parametrize("model", ["half_plus_two", "multi_io", "multi_signature", "scalar",
                                       "half_plus_two_1x1", "no_signature_collide", "string_cube",
                                       "digits"])
    def test_both_protocols_agree(self, serving, grpc_client, model):
        server = serving(model)
        metadata = grpc_client(server).metadata(model)
        assert (metadata.model_spec.name, metadata.model_spec.version.value) == (model, 1)
        over_grpc = {
            key: json_format.MessageToDict(definition, preserving_proto_field_name=True,
                                           always_print_fields_with_no_presence=True)
            for key, definition in signatures(metadata).items()}
        over_rest = requests.get(server.model_url + "/metadata").json()
        assert over_rest["metadata"]["signature_def"]["signature_def"] == over_grpc
        assert over_rest["model_spec"]["version"] == "1"

    def test_every_signature_is_listed(self, serving, grpc_client):
        found = signatures(grpc_client(serving("multi_signature")).metadata("multi_signature"))
        assert {key: (sorted(definition.inputs), sorted(definition.outputs))
                for key, definition in found.items()} == {
                    "serving_default": (["x"], ["code", "energy"]),
                    "encode": (["x"], ["code"]), "decode": (["code"], ["x"])}

    def test_names_without_a_signature_table(self, serving, grpc_client):
        """Named after the tensors: cut at the colon, or in full where that would collide."""
        definition = signatures(grpc_client(serving("no_signature_collide")).metadata(
            "no_signature_collide"))["serving_default"]
        assert sorted(definition.inputs) == ["serving_default_a", "serving_default_b"]
        assert sorted(definition.outputs) == [
            f"StatefulPartitionedCall:{index}" for index in range(3)]
        assert definition.outputs["StatefulPartitionedCall:2"].dtype == tf.bool.as_datatype_enum

    @pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16",
                                       "uint32", "uint64", "float16", "bfloat16", "float32",
                                       "float64", "complex64", "string"])
    def test_element_types(self, serving, grpc_client, dtype):
        model = f"type_{dtype}"
        definition = signatures(grpc_client(serving(model)).metadata(model))["serving_default"]
        expected = tf.as_dtype(dtype).as_datatype_enum
        assert definition.inputs["x"].dtype == definition.outputs["y"].dtype == expected
        assert [dim.size for dim in definition.inputs["x"].tensor_shape.dim] == [-1, 2]

    def test_unknown_model_and_version(self, half_plus_two, grpc_client):
        for path, request, options in (
                ("/v1/models/nope/metadata", "Latest(nope)", {"model": "nope"}),
                ("/v1/models/half_plus_two/versions/7/metadata", "Specific(half_plus_two, 7)",
                 {"model": "half_plus_two", "version": 7})):
            message = f"Servable not found for request: {request}"
            response = requests.get(half_plus_two.base_url + path)
            assert (response.status_code, response.json()) == (404, {"error": message})
            with fails_with(grpc.StatusCode.NOT_FOUND, message):
                grpc_client(half_plus_two).metadata(**options)

    def test_wrong_requests(self, half_plus_two, grpc_client):
        client = grpc_client(half_plus_two)
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT,
                        "GetModelMetadataRequest must specify at least one metadata_field"):
            client.metadata("half_plus_two", fields=())
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT,
                        "Metadata field graph_def is not supported"):
            client.metadata("half_plus_two", fields=("signature_def", "graph_def"))
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec"):
            client.prediction.GetModelMetadata(
                get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"]),
                timeout=60)
