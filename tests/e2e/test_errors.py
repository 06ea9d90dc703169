"""Every error of the predict API, as tables: a request, its code, and the part of the message that
clients search for. The texts are TensorFlow Serving's where it has them (json_tensor.cc,
predict_util.cc, http_rest_api_handler.cc); ours name the input and both values."""

import json

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis import predict_pb2

from grpc_client import fails_with, predict_request, tensor_content

HALF_PLUS_TWO = "half_plus_two"
IN_ROW_0 = "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: "

PARSE_ERRORS = [
    ("", "JSON Parse error: The document is empty"),
    ("  \n", "JSON Parse error: The document is empty"),
    ('{"instances": [1.0}', "Missing a comma or ] after an array element."),
    ('{"instances": [1.0] "a": 1}', "Missing a comma or } after an object member."),
    ('{instances: [1]}', "Missing a name for object member."),
    ('{"instances" [1]}', "Missing a colon after a name of object member."),
    ('{"instances: [1]}', "Missing a closing quotation mark in string."),
    (r'{"a": "\q", "instances": [1]}', "Invalid escape character in string."),
    ('{"instances": [1.]}', "Miss fraction part in number."),
    ('{"instances": [abc]}', "Invalid value."),
    ('{"instances": [1,]}', "Invalid value."),
    ('{"instances": [01]}', "Missing a comma or ] after an array element."),
    ('{"instances": [1], "other": [nul]}', "Invalid value."),
    ('{"instances": [1.0,', "JSON Parse error: "),
    ("\x00\x01\x02", "JSON Parse error: "),
]

