"""Predict over REST and gRPC with the clients that people use, on models of known answers."""

import base64
import http.client
import json

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from grpc_client import fails_with, predict_request, tensor_content, tensor_values
from server_process import base_path

HALF_PLUS_TWO = "half_plus_two"


def post(server, body, path=""):
    """The answer to a predict request; the body is text, or what becomes JSON."""
    text = body if isinstance(body, str) else json.dumps(body)
    response = requests.post(f"{server.model_url}{path}:predict", data=text.encode())
    assert response.status_code == 200, f"{text[:200]} -> {response.status_code} {response.text}"
    assert response.headers["Content-Type"] == "application/json"
    return response


@pytest.fixture
def half_plus_two(serving):
    return serving(HALF_PLUS_TWO)


@pytest.fixture
def multi_io(serving):
    return serving("multi_io")


A = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
B = [[0.5, 0.0, 1.0], [-4.0, 1.0, 0.0]]
SUM = [[1.5, 2.0, 4.0], [0.0, 6.0, 6.0]]
PROD = [[0.5, 0.0, 3.0], [-16.0, 5.0, 0.0]]
CLS = [2, 1]


class TestRestForms:
    """Row and columnar requests, with and without names."""

    # The documented example of TensorFlow Serving, answered compactly.
    @pytest.mark.parametrize("body, answer", [
        ('{"instances": [1.0, 2.0, 5.0]}', '{"predictions":[2.5,3.0,4.5]}'),
        ('{"instances": [1, 2, 5]}', '{"predictions":[2.5,3.0,4.5]}'),
        ('{"instances": [{"x": 1.0}, {"x": 2.0}, {"x": 5.0}]}', '{"predictions":[2.5,3.0,4.5]}'),
        ('{"inputs": [1.0, 2.0, 5.0]}', '{"outputs":[2.5,3.0,4.5]}'),
        ('{"inputs": {"x": [1.0, 2.0, 5.0]}}', '{"outputs":[2.5,3.0,4.5]}'),
        ('{"signature_name": "serving_default", "instances": [1]}', '{"predictions":[2.5]}'),
        ('{"instances": [1], "signature_name": ""}', '{"predictions":[2.5]}'),
    ])
    def test_half_plus_two(self, half_plus_two, body, answer):
        assert post(half_plus_two, body).text == answer

    def test_row_of_several_inputs_and_outputs(self, multi_io):
        rows = [{"a": a, "b": b} for a, b in zip(A, B)]
        assert post(multi_io, {"instances": rows}).json() == {"predictions": [
            {"sum": s, "prod": p, "cls": c} for s, p, c in zip(SUM, PROD, CLS)]}

    def test_columns_of_several_inputs_and_outputs(self, multi_io):
        assert post(multi_io, {"inputs": {"a": A, "b": B}}).json() == {
            "outputs": {"sum": SUM, "prod": PROD, "cls": CLS}}

    def test_order_of_named_inputs_does_not_matter(self, multi_io):
        assert post(multi_io, {"inputs": {"b": B, "a": A}}).json()["outputs"]["prod"] == PROD

    def test_columns_ignore_names_that_the_signature_lacks(self, multi_io):
        answer = post(multi_io, {"inputs": {"a": A, "unknown": {"b": [None]}, "b": B}}).json()
        assert answer["outputs"]["sum"] == SUM

    def test_scalar_in_and_out(self, serving):
        assert post(serving("scalar"), '{"inputs": 3}').text == '{"outputs":7.0}'

    def test_lower_rank_fits_a_fixed_shape(self, serving):
        """Clients of the original send shape [1] to a model of shape [1,1]."""
        server = serving("half_plus_two_1x1")
        assert post(server, '{"instances": [2.0]}').json() == {"predictions": [[3.0]]}
        assert post(server, '{"instances": [[2.0]]}').json() == {"predictions": [[3.0]]}

    def test_batch_of_one_in_the_file_takes_more_rows_where_the_graph_does(self, serving):
        server = serving("fixed_batch_1")
        rows = [[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0], [-3.0, 0.25, 0.0, 4.0]]
        together = post(server, {"instances": rows}).json()["predictions"]
        alone = [post(server, {"instances": [row]}).json()["predictions"][0] for row in rows]
        np.testing.assert_allclose(together, alone, rtol=1e-6)

    def test_what_the_original_tolerates_around_the_document(self, half_plus_two):
        expected = '{"predictions":[2.5]}'
        for body in ('\ufeff{"instances": [1]}',  # a byte order mark
                     '  {"instances": [1]}\n\n',
                     '{"instances": [1]} and more text',
                     '{"instances": [1], "instances": [9]}',  # the first of two
                     '{"other": {"deep": [1, {"x": null}]}, "instances": [1]}',
                     '{"instances": [1], "other": "\\u00e9\\ud83d\\ude00"}'):
            assert post(half_plus_two, body).text == expected, body


