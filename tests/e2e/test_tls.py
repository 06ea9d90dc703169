"""TLS of both ports, with the clients that people have: certificates of the server and of clients, renewal, and who does not get in."""

import pathlib
import shutil
import socket
import subprocess

import grpc
import numpy as np
import pytest
import requests

from grpc_client import TIMEOUT_SECONDS, predict_request, tensor_content
import server_process
from server_process import base_path, run_to_exit

from tensorflow_serving.apis import prediction_service_pb2_grpc

MODEL = "half_plus_two"
LARGE = 500_000  # float32s: many records of TLS each way


class Authority:
    """A CA in a folder; issue() puts NAME.crt and NAME.key beside it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.certificate = folder / "ca.crt"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={folder.name}",
                 "-keyout", folder / "ca.key", "-out", self.certificate)

    def issue(self, name, days=2):
        key, request, extensions, certificate = (self.folder / f"{name}.{suffix}" for suffix in ("key", "csr", "ext", "crt"))
        extensions.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", str(days),
                 "-extfile", extensions, "-out", certificate)
        return certificate, key


def _openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "server-ca")


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls") / "client-ca")


@pytest.fixture(scope="module")
def certificate(ca):
    return ca.issue("server")


def tls_flags(certificate, *more):
    return [f"--tls_certificate_file={certificate[0]}", f"--tls_key_file={certificate[1]}", *more]


def url(server, path=f"/v1/models/{MODEL}:predict"):
    return f"https://localhost:{server.rest_port}{path}"


def rest(server, ca, identity=None, values=(1.0, 2.0)):
    response = requests.post(url(server), json={"instances": list(values)}, verify=str(ca.certificate), cert=identity and tuple(map(str, identity)),
                             timeout=TIMEOUT_SECONDS)
    response.raise_for_status()
    return response.json()["predictions"]


def channel(server, ca, identity=None):
    credentials = grpc.ssl_channel_credentials(ca.certificate.read_bytes(), *([identity[1].read_bytes(), identity[0].read_bytes()] if identity else []))
    return grpc.secure_channel(f"localhost:{server.grpc_port}", credentials,
                               options=[("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)])


def predict(channel, values):
    request = predict_request(MODEL, {"x": tensor_content(np.float32(values))})
    response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=TIMEOUT_SECONDS)
    return np.frombuffer(next(iter(response.outputs.values())).tensor_content or
                         np.float32(next(iter(response.outputs.values())).float_val).tobytes(), np.float32)


def refused(call):
    """Whether the call fails, and not by what the server answers to a request."""
    try:
        call()
    except (requests.exceptions.SSLError, requests.exceptions.ConnectionError):
        return True
    except grpc.RpcError as error:
        return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


def failures(server, protocol, reason, **how):
    text = requests.get(url(server, "/metrics"), timeout=TIMEOUT_SECONDS, **how).text
    name = f'tflite_serving_tls_failures_total{{protocol="{protocol}",reason="{reason}"}} '
    return next(int(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))


def test_both_ports(start_server, ca, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))
    assert rest(server, ca) == [2.5, 3.0]
    with channel(server, ca) as open_channel:
        assert predict(open_channel, [1.0, 2.0]).tolist() == [2.5, 3.0]
        values = np.arange(LARGE, dtype=np.float32)
        assert np.array_equal(predict(open_channel, values), values / 2 + 2)
    assert rest(server, ca, values=range(LARGE)) == [value / 2 + 2 for value in range(LARGE)]
    with requests.Session() as session:  # one connection, and answers of all sizes
        session.trust_env, session.verify = False, str(ca.certificate)  # whatever REQUESTS_CA_BUNDLE says
        for size in [1, 100, 2000, 40000] * 5:
            assert session.post(url(server), json={"instances": [0.0] * size}, timeout=TIMEOUT_SECONDS).json()["predictions"] == [2.0] * size


def test_who_does_not_trust_the_server_does_not_ask_it(start_server, ca, clients, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))
    assert refused(lambda: rest(server, clients))
    with channel(server, clients) as open_channel:
        assert refused(lambda: predict(open_channel, [1.0]))
    assert failures(server, "rest", "refused_by_client", verify=ca.certificate) == 1


def test_plain_clients_are_told(start_server, ca, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))
    response = requests.get(f"http://127.0.0.1:{server.rest_port}/healthz", timeout=TIMEOUT_SECONDS)
    assert (response.status_code, response.json()) == (400, {"error": "this port speaks HTTPS, not plain HTTP"})
    with grpc.insecure_channel(server.grpc_target) as plain:
        assert refused(lambda: predict(plain, [1.0]))
    assert failures(server, "rest", "not_tls", verify=ca.certificate) == 1
    assert failures(server, "grpc", "not_tls", verify=ca.certificate) >= 1


def test_old_versions_and_other_protocols(start_server, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))

    def handshake(port, *arguments):
        return subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments], input=b"", capture_output=True,
                              timeout=TIMEOUT_SECONDS)

    for version in ("-tls1_2", "-tls1_3"):
        assert handshake(server.rest_port, version).returncode == 0
    assert handshake(server.rest_port, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0").returncode != 0
    assert handshake(server.grpc_port, "-alpn", "h2").returncode == 0
    assert handshake(server.grpc_port, "-alpn", "http/1.1").returncode != 0
    assert handshake(server.grpc_port).returncode != 0


def test_client_certificates(start_server, ca, clients, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate, f"--tls_client_ca_file={clients.certificate}"))
    good, stranger = clients.issue("good"), ca.issue("stranger")
    assert rest(server, ca, good) == [2.5, 3.0]
    with channel(server, ca, good) as open_channel:
        assert predict(open_channel, [1.0]).tolist() == [2.5]
    for identity in (None, stranger):
        assert refused(lambda: rest(server, ca, identity))
        with channel(server, ca, identity) as open_channel:
            assert refused(lambda: predict(open_channel, [1.0]))
    how = {"verify": ca.certificate, "cert": tuple(map(str, good))}
    assert failures(server, "rest", "no_client_certificate", **how) == 1
    assert failures(server, "rest", "bad_certificate", **how) == 1
    assert "no_client_certificate" in server.log and "bad_certificate" in server.log


def test_optional_client_certificates(start_server, ca, clients, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate, f"--tls_client_ca_file={clients.certificate}",
                                                              "--tls_require_client_certificate=false"))
    assert rest(server, ca) == [2.5, 3.0]
    assert rest(server, ca, clients.issue("good")) == [2.5, 3.0]
    assert refused(lambda: rest(server, ca, ca.issue("stranger")))


def test_renewal(start_server, ca, tmp_path):
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    for source, target in zip(ca.issue("first"), files):
        shutil.copy(source, target)
    server = start_server(MODEL, base_path(MODEL), *tls_flags(files))

    def served_name():
        pem = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.rest_port}"], input=b"", capture_output=True,
                             timeout=TIMEOUT_SECONDS).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-subject"], input=pem, capture_output=True, check=True).stdout.decode().strip()

    assert served_name().endswith("CN = first")
    with channel(server, ca) as old, requests.Session() as session:
        session.trust_env, session.verify = False, str(ca.certificate)  # whatever REQUESTS_CA_BUNDLE says
        assert predict(old, [1.0]).tolist() == [2.5]
        assert session.post(url(server), json={"instances": [1.0]}, timeout=TIMEOUT_SECONDS).ok
        files[0].write_text("spoiled")
        server.wait_for_log("the certificates stay as they were: .*tls.crt: no certificate in PEM")
        assert served_name().endswith("CN = first")
        for source, target in zip(ca.issue("second"), files):
            shutil.copy(source, target)
        server.wait_for_log("TLS: read .*tls.crt again")
        assert served_name().endswith("CN = second")
        assert predict(old, [2.0]).tolist() == [3.0]
        assert session.post(url(server), json={"instances": [2.0]}, timeout=TIMEOUT_SECONDS).json()["predictions"] == [3.0]


def text(path):
    """The file as a string of protobuf's text format."""
    return '"' + pathlib.Path(path).read_text().replace("\n", "\\n") + '"'


