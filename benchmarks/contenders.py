"""The servers that are measured, as processes: each has pids, predict_url, grpc_target and stop()."""

import io
import json
import os
import re
import subprocess

import numpy as np
import requests

import grpc_client
import process_figures
import server_process
import workloads
from placement import CPUS
from workloads import BATCHING, CONSTANT, FASTAPI, GRPC, NPY, PROGRAMS, ROOT, THIS

CONSTANT_SERVER = PROGRAMS / "constant_server"
UVICORN = ROOT / "build" / "bench-venv" / "bin" / "uvicorn"
GRPC_METHOD = "/tensorflow.serving.PredictionService/Predict"


class Refused(Exception):
    """A server that does not start as it is asked to, with its own words."""


class ThisServer:
    def __init__(self, workload, model_path, flags):
        self._process = server_process.Server(workload.model, model_path, *flags)
        try:
            self._process.wait_until_ready()
        except AssertionError:
            raise Refused(next(iter(self._process.lines), "it ended without a word")) from None
        self.pids = [self._process.pid]
        self.predict_url = self._process.predict_url
        self.grpc_target = self._process.grpc_target

    def stop(self):
        self._process.stop()


class OtherServer:
    """A program that prints `ready` lines when it serves."""

    def __init__(self, command, ready, count, environment=None):
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                         env={**os.environ, **(environment or {})})
        self.matches = []
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if match := re.search(ready, line):
                self.matches.append(match)
                if len(self.matches) == count:
                    break
        else:
            self._process.wait()
            raise Refused(f"{command[0]} ended: {''.join(lines[-5:])}")
        self.pids = process_figures.with_children(self._process.pid)

    def stop(self):
        self._process.terminate()
        self._process.communicate()


class FastApiServer(OtherServer):
    """benchmarks/fastapi_server.py behind uvicorn, a worker process for each core."""

    def __init__(self, workload, model_path):
        port = server_process.free_port()
        super().__init__(
            [UVICORN, "fastapi_server:app", "--app-dir", ROOT / "benchmarks", "--port", str(port), "--workers", str(CPUS),
             "--no-access-log"],
            # Several workers start behind a socket that is open already; one alone opens it last.
            "Application startup complete|Uvicorn running on", CPUS + 1, {"MODEL": str(model_path)})
        self.predict_url = f"http://127.0.0.1:{port}/v1/models/{workload.model}:predict"
        self.grpc_target = None


class ConstantServer(OtherServer):
    """benchmarks/constant_server.cc: the answers of `files`, whatever is asked."""

    def __init__(self, workload, files):
        super().__init__([CONSTANT_SERVER, files.http_answer, files.grpc_answer, str(CPUS)], r"http (\d+) grpc (\d+)", 1)
        http_port, grpc_port = self.matches[0].groups()
        self.predict_url = f"http://127.0.0.1:{http_port}/v1/models/{workload.model}:predict"
        self.grpc_target = f"127.0.0.1:{grpc_port}"


def start(server, workload, model_path, files):
    if server == FASTAPI:
        return FastApiServer(workload, model_path)
    if server == CONSTANT:
        return ConstantServer(workload, files)
    return ThisServer(workload, model_path, workloads.FLAGS[server])


# --- Requests as files, and the answers they get ------------------------------------------------


class Failure(Exception):
    """A measurement that did not measure what it should."""


class RequestFiles:
    """The requests of one workload in a directory, for load generators to read, and what this server answers to them."""

    def __init__(self, workload, model_path, directory):
        self.bodies = {}
        for protocol in {protocol for _, protocol in workload.cases}:
            self.bodies[protocol] = directory / f"{protocol.replace(' ', '_')}.body"
            self.bodies[protocol].write_bytes(workloads.request_body(workload, protocol))
        self.http_answer, self.grpc_answer = directory / "http_answer", directory / "grpc_answer"
        server = start(THIS, workload, model_path, self)
        try:
            client = grpc_client.Client(server.grpc_target)
            response = client.predict(workloads.grpc_request(workload))
            client.close()
            self.http_answer.write_bytes(post(server, self.bodies[workloads.JSON], workloads.JSON).content)
        finally:
            server.stop()
        [self.answer] = [grpc_client.tf.make_ndarray(tensor) for tensor in response.outputs.values()]
        self.grpc_answer.write_bytes(response.SerializeToString())
        # By which a load generator that reads no trailers can tell answers from errors.
        self.grpc_reply_bytes = len(workloads.grpc_frame(response))


def post(server, body, protocol):
    return requests.post(server.predict_url, data=body.read_bytes(),
                         headers={"Content-Type": workloads.CONTENT_TYPES[protocol]})


def check_answer(server, workload, protocol, files):
    """That a server answers as this one does over gRPC, before anything is timed."""
    if protocol == GRPC:
        client = grpc_client.Client(server.grpc_target)
        [answer] = [grpc_client.tf.make_ndarray(tensor)
                    for tensor in client.predict(workloads.grpc_request(workload)).outputs.values()]
        client.close()
    else:
        reply = post(server, files.bodies[protocol], protocol)
        if reply.status_code != 200:
            raise Failure(f"{workload.model}, {protocol}: status {reply.status_code}: {reply.text[:200]}")
        answer = (np.load(io.BytesIO(reply.content)) if protocol == NPY
                  else np.array(json.loads(reply.content)["predictions"]))
    # The same number of the same runtime, in another order of threads perhaps.
    if not np.allclose(answer, files.answer, rtol=1e-4, atol=1e-6):
        raise Failure(f"{workload.model}, {protocol}: {answer.reshape(-1)[:4]} …, expected {files.answer.reshape(-1)[:4]} …")
