"""Three replicas behind HAProxy, under load: replaced, given a new version, killed, frozen and slowed down. deploy/scale_out runs this.

The replicas have the loopback addresses 127.0.0.11 to 127.0.0.13, the proxy 127.0.0.10 with deploy/haproxy/haproxy.cfg as it is. Clients of both protocols
ask through it all the time, small requests and some that do not fit into the proxy's buffer, and look at every number of the answers. None asks twice.
No request may fail but those in flight on the replica that is killed. At the end many models are spread over the replicas by their names.
"""

import argparse
import collections
import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Callable, Iterator

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import prediction_service_pb2_grpc

import grpc_client
import lifecycle_load
import many_models
import raw_requests
import server_process

CONFIGURATION = pathlib.Path(__file__).resolve().parent / "haproxy" / "haproxy.cfg"
PROXY_ADDRESS = "127.0.0.10"
REPLICA_ADDRESSES = {1: "127.0.0.11", 2: "127.0.0.12", 3: "127.0.0.13"}
MODEL = "m"
REST, GRPC = "REST", "gRPC"
BACKENDS = {REST: "rest_replicas", GRPC: "grpc_replicas"}  # of the proxy
LABELS = {"rest": REST, "grpc": GRPC}  # of the replicas' metrics

GRACE_SECONDS = 5  # more than the proxy takes to see that a replica is not ready any more
TIMEOUT_SECONDS = 60  # of a request
LOOK_SECONDS = 0.05  # from one look at the proxy to the next; it tells of nothing by itself
SMALL, LARGE = 1, 25_000  # numbers in a request; the latter are more than the proxy's buffer holds, in either protocol
LARGE_SHARE = 0.1  # of a small client's rate
SLOW_SECONDS, SLOW_SHARE = 0.1, 0.9  # a slowed replica stands still for this share of each such span
MAX_SLOW_SHARE = 0.9  # of an equal share of the requests: what the slow replica may get; on a full machine the others are slow, too
BURST_SECONDS, BURST_CLIENTS = 3, 32
BURSTS = ((REST, 1), (GRPC, 1), (GRPC, 3_800))  # numbers in a request; the last is what HAProxy 2.6.12 fails at with its default buffer
MODELS = 60  # that are spread by name
MAX_SHOWN = 20  # failures


class Replica(server_process.Server):
    """A server on a loopback address of its own."""

    def __init__(self, number: int, ports: tuple[int, int], base_path: pathlib.Path, *flags: str):
        self.number, self.host = number, REPLICA_ADDRESSES[number]
        self.arguments = number, ports, base_path, *flags
        super().__init__(MODEL, base_path, f"--bind_address={self.host}", f"--shutdown_grace_seconds={GRACE_SECONDS}",
                         *flags, rest_port=ports[0], grpc_port=ports[1])

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.rest_port}"

    def available_versions(self) -> set[int]:
        rows = requests.get(self.model_url, timeout=TIMEOUT_SECONDS).json()["model_version_status"]
        return {int(row["version"]) for row in rows if row["state"] == "AVAILABLE"}

    def answers_by_model(self) -> collections.Counter:
        """{(model, protocol): predictions so far}."""
        page = requests.get(f"{self.base_url}/metrics", timeout=TIMEOUT_SECONDS).text
        return collections.Counter({(labels["model"], LABELS[labels["protocol"]]): int(value) for name, labels, value in samples(page)
                                    if name == "tflite_serving_requests_total" and labels["code"] == "OK"})


