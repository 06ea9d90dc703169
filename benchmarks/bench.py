#!/usr/bin/env python3
"""Measures the server beside the bare runtime: one run, one table. ./bench builds what this needs.

For each model, protocol and number of clients: predictions per second, latency, the server's CPU
time for a request, its peak memory, and how much of the bare runtime's throughput is left. The
rounds of server and bare runtime alternate, so that what else happens on the machine hits both, and
every figure is the median of its rounds.
"""

import argparse
import collections
import json
import os
import pathlib
import platform
import re
import statistics
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import requests

import grpc_client
import server_process

BARE_RUNTIME = pathlib.Path(server_process.binary()).with_name("bare_runtime")
WRK_SCRIPT = ROOT / "benchmarks" / "wrk_predict.lua"
GRPC_METHOD = "/tensorflow.serving.PredictionService/Predict"
CPUS = len(os.sched_getaffinity(0))
CLIENTS = (1, 2 * CPUS)
SEED = 5

Workload = collections.namedtuple("Workload", "model title input_name image")
WORKLOADS = (
    Workload("half_plus_two", "half_plus_two", "x", np.float32([1.0])),
    Workload("mobilenet_v2_float", "MobileNetV2 float", "image",
             np.random.default_rng(SEED).uniform(-1, 1, [1, 224, 224, 3]).astype(np.float32)),
    Workload("mobilenet_v2_int8", "MobileNetV2 int8", "image",
             np.random.default_rng(SEED).integers(-128, 128, [1, 224, 224, 3]).astype(np.int8)),
)

# One round: predictions, seconds of wall time, seconds of CPU, latencies in microseconds.
Round = collections.namedtuple("Round", "items wall_s cpu_s p50_us p99_us")


class Failure(Exception):
    """A measurement that did not measure what it should."""


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit status {result.returncode}\n"
                      f"{result.stdout}{result.stderr}")
    return result.stdout


# --- Requests ---------------------------------------------------------------------------------


def rest_body(workload):
    """The input as JSON, every float32 in the fewest digits that read back as the same."""
    values = workload.image
    if values.dtype == np.float32:
        values = np.char.mod("%s", values).astype(np.float64)
    return json.dumps({"instances": values.tolist()}).encode()


def grpc_request(workload):
    return grpc_client.predict_request(
        workload.model, {workload.input_name: grpc_client.tensor_content(workload.image)})


def grpc_frame(message):
    """A message as gRPC sends it: not compressed, its length, its bytes."""
    data = message.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def check_answers(workload, server):
    """That both requests are answered, and alike, before anything is timed. The size of the
    gRPC reply, by which a load generator that reads no trailers can tell answers from errors."""
    client = grpc_client.Client(server.grpc_target)
    response = client.predict(grpc_request(workload))
    [over_grpc] = [grpc_client.tf.make_ndarray(tensor) for tensor in response.outputs.values()]
    client.close()
    answer = requests.post(server.predict_url, data=rest_body(workload))
    over_rest = np.array(answer.json()["predictions"], over_grpc.dtype)
    if answer.status_code != 200 or not np.array_equal(over_grpc, over_rest):
        raise Failure(f"{workload.model}: REST and gRPC do not answer alike")
    return len(grpc_frame(response))


# --- Rounds -----------------------------------------------------------------------------------


