"""Classify, Regress and MultiInference with the clients that users have: the answers are Predict's,
whichever way they are asked for. What each fault is answered with stands in tests/golden."""

import json

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2
from tensorflow_serving.apis import inference_pb2
from tensorflow_serving.apis import regression_pb2

from grpc_client import TIMEOUT_SECONDS, fails_with, predict_request, tensor_content
from server_process import MODELS

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
INFERENCE = "inference"
LABELS = ["cat", "dog", "\u00e9l\u00e9phant"]  # of class_labels
PERSON = {"age": 1.5, "size": [2.0, 3.0]}
HALF_PLUS_TWO = "half_plus_two"


def feature(values):
    """A tf.train.Feature of a value or a list of values, all of one type."""
    values = values if isinstance(values, (list, np.ndarray)) else [values]
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], (float, np.floating)):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(features):
    return tf.train.Example(features=tf.train.Features(
        feature={name: feature(values) for name, values in features.items()}))


def fill(request, model, examples, context=None, signature=""):
    """Sets the spec and the input of a ClassificationRequest or a RegressionRequest."""
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    fill_input(request.input, examples, context)
    return request


def fill_input(message, examples, context=None):
    if context is None:
        message.example_list.examples.extend(example(features) for features in examples)
        return
    message.example_list_with_context.context.CopyFrom(example(context))
    message.example_list_with_context.examples.extend(example(features) for features in examples)


def classes(result):
    """[[(label, score)]] of a ClassificationResult."""
    return [[(one.label, one.score) for one in row.classes] for row in result.classifications]


def numbers(result):
    return [one.value for one in result.regressions]


class Asker:
    """One model by both protocols; each call checks that they agree, and gives the answer."""

    def __init__(self, server, client, model):
        self.server, self.stub, self.model = server, client.prediction, model

    def classify(self, examples, context=None, signature=""):
        response = self.stub.Classify(
            fill(classification_pb2.ClassificationRequest(), self.model, examples, context,
                 signature), timeout=TIMEOUT_SECONDS)
        self.check_spec(response, signature)
        rows = self.rest("classify", examples, context, signature)
        assert [[(label, np.float32(score)) for label, score in row] for row in rows] == \
            classes(response.result)
        return classes(response.result)

    def regress(self, examples, context=None, signature=""):
        response = self.stub.Regress(
            fill(regression_pb2.RegressionRequest(), self.model, examples, context, signature),
            timeout=TIMEOUT_SECONDS)
        self.check_spec(response, signature)
        rest = self.rest("regress", examples, context, signature)
        assert [np.float32(value) for value in rest] == numbers(response.result)
        return numbers(response.result)

    def check_spec(self, response, signature):
        spec = response.model_spec
        assert (spec.name, spec.version.value, spec.signature_name) == \
            (self.model, 1, signature or "serving_default")

    def rest(self, verb, examples, context, signature):
        body = {"examples": [{name: list(map(float, values)) if isinstance(values, np.ndarray)
                              else values for name, values in features.items()}
                             for features in examples]}
        if context is not None:
            body["context"] = context
        if signature:
            body["signature_name"] = signature
        response = requests.post(f"{self.server.model_url}:{verb}", json=body)
        assert response.status_code == 200, response.text
        assert response.json().keys() == {"results"}
        return response.json()["results"]


@pytest.fixture
def ask(serving, grpc_client):
    def of_model(model, *flags):
        server = serving(model, *flags)
        return Asker(server, grpc_client(server), model)
    return of_model


class TestOfficialExample:
    """What TensorFlow Serving's own test of its server sends."""

    def test_regress(self, ask):
        assert ask(HALF_PLUS_TWO).regress([{"x": 2.0}]) == [3.0]

    def test_whole_numbers(self, ask):
        """A client that writes 2 for 2.0: JSON makes an int64 of it."""
        assert ask(HALF_PLUS_TWO).regress([{"x": 2}, {"x": 3}]) == [3.0, 3.5]


class TestAnswers:

    def test_scores(self, ask):
        assert ask(INFERENCE).classify([PERSON]) == [[("", 1.5), ("", 2.0), ("", 3.0)]]

    def test_classes_and_scores(self, ask):
        assert ask(INFERENCE).classify([PERSON], signature="named") == [
            [("age", 1.5), ("width", 2.0), ("height", 3.0)]]

    def test_classes(self, ask):
        assert ask(INFERENCE).classify([PERSON, {"age": 9.0, "size": [0.5, 0.25]}],
                                       signature="best") == [[("height", 0.0)], [("age", 0.0)]]

    def test_context(self, ask):
        got = ask(INFERENCE).regress([{"age": 2.5}, {"size": [4.0, 4.0]}],
                                     context={"age": 1.0, "size": [1.0, 1.0]}, signature="sum")
        assert got == [4.5, 9.0]

    def test_digits_are_those_of_predict(self, ask, grpc_client):
        """64 features for each of 100 examples, which is past what is parsed on an I/O thread."""
        digits = ask("digits")
        pixels = np.random.default_rng(7).uniform(0, 16, (100, 64)).astype(np.float32)
        got = digits.classify([{"pixels": row} for row in pixels])
        predicted = grpc_client(digits.server).predict_arrays("digits", {"pixels": pixels})
        assert np.array_equal(np.float32([[score for _, score in row] for row in got]),
                              predicted["probabilities"])