# (model, body, code, text)
REST_ERRORS = [
    (HALF_PLUS_TWO, "[1, 2]", 400, "Is not object"),
    (HALF_PLUS_TWO, '"instances"', 400, 'JSON Value: "instances" Is not object'),
    (HALF_PLUS_TWO, '{"signature_name": 5, "instances": [1]}', 400,
     "not formatted correctly. 'signature_name' key must be a string value."),
    (HALF_PLUS_TWO, '{"signature_name": "nope", "instances": [1]}', 400,
     'Serving signature name: "nope" not found in signature def'),
    (HALF_PLUS_TWO, "{}", 400, "Missing 'inputs' or 'instances' key"),
    (HALF_PLUS_TWO, '{"inputs": [1], "instances": [1]}', 400,
     "expecting only one of 'inputs' or 'instances' keys to exist"),
    (HALF_PLUS_TWO, '{"instances": 5}', 400,
     'JSON Value: {\n    "instances": 5\n} Expecting \'instances\' to be an list/array'),
    (HALF_PLUS_TWO, '{"instances": {"x": 1}}', 400, "Expecting 'instances' to be an list/array"),
    (HALF_PLUS_TWO, '{"instances": []}', 400, "No values in 'instances' array"),
    (HALF_PLUS_TWO, '{"instances": [{"x": 1}, 2]}', 400,
     "Expecting object but got list at item 1 of input list"),
    (HALF_PLUS_TWO, '{"instances": [1, {"x": 2}]}', 400,
     "Expecting value/list but got object at item 1 of input list"),
    (HALF_PLUS_TWO, '{"instances": [{"y": 1}]}', 400,
     "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: "
     "JSON object: does not have named input: y"),
    (HALF_PLUS_TWO, '{"instances": [{"x": 1}, {}]}', 400, "keys must be equal to: x"),
    ("multi_io", '{"inputs": {"a": [], "b": [[1, 2, 3]]}}', 400, 'input "a": expected float[?,3], got float[0]'),
    (HALF_PLUS_TWO, '{"inputs": {"y": [1]}}', 400, "Missing named input: x in 'inputs' object."),
    # Element types.
    (HALF_PLUS_TWO, '{"instances": ["abc"]}', 400,
     IN_ROW_0 + 'JSON Value: "abc" Type: String is not of expected type: float'),
    (HALF_PLUS_TWO, '{"instances": [1.0, null]}', 400,
     "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
     "JSON Value: null Type: Null is not of expected type: float"),
    (HALF_PLUS_TWO, '{"instances": [true]}', 400,
     "JSON Value: true Type: True is not of expected type: float"),
    (HALF_PLUS_TWO, '{"instances": [{"x": 1}, {"x": "a"}]}', 400,
     "Failed to process element: 1 key: x of 'instances' list. Error: INVALID_ARGUMENT: "
     'JSON Value: "a" Type: String is not of expected type: float'),
    (HALF_PLUS_TWO, '{"inputs": "abc"}', 400,
     'JSON Value: "abc" Type: String is not of expected type: float'),
    ("type_int32", '{"instances": [[1, 2.5]]}', 400,
     "Type: Number is not of expected type: int32"),
    ("type_int32", '{"instances": [[1, 3000000000]]}', 400, "int32"),
    ("type_int64", '{"instances": [[1, 1e3]]}', 400,
     "Type: Number is not of expected type: int64"),
    ("type_uint8", '{"instances": [[300, 1]]}', 400, "300 is out of range for type uint8"),
    ("type_int8", '{"instances": [[-129, 1]]}', 400, "-129 is out of range for type int8"),
    ("type_uint64", '{"instances": [[1, -1]]}', 400, "uint64"),
    ("type_bool", '{"instances": [[0, 1]]}', 400,
     "JSON Value: 0 Type: Number is not of expected type: bool"),
    ("type_string", '{"instances": [["a", 1]]}', 400,
     "JSON Value: 1 Type: Number is not of expected type: string"),
    ("type_string", '{"instances": [["a", {"b64": "*"}]]}', 400, "Unable to base64 decode"),
    ("type_string", '{"instances": [["a", {"b64": 5}]]}', 400,
     "not formatted correctly for base64 data"),
    ("type_complex64", '{"inputs": [1, 2, 3]}', 400,
     "numbers of type complex64 are lists [re, im]; got lists of sizes [3]"),
    ("type_complex64", '{"instances": [1, 2]}', 400, "got lists of sizes [2]"),
    ("multi_io", '{"output_filter": "sum", "inputs": {}}', 400,
     "'output_filter' key must be a list of at most 4096 strings."),
    ("multi_io", '{"output_filter": ["nope"], "inputs": {"a": [[1, 2, 3]], "b": [[1, 2, 3]]}}', 400,
     "output tensor alias not found in signature: nope Outputs expected to be in the set "
     "{cls,prod,sum}."),
    ("multi_io", '{"output_filter": ["sum", "sum"], "inputs": {"a": [[1, 2, 3]], "b": [[1, 2, 3]]}}',
     400, "duplicate output tensor alias: sum"),
    # Shapes that do not agree in themselves.
    (HALF_PLUS_TWO, '{"instances": [[1, 2], [1, 2, 3]]}', 400,
     "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: "
     "Expecting tensor size: 2 but got: 3"),
    (HALF_PLUS_TWO, '{"instances": [[1, 2], [[1, 2]]]}', 400,
     "Expecting shape [2] but got: [1,2]"),
    (HALF_PLUS_TWO, '{"inputs": [[1, 2], [3]]}', 400, "Encountered list at unexpected size: 1"),
    (HALF_PLUS_TWO, '{"inputs": [1, [2]]}', 400, "Encountered list at unexpected level: "),
    (HALF_PLUS_TWO, '{"inputs": [[1], 2]}', 400, "JSON Value: 2 found at incorrect level: "),
    # Shapes that do not fit the signature.
    (HALF_PLUS_TWO, '{"inputs": [[1, 2], [3, 4]]}', 400,
     'input "x": expected float[?], got float[2,2]'),
    ("multi_io", '{"inputs": {"a": [[1, 2, 3]], "b": [[1, 2]]}}', 400,
     'input "b": expected float[?,3], got float[1,2]'),
    ("scalar", '{"instances": [1, 2]}', 400, 'input "x": expected float[], got float[2]'),
    # Several inputs, several outputs.
    ("multi_io", '{"instances": [[1, 2, 3]]}', 400,
     "instances is a plain list, but expecting list of objects as multiple input tensors required "
     "as per tensorinfo_map"),
    ("multi_io", '{"inputs": [[1, 2, 3]]}', 400,
     "inputs is a plain value/list, but expecting an object as multiple input tensors required "
     "as per tensorinfo_map"),
    ("multi_io", '{"inputs": {"a": [[1, 2, 3]]}}', 400,
     "Missing named input: b in 'inputs' object."),
    ("multi_io", '{"instances": [{"a": [1, 2, 3]}]}', 400,
     "Failed to process element: 0 of 'instances' list. JSON object: "),
    ("multi_io", '{"instances": [{"a": [1, 2, 3]}]}', 400, "keys must be equal to: a,b"),
    ("multi_io", '{"instances": [{"a": [1, 2, 3], "c": [1]}]}', 400,
     "JSON object: does not have named input: c"),
    ("dim0_mismatch", '{"instances": [[1, 2], [3, 4]]}', 400, "has inconsistent batch size: "),
    ("constant_output", '{"instances": [1, 2, 3]}', 400, "has inconsistent batch size: "),
]