class TestRestValues:
    """Numbers and strings as they travel through JSON."""

    def test_not_finite(self, half_plus_two):
        body = '{"instances": [NaN, Infinity, -Infinity, Inf, -Inf]}'
        assert post(half_plus_two, body).text == (
            '{"predictions":[NaN,Infinity,-Infinity,Infinity,-Infinity]}')

    def test_digits_read_back_as_the_same_float(self, half_plus_two):
        values = np.float32([0.1, 1 / 3, 1e-5, 16777217, 3.4e38, -2.5e-38, 123456.789])
        text = post(half_plus_two, {"instances": values.tolist()}).text
        expected = np.float32(0.5) * values + np.float32(2.0)
        answers = json.loads(text)["predictions"]
        np.testing.assert_array_equal(np.float32(answers), expected)
        for token in text[len('{"predictions":['):-len(']}')].split(","):
            assert len(token) <= 14, f"{token} is longer than any float32 needs"
            assert "." in token or "e" in token, f"{token} reads as an integer"

    def test_whole_and_large_floats(self, serving):
        server = serving("type_float32")
        assert post(server, '{"inputs": [[0.0, -0.0]]}').text == '{"outputs":[[-0.0,0.0]]}'
        assert post(server, '{"inputs": [[16777216, 1e20]]}').json() == {
            "outputs": [[1e20, 16777216.0]]}

    def test_no_rows(self, half_plus_two, grpc_client):
        assert post(half_plus_two, '{"inputs": []}').text == '{"outputs":[]}'
        y = grpc_client(half_plus_two).predict(predict_request(
            HALF_PLUS_TWO, {"x": tensor_content(np.float32([]))})).outputs["y"]
        assert tf.make_ndarray(y).shape == (0,)

    def test_float_overflow_is_infinity_and_underflow_is_zero(self, serving):
        answer = post(serving("type_float32"), '{"inputs": [[1e39, 1e-60]]}').text
        assert answer == '{"outputs":[[0.0,Infinity]]}'

    def test_integers_to_their_limits(self, serving):
        for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
            limits = np.iinfo(dtype)
            answer = post(serving(f"type_{dtype}"), {"inputs": [[limits.min, limits.max]]}).text
            assert answer == f'{{"outputs":[[{limits.max},{limits.min}]]}}'

    def test_booleans(self, serving):
        answer = post(serving("type_bool"), '{"instances": [[true, false], [true, true]]}').text
        assert answer == '{"predictions":[[false,true],[true,true]]}'

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision(self, serving, dtype):
        answer = post(serving(f"type_{dtype}"), '{"inputs": [[1.5, -0.25]]}').text
        assert answer == '{"outputs":[[-0.25,1.5]]}'

    def test_strings_and_base64(self, serving):
        server = serving("type_string")
        raw = base64.b64encode(b"\x00\xff").decode()
        answer = post(server, {"inputs": [["a \"quoted\"\n\u00e9", {"b64": "AGI="}]]})
        assert answer.json() == {"outputs": [["\0b", "a \"quoted\"\n\u00e9"]]}
        assert b'"\x00' not in answer.content, "control characters must be escaped"
        # Bytes that are no UTF-8 are passed through as they are.
        assert post(server, {"inputs": [["x", {"b64": raw}]]}).content == (
            b'{"outputs":[["\\u0000\xff","x"]]}')

    def test_base64_without_padding_and_with_whitespace(self, serving):
        answer = post(serving("type_string"), {"inputs": [[{"b64": "aGk"}, {"b64": "a G\nk="}]]})
        assert answer.json() == {"outputs": [["hi", "hi"]]}

    def test_bytes_outputs_are_base64(self, serving):
        cube = [[["a", "b", "c"], ["d", "e", "f"]]]
        answer = post(serving("string_cube"), {"instances": cube}).json()["predictions"][0]
        assert answer["reversed"] == [["c", "b", "a"], ["f", "e", "d"]]
        assert answer["reversed_bytes"] == [
            [{"b64": base64.b64encode(letter.encode()).decode()} for letter in row]
            for row in ("def", "abc")]

    def test_one_string_of_rank_zero(self, serving):
        server = serving("string_scalar")
        assert post(server, '{"inputs": "hello"}').text == '{"outputs":{"b64":"aGVsbG8="}}'
        assert post(server, '{"inputs": {"b64": "aGVsbG8="}}').json() == {
            "outputs": {"b64": "aGVsbG8="}}

    def test_numbers_to_strings_and_back(self, serving):
        labels = post(serving("string_lookup"), '{"instances": [3, 0]}').json()["predictions"]
        assert [base64.b64decode(label["b64"]).decode() for label in labels] == [
            "drei \u2462", "zero"]
        answer = post(serving("string_equal"), '{"instances": ["yes", "no", ""]}').text
        assert answer == '{"predictions":[true,false,false]}'