class TestMultiInference:

    def request(self, *tasks):
        request = inference_pb2.MultiInferenceRequest()
        for signature, method in tasks:
            task = request.tasks.add(method_name=method)
            task.model_spec.name = INFERENCE
            task.model_spec.signature_name = signature
        fill_input(request.input, [PERSON])
        return request

    def test_results_are_in_the_order_of_the_tasks(self, ask):
        tasks = [("sum", REGRESS), ("named", CLASSIFY), ("best", CLASSIFY), ("", CLASSIFY)]
        for order in (tasks, tasks[::-1]):
            response = ask(INFERENCE).stub.MultiInference(
                self.request(*order), timeout=TIMEOUT_SECONDS)
            assert [result.model_spec.signature_name for result in response.results] == \
                [signature or "serving_default" for signature, _ in order]
            for result in response.results:
                if result.model_spec.signature_name == "sum":
                    assert numbers(result.regression_result) == [6.5]
                else:
                    assert result.WhichOneof("result") == "classification_result"

    def test_results_are_those_of_the_single_methods(self, ask):
        asker = ask(INFERENCE)
        response = asker.stub.MultiInference(
            self.request(("named", CLASSIFY), ("sum", REGRESS)), timeout=TIMEOUT_SECONDS)
        assert classes(response.results[0].classification_result) == \
            asker.classify([PERSON], signature="named")
        assert numbers(response.results[1].regression_result) == \
            asker.regress([PERSON], signature="sum")


class TestSerializedExamples:
    """Models that parse the Examples themselves, as an estimator exports them: the answers are
    those that TensorFlow gave (tests/models/example_models.py)."""

    FIRST, SECOND = {"x": [1.0, 2.0, 3.0]}, {"x": [0.0, 0.0, 1.0]}

    @pytest.fixture
    def ask_file(self, start_server, grpc_client):
        def of_file(name, *flags):
            server = start_server(name, MODELS / "examples" / f"{name}.tflite", *flags)
            return Asker(server, grpc_client(server), name)
        return of_file

    def check(self, got):
        expected = json.loads((MODELS / "examples" / "classifier.json").read_text())[0]
        scores = np.reshape(expected["outputs"]["scores"]["values"], (2, 2))
        assert [[label for label, _ in row] for row in got] == [["no", "yes"], ["no", "yes"]]
        assert np.allclose([[score for _, score in row] for row in got], scores, rtol=1e-6)

    def test_classify(self, ask_file):
        asker = ask_file("classifier")
        self.check(asker.classify([self.FIRST, self.SECOND]))
        self.check(asker.classify([{}, self.SECOND], context=self.FIRST))

    def test_regress(self, ask_file):
        assert ask_file("regressor").regress([{"x": [2.0]}, {}]) == [3.0, 7.0]

    def test_what_the_model_misses(self, ask_file):
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT,
                        "Feature: x (data type: float) is required but could not be found"):
            ask_file("classifier").classify([self.FIRST, {}])

    def test_a_signature_made_for_it_passes_the_check_of_method_names(self, ask_file):
        asker = ask_file("legacy_signatures", TestMethodNames.FLAG)
        self.check(asker.classify([self.FIRST, self.SECOND]))
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, "Was: tensorflow/serving/classify"):
            asker.regress([self.FIRST])


class TestModelsOwnData:

    def test_labels(self, ask):
        """Of the model's metadata."""
        row, = ask("class_labels").classify([{"x": [1.0, 2.0, 3.0, 4.0]}])
        assert [label for label, _ in row] == LABELS

    def test_quantised(self, ask, grpc_client):
        """Real numbers in, real numbers out, as Predict gives them when it is asked for floats."""
        digits = ask("digits_int8")
        pixels = np.random.default_rng(7).uniform(-1, 17, (5, 64)).astype(np.float32)
        got = digits.classify([{"pixels": row} for row in pixels])
        request = predict_request("digits_int8", {"pixels": tensor_content(pixels)})
        predicted = grpc_client(digits.server).predict(request, metadata=[("x-dequantize", "1")])
        assert np.array_equal(np.float32([[score for _, score in row] for row in got]),
                              tf.make_ndarray(predicted.outputs["probabilities"]))

    def test_a_whole_number_out_of_range_is_refused(self, ask):
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT,
                        'feature "pixels" of example 0: 100 is out of range for int8 with scale'):
            ask("digits_int8").classify([{"pixels": [100] * 64}])


class TestMethodNames:

    FLAG = "--enable_signature_method_name_check"
    REFUSAL = ("Expected classification signature method_name to be tensorflow/serving/classify. "
               "Was: tensorflow/serving/predict")

    def test_count_with_the_flag(self, ask):
        asker = ask(INFERENCE, self.FLAG)
        with fails_with(grpc.StatusCode.INVALID_ARGUMENT, self.REFUSAL):
            asker.classify([PERSON])
        response = requests.post(f"{asker.server.model_url}:classify",
                                 data=json.dumps({"examples": [PERSON]}))
        assert response.status_code == 400
        assert response.json() == {"error": self.REFUSAL}

    def test_predict_takes_them_all(self, serving):
        server = serving(INFERENCE, self.FLAG)
        response = requests.post(server.predict_url, json={"instances": [PERSON]})
        assert response.json() == {"predictions": [[1.5, 2.0, 3.0]]}


class TestLimits:

    def test_a_context_is_not_repeated_without_end(self, ask):
        asker = ask(INFERENCE)
        context = {"age": 1.0, "note": b"n" * 2**20}
        request = fill(regression_pb2.RegressionRequest(), INFERENCE,
                       [{"size": [1.0, 1.0]}] * 100, context, "sum")
        with fails_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "the context of 1048"):
            asker.stub.Regress(request, timeout=TIMEOUT_SECONDS)
        response = requests.post(f"{asker.server.model_url}:regress", json={
            "signature_name": "sum", "context": {"note": "n" * 2**20}, "examples": [{}] * 100})
        assert response.status_code == 429 and "the context of 1048" in response.json()["error"]
        assert asker.regress([PERSON], signature="sum") == [6.5]
