"""Throughput, latency and processor time over the number of clients, each of which waits for its answer before it sends again."""

import contextlib
import math

import contenders
import load
from model_table import served_figures, start_all, warm_up
from workloads import BATCHING, GRPC, JSON, THIS

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FEWEST_ANSWERS_EACH = 4  # a round lasts until every client has had about so many
SERVERS, PROTOCOLS = (THIS, BATCHING), (JSON, GRPC)


def cases_of(workload):
    return [(server, protocol) for server, protocol in workload.cases if server in SERVERS and protocol in PROTOCOLS]


def steps(workload, _):
    return len(cases_of(workload)) * len(CLIENTS)


@contextlib.contextmanager
def running(workload, case, model_path, files):
    """A server of the case that has worked already, and "" or why it does not start."""
    with contextlib.ExitStack() as stack:
        servers, refusals = start_all(workload, [case], model_path, files, stack)
        warm_up(workload, servers, files)
        yield servers.get(case), refusals.get(case, "")


def measure(workload, model_path, options, directory, progress):
    files = contenders.RequestFiles(workload, model_path, directory)
    for case in cases_of(workload):
        row = {"model": workload.title, "server": case[0], "protocol": case[1]}
        with running(workload, case, model_path, files) as (server, refusal):
            if refusal:
                yield row | {"clients": CLIENTS[0], "refused": refusal}
                continue
            rate = math.inf
            for clients in CLIENTS:
                progress.step(f"{workload.title}, {case[0]}, {case[1]}, {clients} clients")
                seconds = max(options.seconds, math.ceil(FEWEST_ANSWERS_EACH * clients / rate))
                one = load.served(server, files, case[1], clients, seconds)
                rate = one.rate
                yield row | {"clients": clients} | served_figures([one])