# (method, path, code, text)
PATH_ERRORS = [
    ("POST", "/v1/models/nope:predict", 404, "Servable not found for request: Latest(nope)"),
    ("POST", "/v1/models/half_plus_two/versions/5:predict", 404,
     "Servable not found for request: Specific(half_plus_two, 5)"),
    ("POST", "/v1/models/half_plus_two/labels/stable:predict", 400,
     "Unrecognized servable version label: stable"),
    ("POST", "/v1/models/half_plus_two/versions/18446744073709551615:predict", 400,
     "Failed to convert version: 18446744073709551615 to numeric."),
    ("GET", "/v1/models/half_plus_two/versions/18446744073709551615", 400,
     "Failed to convert version: 18446744073709551615 to numeric."),
    ("POST", "/v1/models/half_plus_two", 400, "Malformed request: POST /v1/models/half_plus_two"),
    ("POST", "/v1/models/half_plus_two:Predict", 400,
     "Malformed request: POST /v1/models/half_plus_two:Predict"),
    ("POST", "/v1/models/half_plus_two:explain", 400, "Malformed request: POST "),
    ("POST", "/v1/models/half_plus_two/versions/one:predict", 400, "Malformed request: POST "),
    ("POST", "/v1/models/half_plus_two/versions/1/labels/a:predict", 400, "Malformed request: "),
    ("POST", "/v1/models/:predict", 400, "Malformed request: POST /v1/models/:predict"),
    ("POST", "/v1/models/a/b:predict", 400, "Malformed request: POST /v1/models/a/b:predict"),
    ("GET", "/v1/models/half_plus_two:predict", 400,
     "Malformed request: GET /v1/models/half_plus_two:predict"),
    ("GET", "/v1/models/half_plus_two/metadata/more", 400, "Malformed request: GET "),
    ("GET", "/v1/", 400, "Malformed request: GET /v1/"),
    ("GET", "/v1/unknown", 400, "Malformed request: GET /v1/unknown"),
    ("DELETE", "/v1/models/half_plus_two", 400,
     "Malformed request: DELETE /v1/models/half_plus_two"),
    ("PUT", "/v1/models/half_plus_two:predict", 400,
     "Malformed request: PUT /v1/models/half_plus_two:predict"),
]


def check_error(response, code, text):
    assert response.status_code == code, f"{response.status_code}: {response.text}"
    assert response.headers["Content-Type"] == "application/json"
    answer = response.json()
    assert list(answer) == ["error"], response.text
    assert text in answer["error"], f"{answer['error']!r} lacks {text!r}"


class TestRest:

    @pytest.mark.parametrize("body, text", PARSE_ERRORS)
    def test_parse_error(self, serving, body, text):
        response = requests.post(serving(HALF_PLUS_TWO).predict_url, data=body.encode())
        check_error(response, 400, text)
        assert response.json()["error"].startswith("JSON Parse error: ")

    @pytest.mark.parametrize("model, body, code, text", REST_ERRORS)
    def test_predict_error(self, serving, model, body, code, text):
        check_error(requests.post(serving(model).predict_url, data=body), code, text)

    @pytest.mark.parametrize("method, path, code, text", PATH_ERRORS)
    def test_path_error(self, serving, method, path, code, text):
        url = serving(HALF_PLUS_TWO).base_url + path
        body = '{"instances": [1]}' if method in ("POST", "PUT") else None
        check_error(requests.request(method, url, data=body), code, text)

    @pytest.mark.parametrize("path", ["/", "/v1", "/v2/models/half_plus_two", "/favicon.ico"])
    def test_outside_of_the_api(self, serving, path):
        assert requests.get(serving(HALF_PLUS_TWO).base_url + path).status_code == 404

    def test_text_layout(self, serving):
        response = requests.post(serving(HALF_PLUS_TWO).predict_url, data='{"instances": ["a"]}')
        message = IN_ROW_0 + 'JSON Value: \\"a\\" Type: String is not of expected type: float'
        assert response.text == '{\n    "error": "' + message + '"\n}'

    def test_timeout(self, serving):
        """2,000,000,000 steps take minutes."""
        server = serving("while_loop", "--rest_api_timeout_in_ms=100")
        response = requests.post(server.predict_url, data='{"inputs": 2000000000}')
        check_error(response, 504, "at its deadline")

    def test_long_values_are_cut(self, serving):
        """A message quotes about 256 bytes of what it complains of, not the whole request."""
        body = json.dumps({"instances": ["a" * 1_000_000]})
        response = requests.post(serving(HALF_PLUS_TWO).predict_url, data=body)
        check_error(response, 400, "is not of expected type: float")
        assert len(response.text) < 600, f"{len(response.text)} bytes of error"