class Proxy(server_process.Process):
    """HAProxy with the configuration that people are given."""

    def __init__(self, program: str, configuration: pathlib.Path, ports: tuple[int, int], more: dict[str, str]):
        self._metrics_port = server_process.free_port()
        environment = {f"REPLICA_{number}": host for number, host in REPLICA_ADDRESSES.items()}
        environment |= {"BIND": PROXY_ADDRESS, "REST_PORT": str(ports[0]), "GRPC_PORT": str(ports[1]), "METRICS_PORT": str(self._metrics_port)}
        super().__init__(["-f", str(configuration)], environment | more, program)

    def _values(self, metric: str) -> dict[tuple[str, ...], float]:
        """{(backend, server[, state or code]): value}."""
        page = requests.get(f"http://{PROXY_ADDRESS}:{self._metrics_port}/metrics?scope=server", timeout=TIMEOUT_SECONDS).text
        return {tuple(labels.values()): value for name, labels, value in samples(page) if name == f"haproxy_server_{metric}"}

    def _of(self, replica: Replica, metric: str, *more: str) -> dict[str, int]:
        values = self._values(metric)
        return {protocol: int(values[backend, f"replica_{replica.number}", *more]) for protocol, backend in BACKENDS.items()}

    def listens(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return bool(self._values("status"))
        return False

    def has(self, replica: Replica, state: str) -> bool:
        return all(self._of(replica, "status", state).values())

    def in_flight(self, replica: Replica) -> dict[str, int]:
        return self._of(replica, "current_sessions")

    def answered(self, replica: Replica) -> dict[str, int]:
        return self._of(replica, "http_responses_total", "2xx")

    def retries(self) -> dict[str, int]:
        """A retry that goes to another replica is a redispatch, unless the request had been sent."""
        counted = collections.Counter()
        for metric in ("retry_warnings_total", "redispatch_warnings_total"):
            for (backend, _), value in self._values(metric).items():
                counted[backend] += int(value)
        return {protocol: counted[backend] for protocol, backend in BACKENDS.items()}


def samples(page: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of a page of metrics, of those with labels."""
    for name, labels, value in re.findall(r"^(\w+)\{(.*)\} (\S+)$", page, re.MULTILINE):
        yield name, dict(re.findall(r'(\w+)="([^"]*)"', labels)), float(value)


class Asking:
    """A client's connection to the proxy. `ask` answers with what the model added to the halves of all the numbers it was sent."""

    def __init__(self, protocol: str, port: int, count: int):
        self._protocol, self._numbers = protocol, np.arange(1, count + 1, dtype=np.float32)
        if protocol == REST:
            self._connection = http.client.HTTPConnection(PROXY_ADDRESS, port, timeout=TIMEOUT_SECONDS)
            self._body = json.dumps({"inputs": self._numbers.tolist()})
        else:
            # Without retries of gRPC's own, and without a connection that other clients have.
            self._connection = grpc.insecure_channel(f"{PROXY_ADDRESS}:{port}", [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)])
            self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._connection)
            self._tensors = {"x": grpc_client.tensor_content(self._numbers)}

    def ask(self, model: str, metadata: tuple[tuple[str, str], ...] = ()) -> float:
        if self._protocol == REST:
            self._connection.request("POST", f"/v1/models/{model}:predict", self._body)
            response = self._connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise ValueError(f"{response.status} {text[:200]!r}")
            answer = np.float32(json.loads(text)["outputs"])
        else:
            reply = self._stub.Predict(grpc_client.predict_request(model, self._tensors), timeout=TIMEOUT_SECONDS, metadata=metadata)
            answer = tf.make_ndarray(reply.outputs["y"])
        if answer.shape != self._numbers.shape or len(set(answer - self._numbers / 2)) != 1:
            raise ValueError(f"no right answer: {answer}")
        return float(answer[0] - self._numbers[0] / 2)

    def close(self) -> None:
        self._connection.close()


FAILURES = (OSError, http.client.HTTPException, grpc.RpcError, ValueError, KeyError)


@dataclasses.dataclass
class Request:
    protocol: str
    start: float
    end: float
    what: str
    problem: str = ""


