"""Models from object storage: S3 (moto, behind a front that checks signatures as botocore makes them), Google Cloud Storage's XML API, web servers."""

import base64
import hashlib
import http.server
import json
import pathlib
import threading
import urllib.parse

import pytest
import requests
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from object_store import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, Bucket, Fault, Moto, Nginx
from server_process import REPOSITORY, Process, Server, base_path, settles

HALF_PLUS_TWO = base_path("half_plus_two").read_bytes()
SCALAR = base_path("scalar").read_bytes()
DIGITS = next(base_path("digits").rglob("*.tflite")).read_bytes()
PYTHON = REPOSITORY / "build" / "custom-venv" / "bin" / "python"
EVERY_SECOND = "--object_storage_poll_wait_seconds=1"


@pytest.fixture(scope="module")
def moto():
    with Moto() as running:
        yield running


@pytest.fixture
def bucket(moto):
    with Bucket(moto) as running:
        yield running


@pytest.fixture
def cached(start_server, bucket, tmp_path):
    """cached(key, *flags): a server of what lies there, with a cache of this test's own."""

    def start(key, *flags, environment=None, scheme="s3"):
        return start_server("m", bucket.url(key, scheme), f"--model_cache_dir={tmp_path / 'cache'}", *flags,
                            environment={**bucket.environment, **(environment or {})})

    return start


def predict(server, path=""):
    return requests.post(f"{server.model_url}{path}:predict", json={"instances": [1.0]}, timeout=60)


def answers(server, status=200, path=""):
    return settles(lambda: predict(server, path).status_code == status, lambda: server.describe(""))


def state_of(server):
    return requests.get(server.model_url, timeout=60).json()["model_version_status"]


