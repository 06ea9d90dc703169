"""REST beside plain JSON: compressed and binary bodies, what a browser asks, HEAD and the list of
models, with the clients that people use."""

import gzip
import io
import json
import subprocess
import zlib

import numpy as np
import pytest
import requests
from tensorflow_serving.apis import predict_pb2

from grpc_client import predict_request, tensor_content

MODEL = "half_plus_two"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'
ANSWER = '{"predictions":[2.5,3.0,4.5]}'
X = np.float32([1, 2, 5])
Y = [2.5, 3.0, 4.5]
MIB = 1 << 20
LARGE = json.dumps({"instances": list(range(100_000))}).encode()
# What a browser is allowed, in the original's words.
CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "POST, GET",
        "Access-Control-Allow-Headers": "Content-Type"}


@pytest.fixture
def server(serving):
    return serving(MODEL)


def post(server, body, content_type=None, query="", **headers):
    if content_type:
        headers["Content-Type"] = content_type
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(server.predict_url + query, data=body, headers=headers)


def curl(*arguments, **options):
    """curl's output; it fails for what is no HTTP."""
    return subprocess.run(["curl", "-sS", *arguments], capture_output=True, check=True,
                          timeout=60, **options).stdout.decode()


def check_error(response, code, text):
    assert response.status_code == code, response.text
    assert response.headers["Content-Type"] == "application/json"
    assert text in response.json()["error"], response.text


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


class TestCompression:

    @pytest.mark.parametrize("coding, encode", [
        ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data, wbits=-15)), ("identity", bytes)])
    def test_request(self, server, coding, encode):
        assert post(server, encode(BODY), Content_Encoding=coding).text == ANSWER
        chunks = iter([encode(BODY)[:5], encode(BODY)[5:]])
        assert post(server, chunks, Content_Encoding=coding).text == ANSWER

    def test_request_that_cannot_be_inflated(self, server):
        check_error(post(server, BODY, Content_Encoding="gzip"), 400, "not valid gzip or deflate")
        check_error(post(server, gzip.compress(BODY)[:-1], Content_Encoding="gzip"), 400, "gzip")
        response = post(server, BODY, Content_Encoding="br")
        check_error(response, 415, "gzip and deflate")
        assert response.headers["Accept-Encoding"] == "gzip, deflate"
        check_error(post(server, BODY, Content_Encoding="gzip, gzip"), 415, "gzip and deflate")

    def test_inflated_size_at_the_limit_and_one_past_it(self, serving):
        server = serving(MODEL, "--max_body_bytes=1000")
        padded = BODY.ljust(1000)
        assert post(server, gzip.compress(padded), Content_Encoding="gzip").text == ANSWER
        check_error(post(server, gzip.compress(padded + b" "), Content_Encoding="gzip"), 413,
                    "inflated")

    def test_bomb(self, serving):
        """128 MiB in 600 KB: refused without taking more memory than the limit, or what an
        allocator keeps of it."""
        server = serving(MODEL, f"--max_body_bytes={16 * MIB}")
        bomb = gzip.compress(bytes(128 * MIB), 1)
        assert post(server, BODY).text == ANSWER
        before = server.rss_mib()
        for _ in range(5):
            check_error(post(server, bomb, Content_Encoding="gzip"), 413, "inflated")
        assert server.rss_mib() < before + 64, server.describe("grown")
        assert post(server, BODY).text == ANSWER

    def test_large_response(self, server):
        plain = post(server, LARGE, Accept_Encoding="identity")
        assert "Content-Encoding" not in plain.headers
        assert plain.headers["Vary"] == "Accept-Encoding"
        compressed = post(server, LARGE)  # requests accepts gzip
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert int(compressed.headers["Content-Length"]) < len(plain.content) / 2
        assert compressed.json() == plain.json()
        assert "Content-Encoding" not in post(server, LARGE, Accept_Encoding="gzip;q=0").headers

    def test_small_response(self, server):
        assert not {"Content-Encoding", "Vary"} & set(post(server, BODY).headers)

    def test_smallest_size_is_a_flag(self, serving):
        every = serving(MODEL, "--rest_api_min_gzip_bytes=1")
        rows = json.dumps({"instances": [1] * 100})
        assert post(every, rows).headers["Content-Encoding"] == "gzip"
        none = serving(MODEL, "--rest_api_min_gzip_bytes=0")
        assert "Content-Encoding" not in post(none, LARGE).headers

    def test_curl(self, server):
        output = curl("--compressed", "--data-binary", "@-", "-H", "Content-Encoding: gzip",
                      "-H", "Expect: 100-continue", server.predict_url, input=gzip.compress(LARGE))
        assert json.loads(output) == post(server, LARGE).json()


