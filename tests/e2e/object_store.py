"""Object storage for the tests: a real S3 server (moto) behind a front that checks each signature against botocore's and spoils answers as it is told,
and a real web server (nginx).

    with Moto() as moto, Bucket(moto) as bucket:
        bucket.put("digits/1/model.tflite", model)
        ...  # a server with bucket.environment and a base path of bucket.url("digits")
"""

import collections
import contextlib
import dataclasses
import hmac
import http.client
import http.server
import os
import pathlib
import subprocess
import sys
import threading
import urllib.parse

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

from server_process import REPOSITORY, free_port, settles

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AKIDEXAMPLE", "secret/with+signs=", "a session/token=="
REGION = "eu-central-1"
BUCKET = "models"


@dataclasses.dataclass
class Fault:
    """What becomes of the next answer: this status, or its body ended after so many bytes."""

    status: int = 0
    cut_after: int = -1
    body: str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Moto:
    """A process of it, which one Bucket at a time may have."""

    def __init__(self):
        self.port = free_port()
        self._process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in self._process.stdout:
            if "Running on" in line:
                break
        else:
            raise AssertionError("moto ended before it listened")
        threading.Thread(target=lambda: collections.deque(self._process.stdout, maxlen=0), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def reset(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("POST", "/moto-api/reset", headers={"Content-Length": "0"})
        assert connection.getresponse().status == 200
        connection.close()


class Bucket:
    """An empty bucket, and the front before it: whoever does not sign as botocore does gets 403. Thread-safe."""

    def __init__(self, moto):
        moto.reset()
        self._moto_port = moto.port
        self.signed = True       # whether requests have to be
        self.bearer = None       # the token that they have to bring instead
        self.region = REGION     # of the bucket
        self.page_size = 1000    # of listings, at most what is asked for
        self.faults = collections.deque()
        self.requests = []       # "GET /models/…", all of them
        self.refused = []        # what was wrong with a signature
        self._lock = threading.Lock()
        bucket = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            do_GET = do_HEAD = lambda self: bucket._answer(self)

            def log_message(self, *_):
                pass

        self._front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._front.daemon_threads = True
        threading.Thread(target=self._front.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._front.server_address[1]}"
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self._moto_port}", region_name=REGION, aws_access_key_id=ACCESS_KEY,
                                   aws_secret_access_key=SECRET_KEY, config=botocore.config.Config(retries={"max_attempts": 0}, proxies={}))
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._front.shutdown()
        self._front.server_close()

    @property
    def environment(self):
        """For a server that is to find it."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_SESSION_TOKEN": SESSION_TOKEN, "AWS_REGION": REGION, "HOME": "/nonexistent"}

    def url(self, key, scheme="s3"):
        return f"{scheme}://{BUCKET}/{key}"

    def put(self, key, content):
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content)

    def delete(self, key):
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def count(self, text):
        """How many requests had this in their first line."""
        with self._lock:
            return sum(text in one for one in self.requests)

    def _answer(self, handler):
        with self._lock:
            self.requests.append(f"{handler.command} {handler.path} {handler.headers.get('Range', '')}")
            fault = self.faults.popleft() if self.faults else Fault()
        problem = self._problem_of(handler)
        if problem:
            self.refused.append(problem)
            return self._send(handler, 403, {}, b"<Error><Code>SignatureDoesNotMatch</Code><Message>It is another.</Message></Error>")
        if fault.status:
            return self._send(handler, fault.status, {}, fault.body.encode())
        upstream = http.client.HTTPConnection("127.0.0.1", self._moto_port, timeout=60)
        # moto takes a request for one of the user that its credentials name, which it does not know.
        kept = {name: value for name, value in handler.headers.items() if name.lower() not in ("authorization", "x-amz-security-token", "host")}
        kept["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20261128/{REGION}/s3/aws4_request, SignedHeaders=host, Signature=0")
        upstream.request(handler.command, handler.path.replace("max-keys=1000", f"max-keys={self.page_size}"), headers=kept)
        answer = upstream.getresponse()
        body = answer.read()
        headers = {name: value for name, value in answer.getheaders()
                   if name.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server")}
        self._send(handler, answer.status, headers, body, fault.cut_after)

    def _send(self, handler, status, headers, body, cut_after=-1):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body if cut_after < 0 else body[:cut_after])
        if cut_after >= 0:
            handler.close_connection = True

    def _problem_of(self, handler):
        authorization = handler.headers.get("Authorization", "")
        if self.bearer is not None:
            return "" if authorization == f"Bearer {self.bearer}" else f"not the token: {authorization}"
        if not self.signed:
            return "" if not authorization else "signed, for no reason"
        expected = self._authorization_of(handler)
        return "" if hmac.compare_digest(authorization, expected) else f"{authorization}\nexpected\n{expected}"

    def _authorization_of(self, handler):
        """As botocore has it for the same request at the same time."""
        _, _, rest = handler.headers.get("Authorization", "").partition("SignedHeaders=")
        names = rest.partition(",")[0].split(";")
        split = urllib.parse.urlsplit(handler.path)
        request = botocore.awsrequest.AWSRequest(
            method=handler.command, url=f"http://{handler.headers['Host']}{split.path}", params=dict(urllib.parse.parse_qsl(split.query)),
            headers={name: handler.headers[name] for name in names if name in handler.headers and name != "host"})
        request.context["timestamp"] = handler.headers.get("X-Amz-Date", "")
        request.context["payload_signing_enabled"] = True
        signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials(ACCESS_KEY, SECRET_KEY, SESSION_TOKEN), "s3", self.region)
        prepared = signer.headers_to_sign(request)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return (f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={signer.signed_headers(prepared)}, "
                f"Signature={signer.signature(text, request)}")


class Nginx:
    """Serves a directory, with its lists of names."""

    def __init__(self, directory, files, options=""):
        self.port = free_port()
        work = pathlib.Path(directory)
        (work / "nginx.conf").write_text(f"""
            worker_processes 1; daemon off; {"user root;" if os.geteuid() == 0 else ""} pid {work}/nginx.pid; error_log {work}/error.log;
            events {{ worker_connections 64; }}
            http {{
              types {{ text/html html; }}
              access_log {work}/access.log; client_body_temp_path {work}/body; proxy_temp_path {work}/proxy; fastcgi_temp_path {work}/fastcgi;
              uwsgi_temp_path {work}/uwsgi; scgi_temp_path {work}/scgi;
              server {{ listen 127.0.0.1:{self.port}; root {files}; autoindex on; {options} }}
            }}""")
        self._process = subprocess.Popen([REPOSITORY / "build" / "nginx" / "nginx", "-c", work / "nginx.conf", "-p", work])
        assert settles(self._answers, lambda: None), (work / "error.log").read_text()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def _answers(self):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request("HEAD", "/")
            return connection.getresponse().status > 0
        return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"