class TestS3:

    def test_versions_are_listed_fetched_and_served(self, bucket, cached, tmp_path):
        bucket.put("models/digits/1/model.tflite", SCALAR)
        bucket.put("models/digits/2/", b"")  # the mark of a directory, as consoles make it
        bucket.put("models/digits/2/model.tflite", HALF_PLUS_TWO)
        bucket.put("models/digits/2/notes about it.txt", b"not asked for")
        bucket.put("models/digits_of_others/3/model.tflite", SCALAR)
        server = cached("models/digits/")
        assert answers(server)
        assert predict(server).json() == {"predictions": [2.5]}
        assert [one["version"] for one in state_of(server)] == ["2"]
        assert bucket.refused == []
        assert bucket.count("model.tflite") == 1 and bucket.count("notes") == 0
        digests = list((tmp_path / "cache").glob("*.sha256"))
        assert [one.read_text() for one in digests] == [f"{hashlib.sha256(HALF_PLUS_TWO).hexdigest()}  model.tflite\n"]
        assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700
        assert server.metrics()["tflite_serving_storage_fetched_bytes_total"] == len(HALF_PLUS_TWO)
        assert server.metrics()['tflite_serving_storage_fetches_total{result="fetched"}'] == 1

    @pytest.mark.parametrize("key", ["m.tflite", "a b/ä+&=~(1).tflite", "flat"])
    def test_files_and_flat_directories_with_any_names(self, bucket, cached, key):
        bucket.put(key if key.endswith(".tflite") else f"{key}/model.tflite", HALF_PLUS_TWO)
        server = cached(key)
        assert answers(server)
        assert predict(server, "/versions/1").json() == {"predictions": [2.5]}
        assert bucket.refused == []

    def test_a_new_version_and_a_replaced_file(self, bucket, cached):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        server = cached("m", EVERY_SECOND)
        assert answers(server)
        bucket.put("m/2/model.tflite", HALF_PLUS_TWO)
        assert answers(server, path="/versions/2")
        bucket.put("m/2/model.tflite", DIGITS)
        server.wait_for_log("Replaced servable version {name: m version: 2}")
        assert predict(server, "/versions/2").status_code == 400  # 1.0 is no image
        bucket.delete("m/1/model.tflite")
        bucket.delete("m/2/model.tflite")
        server.wait_for_log("serve on")
        assert predict(server).status_code == 400

    def test_many_pages(self, bucket, cached):
        bucket.page_size = 10
        for i in range(25):
            bucket.put(f"m/{i + 1}/model.tflite", HALF_PLUS_TWO)
        server = cached("m")
        assert answers(server, path="/versions/25")
        assert bucket.count("continuation-token") == 2
        assert bucket.refused == []

    def test_broken_off_answers_are_gone_on_with(self, bucket, cached, tmp_path):
        bucket.put("m/1/model.tflite", DIGITS)
        half = len(DIGITS) // 2
        bucket.faults.extend([Fault(status=503), Fault(status=500), Fault(), Fault(), Fault(cut_after=half), Fault(status=503), Fault(cut_after=100)])
        server = cached("m")
        assert answers(server, status=400)
        assert bucket.count(f"bytes={half}-") == 2  # the first of them refused
        assert bucket.count(f"bytes={half + 100}-") == 1
        assert server.metrics()["tflite_serving_storage_fetched_bytes_total"] == len(DIGITS)
        assert [path.read_bytes() for path in (tmp_path / "cache").glob("*/model.tflite")] == [DIGITS]

    def test_what_is_cached_is_not_fetched_again_unless_it_is_damaged(self, bucket, cached, tmp_path):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        assert answers(server := cached("m"))
        server.stop()
        assert answers(server := cached("m"))
        assert server.metrics()['tflite_serving_storage_fetches_total{result="cached"}'] == 1
        server.stop()
        assert bucket.count("model.tflite") == 1
        copy = next((tmp_path / "cache").glob("*/model.tflite"))
        copy.write_bytes(HALF_PLUS_TWO[:-1] + b"x")
        assert answers(server := cached("m"))
        server.wait_for_log("is not what it was when it was fetched")
        assert bucket.count("model.tflite") == 2
        assert copy.read_bytes() == HALF_PLUS_TWO

    def test_a_download_that_was_killed_goes_on(self, bucket, cached, tmp_path):
        bucket.put("m/1/model.tflite", DIGITS)
        bucket.faults.extend([Fault(), Fault(), Fault(cut_after=1000), *[Fault(status=503)] * 50])
        server = Server("m", bucket.url("m"), f"--model_cache_dir={tmp_path / 'cache'}", environment=bucket.environment)
        try:
            assert settles(lambda: bucket.count("bytes=1000-") > 0, lambda: None)
        finally:
            server.kill()
        bucket.faults.clear()
        before = bucket.count("bytes=1000-")
        assert answers(server := cached("m"), status=400)
        assert bucket.count("bytes=1000-") == before + 1
        assert server.metrics()["tflite_serving_storage_fetched_bytes_total"] == len(DIGITS) - 1000

    def test_two_servers_share_a_cache(self, bucket, cached):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        servers = [cached("m"), cached("m")]
        assert all(answers(server) for server in servers)
        assert bucket.count("model.tflite") == 1

    def test_a_wrong_checksum_is_fetched_again(self, bucket, cached, tmp_path):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        # As a proxy would that answers with another object of that size.
        bucket.faults.extend([Fault(), Fault(), Fault(status=200, body="x" * len(HALF_PLUS_TWO))])
        server = cached("m", "--load_retry_interval_micros=1000")
        server.wait_for_log("has not the checksum that the store has for it")
        assert answers(server)

    def test_the_cache_has_a_limit(self, bucket, cached, tmp_path):
        big = HALF_PLUS_TWO + bytes(700_000)
        for version in (1, 2):
            bucket.put(f"m/{version}/model.tflite", big + bytes([version]))
        bucket.put("m/3/model.tflite", big + bytes(400_000))
        config = tmp_path / "models.config"

        def write(version):
            config.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{bucket.url("m")}" model_platform: "tflite" '
                              f"model_version_policy {{ specific {{ versions: {version} }} }} }} }}")

        write(1)
        server = cached("m", f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1", "--model_cache_max_mb=1")
        assert answers(server, path="/versions/1")
        write(2)  # while 1 is still served its files stay, and 2 has no room
        server.wait_for_log("more than there is room for.*--model_cache_max_mb is 1")
        assert predict(server, "/versions/1").status_code == 200
        server.stop()
        server = cached("m", f"--model_config_file={config}", "--model_cache_max_mb=1")
        assert answers(server, path="/versions/2")
        server.wait_for_log("Removed .* from the models' cache")
        assert len(list((tmp_path / "cache").glob("*.sha256"))) == 1

    def test_a_bucket_in_another_region(self, bucket, cached):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        server = cached("m", environment={"AWS_REGION": "us-east-1"})
        assert server.wait_for_log("Could not find base path s3://models/m for servable m with error PERMISSION_DENIED: s3://models/m: SignatureDoesNotMatch")

    def test_errors_name_the_url_and_what_was_said(self, bucket, cached):
        assert cached("m").wait_for_log("Could not find base path s3://models/m for servable m with error NOT_FOUND: s3://models/m not found")
        bucket.put("m/1/notes", b"")
        assert cached("m").wait_for_log("Version 1 of servable m has no model: s3://models/m/1 holds no .tflite file, only notes")
        assert cached("m", environment={"AWS_SECRET_ACCESS_KEY": "wrong"}).wait_for_log("error PERMISSION_DENIED: s3://models/m: SignatureDoesNotMatch")
        server = cached("m", environment={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
        assert server.wait_for_log("error UNAVAILABLE: s3://models/m: .*connect")
        assert predict(server).status_code == 503 or predict(server).status_code == 404

    def test_one_store_that_hangs_holds_up_nobody(self, bucket, start_server, tmp_path):
        hanging = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)  # accepts in its backlog alone
        config = tmp_path / "models.config"
        entries = [("local", base_path("half_plus_two"))] + [(f"far{i}", f"http://127.0.0.1:{hanging.server_address[1]}/m{i}") for i in range(8)]
        config.write_text("model_config_list {" + "".join(
            f'config {{ name: "{name}" base_path: "{path}" model_platform: "tflite" }}' for name, path in entries) + "}")
        server = Server("local", "/nonexistent", f"--model_config_file={config}", f"--model_cache_dir={tmp_path / 'cache'}")
        try:
            assert settles(lambda: predict_or_none(server) == 200, lambda: None)
        finally:
            server.kill()
            hanging.server_close()

    def test_warm_up_requests_come_too(self, bucket, cached):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        bucket.put("m/1/assets.extra/tf_serving_warmup_requests", b"no TFRecord")
        assert cached("m").wait_for_log("failed: .*assets.extra/tf_serving_warmup_requests")

    def test_a_custom_servable_lies_in_a_bucket(self, bucket, cached, tmp_path):
        bucket.put("m/1/wrapper.py", b"import json, pathlib\n\n\nclass Model:\n    def __init__(self, path, config):\n"
                                     b"        self.text = (pathlib.Path(path) / 'data' / 'text').read_text()\n\n"
                                     b"    def __call__(self, request):\n        return json.dumps({'predictions': [self.text]}).encode()\n")
        bucket.put("m/1/data/text", b"from the bucket")
        config = tmp_path / "models.config"
        config.write_text(f'model_config_list {{ config {{ name: "m" base_path: "{bucket.url("m")}" model_platform: "custom" '
                          'custom_model_config { module_path: "wrapper.py" model_class_name: "Model" } } }')
        server = cached("m", f"--model_config_file={config}", f"--python={PYTHON}", EVERY_SECOND)
        assert answers(server)
        assert predict(server).json() == {"predictions": ["from the bucket"]}
        bucket.put("m/1/data/text", b"changed")
        assert settles(lambda: predict(server).json() == {"predictions": ["changed"]}, lambda: server.describe(""))

    def test_a_public_bucket_is_asked_unsigned(self, bucket, cached):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        bucket.signed = False
        nobody = {name: "" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
        assert answers(cached("m", environment={**nobody, "AWS_EC2_METADATA_DISABLED": "true"}))
        assert bucket.refused == []

    def test_dry_run(self, bucket, tmp_path):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        run = Process(["--dry_run", "--model_name=m", f"--model_base_path={bucket.url('m')}", f"--model_cache_dir={tmp_path / 'cache'}"],
                      bucket.environment)
        assert run.wait() == 0, run.log
        assert "versions that can be served: 1" in run.log


def predict_or_none(server):
    try:
        return predict(server).status_code
    except requests.ConnectionError:
        return None


class TestCredentials:
    """Each source that AWS's programs know, with a front that takes no other."""

    @pytest.fixture
    def source(self):
        with LocalSource() as running:
            yield running

    def serve(self, bucket, cached, environment):
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        nobody = {name: "" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
        server = cached("m", environment={**nobody, **environment})
        assert answers(server), server.log
        assert bucket.refused == []

    def test_a_profile(self, bucket, cached, tmp_path):
        bucket.region = "eu-west-3"
        (tmp_path / "credentials").write_text("[default]\naws_access_key_id = other\naws_secret_access_key = other\n\n# ours\n[team]\n"
                                              f"aws_access_key_id={ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\naws_session_token = {SESSION_TOKEN}\n")
        (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n[profile team]\nregion = eu-west-3\n")
        self.serve(bucket, cached, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"), "AWS_CONFIG_FILE": str(tmp_path / "config"),
                                    "AWS_PROFILE": "team", "AWS_REGION": ""})

    def test_the_role_of_a_kubernetes_service_account(self, bucket, cached, source, tmp_path):
        (tmp_path / "token").write_text("web-identity\n")
        self.serve(bucket, cached, {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/models",
                                    "AWS_ENDPOINT_URL_STS": source.url})
        assert source.forms == [{"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::1:role/models",
                                 "RoleSessionName": "tflite-serving", "WebIdentityToken": "web-identity"}]

    def test_a_container(self, bucket, cached, source, tmp_path):
        (tmp_path / "token").write_text("pod-identity\n")
        self.serve(bucket, cached, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{source.url}/container",
                                    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token")})
        assert source.asked == ["GET /container pod-identity"]

    def test_an_instance(self, bucket, cached, source):
        self.serve(bucket, cached, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": source.url})
        assert source.asked == ["PUT /latest/api/token 21600", "GET /latest/meta-data/iam/security-credentials/ imds-token",
                                "GET /latest/meta-data/iam/security-credentials/a-role imds-token"]


class LocalSource:
    """What gives credentials on AWS's machines, and tokens on Google's."""

    def __init__(self):
        self.asked, self.forms = [], []
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        source = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_PUT(self):
                source.asked.append(f"PUT {self.path} {self.headers['X-aws-ec2-metadata-token-ttl-seconds']}")
                self.answer("imds-token")

            def do_POST(self):
                form = dict(urllib.parse.parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                source.forms.append(form)
                if "assertion" in form or "refresh_token" in form:
                    return self.answer(json.dumps({"access_token": "google-token", "expires_in": 3599, "token_type": "Bearer"}))
                self.answer(f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>"
                            f"<SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{SESSION_TOKEN}</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
                            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")

            def do_GET(self):
                secret = self.headers.get("Authorization") or self.headers.get("X-aws-ec2-metadata-token") or self.headers.get("Metadata-Flavor")
                source.asked.append(f"GET {self.path} {secret}")
                if self.path.startswith("/computeMetadata/"):
                    return self.answer(json.dumps({"access_token": "google-token", "expires_in": 3599}))
                if self.path.endswith("/"):
                    return self.answer("a-role")
                self.answer(json.dumps({"AccessKeyId": ACCESS_KEY, "SecretAccessKey": SECRET_KEY, "Token": SESSION_TOKEN, "Expiration": "2099-01-01T00:00:00Z"}))

            def answer(self, text):
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


class TestGoogle:
    """The XML API is S3's; what differs is who one is."""

    @pytest.fixture
    def source(self):
        with LocalSource() as running:
            yield running

    def serve(self, bucket, cached, environment):
        bucket.bearer = "google-token"
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        server = cached("m", environment={"CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": bucket.endpoint, **environment}, scheme="gs")
        assert answers(server), server.log
        assert bucket.refused == []

    def test_a_service_account(self, bucket, cached, source, tmp_path):
        pem = source.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
        (tmp_path / "account.json").write_text(json.dumps({"type": "service_account", "client_email": "m@p.iam.gserviceaccount.com", "private_key_id": "k1",
                                                           "private_key": pem, "token_uri": f"{source.url}/token"}))
        self.serve(bucket, cached, {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json")})
        form = source.forms[0]
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        head, claims, signature = form["assertion"].split(".")
        source.key.public_key().verify(unpadded(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256())
        assert json.loads(unpadded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
        said = json.loads(unpadded(claims))
        assert (said["iss"], said["aud"], said["exp"] - said["iat"]) == ("m@p.iam.gserviceaccount.com", f"{source.url}/token", 3600)
        assert len(source.forms) == 1  # for all requests

    def test_a_user(self, bucket, cached, source, tmp_path):
        (tmp_path / "user.json").write_text(json.dumps({"type": "authorized_user", "client_id": "a b", "client_secret": "c&d", "refresh_token": "e=f",
                                                        "token_uri": f"{source.url}/token"}))
        self.serve(bucket, cached, {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "user.json")})
        assert source.forms == [{"grant_type": "refresh_token", "client_id": "a b", "client_secret": "c&d", "refresh_token": "e=f"}]

    def test_a_machine_of_googles(self, bucket, cached, source):
        self.serve(bucket, cached, {"GCE_METADATA_HOST": source.host})
        assert source.asked == ["GET /computeMetadata/v1/instance/service-accounts/default/token Google"]

    def test_an_emulator_takes_no_token(self, bucket, cached):
        bucket.signed = False
        bucket.put("m/1/model.tflite", HALF_PLUS_TWO)
        assert answers(cached("m", environment={"STORAGE_EMULATOR_HOST": bucket.endpoint}, scheme="gs"))
        assert bucket.refused == []

    @pytest.mark.parametrize("text, reason", [("nonsense", "it is not a JSON object"), ('{"type": "external_account"}', 'its type is "external_account"'),
                                              ('{"type": "service_account", "private_key": "x"}', "private_key: it is not the PEM text of an RSA key")])
    def test_files_that_are_no_credentials(self, cached, tmp_path, text, reason):
        (tmp_path / "account.json").write_text(text)
        server = cached("m", environment={"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json")}, scheme="gs")
        assert server.wait_for_log(f"UNAUTHENTICATED: .*account.json: {reason}")


def unpadded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class TestWeb:

    @pytest.fixture
    def files(self, tmp_path):
        (tmp_path / "files" / "m" / "1").mkdir(parents=True)
        (tmp_path / "nginx").mkdir()
        return tmp_path / "files"

    def serve(self, start_server, tmp_path, url, *flags, environment=None):
        return start_server("m", url, f"--model_cache_dir={tmp_path / 'cache'}", *flags, environment={"HOME": str(tmp_path), **(environment or {})})

    def test_a_list_of_versions(self, files, start_server, tmp_path):
        (files / "m" / "1" / "a model.tflite").write_bytes(HALF_PLUS_TWO)
        (files / "m" / "not & a version").mkdir()
        with Nginx(tmp_path / "nginx", files) as nginx:
            server = self.serve(start_server, tmp_path, f"{nginx.url}/m", EVERY_SECOND)
            assert answers(server, path="/versions/1")
            (files / "m" / "2").mkdir()
            (files / "m" / "2" / "model.tflite").write_bytes(HALF_PLUS_TWO)
            assert answers(server, path="/versions/2")

    def test_one_file_which_is_replaced(self, files, start_server, tmp_path):
        (files / "m 1.tflite").write_bytes(HALF_PLUS_TWO)
        with Nginx(tmp_path / "nginx", files) as nginx:
            server = self.serve(start_server, tmp_path, f"{nginx.url}/m%201.tflite", EVERY_SECOND)
            assert answers(server)
            (files / "m 1.tflite").write_bytes(DIGITS)
            assert answers(server, status=400)

    def test_python_lists_as_well(self, files, start_server, tmp_path):
        (files / "m" / "1" / "model.tflite").write_bytes(HALF_PLUS_TWO)
        handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *arguments: handler(*arguments, directory=files))
        threading.Thread(target=web.serve_forever, daemon=True).start()
        try:
            assert answers(self.serve(start_server, tmp_path, f"http://127.0.0.1:{web.server_address[1]}/m"))
        finally:
            web.shutdown()
            web.server_close()

    def test_passwords_come_from_netrc(self, files, start_server, tmp_path):
        (files / "m" / "1" / "model.tflite").write_bytes(HALF_PLUS_TWO)
        (tmp_path / "users").write_text("reader:{PLAIN}secret\n")
        with Nginx(tmp_path / "nginx", files, f'auth_basic "models"; auth_basic_user_file {tmp_path / "users"};') as nginx:
            server = self.serve(start_server, tmp_path, f"{nginx.url}/m")
            assert server.wait_for_log("error PERMISSION_DENIED: http://127.0.0.1:[0-9]+/m/?: HTTP status 401")
            (tmp_path / ".netrc").write_text("machine 127.0.0.1 login reader password secret\n")
            assert answers(self.serve(start_server, tmp_path, f"{nginx.url}/m"))

    @pytest.mark.parametrize("path, reason", [
        ("http://user:secret@127.0.0.1/m", "must not have a user name or a password"),
        ("https://", "has no host"), ("s3:///m", "has no bucket"), ("s3://models/a/../b", 'has a part that is empty, "." or ".."'),
        ("http://127.0.0.1/m.tflite?v=1", "has a query or a fragment"), ("hdfs://host/m", "got hdfs://")])
    def test_urls_that_cannot_be(self, start_server, tmp_path, path, reason):
        server = self.serve(start_server, tmp_path, path)
        server.wait_for_log(reason)
        assert "secret" not in server.log
