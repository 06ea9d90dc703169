"""Many connections: idle, slow, and short ones by the thousand, as a script and for test_connection_load.

    python tests/e2e/connection_load.py --idle 10000 --slow 100 --short 100000

Rounds of a normal load (h2load: kept connections, a fixed rate) alone alternate with rounds beside
idle connections, half of each protocol, and clients that send a byte at a time: neither may hold up
the load. Then comes a flood of short connections, after which the server is what it was before.
The server ends slow and idle connections when its limits say so; that is counted and no fault.
"""

import argparse
import collections
from concurrent import futures
import contextlib
import resource
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time

import numpy as np

import grpc_client
import lifecycle_load
import raw_requests
from server_process import Server, base_path, settles

REST, GRPC = "REST", "gRPC"
PROTOCOLS = (REST, GRPC)
MODEL = "half_plus_two"
BODY = b'{"instances": [1.0, 2.0, 5.0]}'
ANSWER = b'{"predictions":[2.5,3.0,4.5]}'

LOAD_CLIENTS = 8  # of each protocol
REQUESTS_PER_SECOND = 100  # of each client
SLOW_SECONDS = 0.5  # from one byte to the next
FLOOD_THREADS = 8
FLOOD_ADDRESSES = 100  # of this host, each of which has ports of its own
# What the server's limit of descriptors leaves for connections; each protocol may have half of it.
RESERVED_DESCRIPTORS = 512

MAX_RATIO = 2  # of p99 with the connections to p99 without them...
MIN_MS = 5  # ...unless it is below this: less than this machine's other programs may take
MAX_KIB_PER_IDLE = 32
MAX_GROWTH, MORE_MIB = 1.05, 4  # of resident memory over the flood: the factor, and what comes on top of it


def predict_message():
    x = grpc_client.tensor_content(np.float32([1, 2, 5]))
    return grpc_client.predict_request(MODEL, {"x": x}).SerializeToString()


REQUESTS = {REST: raw_requests.rest_request(f"/v1/models/{MODEL}:predict", BODY),
            GRPC: raw_requests.grpc_call(raw_requests.PREDICT, predict_message())}


def port_of(server, protocol):
    return server.rest_port if protocol == REST else server.grpc_port


def connect(server, protocol, host=1):
    return socket.create_connection((f"127.0.0.{host}", port_of(server, protocol)), 60)


def ask(connection, protocol):
    """One request; whether the answer is right."""
    connection.sendall(REQUESTS[protocol])
    if protocol == GRPC:
        return np.float32([2.5, 3, 4.5]).tobytes() in raw_requests.grpc_reply(connection)
    answer = b""
    while not answer.endswith(ANSWER):
        piece = connection.recv(65536)
        if not piece:
            return False
        answer += piece
    return answer.startswith(b"HTTP/1.1 200 ")


def measured_load(server, seconds):
    """{protocol: latencies in ms} of clients that ask both at once."""
    with contextlib.ExitStack() as stack:
        running = {}
        for protocol in PROTOCOLS:
            body, log = (stack.enter_context(tempfile.NamedTemporaryFile()) for _ in range(2))
            message = predict_message()
            body.write(BODY if protocol == REST else b"\0" + len(message).to_bytes(4, "big") + message)
            body.flush()
            more = ["--h1"] if protocol == REST else ["-Hcontent-type: application/grpc", "-Hte: trailers"]
            target = f"/v1/models/{MODEL}:predict" if protocol == REST else raw_requests.PREDICT
            command = ["h2load", f"-c{LOAD_CLIENTS}", f"--rps={REQUESTS_PER_SECOND}", f"-D{seconds}", f"-d{body.name}",
                       f"--log-file={log.name}", *more, f"http://127.0.0.1:{port_of(server, protocol)}{target}"]
            running[protocol] = log, subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        return {protocol: latencies_ms(*running[protocol]) for protocol in PROTOCOLS}


def latencies_ms(log, process):
    output = process.communicate()[0]
    assert " 0 failed, 0 errored, 0 timeout" in output, output
    return [int(line.split(b"\t")[2]) / 1000 for line in log]


