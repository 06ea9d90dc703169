"""Warm-up requests that a model brings along, written by TensorFlow and the original's own messages."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2, inference_pb2, predict_pb2, prediction_log_pb2, regression_pb2,
    session_service_pb2)

import server_process
from server_process import base_path, free_port, run_to_exit

READ = r"Finished reading warmup data for model at \S+\. Number of warmup records read: (\d+)\."


def version_directory(tmp_path, model, logs):
    """A base path with one version of the model, and these logs beside it."""
    version = tmp_path / "1"
    (version / "assets.extra").mkdir(parents=True)
    (version / "model.tflite").write_bytes(base_path(model).read_bytes())
    path = version / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for log in logs:
            writer.write(log.SerializeToString())
    return path


def predict(value, signature=""):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "another model"
    request.model_spec.version.value = 99
    request.model_spec.signature_name = signature
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([value], dtype=tf.float32))
    return prediction_log_pb2.PredictionLog(
        predict_log=prediction_log_pb2.PredictLog(request=request))


def with_example(request):
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.append(2.0)
    return request


def classify():
    request = with_example(classification_pb2.ClassificationRequest())
    return prediction_log_pb2.PredictionLog(
        classify_log=prediction_log_pb2.ClassifyLog(request=request))


def regress():
    request = with_example(regression_pb2.RegressionRequest())
    return prediction_log_pb2.PredictionLog(
        regress_log=prediction_log_pb2.RegressLog(request=request))


def multi_inference():
    request = with_example(inference_pb2.MultiInferenceRequest())
    task = request.tasks.add(method_name="tensorflow/serving/regress")
    task.model_spec.name = "another model"
    return prediction_log_pb2.PredictionLog(
        multi_inference_log=prediction_log_pb2.MultiInferenceLog(request=request))


def refusal(tmp_path):
    status, output = run_to_exit(f"--port={free_port()}", f"--rest_api_port={free_port()}",
                                 "--model_name=m", f"--model_base_path={tmp_path}",
                                 "--strict_start")
    assert status > 0, output
    return output


def test_every_kind_of_log_is_replayed(tmp_path):
    nothing = prediction_log_pb2.PredictionLog()
    version_directory(tmp_path, "half_plus_two",
                      [predict(1.0), predict(2.0, "serving_default"), regress(), multi_inference(),
                       nothing])
    server = server_process.Server("m", tmp_path)
    try:
        assert server.wait_for_log(READ)[1] == "5"
        server.wait_until_ready()
        server.stop()
    finally:
        server.kill()


@pytest.mark.parametrize("log, texts", [
    (predict(1.0, "none"), ["FAILED_PRECONDITION", 'Serving signature key "none" not found.']),
    (classify(), ["INVALID_ARGUMENT"]),  # rank 1: no scores by example
    (prediction_log_pb2.PredictionLog(session_run_log=prediction_log_pb2.SessionRunLog(
        request=session_service_pb2.SessionRunRequest())),
     ["UNIMPLEMENTED", "Unsupported log_type for warmup: 5"]),
])
def test_a_log_that_fails_fails_the_load(tmp_path, log, texts):
    path = version_directory(tmp_path, "half_plus_two", [predict(1.0), log])
    output = refusal(tmp_path)
    for text in [*texts, f"{path}: record 1: "]:
        assert text in output, output


def test_a_damaged_file_fails_the_load(tmp_path):
    path = version_directory(tmp_path, "half_plus_two", [predict(1.0)])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    output = refusal(tmp_path)
    assert "DATA_LOSS" in output, output
    assert "Please verify your warmup data is in TFRecord format." in output, output
