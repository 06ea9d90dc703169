"""Metrics, as Prometheus (build/prometheus: Debian's own) and dashboards made for the original see them."""

import json
import re
import subprocess
import time

import grpc
import numpy as np
import pytest
import requests
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc

from grpc_client import fails_with, predict_request, tensor_content
import server_process

PROMETHEUS = server_process.REPOSITORY / "build" / "prometheus"
DEPLOY = server_process.REPOSITORY / "deploy"
ORIGINAL = "/monitoring/prometheus/metrics"
BAD_BODIES = ['{"instances": [', '{"instances": "x"}', "{}"]


@pytest.fixture
def monitored(start_server, tmp_path):
    """monitored(*flags): a server of half_plus_two with both pages, which has answered a few requests of each kind."""
    def start(*flags):
        config = tmp_path / "monitoring.config"
        config.write_text("prometheus_config { enable: true }")
        server = start_server("half_plus_two", server_process.base_path("half_plus_two"), f"--monitoring_config_file={config}", *flags)
        for _ in range(3):
            assert requests.post(server.predict_url, json={"instances": [1.0, 2.0]}).ok
        for body in BAD_BODIES:
            assert requests.post(server.predict_url, data=body).status_code == 400
        for i in range(10):
            assert requests.post(f"{server.base_url}/v1/models/not_there_{i}:predict", json={"instances": [1]}).status_code == 404
        assert requests.get(f"{server.model_url}/metadata").ok
        return server
    return start


def predicts(protocol, code):
    return f'tflite_serving_requests_total{{model="half_plus_two",protocol="{protocol}",method="predict",code="{code}"}}'


def test_requests_of_both_protocols(monitored, grpc_client):
    server = monitored()
    client = grpc_client(server)
    for _ in range(2):
        client.predict_arrays("half_plus_two", {"x": np.float32([1.0])})
    with fails_with(grpc.StatusCode.NOT_FOUND, "Servable not found"):
        client.predict(predict_request("elsewhere", {"x": tensor_content(np.float32([1.0]))}))
    ours = server.metrics()
    assert ours[predicts("rest", "OK")] == 3
    assert ours[predicts("rest", "INVALID_ARGUMENT")] == len(BAD_BODIES)
    assert ours[predicts("grpc", "OK")] == 2
    # Of names that clients make up there is one series, however many they are.
    assert ours['tflite_serving_requests_total{model="",protocol="rest",method="predict",code="NOT_FOUND"}'] == 10
    assert not [name for name in ours if "not_there" in name or "elsewhere" in name]
    assert ours['tflite_serving_requests_total{model="half_plus_two",protocol="rest",method="metadata",code="OK"}'] == 1
    stage = 'tflite_serving_request_stage_duration_seconds_count{model="half_plus_two",signature="serving_default",stage="%s"}'
    assert [ours[stage % name] for name in ("queue", "decode", "run", "encode")] == [5] * 4
    assert ours['tflite_serving_model_version_state{model="half_plus_two",version="1",state="AVAILABLE"}'] == 1
    assert ours['tflite_serving_model_available{model="half_plus_two"}'] == 1
    assert ours['tflite_serving_model_loads_total{model="half_plus_two",code="OK"}'] == 1
    assert ours['tflite_serving_model_memory_bytes{model="half_plus_two",version="1"}'] > 0
    assert ours['tflite_serving_requests_in_flight{protocol="rest"}'] == 0
    assert ours['tflite_serving_connections_open{protocol="grpc"}'] == 1
    assert abs(ours["process_open_fds"] - server.fd_count()) < 5  # connections come and go
    assert abs(ours["process_start_time_seconds"] - time.time()) < 3600
    assert not [name for name in ours if name.startswith(":")]

    theirs = server.metrics(ORIGINAL)
    count = ':tensorflow:serving:request_count{model_name="%s",status="%s"}'
    assert theirs[count % ("half_plus_two", "OK")] == 6  # metadata too
    assert theirs[count % ("half_plus_two", "INVALID_ARGUMENT")] == len(BAD_BODIES)
    latency = ':tensorflow:serving:request_latency_%s{model_name="half_plus_two",API="%s",entrypoint="%s"%s}'
    assert theirs[latency % ("count", "predict", "REST", "")] == 3
    assert theirs[latency % ("count", "Predict", "GRPC", "")] == 2
    assert theirs[latency % ("bucket", "Predict", "GRPC", ',le="708235"')] == 2  # published tuners ask for this bound
    assert theirs[':tensorflow:serving:runtime_latency_count{model_name="half_plus_two",API="Predict",runtime="TF1"}'] == 5
    assert theirs[":tensorflow:core:graph_runs{}"] >= 5
    assert theirs[f':tensorflow:cc:saved_model:load_attempt_count{{model_path="{server_process.base_path("half_plus_two")}",status="success"}}'] == 1
    assert set(ours) - set(theirs) == set()