class TestBinaryBodies:

    @pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/protobuf"])
    def test_protobuf(self, server, content_type):
        request = predict_request(MODEL, {"x": tensor_content(X)})
        response = post(server, request.SerializeToString(), content_type)
        assert response.headers["Content-Type"] == "application/x-protobuf"
        reply = predict_pb2.PredictResponse.FromString(response.content)
        assert list(reply.outputs["y"].float_val) == Y
        assert (reply.model_spec.name, reply.model_spec.version.value) == (MODEL, 1)

    def test_protobuf_replies_with_tensor_content_if_grpc_does(self, serving):
        server = serving(MODEL, "--enable_serialization_as_tensor_content")
        request = predict_request("", {"x": tensor_content(X)}).SerializeToString()
        reply = predict_pb2.PredictResponse.FromString(
            post(server, request, "application/x-protobuf").content)
        assert np.frombuffer(reply.outputs["y"].tensor_content, np.float32).tolist() == Y

    def test_raw_tensor(self, server):
        response = post(server, X.tobytes(), "application/octet-stream")
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["X-Tensor-Dtype"] == "float32"
        assert response.headers["X-Tensor-Shape"] == "[3]"
        assert np.frombuffer(response.content, np.float32).tolist() == Y

    def test_npy(self, server):
        response = post(server, npy(X), "application/x-npy")
        assert response.headers["Content-Type"] == "application/x-npy"
        assert np.load(io.BytesIO(response.content)).tolist() == Y

    def test_compressed(self, server):
        response = post(server, gzip.compress(npy(X)), "application/x-npy", Content_Encoding="gzip")
        assert np.load(io.BytesIO(response.content)).tolist() == Y

    def test_accept_chooses_the_reply(self, server):
        assert post(server, npy(X), "application/x-npy", Accept="application/json").json() == {
            "outputs": Y}
        raw = post(server, BODY, Accept="application/octet-stream")
        assert np.frombuffer(raw.content, np.float32).tolist() == Y

    @pytest.mark.parametrize("content_type", [
        "application/json", "application/x-www-form-urlencoded", "text/plain; charset=utf-8",
        "image/png"])
    def test_any_other_type_is_json(self, server, content_type):
        assert post(server, BODY, content_type).text == ANSWER

    @pytest.mark.parametrize("body, content_type, code, text", [
        (b"\xff\xff", "application/x-protobuf", 400, "malformed PredictRequest: "),
        (b"\x00" * 7, "application/octet-stream", 400, "a multiple of 4 bytes, got 7"),
        (npy(np.float64([1])), "application/x-npy", 400, 'input "x": expected float[?], got double[1]'),
        (npy(X.astype(">f4")), "application/x-npy", 400, "big-endian"),
        (npy(np.asfortranarray(np.ones([2, 2]))), "application/x-npy", 400, "Fortran order"),
        (npy(np.array(["a"])), "application/x-npy", 400, "'<U1' are not served"),
        (npy(X)[:-1], "application/x-npy", 400, "float[3] has 12 bytes, got 11"),
        (b"{}", "application/x-npy", 400, "does not begin with"),
    ])
    def test_error(self, server, body, content_type, code, text):
        check_error(post(server, body, content_type), code, text)

    def test_signature_and_output_by_query(self, serving):
        server = serving("multi_signature")
        x = np.ones([1, 128], np.float32)
        check_error(post(server, x.tobytes(), "application/octet-stream"), 400,
                    "has 2 outputs; choose one with ?output_filter=NAME")
        code = post(server, x.tobytes(), "application/octet-stream", "?signature_name=encode")
        also = post(server, x.tobytes(), "application/octet-stream", "?output_filter=code")
        assert code.content == also.content
        check_error(post(server, b"", "application/octet-stream", "?signature_name=none"), 400,
                    'Serving signature name: "none" not found in signature def')

    def test_an_image_is_one_string(self, serving):
        response = post(serving("string_scalar"), b"\x89PNG\r\n\x00", "application/octet-stream")
        assert response.content == b"\x89PNG\r\n\x00"
        assert response.headers["X-Tensor-Dtype"] == "string"


