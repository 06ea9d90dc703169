"""Throughput, latency and processor time over the number of clients, each of which waits for its answer before it sends again."""

import contextlib
import math

import contenders
import load
from model_table import served_figures, start_all
from workloads import BATCHING, GRPC, JSON, THIS

CLIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FEWEST_ANSWERS_EACH = 4  # a round lasts until every client has had about so many
SERVERS, PROTOCOLS = (THIS, BATCHING), (JSON, GRPC)


def cases_of(workload):
    return [(server, protocol) for server, protocol in workload.cases if server in SERVERS and protocol in PROTOCOLS]


def steps(workload, _):
    return len(cases_of(workload)) * len(CLIENTS)


def running(workload, model_path, directory, refused):
    """Each case with its row, its server and the requests; of a server that refuses its flags the row alone, with `refused` and why."""
    files = contenders.RequestFiles(workload, model_path, directory)
    with contextlib.ExitStack() as stack:
        servers, refusals = start_all(workload, cases_of(workload), model_path, files, stack)
        for case in cases_of(workload):
            row = {"model": workload.title, "server": case[0], "protocol": case[1]}
            if case in refusals:
                yield case, row | refused | {"refused": refusals[case]}, None, files
            else:
                yield case, row, servers[case], files


def measure(workload, model_path, options, directory, progress):
    for case, row, server, files in running(workload, model_path, directory, {"clients": CLIENTS[0]}):
        if server is None:
            yield row
            continue
        rate = math.inf
        for clients in CLIENTS:
            progress.step(f"{workload.title}, {case[0]}, {case[1]}, {clients} clients")
            seconds = max(options.seconds, math.ceil(FEWEST_ANSWERS_EACH * clients / rate))
            one = load.served(server, files, case[1], clients, seconds)
            rate = one.rate
            yield row | {"clients": clients} | served_figures([one])
