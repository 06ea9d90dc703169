"""The real server binary as a child process: start it, wait until it serves, read its log, end it.

Nothing here sleeps: waiting is reading the child's output, or its exit, with a deadline.
"""

import collections
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import threading
import time

import requests

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODELS = REPOSITORY / "tests" / "models"

START_SECONDS = 60  # generous: a sanitizer build on a busy machine
STOP_SECONDS = 60
SETTLE_SECONDS = 30
# Below the range that the kernel takes ports of outgoing connections from, so that none of
# those can take a port between its choice and the server's bind.
FIRST_PORT, LAST_PORT = 15000, 32000

REST_READY = r"Exporting HTTP/REST API at:localhost:(\d+) \.\.\."
GRPC_READY = r"Running gRPC ModelServer at 0\.0\.0\.0:(\d+) \.\.\."
# What a process prints that did not end of its own will, or only with a sanitizer's complaint.
CRASH_TEXTS = ("Sanitizer", "runtime error:", "core dumped", "terminate called", "Segmentation",
               "Check failed", "Assertion")


def binary():
    """The server under test: TFLITE_MODEL_SERVER, or the release build."""
    return os.environ.get(
        "TFLITE_MODEL_SERVER",
        str(REPOSITORY / "build" / "release" / "bin" / "tflite_model_server"))


def base_path(model):
    """Where a test model lies: a directory of versions, or one file."""
    directory = MODELS / model
    return directory if directory.is_dir() else MODELS / f"{model}.tflite"


_taken_ports = set()
_taken_ports_lock = threading.Lock()


def free_port():
    """A port that nobody listens on, and that is given out once."""
    while True:
        port = random.randrange(FIRST_PORT, LAST_PORT)
        with _taken_ports_lock:
            if port in _taken_ports:
                continue
            _taken_ports.add(port)
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("::", port))
            return port


class Process:
    """One run of the binary, or of another program; its stdout and stderr are collected line by line, in order."""

    def __init__(self, flags, environment=None, program=None):
        self.command = [program or binary(), *flags]
        self.lines = []
        self.ended_on_purpose = False  # by stop or kill, so that nobody looks for a crash
        self._output = threading.Condition()
        self._ended = False
        self._process = subprocess.Popen(
            self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        self._reader = threading.Thread(target=self._read, name="server output", daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            with self._output:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self._output.notify_all()
        with self._output:
            self._ended = True
            self._output.notify_all()

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        with self._output:
            return "\n".join(self.lines)

    def wait_for_log(self, pattern, seconds=START_SECONDS):
        """The match of the first line that has the pattern; fails if the output ends first."""
        deadline = time.monotonic() + seconds
        seen = 0
        with self._output:
            while True:
                for line in self.lines[seen:]:
                    match = re.search(pattern, line)
                    if match:
                        return match
                seen = len(self.lines)
                if self._ended:
                    raise AssertionError(self.describe(
                        f"the server ended without a log line that matches {pattern!r}"))
                if not self._output.wait(deadline - time.monotonic()):
                    raise AssertionError(self.describe(
                        f"no log line matched {pattern!r} within {seconds} s"))

    def wait(self, seconds=STOP_SECONDS):
        """The exit status, negative for a signal; all output has been read by then."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(self.describe(f"still running after {seconds} s")) from None
        self._reader.join(seconds)
        return status

    def running(self):
        return self._process.poll() is None

    def cpu_seconds(self):
        """Processor time that it has used, in all its threads."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        user, system = fields[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def send_signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        """Ends it at once, whatever it does; for a test's end and for kill -9 tests."""
        self.ended_on_purpose = True
        if self.running():
            self._process.kill()
        self.wait()

    def stop(self, number=signal.SIGTERM):
        """SIGTERM, as every supervisor sends it, has to end the server cleanly."""
        self.ended_on_purpose = True
        self.send_signal(number)
        try:
            status = self.wait()
        finally:
            self.kill()
        assert status == 0, self.describe(f"exit status {status} after signal {number}, expected 0")
        self.check_log_is_clean()

    def check_log_is_clean(self):
        found = [text for text in CRASH_TEXTS if text in self.log]
        assert not found, self.describe(f"the output has {found}")

    def describe(self, problem):
        """A failure message with what a reader needs to look at."""
        return (f"{problem}\n  command: {' '.join(self.command)}\n  its output:\n    "
                + "\n    ".join(self.lines[-40:] or ["(none)"]))


class Server(Process):
    """A server that serves one model over REST and gRPC."""

    def __init__(self, model_name, model_base_path, *flags, rest_port=None, grpc_port=None,
                 environment=None):
        self.model_name = model_name
        self.rest_port = rest_port or free_port()
        self.grpc_port = grpc_port or free_port()
        super().__init__([f"--port={self.grpc_port}", f"--rest_api_port={self.rest_port}",
                          f"--model_name={model_name}", f"--model_base_path={model_base_path}",
                          *flags], environment)

    def wait_until_ready(self):
        try:
            self.wait_for_log(REST_READY)
        except AssertionError:
            self.kill()
            raise
        return self

    @property
    def address(self):
        return ("127.0.0.1", self.rest_port)

    @property
    def base_url(self):
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def model_url(self):
        return f"{self.base_url}/v1/models/{self.model_name}"

    @property
    def predict_url(self):
        return f"{self.model_url}:predict"

    @property
    def grpc_target(self):
        return f"127.0.0.1:{self.grpc_port}"

    def metrics(self, path="/metrics"):
        """The samples of a page of metrics: {'name{label="value"}': number}."""
        response = requests.get(f"{self.base_url}{path}", timeout=STOP_SECONDS)
        response.raise_for_status()
        samples = (line.rpartition(" ") for line in response.text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def fd_count(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_mib(self):
        """Resident memory without the pages of files, which the kernel takes back as it likes."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        fields = dict(line.split(":", 1) for line in status.splitlines())
        return int(fields["RssAnon"].split()[0]) / 1024


class ConfiguredServer(Server):
    """A server with a config file instead of one model."""

    def __init__(self, config_file, *flags):
        super().__init__("m", "/not/used", f"--model_config_file={config_file}", *flags)


def settles(condition, still_alive, seconds=SETTLE_SECONDS):
    """Whether `condition()` becomes true, asking the server for an answer between two looks.

    For what the server does a moment after its peer could know: closing a socket, freeing memory.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        still_alive()
    return True


Refusal = collections.namedtuple("Refusal", "status output")


def run_to_exit(*flags):
    """Runs the binary with flags that make it end by itself: its status and all its output."""
    process = Process(flags)
    try:
        status = process.wait()
    finally:
        process.kill()
    process.check_log_is_clean()
    return Refusal(status, process.log)