def test_the_originals_file_is_for_grpc_alone(start_server, ca, clients, certificate, tmp_path):
    config = tmp_path / "ssl.config"
    config.write_text(f"server_cert: {text(certificate[0])} server_key: {text(certificate[1])} custom_ca: {text(clients.certificate)} client_verify: true")
    server = start_server(MODEL, base_path(MODEL), f"--ssl_config_file={config}")
    assert requests.post(server.predict_url, json={"instances": [1.0]}, timeout=TIMEOUT_SECONDS).json()["predictions"] == [2.5]
    with channel(server, ca, clients.issue("good")) as open_channel:
        assert predict(open_channel, [1.0]).tolist() == [2.5]
    with channel(server, ca) as open_channel:
        assert refused(lambda: predict(open_channel, [1.0]))
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(url(server), timeout=TIMEOUT_SECONDS)
    assert server.metrics()['tflite_serving_tls_failures_total{protocol="rest",reason="plain_port"}'] == 1


@pytest.mark.parametrize("spoil, message", [
    (lambda files: files[1].unlink(), "tls.key"),
    (lambda files: files[0].write_text("x"), "tls.crt: no certificate in PEM"),
    (lambda files: shutil.copy(files[0], files[1]), "tls.key: no private key in PEM"),
])
def test_a_start_that_cannot_work(ca, tmp_path, spoil, message):
    files = tmp_path / "tls.crt", tmp_path / "tls.key"
    for source, target in zip(ca.issue("spoiled"), files):
        shutil.copy(source, target)
    spoil(files)
    status, output = run_to_exit(f"--port={server_process.free_port()}", f"--model_name={MODEL}", f"--model_base_path={base_path(MODEL)}",
                                 *tls_flags(files))
    assert status > 0 and "Failed to start server" in output and message in output, output
    status, output = run_to_exit("--dry_run", f"--model_name={MODEL}", f"--model_base_path={base_path(MODEL)}", *tls_flags(files))
    assert status > 0 and message in output, output


def test_a_probe(start_server, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))
    asked = [subprocess.run([server_process.binary(), "probe", f"{scheme}://localhost:{server.rest_port}/readyz"], timeout=60, check=False).returncode
             for scheme in ("https", "http")]
    assert asked == [0, 1]


def test_a_silent_client_holds_nothing_up(start_server, ca, certificate):
    server = start_server(MODEL, base_path(MODEL), *tls_flags(certificate))
    with socket.create_connection(server.address), socket.create_connection(("127.0.0.1", server.grpc_port)):
        assert rest(server, ca) == [2.5, 3.0]
        server.stop()