def test_what_the_page_is(monitored):
    server = monitored("--metrics_path=/m")
    response = requests.get(f"{server.base_url}/m")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert requests.get(f"{server.base_url}/metrics").status_code == 404
    refused = requests.get(f"{server.base_url}{ORIGINAL}?x=1")
    assert (refused.status_code, refused.json()["error"]) == (400, f"Unexpected path: {ORIGINAL}?x=1. Should be {ORIGINAL}")
    families = re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", response.text, re.M)
    assert len(families) == len({name for name, _ in families}) > 30
    assert len(re.findall(r"^# HELP \S+ \S.*\.$", response.text, re.M)) == len(families)


def test_batches(start_server):
    model = "half_plus_two"
    server = start_server(model, server_process.base_path(model), "--enable_batching")
    assert requests.post(server.predict_url, json={"instances": [1.0] * 8}).ok
    samples = server.metrics()
    assert samples['tflite_serving_pool_threads{pool="batch"}'] >= 1
    assert samples['tflite_serving_queue_depth{pool="batch"}'] == 0
    assert samples['tflite_serving_requests_rejected_total{reason="batch_queue"}'] == 0


def test_promtool_has_nothing_to_say(monitored):
    server = monitored("--enable_batching")
    page = requests.get(f"{server.base_url}/metrics").text
    checked = subprocess.run([PROMETHEUS / "promtool", "check", "metrics"], input=page, text=True, capture_output=True, timeout=60)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize("path", ["/metrics", ORIGINAL])
def test_prometheus_scrapes(monitored, tmp_path, path):
    server = monitored()
    port = server_process.free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(json.dumps({"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": [
        {"job_name": "served", "metrics_path": path, "static_configs": [{"targets": [f"127.0.0.1:{server.rest_port}"]}]}]}))
    prometheus = subprocess.Popen(
        [PROMETHEUS / "prometheus", f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'data'}", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=(tmp_path / "log").open("wb"))

    def query(expression):
        try:
            found = requests.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": expression}, timeout=5).json()["data"]["result"]
        except (requests.ConnectionError, requests.Timeout, KeyError, ValueError):
            return None  # not up yet
        return [float(sample["value"][1]) for sample in found]

    def alive():
        assert prometheus.poll() is None, (tmp_path / "log").read_text()
        requests.get(server.base_url)

    try:
        assert server_process.settles(lambda: query("up") == [1], alive)
        assert query(predicts("rest", "OK")) == [3]
        if path == ORIGINAL:
            # The share of failures, as the alert of Grafana's integration for TensorFlow has it.
            failed = 'sum({__name__=":tensorflow:serving:request_count",status!="OK"}) / sum({__name__=":tensorflow:serving:request_count"})'
            [share] = query(failed)
            assert 0.5 < share < 1
        [quantile] = query('histogram_quantile(0.99, tflite_serving_request_duration_seconds_bucket{protocol="rest",method="predict"})')
        assert 0 < quantile < 10
    finally:
        prometheus.terminate()
        prometheus.wait(timeout=60)


def test_alert_rules():
    for arguments in (["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]):
        checked = subprocess.run([PROMETHEUS / "promtool", *arguments], cwd=DEPLOY / "prometheus", text=True, capture_output=True, timeout=60)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alerts_and_dashboard_ask_for_metrics_that_there_are(monitored):
    server = monitored()
    families = dict(re.findall(r"^# TYPE (\S+) (\S+)$", requests.get(f"{server.base_url}/metrics").text, re.M))
    samples = {name + suffix for name, kind in families.items() for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))}
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [variable["definition"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"]
    asked += re.findall(r"expr: (.*(?:\n {10}.*)*)", (DEPLOY / "prometheus" / "alerts.yml").read_text())
    names = set(re.findall(r"\b(?:tflite_serving|process)_\w+", "\n".join(asked)))
    assert len(asked) > 20 and len(names) > 15
    assert names <= samples, names - samples
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_a_reload_tells_the_increase_of_counters(start_server):
    server = start_server("half_plus_two", server_process.base_path("half_plus_two"))
    request = model_management_pb2.ReloadConfigRequest(metric_names=["/tensorflow/core/graph_build_calls", "/tensorflow/no/such/metric"])
    for name in ("half_plus_two", "one", "two"):
        request.config.model_config_list.config.add(name=name, base_path=str(server_process.base_path("half_plus_two")), model_platform="tensorflow")
    with grpc.insecure_channel(server.grpc_target) as channel:
        response = model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=60)
    assert [(metric.name, metric.int64_value_increase) for metric in response.metric] == [("/tensorflow/core/graph_build_calls", 2)]


def test_a_wrong_monitoring_file_is_refused(tmp_path):
    config = tmp_path / "monitoring.config"
    config.write_text("prometheus_config { path: 5 }")
    refused = server_process.run_to_exit("--model_base_path=/m", f"--port={server_process.free_port()}", f"--monitoring_config_file={config}")
    assert refused.status == 1
    assert f"Invalid protobuf file: '{config}': Error parsing text-format tensorflow.serving.MonitoringConfig: 1:27" in refused.output