class TestOutputFilter:

    def test_rows_and_columns(self, serving):
        server = serving("multi_io")
        a, b = [[1, 2, 3]], [[0.5, 0, 1]]
        columns = {"output_filter": ["cls", "sum"], "inputs": {"a": a, "b": b}}
        answer = post(server, json.dumps(columns)).json()["outputs"]
        assert answer == {"cls": [2], "sum": [[1.5, 2.0, 4.0]]}
        assert list(answer) == ["cls", "sum"]
        rows = {"instances": [{"a": a[0], "b": b[0]}], "output_filter": ["cls"]}
        assert post(server, json.dumps(rows)).json() == {"predictions": [2]}


class TestBrowsers:

    @pytest.mark.parametrize("origin, code", [
        ("https://example.com", 200), ("http://localhost:3000", 200), ("null", 400), (None, 400)])
    def test_options(self, server, origin, code):
        headers = {"Origin": origin} if origin else {}
        response = requests.options(server.predict_url, headers=headers)
        assert (response.status_code, response.content) == (code, b"")
        assert not CORS.keys() & response.headers.keys(), "CORS is off"

    def test_cors(self, serving):
        server = serving(MODEL, "--rest_api_enable_cors_support")
        for response in (
                requests.options(server.predict_url, headers={"Origin": "https://example.com"}),
                requests.options(server.predict_url), post(server, BODY), post(server, "{"),
                requests.get(server.model_url), requests.get(server.base_url + "/v1/nothing"),
                requests.post(server.base_url + "/v1/models/none:predict", data=BODY),
                post(server, BODY, Content_Encoding="gzip")):
            assert CORS.items() <= response.headers.items(), response.request.url
        assert not CORS.keys() & requests.get(server.base_url + "/").headers.keys()


class TestRoutes:

    def test_list_of_models(self, server):
        answer = requests.get(server.base_url + "/v1/models").json()
        status = requests.get(server.model_url).json()["model_version_status"]
        assert int(answer["models"][0]["versions"][0].pop("memory_bytes")) > 10_000
        assert answer == {"models": [{"name": MODEL, "versions": status}]}

    @pytest.mark.parametrize("path", ["/v1/models", f"/v1/models/{MODEL}",
                                      f"/v1/models/{MODEL}/metadata", "/v1/models/nope", "/"])
    def test_head_is_get_without_the_body(self, server, path):
        got = requests.get(server.base_url + path, headers={"Accept-Encoding": "gzip"})
        head = requests.head(server.base_url + path, headers={"Accept-Encoding": "gzip"})
        assert (head.status_code, head.content) == (got.status_code, b"")
        for name in ("Content-Type", "Content-Length"):
            assert head.headers[name] == got.headers[name]

    def test_curl_head(self, server):
        assert curl("-I", server.model_url).startswith("HTTP/1.1 200 OK\r\n")

    @pytest.mark.parametrize("query", ["?", "?x=1", "?output_filter=nope", "?a=/:b&c"])
    def test_query_of_a_json_request_is_ignored(self, server, query):
        assert post(server, BODY, query=query).text == ANSWER
        assert requests.get(server.model_url + query).text == requests.get(server.model_url).text

    @pytest.mark.parametrize("path", ["/V1/Models/half_plus_two:predict",
                                      "/v1/models/half%5Fplus%5ftwo:predict",
                                      "/v1/models/half_plus_two/VERSIONS/1:predict",
                                      "/v1/models/half_plus_two/versions/0001:predict"])
    def test_spellings_of_a_path(self, server, path):
        assert requests.post(server.base_url + path, data=BODY).text == ANSWER