class Load:
    """Clients that ask through the proxy, at random times and not for each other's answers, until they are stopped."""

    def __init__(self, ports: tuple[int, int], clients: int, rate: float, allowed: lifecycle_load.Allowed):
        self.requests: list[Request] = []  # appending is atomic
        self._over = threading.Event()
        kinds = [(count, share) for count, share in [(SMALL, 1)] * clients + [(LARGE, LARGE_SHARE)]]
        self._threads = [threading.Thread(target=self._run, args=(protocol, port, count, rate * share, allowed, seed))
                         for protocol, port in zip(BACKENDS, ports) for seed, (count, share) in enumerate(kinds)]
        for thread in self._threads:
            thread.start()

    def _run(self, protocol: str, port: int, count: int, rate: float, allowed: lifecycle_load.Allowed, seed: int) -> None:
        generator = random.Random(seed)
        asking = Asking(protocol, port, count)
        while not self._over.wait(generator.expovariate(rate)):
            start, problem = time.monotonic(), ""
            try:
                number = asking.ask(MODEL)
            except FAILURES as failure:
                problem = repr(failure)
                asking.close()
                asking = Asking(protocol, port, count)
            end = time.monotonic()
            if not problem and number not in (expected := allowed.between(start, end)):
                problem = f"answered by {number}, allowed {sorted(expected)}"
            self.requests.append(Request(protocol, start, end, f"{count} numbers", problem))
        asking.close()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@dataclasses.dataclass
class Phase:
    name: str
    begin: float
    retries: dict[str, int]  # of the proxy, up to its begin