# (path, body, code, text): of two errors in one request, the one that must be told.
PRECEDENCE = [
    ("/v1/models/nope:predict", "{", 400, "JSON Parse error: "),
    ("/v1/models/nope:predict", '{"instances": [1], "bad": }', 400, "JSON Parse error: "),
    ("/v1/models/nope:predict", '{"signature_name": 5}', 400, "'signature_name' key must be"),
    ("/v1/models/nope:predict", "[]", 400, "Is not object"),
    ("/v1/models/nope:predict", "{}", 404, "Servable not found for request: Latest(nope)"),
    ("/v1/models/nope:predict", '{"instances": ["a"], "signature_name": "nope"}', 404,
     "Servable not found for request: Latest(nope)"),
    ("/v1/models/half_plus_two:predict", '{"signature_name": "nope"}', 400, "signature name"),
    ("/v1/models/half_plus_two:predict", '{"instances": ["a"], "signature_name": "nope"}', 400,
     'Serving signature name: "nope" not found'),
    ("/v1/models/half_plus_two:predict", '{"instances": ["a"], "inputs": [1]}', 400,
     "expecting only one of"),
    ("/v1/models/half_plus_two:predict", '{"instances": ["a"], "x": [1}', 400,
     "JSON Parse error: "),
    ("/v1/models/nope/versions/one:predict", "{", 400, "Malformed request: "),
    ("/v1/models/nope:predict", '{"signature_name": 5, "output_filter": 5}', 400,
     "'signature_name' key must be"),
    ("/v1/models/nope:predict", '{"output_filter": 5}', 400, "'output_filter' key must be"),
    ("/v1/models/half_plus_two:predict", '{"output_filter": ["nope"], "instances": ["a"]}', 400,
     "is not of expected type: float"),
    ("/v1/models/half_plus_two:predict", '{"output_filter": ["nope"], "inputs": [[1]]}', 400,
     "output tensor alias not found"),
]


@pytest.mark.parametrize("path, body, code, text", PRECEDENCE)
def test_precedence(serving, path, body, code, text):
    check_error(requests.post(serving(HALF_PLUS_TWO).base_url + path, data=body), code, text)


def float_tensor(shape=(1,), **fields):
    return TensorProto(dtype=tf.float32.as_datatype_enum,
                          tensor_shape=tf.TensorShape(shape).as_proto(), **fields)


def negative_dimension():
    tensor = float_tensor(tensor_content=bytes(4))
    tensor.tensor_shape.dim[0].size = -1
    return tensor


def unknown_rank():
    tensor = TensorProto(dtype=tf.float32.as_datatype_enum, float_val=[1])
    tensor.tensor_shape.unknown_rank = True
    return tensor


X = tensor_content(np.float32([1, 2]))
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