class TestRestPaths:
    """How a model, a version and a signature are named."""

    def test_version(self, half_plus_two):
        assert post(half_plus_two, '{"instances": [1]}', "/versions/1").json() == {
            "predictions": [2.5]}

    def test_words_in_any_case_and_names_percent_encoded(self, half_plus_two):
        for path in ("/V1/Models/half_plus_two:predict", "/v1/models/half%5fplus%5Ftwo:predict",
                     "/v1/MODELS/half_plus_two/Versions/001:predict"):
            response = requests.post(half_plus_two.base_url + path, data='{"instances": [1]}')
            assert response.text == '{"predictions":[2.5]}', path

    def test_signature_is_found_wherever_it_stands(self, serving):
        server = serving("multi_signature")
        row = np.linspace(-1, 1, 128, dtype=np.float32).tolist()
        code = post(server, {"signature_name": "encode", "instances": [row]}).json()
        after = post(server, {"instances": [row], "signature_name": "encode"}).json()
        assert after == code
        back = post(server, {"inputs": {"code": code["predictions"]}, "signature_name": "decode"})
        np.testing.assert_allclose(back.json()["outputs"], [row], atol=1e-5)
        default = post(server, {"instances": [row]}).json()["predictions"][0]
        assert sorted(default) == ["code", "energy"]
        assert default["code"] == code["predictions"][0]

    def test_content_type_is_not_asked_for(self, half_plus_two):
        """curl sends a form's type with -d."""
        for content_type in ("application/x-www-form-urlencoded", "text/plain", ""):
            response = requests.post(half_plus_two.predict_url, data='{"instances": [1]}',
                                     headers={"Content-Type": content_type})
            assert response.text == '{"predictions":[2.5]}', content_type


class TestRestConnection:

    def test_connection_is_kept(self, half_plus_two):
        connection = http.client.HTTPConnection(*half_plus_two.address, timeout=60)
        local_addresses = set()
        for value in range(50):
            connection.request("POST", f"/v1/models/{HALF_PLUS_TWO}:predict",
                               body=f'{{"instances": [{value}]}}')
            response = connection.getresponse()
            assert json.loads(response.read()) == {"predictions": [0.5 * value + 2]}
            local_addresses.add(connection.sock.getsockname())
        connection.close()
        assert len(local_addresses) == 1, f"{len(local_addresses)} connections for 50 requests"

    def test_chunked_body(self, half_plus_two):
        pieces = [b'{"inst', b'ances": [', b"1.0, 2", b".0", b"]}"]
        response = requests.post(half_plus_two.predict_url, data=iter(pieces))
        assert response.text == '{"predictions":[2.5,3.0]}'

    def test_error_keeps_the_connection(self, half_plus_two):
        with requests.Session() as session:
            assert session.post(half_plus_two.predict_url, data="{}").status_code == 400
            response = session.post(half_plus_two.predict_url, data='{"instances": [1]}')
            assert response.text == '{"predictions":[2.5]}'

    def test_ipv6(self, half_plus_two):
        url = f"http://[::1]:{half_plus_two.rest_port}/v1/models/{HALF_PLUS_TWO}:predict"
        assert requests.post(url, data='{"instances": [1]}').text == '{"predictions":[2.5]}'


