"""`GET /v1/models/M/profile`: what the operators of a model take, from a server with --admin_api=on."""

import concurrent.futures
import urllib.parse

import pytest
import requests

FLAG = "--admin_api=on"


def ask(server, query="", of=""):
    model = urllib.parse.quote(server.model_name, safe="")
    return requests.get(f"{server.base_url}/v1/models/{model}{of}/profile{query}", timeout=60)


def profile(server, query="", of=""):
    reply = ask(server, query, of)
    assert reply.status_code == 200, reply.text
    assert reply.headers["Content-Type"] == "application/json"
    answer = reply.json()
    times = answer["run_us"]
    assert 0 < times["min"] <= times["mean"] <= times["max"], answer
    operators = answer["operators"]
    assert [row["index"] for row in operators] == list(range(len(operators)))
    assert sum(row["mean_us"] for row in operators) + answer["other_us"] == pytest.approx(
        times["mean"], rel=0.01, abs=0.01 * (1 + len(operators))), answer
    assert all(0 <= row["share"] <= 1 for row in operators), answer
    return answer


def error(reply):
    return reply.status_code, reply.json()["error"]


class TestProfile:

    def test_a_graph_in_a_delegate(self, serving):
        answer = profile(serving("digits", FLAG), "?runs=30")
        assert answer["model"] == "digits" and answer["version"] == "1"
        assert answer["signature"] == "serving_default" and answer["runs"] == 30
        assert answer["delegate"] == {
            "name": "XNNPACK", "operators": answer["graph_operators"], "partitions": 1}
        (partition,) = answer["operators"]
        assert partition["name"] == f"XNNPACK delegate: {answer['graph_operators']} operators"
        assert partition["operators"].count("CONV_2D") == 2
        assert any(kernel["name"].startswith("Convolution") for kernel in partition["inside"])

    def test_operators_beside_the_delegate(self, serving):
        answer = profile(serving("digits_int8", FLAG))
        assert answer["runs"] == 20
        assert answer["delegate"]["operators"] == answer["graph_operators"] - 1
        softmax = answer["operators"][-1]
        assert softmax["name"] == "SOFTMAX" and softmax["tensor"] and softmax["calls"] == 1

    def test_versions_and_signatures(self, serving):
        server = serving("multi_signature", FLAG)
        whole = profile(server, of="/versions/1")
        encode = profile(server, "?signature_name=encode&runs=3")
        assert encode["signature"] == "encode" and encode["runs"] == 3
        assert encode["graph_operators"] < whole["graph_operators"]

    @pytest.mark.parametrize("model", ["string_lookup", "while_loop", "dynamic_output", "stateful",
                                       "multi_io"])
    def test_other_kinds_of_models(self, serving, model):
        assert profile(serving(model, FLAG))["operators"]

    def test_what_is_refused(self, serving):
        server = serving("digits", FLAG)
        for runs in ("0", "1001", "-1"):
            assert error(ask(server, f"?runs={runs}")) == (
                400, f"runs: expected 1 to 1000, got {runs}")
        assert error(ask(server, "?runs=x")) == (400, 'runs: expected 1 to 1000, got "x"')
        assert error(ask(server, "?signature_name=none")) == (
            400, 'Serving signature name: "none" not found in signature def')
        assert error(ask(server, of="/versions/9"))[0] == 404
        assert requests.post(f"{server.model_url}/profile", timeout=60).status_code == 400

    def test_one_at_a_time(self, serving):
        server = serving("digits", FLAG)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda _: ask(server, "?runs=1000"), range(8)))
        assert {reply.status_code for reply in replies} <= {200, 503}
        assert 200 in {reply.status_code for reply in replies}
        for reply in replies:
            if reply.status_code == 503:
                assert error(reply)[1] == "another profile is being made; try again later"
        assert ask(server).status_code == 200

    def test_without_the_flag_the_path_is_none(self, serving):
        server = serving("digits", "--admin_api=off")
        assert error(ask(server)) == (400, "Malformed request: GET /v1/models/digits/profile")