# (model, request's inputs and options, code, text)
GRPC_ERRORS = [
    ("", {"inputs": {"x": X}}, INVALID, "ModelSpec has no name specified."),
    ("nope", {"inputs": {"x": X}}, NOT_FOUND, "Servable not found for request: Latest(nope)"),
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "version": 5}, NOT_FOUND,
     "Servable not found for request: Specific(half_plus_two, 5)"),
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "version": 0}, NOT_FOUND,
     "Servable not found for request: Specific(half_plus_two, 0)"),
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "label": "stable"}, INVALID,
     "Unrecognized servable version label: stable"),
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "signature_name": "nope"}, FAILED_PRECONDITION,
     'Serving signature key "nope" not found.'),
    # Names of inputs.
    (HALF_PLUS_TWO, {"inputs": {}}, INVALID,
     "input size does not match signature: 0!=1 len({}) != len({x}). "
     "Sent extra: {}. Missing but required: {x}."),
    (HALF_PLUS_TWO, {"inputs": {"b": X, "a": X}}, INVALID,
     "input size does not match signature: 2!=1 len({a,b}) != len({x}). "
     "Sent extra: {a,b}. Missing but required: {x}."),
    ("multi_io", {"inputs": {"a": X}}, INVALID,
     "input size does not match signature: 1!=2 len({a}) != len({a,b}). "
     "Sent extra: {}. Missing but required: {b}."),
    (HALF_PLUS_TWO, {"inputs": {"a": X}}, INVALID,
     "Signature input alias: x(feed name: serving_default_x:0) not found in request"),
    # Tensors that say nothing, or two things.
    (HALF_PLUS_TWO, {"inputs": {"x": TensorProto()}}, INVALID, "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": negative_dimension()}}, INVALID, "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": unknown_rank()}}, INVALID, "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": float_tensor([2], tensor_content=bytes(7))}}, INVALID,
     "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": float_tensor([2], tensor_content=bytes(12))}}, INVALID,
     "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": float_tensor([2**40], float_val=[1])}}, INVALID,
     "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": float_tensor([2**31, 2**31, 4], float_val=[1])}}, INVALID,
     "tensor parsing error: x"),
    (HALF_PLUS_TWO, {"inputs": {"x": float_tensor([1] * 9, float_val=[1])}}, INVALID,
     "tensor parsing error: x"),
    # Tensors of the wrong kind.
    (HALF_PLUS_TWO, {"inputs": {"x": tensor_content(np.int64([1, 2, 3]))}}, INVALID,
     'input "x": expected float[?], got int64[3]'),
    (HALF_PLUS_TWO, {"inputs": {"x": tensor_content(np.array([b"a"], np.object_))}}, INVALID,
     'input "x": expected float[?], got string[1]'),
    (HALF_PLUS_TWO, {"inputs": {"x": tensor_content(np.float32([[1, 2]]))}}, INVALID,
     'input "x": expected float[?], got float[1,2]'),
    ("multi_io", {"inputs": {"a": tensor_content(np.zeros([2, 3], np.float32)),
                             "b": tensor_content(np.zeros([2, 4], np.float32))}}, INVALID,
     'input "b": expected float[?,3], got float[2,4]'),
    ("multi_io", {"inputs": {"a": tensor_content(np.zeros([0, 3], np.float32)),
                             "b": tensor_content(np.zeros([2, 3], np.float32))}}, INVALID,
     'input "a": a tensor of shape [0,3] cannot be run'),
    ("scalar", {"inputs": {"x": X}}, INVALID, 'input "x": expected float[], got float[2]'),
    # Choice of outputs.
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "output_filter": ["foo"]}, INVALID,
     "output tensor alias not found in signature: foo Outputs expected to be in the set {y}."),
    (HALF_PLUS_TWO, {"inputs": {"x": X}, "output_filter": ["y", "y"]}, INVALID,
     "duplicate output tensor alias: y"),
]


class TestGrpc:

    @pytest.mark.parametrize("model, request_parts, code, text", GRPC_ERRORS)
    def test_predict_error(self, serving, grpc_client, model, request_parts, code, text):
        server = serving(model if model in ("multi_io", "scalar") else HALF_PLUS_TWO)
        with fails_with(code, text):
            grpc_client(server).predict(predict_request(model, **request_parts))

    def test_missing_model_spec(self, serving, grpc_client):
        request = predict_pb2.PredictRequest()
        request.inputs["x"].CopyFrom(X)
        with fails_with(INVALID, "Missing ModelSpec"):
            grpc_client(serving(HALF_PLUS_TWO)).predict(request)

    def test_long_message_is_cut(self, serving, grpc_client):
        """A status travels in a header: 1024 characters, as in the original."""
        request = predict_request(HALF_PLUS_TWO, {"x": X}, signature_name="s" * 3000)
        with pytest.raises(grpc.RpcError) as error:
            grpc_client(serving(HALF_PLUS_TWO)).predict(request)
        assert error.value.code() == FAILED_PRECONDITION
        details = error.value.details()
        assert details.endswith("...TRUNCATED") and len(details) == 1024 + len("...TRUNCATED")

    def test_two_inputs_of_different_batches(self, serving, grpc_client):
        """The runtime refuses to add them, and the next request is answered as ever."""
        client = grpc_client(serving("multi_io"))
        a, b = np.ones([2, 3], np.float32), np.ones([5, 3], np.float32)
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as error:
                client.predict_arrays("multi_io", {"a": a, "b": b})
            assert error.value.code() in (INVALID, grpc.StatusCode.INTERNAL), error.value
            for rows in (b, a):
                outputs = client.predict_arrays("multi_io", {"a": rows, "b": rows})
                assert outputs["sum"].tolist() == (rows + rows).tolist()