class TestGrpc:

    X = np.float32([1.0, 2.0, 5.0])
    Y = [2.5, 3.0, 4.5]

    @pytest.mark.parametrize("encode", [tensor_content, tensor_values])
    def test_answer_comes_in_float_val(self, half_plus_two, grpc_client, encode):
        response = grpc_client(half_plus_two).predict(
            predict_request(HALF_PLUS_TWO, {"x": encode(self.X)}))
        assert list(response.outputs) == ["y"]
        y = response.outputs["y"]
        assert (y.dtype, list(y.float_val), y.tensor_content) == (tf.float32, self.Y, b"")
        assert [dim.size for dim in y.tensor_shape.dim] == [3]

    def test_make_tensor_proto(self, half_plus_two, grpc_client):
        """The function that tutorials use; it picks the encoding itself."""
        for values in ([2.0], [1.0, 2.0], [7.0] * 100):
            response = grpc_client(half_plus_two).predict(
                predict_request(HALF_PLUS_TWO, {"x": tf.make_tensor_proto(values, tf.float32)}))
            np.testing.assert_array_equal(tf.make_ndarray(response.outputs["y"]),
                                          0.5 * np.float32(values) + 2)

    @pytest.mark.parametrize("spec", [{}, {"version": 1}, {"signature_name": "serving_default"}])
    def test_model_spec_is_echoed_in_full(self, half_plus_two, grpc_client, spec):
        response = grpc_client(half_plus_two).predict(
            predict_request(HALF_PLUS_TWO, {"x": tensor_content(self.X)}, **spec))
        assert response.model_spec.name == HALF_PLUS_TWO
        assert response.model_spec.signature_name == "serving_default"
        assert response.model_spec.version.value == 1

    def test_signature_name(self, serving, grpc_client):
        client = grpc_client(serving("multi_signature"))
        x = np.float32([np.linspace(0, 1, 128)])
        request = predict_request("multi_signature", {"x": tensor_content(x)}, "encode")
        response = client.predict(request)
        assert response.model_spec.signature_name == "encode"
        code = tf.make_ndarray(response.outputs["code"])
        back = client.predict_arrays("multi_signature", {"code": code}, signature_name="decode")
        np.testing.assert_allclose(back["x"], x, atol=1e-5)

    def test_several_inputs_and_outputs(self, multi_io, grpc_client):
        outputs = grpc_client(multi_io).predict_arrays(
            "multi_io", {"a": np.float32(A), "b": np.float32(B)})
        assert {name: array.tolist() for name, array in outputs.items()} == {
            "sum": SUM, "prod": PROD, "cls": CLS}

    @pytest.mark.parametrize("names", [["sum"], ["cls", "prod"], ["prod", "sum", "cls"]])
    def test_output_filter(self, multi_io, grpc_client, names):
        outputs = grpc_client(multi_io).predict_arrays(
            "multi_io", {"a": np.float32(A), "b": np.float32(B)}, output_filter=names)
        assert sorted(outputs) == sorted(names)
        expected = {"sum": SUM, "prod": PROD, "cls": CLS}
        assert all(array.tolist() == expected[name] for name, array in outputs.items())

    def test_lower_rank_fits_a_fixed_shape(self, serving, grpc_client):
        outputs = grpc_client(serving("half_plus_two_1x1")).predict_arrays(
            "half_plus_two_1x1", {"x": np.float32([2.0])}, tensor_values)
        assert outputs["y"].reshape(-1).tolist() == [3.0]

    def test_scalar(self, serving, grpc_client):
        outputs = grpc_client(serving("scalar")).predict_arrays("scalar", {"x": np.float32(3)})
        assert outputs["y"].shape == () and outputs["y"] == 7

    def test_strings(self, serving, grpc_client):
        text = np.array([[[b"a", b"", b"\xc3\xa9"], [b"d", b"\0\xff", b"f"]]], np.object_)
        outputs = grpc_client(serving("string_cube")).predict_arrays("string_cube", {"text": text})
        assert outputs["reversed"].tolist() == text[:, :, ::-1].tolist()
        assert outputs["reversed_bytes"].tolist() == text[:, ::-1].tolist()

    # What TensorFlow's own Tensor::FromProto makes of values that are too few or too many.
    @pytest.mark.parametrize("values, expected", [
        ([4.0], [4.0, 4.0, 4.0]), ([4.0, 6.0], [4.0, 5.0, 5.0]), ([], [2.0, 2.0, 2.0]),
        ([2.0, 4.0, 6.0, 8.0, 10.0], [3.0, 4.0, 5.0])])
    def test_values_fewer_or_more_than_the_shape(self, half_plus_two, grpc_client, values,
                                                 expected):
        tensor = TensorProto(dtype=tf.float32.as_datatype_enum, float_val=values,
                                tensor_shape=tf.TensorShape([3]).as_proto())
        response = grpc_client(half_plus_two).predict(
            predict_request(HALF_PLUS_TWO, {"x": tensor}))
        assert list(response.outputs["y"].float_val) == expected

    def test_compressed_request(self, half_plus_two, grpc_client):
        response = grpc_client(half_plus_two).predict(
            predict_request(HALF_PLUS_TWO, {"x": tensor_content(np.ones(10000, np.float32))}),
            compression=grpc.Compression.Gzip)
        assert set(response.outputs["y"].float_val) == {2.5}

    def test_large_batch_is_the_same_over_both_protocols(self, half_plus_two, grpc_client):
        x = np.random.default_rng(1).normal(size=200_000).astype(np.float32)
        over_grpc = grpc_client(half_plus_two).predict_arrays(HALF_PLUS_TWO, {"x": x})["y"]
        over_rest = post(half_plus_two, {"instances": x.tolist()}).json()["predictions"]
        np.testing.assert_array_equal(np.float32(over_rest), over_grpc)

    def test_several_megabytes(self, half_plus_two, grpc_client):
        """Past the 4 MiB at which gRPC stops by default."""
        x = np.arange(4_000_000, dtype=np.float32)
        outputs = grpc_client(half_plus_two).predict_arrays(HALF_PLUS_TWO, {"x": x})
        np.testing.assert_array_equal(outputs["y"], np.float32(0.5) * x + np.float32(2))


