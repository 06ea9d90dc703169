"""`probe`: whether a server is ready, by its exit status."""

import subprocess

import pytest

import server_process
from server_process import base_path, free_port

MODEL = "half_plus_two"


def probe(*arguments):
    return subprocess.run([server_process.binary(), "probe", *arguments], capture_output=True, text=True, timeout=60)


def test_a_server_that_is_ready_and_one_that_is_not(start_server, tmp_path):
    server = start_server(MODEL, base_path(MODEL))
    ready = probe(f"{server.base_url}/readyz")
    assert (ready.returncode, ready.stderr) == (0, "") and '"ready": true' in ready.stdout
    assert probe(f"{server.base_url}/v1/models/{MODEL}").returncode == 0
    missing = probe(f"{server.base_url}/v1/models/none")
    assert missing.returncode == 1 and "HTTP/1.1 404" in missing.stderr
    server.stop()
    gone = probe(f"{server.base_url}/readyz")
    assert (gone.returncode, gone.stderr) == (1, f"probe: {server.base_url}/readyz: connect: Connection refused\n")


def test_a_server_without_its_model(tmp_path):
    server = server_process.Server(MODEL, tmp_path / "absent")
    try:
        server.wait_for_log("Exporting HTTP/REST API")
        refused = probe(f"{server.base_url}/readyz")
        assert refused.returncode == 1 and "HTTP/1.1 503" in refused.stderr and MODEL in refused.stderr
        server.stop()
    finally:
        server.kill()


@pytest.mark.parametrize("arguments", [["localhost:1"], ["http://h/", "more"], ["--port=1"]])
def test_what_is_no_url(arguments):
    refused = probe(*arguments)
    assert refused.returncode == 1 and ("usage:" in refused.stderr or "expected http://HOST:PORT/PATH" in refused.stderr)


def test_nobody_there():
    assert probe(f"http://127.0.0.1:{free_port()}/").returncode == 1