def cpu_seconds(pid):
    """User and system time of a process and all its threads, those that ended included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_rss_mib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def rest_round(server, files, clients, seconds):
    before = cpu_seconds(server.pid)
    output = run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s",
                  "-s", WRK_SCRIPT, server.predict_url],
                 env={**os.environ, "BENCH_BODY": str(files.rest_body)})
    result = json.loads(output.splitlines()[-1])
    if result["errors"]:
        raise Failure(f"wrk: {result['errors']} errors\n{output}")
    return Round(result["requests"], result["wall_s"], cpu_seconds(server.pid) - before,
                 result["p50_us"], result["p99_us"])


def grpc_round(server, files, clients, seconds):
    before = cpu_seconds(server.pid)
    with tempfile.NamedTemporaryFile("r", prefix="h2load-") as log:
        output = run(["h2load", "-t1", f"-c{clients}", "-m1", f"-D{seconds}",
                      "-d", files.grpc_frame, "-H", "content-type: application/grpc",
                      "-H", "te: trailers", f"--log-file={log.name}",
                      f"http://{server.grpc_target}{GRPC_METHOD}"])
        cpu_s = cpu_seconds(server.pid) - before
        timings_us = sorted(int(line.split("\t")[2]) for line in log)
    wall_s, = re.search(r"finished in ([\d.]+)s", output).groups()
    done, = re.search(r"status codes: (\d+) 2xx", output).groups()
    data_bytes, = re.search(r"headers \(space savings .*?\), .*?\((\d+)\) data", output).groups()
    if not timings_us or int(data_bytes) < len(timings_us) * files.grpc_reply_bytes:
        raise Failure(f"h2load: {done} replies with {data_bytes} bytes in all, expected "
                      f"{files.grpc_reply_bytes} each\n{output}")
    return Round(len(timings_us), float(wall_s), cpu_s, timings_us[len(timings_us) // 2],
                 timings_us[len(timings_us) * 99 // 100])


def bare_round(model_path, threads, seconds):
    result = json.loads(run([BARE_RUNTIME, model_path, str(threads), str(seconds)]))
    return Round(result["items"], result["wall_s"], result["cpu_s"], result["p50_us"],
                 result["p99_us"])


PROTOCOLS = {"REST JSON": rest_round, "gRPC": grpc_round}
Files = collections.namedtuple("Files", "rest_body grpc_frame grpc_reply_bytes")


# --- The table --------------------------------------------------------------------------------


def median(rounds, figure):
    return statistics.median(figure(*one) for one in rounds)


def row(workload, protocol, clients, threads, rounds, rss_mib):
    """One line of the table from pairs of rounds, (server, bare runtime)."""
    return {
        "model": workload.title, "protocol": protocol, "clients": clients,
        "items_per_s": median(rounds, lambda s, b: s.items / s.wall_s),
        "p50_ms": median(rounds, lambda s, b: s.p50_us / 1e3),
        "p99_ms": median(rounds, lambda s, b: s.p99_us / 1e3),
        "server_cpu_us": median(rounds, lambda s, b: s.cpu_s / s.items * 1e6),
        "peak_rss_mib": rss_mib,
        "bare_threads": threads,
        "bare_items_per_s": median(rounds, lambda s, b: b.items / b.wall_s),
        "bare_cpu_us": median(rounds, lambda s, b: b.cpu_s / b.items * 1e6),
        "of_bare_by_wall": median(
            rounds, lambda s, b: (s.items / s.wall_s) / (b.items / b.wall_s)),
        "of_bare_by_cpu": median(rounds, lambda s, b: (s.items / s.cpu_s) / (b.items / b.cpu_s)),
    }


COLUMNS = (
    ("model", "model", "{}"), ("protocol", "protocol", "{}"), ("clients", "clients", "{}"),
    ("items/s", "items_per_s", "{:,.1f}"), ("p50 ms", "p50_ms", "{:.3f}"),
    ("p99 ms", "p99_ms", "{:.3f}"), ("server CPU µs/item", "server_cpu_us", "{:,.1f}"),
    ("peak RSS MiB", "peak_rss_mib", "{:.0f}"), ("bare items/s", "bare_items_per_s", "{:,.1f}"),
    ("bare CPU µs/item", "bare_cpu_us", "{:,.1f}"), ("of bare, wall", "of_bare_by_wall", "{:.3f}"),
    ("of bare, CPU", "of_bare_by_cpu", "{:.3f}"),
)


def table(rows):
    """The rows as a Markdown table, aligned for a terminal too."""
    cells = [[title for title, _, _ in COLUMNS]]
    cells += [[form.format(one[key]) for _, key, form in COLUMNS] for one in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    numeric = [isinstance(rows[0][key], (int, float)) for _, key, _ in COLUMNS]
    rule = ["-" * (width - 1) + ":" if right else "-" * width
            for width, right in zip(widths, numeric)]
    return "\n".join(
        "| " + " | ".join(cell.rjust(width) if right else cell.ljust(width)
                          for cell, width, right in zip(line, widths, numeric)) + " |"
        for line in [cells[0], rule, *cells[1:]])


def processor():
    match = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def start(workload, model_path):
    return server_process.Server(workload.model, model_path,
                                 f"--num_tflite_pools={CPUS}").wait_until_ready()


def measure(workload, model_path, options, directory):
    """The rows of one model. Each protocol has a server of its own, for its peak memory; the one
    that is not measured stands idle."""
    trial = start(workload, model_path)
    files = Files(directory / "body.json", directory / "frame", check_answers(workload, trial))
    trial.stop()
    files.rest_body.write_bytes(rest_body(workload))
    files.grpc_frame.write_bytes(grpc_frame(grpc_request(workload)))
    servers = {protocol: start(workload, model_path) for protocol in PROTOCOLS}
    for clients in CLIENTS:
        threads = min(clients, CPUS)
        rounds = {protocol: [] for protocol in PROTOCOLS}
        for number in range(options.rounds):
            print(f"{workload.title}, {clients} clients, round {number + 1} of {options.rounds}",
                  file=sys.stderr, flush=True)
            served = {protocol: one_round(servers[protocol], files, clients, options.seconds)
                      for protocol, one_round in PROTOCOLS.items()}
            bare = bare_round(model_path, threads, options.seconds)
            for protocol, result in served.items():
                rounds[protocol].append((result, bare))
        for protocol, pairs in rounds.items():
            yield row(workload, protocol, clients, threads, pairs,
                      peak_rss_mib(servers[protocol].pid))
    for server in servers.values():
        server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="models with this in the name")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="the rows as JSON too")
    parser.add_argument("--models", type=pathlib.Path, required=True, metavar="DIR")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1

    rows = []
    for workload in WORKLOADS:
        if options.only in workload.model:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                rows += measure(workload, options.models / f"{workload.model}.tflite", options,
                                pathlib.Path(directory))
    if not rows:
        parser.error(f"no model has {options.only!r} in its name")
    print(f"\n{processor()}, {CPUS} CPUs; medians of {options.rounds} rounds of "
          f"{options.seconds} s, server and bare runtime in turn\n\n{table(rows)}")
    if options.json:
        options.json.write_text(json.dumps(
            {"processor": processor(), "cpus": CPUS, "rounds": options.rounds,
             "seconds": options.seconds, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except (Failure, AssertionError) as failure:
        sys.exit(f"bench: {failure}")