class TestState:
    """A model with variables answers every request from its first state."""

    def test_no_request_sees_another(self, serving, grpc_client):
        server = serving("stateful")
        for value in (1.0, 10.0, 1.0, 100.0) * 5:
            assert post(server, {"instances": [value]}).json() == {"predictions": [value]}
            outputs = grpc_client(server).predict_arrays("stateful", {"x": np.float32([value])})
            assert outputs["total"].tolist() == [value]

    def test_state_is_kept_where_it_is_asked_for(self, start_server):
        server = start_server("stateful", base_path("stateful"), "--keep_state",
                              "--num_tflite_pools=1")
        totals = [post(server, {"instances": [value]}).json()["predictions"][0]
                  for value in (1.0, 10.0, 100.0)]
        assert totals == [1.0, 11.0, 111.0]


class TestDigits:
    """The bundled example."""

    def test_example_request(self, serving):
        server = serving("digits")
        body = (base_path("digits") / "example.json").read_text()
        probabilities = post(server, body).json()["predictions"][0]
        assert len(probabilities) == 10 and abs(sum(probabilities) - 1) < 1e-5
        alone = json.loads(body)["instances"][0]
        repeated = post(server, {"instances": [alone] * 4}).json()["predictions"]
        np.testing.assert_allclose(repeated, [probabilities] * 4, rtol=1e-5)

    def test_quantised_example_agrees(self, serving):
        body = (base_path("digits") / "example.json").read_text()
        quantised_body = (base_path("digits_int8") / "example.json").read_text()
        probabilities = post(serving("digits"), body).json()["predictions"][0]
        quantised = post(serving("digits_int8"), quantised_body).json()["predictions"][0]
        assert all(isinstance(value, int) for value in quantised)
        assert np.argmax(quantised) == np.argmax(probabilities)


def test_grpc_knows_only_its_own_model(half_plus_two, grpc_client):
    request = predict_request("other", {"x": tensor_content(np.float32([1]))})
    with fails_with(grpc.StatusCode.NOT_FOUND, "Servable not found for request: Latest(other)"):
        grpc_client(half_plus_two).predict(request)
