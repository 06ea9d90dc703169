"""Requests that arrive when they like: Poisson arrivals at shares of the server's capacity, which the same generator measures just before.

Latency counts from when a request was due (open_load.cc). Beside it stand two ideal queues with the same arrivals: one with the service times
that the bare runtime has just had, and one with the same times stretched so that it has the server's capacity, which is what queuing alone takes.
At OVERLOAD times the capacity what counts is goodput: what is still answered as it should be.
"""

import json
import statistics
import tempfile
import urllib.parse

import numpy as np

import contenders
import ideal_queue
import load
from contenders import GRPC_METHOD
from placement import CPUS, on_load_cores
from sweep import cases_of, running
from workloads import CONTENT_TYPES, GRPC, PROGRAMS

OPEN_LOAD = PROGRAMS / "open_load"
SHARES = {"50 %": 0.5, "80 %": 0.8, "95 %": 0.95}
OVERLOAD = {"3x": 3.0}
LOADS = SHARES | OVERLOAD
SECONDS_EACH = 3  # times options.seconds: a p99 wants more requests than a rate
# As many requests as may be under way: more than the server should accept, and what an overloaded one has to refuse.
HTTP_CONNECTIONS = 512
GRPC_CONNECTIONS, GRPC_STREAMS = 16, 64
SEED = 7
FASTEST_COMPARED_MS = 0.05  # a model faster than this says nothing of queues: all that there is to see is the network
OK, REFUSED = 0, 1


class Run:
    """What the generator saw, in seconds since its start."""

    def __init__(self, server, files, protocol, seconds, load_words, connections, streams):
        url = urllib.parse.urlparse(f"http://{server.grpc_target}{GRPC_METHOD}" if protocol == GRPC else server.predict_url)
        with tempfile.NamedTemporaryFile("r", prefix="open-load-") as log:
            self.generator = json.loads(load.run(on_load_cores(
                [OPEN_LOAD, f"protocol={'grpc' if protocol == GRPC else 'http'}", f"port={url.port}", f"path={url.path}",
                 f"type={CONTENT_TYPES[protocol]}", f"body={files.bodies[protocol]}", f"seconds={seconds}", *load_words,
                 f"connections={connections}", f"streams={streams}", f"log={log.name}"])))
            self.due, self.sent, self.answered, self.outcome = np.loadtxt(log, ndmin=2, unpack=True) * [[1e-6], [1e-6], [1e-6], [1]]
        self.seconds = seconds
        if not (self.outcome == OK).any():
            raise contenders.Failure(f"{protocol}: none of {len(self.due)} requests was answered as it should be")

    @property
    def goodput(self):
        """Answers a second while requests arrived."""
        return np.count_nonzero((self.outcome == OK) & (self.answered <= self.seconds)) / self.seconds

    def latencies_ms(self, since, outcome=OK):
        """From `since`, which is `due` or `sent`."""
        chosen = self.outcome == outcome
        return (self.answered[chosen] - since[chosen]) * 1e3


def capacity(server, files, protocol, clients, seconds):
    """Answers a second to `clients` that wait for theirs."""
    return Run(server, files, protocol, seconds, [f"clients={clients}"], clients, 1).goodput


def arrivals(server, files, protocol, rate, seconds):
    connections = (GRPC_CONNECTIONS, GRPC_STREAMS) if protocol == GRPC else (HTTP_CONNECTIONS, 1)
    return Run(server, files, protocol, seconds, [f"rate={rate}", f"seed={SEED}"], *connections)


def ideal(run, service_ms):
    return load.percentiles(ideal_queue.latencies((run.due * 1e3).tolist(), service_ms, CPUS))


def figures(run, load_name, peak, bare_ms, stretch):
    """`bare_ms`: what runs of the bare runtime took before and after; `stretch`: times as long as they took, the server had for each."""
    result = {
        "load": load_name, "peak_per_s": peak, "arrivals_per_s": len(run.due) / run.seconds, "goodput_per_s": run.goodput,
        "refused_share": np.mean(run.outcome == REFUSED), "failed_share": np.mean(run.outcome > REFUSED),
        "latency_ms": load.percentiles(run.latencies_ms(run.due)),
        "latency_from_sent_ms": load.percentiles(run.latencies_ms(run.sent)),
        "refused_latency_from_sent_ms": load.percentiles(run.latencies_ms(run.sent, REFUSED)),
        "sent_late_ms": load.percentiles((run.sent - run.due)[run.sent >= 0] * 1e3),
        "generator_cpu_share": run.generator["cpu_s"] / run.generator["wall_s"],
    }
    if load_name in OVERLOAD:
        result["of_peak"] = run.goodput / peak
    elif np.mean(bare_ms) >= FASTEST_COMPARED_MS:
        for key, service_ms in {"ideal": bare_ms, "own_ideal": [ms * stretch for ms in bare_ms]}.items():
            result[f"{key}_latency_ms"] = ideal(run, service_ms)
            result[f"times_{key}_p99"] = result["latency_ms"]["99"] / result[f"{key}_latency_ms"]["99"]
    return result


def medians(rounds):
    """Of each figure of several rounds."""
    first = rounds[0]
    return {key: medians([one[key] for one in rounds]) if isinstance(value, dict) else
                 value if isinstance(value, str) else statistics.median(one[key] for one in rounds)
            for key, value in first.items() if all(key in one for one in rounds)}


def one_round(server, case, workload, model_path, files, options, step):
    """{load: figures}; `step` is told what is being done. The bare runtime runs before and after each: the machine may be slower by a tenth then."""
    def bare_ms():
        step("bare runtime")
        return [us / 1e3 for us in load.bare(model_path, CPUS, options.seconds).samples_us]
    before = bare_ms()
    step("capacity")
    peak = capacity(server, files, case[1], workload.clients[-1], options.seconds)
    after = bare_ms()
    stretch = 1e3 * CPUS / peak / np.mean(before + after)
    result = {}
    for name, share in LOADS.items():
        step(f"{name} of {peak:,.0f}/s")
        run = arrivals(server, files, case[1], share * peak, SECONDS_EACH * options.seconds)
        before, after = after, bare_ms() if name in SHARES else []
        result[name] = figures(run, name, peak, before + after, stretch)
    return result


def steps(workload, options):
    return len(cases_of(workload)) * options.rounds * (3 + len(SHARES) + len(LOADS))


def measure(workload, model_path, options, directory, progress):
    files = contenders.RequestFiles(workload, model_path, directory)
    for case in cases_of(workload):
        row = {"model": workload.title, "server": case[0], "protocol": case[1]}
        title = ", ".join(row.values())
        rounds = []
        for _ in range(options.rounds):
            with running(workload, case, model_path, files) as (server, refusal):
                if refusal:
                    break
                rounds.append(one_round(server, case, workload, model_path, files, options,
                                        lambda text: progress.step(f"{title}, {text}")))
        if refusal:
            yield row | {"load": "", "refused": refusal}
            continue
        for name in LOADS:
            yield row | medians([one[name] for one in rounds])
