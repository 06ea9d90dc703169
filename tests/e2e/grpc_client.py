"""The client that users of TensorFlow Serving have: the stubs of PyPI's tensorflow-serving-api."""

import contextlib

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import get_model_metadata_pb2
from tensorflow_serving.apis import get_model_status_pb2
from tensorflow_serving.apis import model_service_pb2_grpc
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.apis import prediction_service_pb2_grpc

TIMEOUT_SECONDS = 60
MAX_MESSAGE_BYTES = 2**31 - 1

# TensorProto's field of values for each element type (tensor.proto).
VALUE_FIELDS = {
    tf.float32: "float_val", tf.float64: "double_val", tf.int32: "int_val", tf.int16: "int_val",
    tf.int8: "int_val", tf.uint8: "int_val", tf.uint16: "int_val", tf.int64: "int64_val",
    tf.uint32: "uint32_val", tf.uint64: "uint64_val", tf.bool: "bool_val",
    tf.string: "string_val", tf.complex64: "scomplex_val", tf.float16: "half_val",
    tf.bfloat16: "half_val",
}


def tensor_content(array):
    """A TensorProto with the values as raw bytes; strings, which TensorFlow's clients always
    send in their own field, as there."""
    array = np.asarray(array)
    if array.dtype == np.object_:
        return tensor_values(array)
    return TensorProto(dtype=tf.as_dtype(array.dtype).as_datatype_enum,
                          tensor_shape=tf.TensorShape(array.shape).as_proto(),
                          tensor_content=array.tobytes())


def tensor_values(array):
    """A TensorProto with every value in its type's repeated field."""
    array = np.asarray(array)
    dtype = tf.string if array.dtype == np.object_ else tf.as_dtype(array.dtype)
    flat = array.reshape(-1)
    if dtype in (tf.float16, tf.bfloat16):
        flat = flat.view(np.uint16)
    elif dtype == tf.complex64:
        flat = flat.view(np.float32)
    message = TensorProto(dtype=dtype.as_datatype_enum,
                             tensor_shape=tf.TensorShape(array.shape).as_proto())
    getattr(message, VALUE_FIELDS[dtype]).extend(flat.tolist())
    return message


ENCODINGS = {"tensor_content": tensor_content, "values": tensor_values}


def predict_request(model, inputs, signature_name="", version=None, label=None, output_filter=()):
    """A PredictRequest; inputs are TensorProtos by name."""
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name = model
    request.model_spec.signature_name = signature_name
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tensor)
    return request


class Client:
    """A channel to one server with the stubs of both services. Thread-safe."""

    def __init__(self, target):
        self.channel = grpc.insecure_channel(target, options=[
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            # Servers come and go on these ports: nothing may be shared between channels.
            ("grpc.use_local_subchannel_pool", 1)])
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def close(self):
        self.channel.close()

    def predict(self, request, **options):
        return self.prediction.Predict(request, timeout=TIMEOUT_SECONDS, **options)

    def predict_arrays(self, model, inputs, encode=tensor_content, **spec):
        """{output name: array} for {input name: array}."""
        request = predict_request(
            model, {name: encode(array) for name, array in inputs.items()}, **spec)
        return {name: tf.make_ndarray(tensor)
                for name, tensor in self.predict(request).outputs.items()}

    def status(self, model, version=None):
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        return self.model.GetModelStatus(request, timeout=TIMEOUT_SECONDS)

    def metadata(self, model, fields=("signature_def",), version=None):
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
        request.model_spec.name = model
        if version is not None:
            request.model_spec.version.value = version
        return self.prediction.GetModelMetadata(request, timeout=TIMEOUT_SECONDS)

    def unary(self, path, message, **options):
        """Calls any method with raw bytes, past every check that stubs make."""
        call = self.channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
        return call(message, timeout=TIMEOUT_SECONDS, **options)


def signatures(metadata):
    """The SignatureDefMap inside a GetModelMetadataResponse, {key: SignatureDef}."""
    result = get_model_metadata_pb2.SignatureDefMap()
    assert metadata.metadata["signature_def"].Unpack(result), metadata
    return result.signature_def


@contextlib.contextmanager
def fails_with(code, *texts):
    """Expects a call to fail with this grpc.StatusCode and a message that has all the texts."""
    try:
        yield
    except grpc.RpcError as error:
        assert error.code() == code, f"got {error.code()}: {error.details()}, expected {code}"
        for text in texts:
            assert text in error.details(), f"message {error.details()!r} lacks {text!r}"
        return
    raise AssertionError(f"the call succeeded, expected {code} with {texts}")