class IdleConnections:
    """Each has asked once; what they cost the server is noted."""

    def __init__(self, server, count):
        self.kib = {}
        self.connections = []
        for protocol in PROTOCOLS:
            before = server.rss_mib()
            for _ in range(count // 2):
                self.connections.append(connect(server, protocol))
                assert ask(self.connections[-1], protocol), server.describe("a wrong answer")
            self.kib[protocol] = (server.rss_mib() - before) * 1024 / (count // 2)

    def close(self):
        """How many the server had closed before."""
        poll = select.poll()
        for connection in self.connections:
            poll.register(connection, select.POLLRDHUP)
        closed = len(poll.poll(0))
        for connection in self.connections:
            connection.close()
        return closed


class SlowClients:
    """Send a request's head or body a byte at a time, and begin again when the server has enough."""

    def __init__(self, server, count):
        head = raw_requests.rest_request("/", None, "X: " + "a" * 60_000)
        body = raw_requests.rest_request(f"/v1/models/{MODEL}:predict", BODY.ljust(1 << 20))
        call = raw_requests.grpc_call(raw_requests.PREDICT, bytes(60_000))
        # name: (protocol, what is sent, how much of it at once)
        self._kinds = {"REST head": (REST, head, 0), "REST body": (REST, body, body.index(b"\r\n\r\n") + 4),
                       "gRPC preface": (GRPC, call, 0), "gRPC call": (GRPC, call, len(raw_requests.GRPC_PREFACE))}
        self._server, self._count = server, count
        self.begun, self.ended = collections.Counter(), collections.Counter()
        self._stop = threading.Event()
        self._sending = futures.ThreadPoolExecutor(1).submit(self._send)

    def _one(self, name):
        """A client that sends a byte for each next(), until the server closes or answers."""
        protocol, data, at_once = self._kinds[name]
        self.begun[name] += 1
        with connect(self._server, protocol) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(data[:at_once])
            connection.setblocking(False)
            for at in range(at_once, len(data)):
                yield
                connection.send(data[at:at + 1])
                with contextlib.suppress(BlockingIOError):
                    answer = connection.recv(65536)
                    if not answer or protocol == REST:
                        break
        self.ended[name] += 1

    def _send(self):
        names = [list(self._kinds)[i % len(self._kinds)] for i in range(self._count)]
        clients = [self._one(name) for name in names]
        while not self._stop.wait(SLOW_SECONDS):
            for i, client in enumerate(clients):
                if next(client, self) is self:
                    clients[i] = self._one(names[i])
        for client in clients:
            client.close()

    def stop(self):
        self._stop.set()
        self._sending.result()


SHORT = {  # whether it asks, reads the answer, and closes with a reset
    "asked, closed": (True, True, False), "asked, reset": (True, True, True), "sent, closed": (True, False, False),
    "sent, reset": (True, False, True), "nothing, closed": (False, False, False), "nothing, reset": (False, False, True)}


def short_connection(server, number):
    """What it was, and whether that went well."""
    protocol = PROTOCOLS[number % len(PROTOCOLS)]
    name = list(SHORT)[number // len(PROTOCOLS) % len(SHORT)]
    asks, reads, resets = SHORT[name]
    connection = connect(server, protocol, 1 + number % FLOOD_ADDRESSES)
    well = True
    if asks and reads:
        well = ask(connection, protocol)
    elif asks:
        connection.sendall(REQUESTS[protocol])
    if resets:
        raw_requests.close_with_reset(connection)
    connection.close()
    return f"{protocol} {name}", well


def flood(server, count):
    """Short connections of each kind in turn: {(name, whether it went well): number}."""
    with futures.ThreadPoolExecutor(FLOOD_THREADS) as executor:
        shares = executor.map(lambda first: collections.Counter(
            short_connection(server, number) for number in range(first, count, FLOOD_THREADS)), range(FLOOD_THREADS))
        return sum(shares, collections.Counter())


def most_idle(wanted, slow):
    """As many connections as the limits of descriptors allow, here and in the server."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # which the server inherits
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - RESERVED_DESCRIPTORS - 2 * slow)
    if most < wanted:
        print(f"{most} idle connections instead of {wanted}: the hard limit of descriptors is {hard}")
    return most


class Rounds:
    """The load alone and beside the connections, in turn. Of each the best round counts: other programs only add to a latency."""

    def __init__(self, server, idle, slow, seconds, rounds):
        self.kib = {}  # of an idle connection, the first time
        self.mib = [server.rss_mib()] * 3  # before, at most, and after the last
        self.closed_idle = 0
        self.slow_begun, self.slow_ended = collections.Counter(), collections.Counter()
        self.p99_ms = collections.defaultdict(list)  # by (protocol, beside)
        self.problems = []
        descriptors = server.fd_count()
        print(f"{'':22}" + "".join(f"{f'{protocol} {column}':>15}" for protocol in PROTOCOLS for column in ("requests", "p50 ms", "p99 ms")))
        for number in range(1, rounds + 1):
            self._measure(f"{number} alone", False, server, seconds)
            connections = IdleConnections(server, idle)
            self.kib = self.kib or connections.kib
            clients = SlowClients(server, slow)
            try:
                self._measure(f"{number} beside connections", True, server, seconds)
                self.mib[1] = max(self.mib[1], server.rss_mib())
            finally:
                clients.stop()
            self.slow_begun += clients.begun
            self.slow_ended += clients.ended
            self.closed_idle += connections.close()
            if not settles(lambda: server.fd_count() <= descriptors, server.running):
                self.problems.append(f"{server.fd_count()} descriptors after the connections, {descriptors} before")
        self.mib[2] = server.rss_mib()
        self.kib["of both"] = (self.mib[1] - self.mib[0]) * 1024 / (idle + slow)

    def _measure(self, name, beside, server, seconds):
        columns = []
        for protocol, latencies in measured_load(server, seconds).items():
            p50, p99 = (lifecycle_load.percentile(latencies, share) for share in (.5, .99))
            self.p99_ms[protocol, beside].append(p99)
            columns += [f"{len(latencies):15}", f"{p50:15.2f}", f"{p99:15.2f}"]
        print(f"{name:22}" + "".join(columns))

    def judge_times(self):
        for protocol in PROTOCOLS:
            alone, beside = (min(self.p99_ms[protocol, is_beside]) for is_beside in (False, True))
            allowed = max(MAX_RATIO * alone, MIN_MS)
            print(f"{protocol}: p99 {alone:.2f} ms alone, {beside:.2f} beside connections ({beside / alone:.2f}); allowed {allowed:.2f}")
            if beside > allowed:
                self.problems.append(f"{protocol}: p99 is {beside:.2f} ms beside connections, {allowed:.2f} allowed")

    def judge_connections(self):
        print(f"idle connections that the server closed: {self.closed_idle}")
        for name, begun in self.slow_begun.items():
            print(f"slow clients, {name}: {begun} begun, {self.slow_ended[name]} ended by the server")
        print("memory: {:.1f} MiB before the connections, {:.1f} with them, {:.1f} after them".format(*self.mib))
        for name, kib in self.kib.items():
            print(f"  an idle connection {name}: {kib:.1f} KiB; allowed {MAX_KIB_PER_IDLE}")
            if kib > MAX_KIB_PER_IDLE:
                self.problems.append(f"an idle connection {name} takes {kib:.1f} KiB, {MAX_KIB_PER_IDLE} allowed")


def flood_and_judge(server, count):
    """The problems."""
    descriptors, (rss, _) = server.fd_count(), lifecycle_load.resident_mib(server)
    allowed = rss * MAX_GROWTH + MORE_MIB
    begin = time.monotonic()
    made = flood(server, count)
    print(f"{count} short connections in {time.monotonic() - begin:.0f} s")
    for (name, well), number in sorted(made.items()):
        print(f"  {name:20} {number:7}{'' if well else ' WRONG'}")
    problems = [f"{number} of {name} were answered wrongly" for (name, well), number in made.items() if not well]
    if not settles(lambda: server.fd_count() <= descriptors, server.running):
        problems.append(f"{server.fd_count()} descriptors after the flood, {descriptors} before")
    rss_after, _ = lifecycle_load.resident_mib(server)
    print(f"over the flood: descriptors {descriptors} -> {server.fd_count()}, "
          f"resident memory {rss:.1f} -> {rss_after:.1f} MiB; allowed {allowed:.1f}")
    if rss_after > allowed:
        problems.append(f"{rss_after:.1f} MiB after the flood, {allowed:.1f} allowed")
    for protocol in PROTOCOLS:
        with connect(server, protocol) as connection:
            assert ask(connection, protocol), server.describe(f"a wrong answer over {protocol} after the flood")
    return problems


def run(idle, slow, short, seconds, rounds, judge_times=True):
    """Prints what it measures; the problems."""
    idle = most_idle(idle, slow)
    server = Server(MODEL, base_path(MODEL)).wait_until_ready()
    problems = []
    try:
        flood(server, 10 * len(PROTOCOLS) * len(SHORT))  # so that the server has seen each
        measured = Rounds(server, idle, slow, seconds, rounds)
        if judge_times:
            measured.judge_times()
        measured.judge_connections()
        problems = measured.problems + flood_and_judge(server, short)
        server.stop()
    except (AssertionError, OSError) as problem:
        problems.append(repr(problem))
    finally:
        server.kill()
    for problem in problems:
        print(f"FAILED: {problem}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idle", type=int, default=10_000, help="connections that do nothing (10000)")
    parser.add_argument("--slow", type=int, default=100, help="clients that send a byte at a time (100)")
    parser.add_argument("--short", type=int, default=100_000, help="connections of the flood (100000)")
    parser.add_argument("--seconds", type=int, default=25, help="of load in each round (25)")
    parser.add_argument("--rounds", type=int, default=4, help="alone and beside connections, each (4)")
    options = parser.parse_args()
    return 1 if run(options.idle, options.slow, options.short, options.seconds, options.rounds) else 0


if __name__ == "__main__":
    sys.exit(main())
