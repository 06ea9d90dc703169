"""The document at /openapi.json: it is OpenAPI, it has every route, and the server answers as it
says, to its examples and to what schemathesis makes of it, much of which is wrong on purpose."""

import hashlib
import os
import re
import subprocess
import sys

import pytest
import requests
import schemathesis
from schemathesis.core import NOT_SET

import server_process

MODELS = ("digits", "half_plus_two")
# By the names that src/codec/rest_path.h has for the routes.
ROUTES = {"Status": ("get", ""), "Metadata": ("get", "/metadata"), "Profile": ("get", "/profile"), "Predict": ("post", ":predict"),
          "Classify": ("post", ":classify"), "Regress": ("post", ":regress")}
OTHER_ROUTES = {"NotApi", "Options", "List"}
PAGES = {("get", "/v1/models"), ("get", "/metrics"), ("get", "/healthz"), ("get", "/readyz"),
         ("get", "/openapi.json"), ("get", "/admin/log_level"), ("put", "/admin/log_level"),
         ("post", "/admin/reload")}
KEY = {"X-API-Key": "open_sesame"}

CHECKS = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
          "response_schema_conformance", "response_headers_conformance")
TIMEOUT_SECONDS = 60
# The same requests every time: those that follow from the schemas, and a few at random.
FLAGS = ("--phases=examples,coverage,fuzzing", "--generation-deterministic", "--max-examples=5",
         f"--request-timeout={TIMEOUT_SECONDS}", "--continue-on-failure", "--warnings=off", "--no-color")
HOOKS = """
import schemathesis
schemathesis.serializer.alias(["application/x-npy", "application/x-protobuf"],
                              "application/octet-stream")
"""
RUN_SECONDS = 240  # takes 12 of processor time


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    directory = tmp_path_factory.mktemp("openapi")
    keys = directory / "api_keys"
    keys.write_text("client inference,metadata,metrics,admin sha256:"
                    f"{hashlib.sha256(KEY['X-API-Key'].encode()).hexdigest()}\n")
    config = directory / "models.config"
    config.write_text("model_config_list {" + "\n".join(
        f"config {{ name: '{model}' base_path: '{server_process.base_path(model)}' "
        "model_platform: 'tflite' version_labels { key: 'stable' value: 1 } }"
        for model in MODELS) + "}")
    server = server_process.ConfiguredServer(config, f"--api_keys_file={keys}")
    yield server.wait_until_ready()
    server.stop()


@pytest.fixture(scope="module")
def schema(server):
    return schemathesis.openapi.from_url(f"{server.base_url}/openapi.json", headers=KEY)


def test_document(server, schema):
    response = requests.get(f"{server.base_url}/openapi.json", headers=KEY, timeout=TIMEOUT_SECONDS)
    assert response.headers["Content-Type"] == "application/json"
    schema.validate()
    version = schema.raw_schema["info"]["version"]
    assert f" {version} " in server_process.run_to_exit("--version").output


def test_every_route(schema):
    header = (server_process.REPOSITORY / "src" / "codec" / "rest_path.h").read_text()
    assert set(re.findall(r"^  k(\w+),", header, re.MULTILINE)) == ROUTES.keys() | OTHER_ROUTES
    routes = {(method, f"/v1/models/{{model}}{spec}{end}") for method, end in ROUTES.values()
              for spec in ("", "/versions/{version}", "/labels/{label}")}
    assert {(method, path) for path, item in schema.raw_schema["paths"].items()
            for method in item.keys() - {"parameters"}} == routes | PAGES


def test_examples(schema):
    for operation in (result.ok() for result in schema.get_all_operations()):
        path, query = ({parameter.name: parameter.examples[0] for parameter in parameters}
                       for parameters in (operation.path_parameters, operation.query))
        bodies = [(body.media_type, example) for body in operation.body for example in body.examples]
        for media_type, body in bodies or [(None, NOT_SET)]:
            case = operation.Case(path_parameters=path, query=query, body=body,
                                  media_type=media_type)
            response = case.call_and_validate(headers=KEY, timeout=TIMEOUT_SECONDS)
            assert response.status_code == 200, case.as_curl_command()
            needs_key = operation.definition.raw.get("security") != []
            response = case.call_and_validate(timeout=TIMEOUT_SECONDS)
            assert response.status_code == (401 if needs_key else 200), case.as_curl_command()


@pytest.mark.timeout(RUN_SECONDS + 60)
def test_requests(server, tmp_path):
    (tmp_path / "hooks.py").write_text(HOOKS)
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.base_url}/openapi.json",
         "--header=X-API-Key:" + KEY["X-API-Key"], f"--checks={','.join(CHECKS)}", *FLAGS],
        cwd=tmp_path,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=RUN_SECONDS)
    print(run.stdout)
    assert run.returncode == 0
    assert server.running()
