"""One round of measuring: a load generator against a server for some seconds, or the bare runtime alone."""

import dataclasses
import json
import os
import re
import subprocess
import tempfile

import numpy as np

import process_figures
from contenders import GRPC_METHOD, Failure
from placement import on_load_cores
from workloads import CONTENT_TYPES, GRPC, PROGRAMS, ROOT

BARE_RUNTIME = PROGRAMS / "bare_runtime"
WRK_SCRIPT = ROOT / "benchmarks" / "wrk_predict.lua"
PERCENTILES = (50, 75, 90, 95, 99, 99.9)


@dataclasses.dataclass
class Round:
    items: int        # answered as they should be
    refused: int      # answered otherwise
    wall_s: float
    user_s: float     # the server's
    system_s: float
    latency_us: dict  # by percentile, of all answers
    instructions: float | None = None
    peak_rss_mib: float | None = None  # of the server up to its end
    # Of the bare runtime: durations of single runs, memory at the end.
    samples_us: list | None = None
    pss_mib: float | None = None

    @property
    def cpu_s(self):
        return self.user_s + self.system_s

    @property
    def rate(self):
        return self.items / self.wall_s


def run(command, **options):
    result = subprocess.run(command, capture_output=True, text=True, **options)
    if result.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def percentiles(latencies):
    """{"50": …, "99.9": …} of any unit; empty for no latencies."""
    values = np.percentile(latencies, PERCENTILES) if len(latencies) else ()
    return {str(share): float(value) for share, value in zip(PERCENTILES, values)}


def _wrk(server, files, protocol, clients, seconds, counter):
    output = run(counter.command(on_load_cores(
        ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "30s", "-s", WRK_SCRIPT, server.predict_url])),
        env={**os.environ, "BENCH_BODY": str(files.bodies[protocol]), "BENCH_CONTENT_TYPE": CONTENT_TYPES[protocol],
             "BENCH_PERCENTILES": " ".join(map(str, PERCENTILES))})
    result = json.loads(output.splitlines()[-1])
    if result["errors"]:
        raise Failure(f"wrk: {result['errors']} errors\n{output}")
    return Round(result["requests"] - result["refused"], result["refused"], result["wall_s"], 0, 0, result["latency_us"])


def _h2load(server, files, clients, seconds, counter):
    """h2load reads no trailers: replies are told from errors by the bytes that came."""
    with tempfile.NamedTemporaryFile("r", prefix="h2load-") as log:
        output = run(counter.command(on_load_cores(
            ["h2load", "-t1", f"-c{clients}", "-m1", f"-D{seconds}", "-d", files.bodies[GRPC],
             "-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={log.name}",
             f"http://{server.grpc_target}{GRPC_METHOD}"])))
        latencies_us = [int(line.split("\t")[2]) for line in log]
    wall_s, = re.search(r"finished in ([\d.]+)s", output).groups()
    data_bytes, = re.search(r"headers \(space savings .*?\), .*?\((\d+)\) data", output).groups()
    if not latencies_us:
        raise Failure(f"h2load: nothing was answered\n{output}")
    items = min(len(latencies_us), int(data_bytes) // files.grpc_reply_bytes)
    return Round(items, len(latencies_us) - items, float(wall_s), 0, 0, percentiles(latencies_us))


def served(server, files, protocol, clients, seconds):
    """A round of `clients` that each send the next request when they have the answer to the one before."""
    counter = process_figures.InstructionCounter(server.pids)
    before = process_figures.cpu_time(server.pids)
    result = (_h2load(server, files, clients, seconds, counter) if protocol == GRPC
              else _wrk(server, files, protocol, clients, seconds, counter))
    after = process_figures.cpu_time(server.pids)
    result.user_s, result.system_s = after.user_s - before.user_s, after.system_s - before.system_s
    result.instructions = counter.count()
    result.peak_rss_mib = process_figures.peak_rss_mib(server.pids)
    if not result.items:
        raise Failure(f"{protocol}, {clients} clients: all {result.refused} requests were refused")
    return result


def bare(model_path, threads, seconds, batch=1):
    result = json.loads(run([BARE_RUNTIME, model_path, str(threads), str(seconds), str(batch)]))
    return Round(result["items"], 0, result["wall_s"], result["cpu_s"], 0,
                 {"50": result["p50_us"], "99": result["p99_us"]}, samples_us=result["samples_us"],
                 pss_mib=result["pss_kib"] / 1024)