class Trial:
    """What is started here is ended at the end, whatever happens."""

    def __init__(self, haproxy: str, configuration: pathlib.Path, directory: pathlib.Path):
        self._haproxy, self._configuration, self._directory = haproxy, configuration, directory
        self._started: list[server_process.Process] = []
        self._pause = threading.Event()  # never set
        self.problems: list[str] = []
        self.replicas: dict[int, Replica] = {}
        self.load: Load | None = None

    def __enter__(self) -> "Trial":
        return self

    def __exit__(self, *_: object) -> None:
        if self.load:
            self.load.stop()
        for process in self._started:
            process.kill()

    # --- what everything is made of ---

    def start_all(self, arguments: Callable[[int], tuple], **environment: str) -> None:
        """Replicas with the arguments of their numbers, and a proxy that sees them."""
        self.ports = server_process.free_port(), server_process.free_port()
        for number in REPLICA_ADDRESSES:
            self._start(number, self.ports, *arguments(number))
        self.proxy = Proxy(self._haproxy, self._configuration, self.ports, environment)
        self._started.append(self.proxy)
        self.wait_until(self.proxy.listens, "the proxy listens")
        for replica in self.replicas.values():
            self.wait_for_state(replica, "UP")

    def _start(self, *arguments) -> Replica:
        replica = Replica(*arguments)
        self._started.append(replica)
        self.replicas[replica.number] = replica
        return replica.wait_until_ready()

    def start_again(self, replica: Replica) -> None:
        self.wait_for_state(self._start(*replica.arguments), "UP")

    def wait_for_share(self, replica: Replica) -> None:
        """Until the replica has answered more requests than until now, over both protocols."""
        before = self.proxy.answered(replica)
        self.wait_until(lambda: all(now > before[protocol] for protocol, now in self.proxy.answered(replica).items()),
                        f"replica {replica.number} gets requests")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        assert server_process.settles(condition, lambda: self._pause.wait(LOOK_SECONDS)), self.proxy.describe(f"not within time: {what}")

    def wait_for_state(self, replica: Replica, state: str) -> None:
        self.wait_until(lambda: self.proxy.has(replica, state), f"replica {replica.number} is {state} for the proxy")

    def promise(self, holds: bool, what: str) -> None:
        if not holds:
            self.problems.append(what)

    def end(self, replica: Replica) -> None:
        """As a rolling update does: the proxy has to see it before it takes no more connections."""
        replica.ended_on_purpose = True
        replica.send_signal(signal.SIGTERM)
        self.wait_for_state(replica, "DOWN")
        self.promise("finishing requests in flight" not in replica.log, f"replica {replica.number} stopped before the proxy saw that it would")
        status = replica.wait()
        self.promise(status == 0, f"replica {replica.number} ended with status {status}")
        replica.check_log_is_clean()

    # --- the phases ---

    def run_phases(self, clients: int, rate: float, seconds: float) -> None:
        self.allowed = lifecycle_load.Allowed({1})
        for number in REPLICA_ADDRESSES:
            self._put_version(number, 1)
        self.start_all(lambda number: (self._models(number),))
        self.phases: list[Phase] = []
        self.load = Load(self.ports, clients, rate, self.allowed)
        self._begin("calm")
        self._pause.wait(seconds)
        self._begin("replicas replaced, one by one")
        for replica in list(self.replicas.values()):
            self.end(replica)
            self.start_again(replica)
            self.wait_for_share(self.replicas[replica.number])
        self._begin("version 2 for 1, one by one")
        self._roll_model()
        self._begin("one killed, and back")
        self._kill(self.replicas[1])
        self._begin("one frozen, and back")
        self._freeze(self.replicas[2], seconds)
        self._begin("one slow")
        self._slow_down(self.replicas[3], seconds)
        self._begin("calm again")
        self._pause.wait(seconds)
        self.load.stop()
        self._begin("")  # the end of the last
        self.bursts = [self._burst(protocol, count) for protocol, count in BURSTS]

    def _begin(self, name: str) -> None:
        self.phases.append(Phase(name, time.monotonic(), self.proxy.retries()))

    def _models(self, number: int) -> pathlib.Path:
        return self._directory / f"replica_{number}"

    def _put_version(self, number: int, version: int) -> None:
        """Version v adds v to the halves."""
        folder = self._models(number) / str(version)
        folder.mkdir(parents=True)
        part = folder / ".part"
        part.write_bytes(lifecycle_load.model_of(version))
        os.replace(part, folder / "model.tflite")

    def _roll_model(self) -> None:
        self.allowed.set({1, 2})
        for number, replica in self.replicas.items():
            self._put_version(number, 2)
            self.wait_until(lambda: replica.available_versions() == {2}, f"replica {number} serves version 2")  # pylint: disable=cell-var-from-loop
        self.allowed.set({2})
        for replica in self.replicas.values():
            self.wait_for_share(replica)

    def _kill(self, replica: Replica) -> None:
        """Frozen until it has requests of both protocols, so that there are some that it does not answer."""
        replica.send_signal(signal.SIGSTOP)
        self.wait_until(lambda: all(self.proxy.in_flight(replica).values()), "requests are in flight on the replica that is to be killed")
        kill_begin = time.monotonic()
        self.in_flight = self.proxy.in_flight(replica)
        replica.kill()
        self.kill_span = kill_begin, time.monotonic()
        self.wait_for_state(replica, "DOWN")
        self.start_again(replica)
        self.wait_for_share(self.replicas[replica.number])

    def _freeze(self, replica: Replica, seconds: float) -> None:
        frozen_at = time.monotonic()
        replica.send_signal(signal.SIGSTOP)
        self.wait_for_state(replica, "DOWN")
        self.down_s = time.monotonic() - frozen_at
        self._pause.wait(seconds)
        replica.send_signal(signal.SIGCONT)
        self.wait_for_state(replica, "UP")
        self.wait_for_share(replica)

    def _slow_down(self, replica: Replica, seconds: float) -> None:
        """Runs for a tenth of the time, in turns too short for the health checks to fail."""
        before = {number: self.proxy.answered(each) for number, each in self.replicas.items()}
        over = threading.Event()

        def stand_still_and_run() -> None:
            while not over.wait(SLOW_SECONDS * (1 - SLOW_SHARE)):
                replica.send_signal(signal.SIGSTOP)
                over.wait(SLOW_SECONDS * SLOW_SHARE)
                replica.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=stand_still_and_run)
        thread.start()
        self._pause.wait(seconds)
        over.set()
        thread.join()
        answers = {number: sum(self.proxy.answered(each).values()) - sum(before[number].values()) for number, each in self.replicas.items()}
        self.slow_share = answers[replica.number] / sum(answers.values()) * len(answers)
        self.promise(self.slow_share < MAX_SLOW_SHARE, f"the slow replica got {self.slow_share:.2f} of an equal share, {MAX_SLOW_SHARE} allowed")
        self.promise(self.proxy.has(replica, "UP"), "the slow replica was taken for down")

    def _burst(self, protocol: str, count: int) -> str:
        """As many requests as there is processor for, by h2load; a row to print."""
        numbers = np.arange(count, dtype=np.float32)
        message = grpc_client.predict_request(MODEL, {"x": grpc_client.tensor_content(numbers)}).SerializeToString()
        body = self._directory / "body"
        body.write_bytes(json.dumps({"inputs": numbers.tolist()}).encode() if protocol == REST else b"\0" + len(message).to_bytes(4, "big") + message)
        more = ["--h1"] if protocol == REST else ["-Hcontent-type: application/grpc", "-Hte: trailers"]
        path = f"/v1/models/{MODEL}:predict" if protocol == REST else raw_requests.PREDICT
        port = dict(zip(BACKENDS, self.ports))[protocol]
        processes = [self.proxy, *self.replicas.values()]
        before = [process.cpu_seconds() for process in processes]
        output = subprocess.run(["h2load", f"-c{BURST_CLIENTS}", f"-D{BURST_SECONDS}", f"-d{body}", *more, f"http://{PROXY_ADDRESS}:{port}{path}"],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        cpu_s = [process.cpu_seconds() - was for process, was in zip(processes, before)]
        succeeded, failed = map(int, re.search(r"(\d+) succeeded, (\d+) failed", output).groups())
        name = f"{protocol}, {count} numbers"
        self.promise(succeeded > 0 and failed == 0, f"of a burst of requests ({name}) {failed} failed and {succeeded} did not")
        return f"{name:32}{succeeded / BURST_SECONDS:10.0f}{failed:8}{cpu_s[0] / max(succeeded, 1) * 1e6:12.1f}{sum(cpu_s[1:]) / max(succeeded, 1) * 1e6:12.1f}"

    # --- what is printed ---

    def show(self) -> None:
        print(f"{'':32}{'':6}{'requests':>9}{'failed':>8}{'retried':>9}{'p50 ms':>9}{'p99 ms':>9}{'most ms':>10}")
        for phase, following in zip(self.phases, self.phases[1:]):
            for protocol in BACKENDS:
                asked = [request for request in self.load.requests if request.protocol == protocol and phase.begin <= request.start < following.begin]
                failed = [request for request in asked if request.problem]
                times_ms = [(request.end - request.start) * 1000 for request in asked if not request.problem]
                self.promise(bool(times_ms), f"no answer in the phase: {phase.name}, {protocol}")
                p50, p99 = (lifecycle_load.percentile(times_ms, share) if times_ms else float("nan") for share in (.5, .99))
                print(f"{phase.name if protocol == REST else '':32}{protocol:6}{len(asked):9}{len(failed):8}"
                      f"{following.retries[protocol] - phase.retries[protocol]:9}{p50:9.1f}{p99:9.1f}{max(times_ms, default=float('nan')):10.1f}")
        self._judge_failures()
        print(f"a frozen replica was taken for down after {self.down_s:.1f} s; the slow one got {self.slow_share:.2f} of an equal share of the requests")
        print(f"\n{f'{BURST_CLIENTS} clients that do not rest':32}{'requests/s':>10}{'failed':>8}{'proxy µs':>12}{'replicas µs':>12}    of CPU for each")
        for row in self.bursts:
            print(row)

    def _judge_failures(self) -> None:
        failed = [request for request in self.load.requests if request.problem]
        begin, end = self.kill_span
        excused = [request for request in failed if request.start <= end and request.end >= begin]
        print(f"in flight on the replica when it was killed: {self.in_flight[REST]} REST, {self.in_flight[GRPC]} gRPC; failed of them: {len(excused)}")
        most = sum(self.in_flight.values()) + sum(begin <= request.start <= end for request in self.load.requests)  # that came since it was looked
        self.promise(len(excused) <= most, f"{len(excused)} requests failed at the kill, at most {most} were in flight on the killed replica")
        others = [request for request in failed if request not in excused]
        self.promise(not others, f"{len(others)} requests failed that were not in flight on a killed replica")
        zero = self.phases[0].begin
        for request in failed[:MAX_SHOWN]:
            print(f"  {'excused' if request in excused else 'FAILED'}: {request.start - zero:.3f} to {request.end - zero:.3f} s, {request.protocol}, "
                  f"{request.what}: {' '.join(request.problem.split())[:300]}")

    # --- many models ---

    def spread_models(self) -> None:
        self.start_all(self._many_models, SHARD_BY_MODEL="yes")
        print(f"\n{MODELS} models by name, on replica 1, 2, 3")
        homes = self._homes()
        self._show_homes("", homes)
        gone = self.replicas[2]
        self.end(gone)
        meanwhile = self._homes()
        self._show_homes("without replica 2", meanwhile)
        moved = [model for model, home in homes.items() if home != 2 and meanwhile[model] != home]
        self.promise(not moved, f"models of replicas that stayed have moved: {moved}")
        self.start_again(gone)
        again = self._homes()
        self._show_homes("with it again", again)
        self.promise(again == homes, "the models are not where they were before a replica went and came")

    def _many_models(self, number: int) -> tuple:
        folder = self._directory / f"many_{number}"
        folder.mkdir()
        return pathlib.Path("/not/used"), f"--model_config_file={many_models.write_models(folder, MODELS)}"

    def _homes(self) -> dict[str, int]:
        """Where each model is asked: over REST, over gRPC, and over gRPC with a message that is larger than the proxy's buffer."""
        running = {number: replica for number, replica in self.replicas.items() if replica.running()}
        before = {number: replica.answers_by_model() for number, replica in running.items()}
        for protocol, port in zip(BACKENDS, self.ports):
            for count in (SMALL, LARGE) if protocol == GRPC else (SMALL,):
                asking = Asking(protocol, port, count)
                for i in range(MODELS):
                    number = asking.ask(f"m{i}", (("x-model", f"m{i}"),) if count == LARGE else ())
                    self.promise(number == i % 100, f"m{i} adds {number}")
                asking.close()
        homes: dict[str, set[int]] = collections.defaultdict(set)
        for number, replica in running.items():
            for (model, _), answers in (replica.answers_by_model() - before[number]).items():
                homes[model].add(number)
                self.promise(answers > 0, f"{model} has {answers} answers")
        self.promise(len(homes) == MODELS, f"{len(homes)} of {MODELS} models were answered")
        self.promise(all(len(home) == 1 for home in homes.values()), f"models were asked of several replicas: {dict(homes)}")
        return {model: min(home) for model, home in homes.items()}

    def _show_homes(self, when: str, homes: dict[str, int]) -> None:
        counts = collections.Counter(homes.values())
        print(f"{when:32}" + "".join(f"{counts[number]:6}" for number in REPLICA_ADDRESSES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10, help="of the phases that wait for nothing (10)")
    parser.add_argument("--clients", type=int, default=4, help="with small requests, of each protocol (4)")
    parser.add_argument("--rate", type=float, default=40, help="requests a second of each (40)")
    parser.add_argument("--haproxy", default="haproxy", help="the program (haproxy)")
    parser.add_argument("--configuration", type=pathlib.Path, default=CONFIGURATION, help="of the proxy, with the variables of deploy/haproxy/haproxy.cfg")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    begin = time.monotonic()
    problems = []
    with tempfile.TemporaryDirectory() as directory:
        for part in ("phases", "models"):
            with Trial(options.haproxy, options.configuration, pathlib.Path(directory)) as trial:
                try:
                    if part == "phases":
                        trial.run_phases(options.clients, options.rate, options.seconds)
                        trial.show()
                    else:
                        trial.spread_models()
                except AssertionError as problem:
                    trial.problems.append(str(problem))
                problems += trial.problems
    for problem in problems:
        print(f"FAILED: {problem}")
    print(f"{'FAILED' if problems else 'passed'}, {time.monotonic() - begin:.0f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
