"""Traces: W3C contexts in and out, and spans at a collector (OTLP over HTTP)."""

import re

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import prediction_service_pb2_grpc

from grpc_client import predict_request, tensor_content
from otlp_collector import OtlpCollector, attributes
from server_process import base_path, run_to_exit, settles

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT_ID = "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=value"}
NOT_SAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}
HALF = base_path("half_plus_two")


@pytest.fixture
def collector():
    with OtlpCollector() as running:
        yield running


def predict(server, headers=None):
    return requests.post(server.predict_url, json={"instances": [1.0]}, headers=headers, timeout=60)


def test_a_request_of_each_protocol(start_server, collector):
    server = start_server("half_plus_two", HALF, f"--otlp_traces_endpoint={collector.endpoint}/v1/traces",
                          environment={"OTEL_SERVICE_NAME": "my-models"})
    out = predict(server, {**SAMPLED, "X-Request-Id": "id-1"}).headers["traceparent"]
    span_id = re.fullmatch(f"00-{TRACE_ID}-([0-9a-f]{{16}})-01", out)[1]
    with grpc.insecure_channel(server.grpc_target) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        _, call = stub.Predict.with_call(predict_request("half_plus_two", {"x": tensor_content(np.float32([1.0]))}),
                                         metadata=list(SAMPLED.items()), timeout=60)
        assert dict(call.initial_metadata())["traceparent"].startswith(f"00-{TRACE_ID}-")
    assert predict(server, NOT_SAMPLED).headers["traceparent"].endswith("-00")
    server.stop()  # what waits is sent at the end
    spans = collector.wait_for(8)
    assert {resource["service.name"] for resource in collector.resources} == {"my-models"}
    requests_of = [span for span in spans if span.parent_span_id.hex() == PARENT_ID]
    assert len(requests_of) == 2
    rest = next(span for span in requests_of if span.span_id.hex() == span_id)
    assert (rest.name, rest.trace_id.hex(), rest.trace_state) == ("predict", TRACE_ID, "vendor=value")
    named = attributes(rest)
    assert (named["tflite_serving.model"], named["tflite_serving.signature"], named["tflite_serving.code"]) == (
        "half_plus_two", "serving_default", "OK")
    assert "id-1" in named.values()
    stages = {span.name: span for span in spans if span.parent_span_id.hex() == span_id}
    assert {"decode", "run", "encode"} <= set(stages)
    for stage in stages.values():
        assert rest.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano <= rest.end_time_unix_nano


def test_what_the_environment_says(start_server, collector):
    server = start_server("half_plus_two", HALF, environment={
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "OTEL_EXPORTER_OTLP_HEADERS": "api-key=of%20the%20collector",
        "OTEL_TRACES_SAMPLER_ARG": "0"})
    for _ in range(20):
        assert "traceparent" not in predict(server).headers, "none is sampled"
    assert predict(server, SAMPLED).ok, "but those whose client says so"
    server.stop()
    assert {span.trace_id.hex() for span in collector.wait_for(4)} == {TRACE_ID}
    assert {headers["api-key"] for headers in collector.headers} == {"of the collector"}


def test_a_failed_request_says_so(start_server, collector):
    server = start_server("half_plus_two", HALF, f"--otlp_traces_endpoint={collector.endpoint}/v1/traces")
    assert requests.post(server.predict_url, data="{", headers=SAMPLED, timeout=60).status_code == 400
    assert predict(server, {"traceparent": "00-" + "0" * 32 + f"-{PARENT_ID}-01"}).headers["traceparent"][3:35] != "0" * 32
    server.stop()
    spans = collector.wait_for(5)
    failed = next(span for span in spans if span.parent_span_id.hex() == PARENT_ID)
    assert attributes(failed)["tflite_serving.code"] == "INVALID_ARGUMENT"
    assert failed.status.code == 0, "it is the client's error and not the server's, as OpenTelemetry's conventions have it"


def test_no_request_waits_for_a_collector_that_is_not_there(start_server):
    server = start_server("half_plus_two", HALF, "--otlp_traces_endpoint=http://127.0.0.1:9/v1/traces")
    for _ in range(1000):
        assert predict(server).ok
    name = 'tflite_serving_trace_spans_total{outcome="%s"}'
    assert settles(lambda: sum(server.metrics()[name % outcome] for outcome in ("failed", "dropped")) > 0, server.running)
    assert server.metrics()[name % "exported"] == 0
    server.stop()


def test_without_a_collector_nothing_is_traced(start_server):
    server = start_server("half_plus_two", HALF)
    assert "traceparent" not in predict(server, SAMPLED).headers


def test_an_endpoint_that_is_none():
    flags = ("--port=8500", "--model_name=m", f"--model_base_path={HALF}")
    for endpoint in ("collector:4318", "ftp://collector/v1/traces"):
        assert "Failed to start server. Error: INVALID_ARGUMENT" in run_to_exit(*flags, f"--otlp_traces_endpoint={endpoint}").output
