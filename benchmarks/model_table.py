"""The main table: for each model, protocol, server and number of clients, beside the bare runtime.

The rounds of all servers and of the bare runtime alternate, so that what else happens on the machine
hits all of them; every figure is the median of its rounds, a ratio the median of ratios of rounds
side by side. Each round has servers of its own, started in another order: where a process's memory
happens to lie makes it faster or slower by a tenth for as long as it lives.
"""

import collections
import contextlib
import statistics

import contenders
import load
from placement import CPUS
from turns import in_turn
from workloads import BATCHING, CONSTANT, FASTAPI, THIS

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
WARM_UP_SECONDS = 1  # not measured: connections, buffers, what a new process touches for the first time


def steps(workload, options):
    """How many rounds `measure` takes."""
    of_clients = len(workload.cases) + 1 + workload.batches
    return options.rounds * (1 + len(workload.clients) * of_clients) + (len(BATCHES) if workload.batches else 0)


def best_batch(workload, model_path, options, progress):
    """The batch size at which the bare runtime takes most rows a second."""
    rates = {}
    for batch in BATCHES:
        progress.step(f"{workload.title}, bare runtime, {batch} rows in a run")
        rates[batch] = load.bare(model_path, CPUS, min(1, options.seconds), batch).rate
    return max(rates, key=rates.get)


def _median(pairs, figure):
    return statistics.median(figure(*pair) for pair in pairs)


def served_figures(rounds):
    """Of rounds of one case; items are what was answered as it should be."""
    return {
        "items_per_s": statistics.median(one.rate for one in rounds),
        "refused_share": sum(one.refused for one in rounds) / sum(one.refused + one.items for one in rounds),
        "latency_ms": {share: statistics.median(one.latency_us[share] for one in rounds) / 1e3
                       for share in rounds[0].latency_us},
        "cpu_us": statistics.median(one.cpu_s / one.items * 1e6 for one in rounds),
        "user_us": statistics.median(one.user_s / one.items * 1e6 for one in rounds),
        "system_us": statistics.median(one.system_s / one.items * 1e6 for one in rounds),
        "instructions": statistics.median(one.instructions / one.items for one in rounds)
                        if rounds[0].instructions is not None else None,
    }


def _beside_bare(rounds, bare, threads):
    pairs = list(zip(rounds, bare))
    return {
        "bare_threads": threads,
        "bare_items_per_s": statistics.median(one.rate for one in bare),
        "bare_cpu_us": statistics.median(one.cpu_s / one.items * 1e6 for one in bare),
        "of_bare_by_wall": _median(pairs, lambda s, b: s.rate / b.rate),
        "of_bare_by_cpu": _median(pairs, lambda s, b: (s.items / s.cpu_s) / (b.items / b.cpu_s)),
    }


def _beside_best_batch(rounds, best, batch):
    pairs = list(zip(rounds, best))
    return {
        "best_batch": batch,
        "best_batch_items_per_s": statistics.median(one.rate for one in best),
        "of_best_batch_by_wall": _median(pairs, lambda s, b: s.rate / b.rate),
        "of_best_batch_by_cpu": _median(pairs, lambda s, b: (s.items / s.cpu_s) / (b.items / b.cpu_s)),
    }


def _beside_peers(case, measured):
    """What this server costs beside a constant answer and saves beside FastAPI, by CPU time; what batching gains, by the clock."""
    server, protocol = case
    figures = {}
    if server == THIS and (CONSTANT, protocol) in measured:
        figures["times_constant_cpu"] = _median(zip(measured[case], measured[CONSTANT, protocol]),
                                                lambda s, c: (s.cpu_s / s.items) / (c.cpu_s / c.items))
    if server == THIS and (FASTAPI, protocol) in measured:
        figures["times_fastapi_per_cpu"] = _median(zip(measured[case], measured[FASTAPI, protocol]),
                                                   lambda s, f: (s.items / s.cpu_s) / (f.items / f.cpu_s))
    if server == BATCHING and (THIS, protocol) in measured:
        pairs = list(zip(measured[case], measured[THIS, protocol]))
        figures["of_unbatched_items"] = _median(pairs, lambda b, u: b.rate / u.rate)
        figures["times_unbatched_p99"] = _median(pairs, lambda b, u: b.latency_us["99"] / u.latency_us["99"])
    return figures


def _table_row(case, measured, bare, best, threads, batch):
    """`measured`: {case: rounds} with a number of clients; `bare`, `best`: as many of the bare runtime, single and in its best batch."""
    rounds = measured[case]
    row = served_figures(rounds) | _beside_bare(rounds, bare, threads) | _beside_peers(case, measured)
    if batch:
        row |= _beside_best_batch(rounds, best, batch)
    return row | {"peak_rss_mib": statistics.median(one.peak_rss_mib for one in rounds)}


def start_all(workload, cases, model_path, files, stack):
    """({case: server}, {case: why it does not start}); a server of its own for each case, for its peak memory."""
    servers, refusals = {}, {}
    for case in cases:
        try:
            server = contenders.start(case[0], workload, model_path, files)
        except contenders.Refused as refusal:
            refusals[case] = str(refusal)
            continue
        stack.callback(server.stop)
        contenders.check_answer(server, workload, case[1], files)
        servers[case] = server
    return servers, refusals


def warm_up(workload, servers, files):
    for (_, protocol), server in servers.items():
        load.served(server, files, protocol, workload.clients[-1], WARM_UP_SECONDS)


def measure(workload, model_path, options, directory, progress):
    """The rows of one model."""
    files = contenders.RequestFiles(workload, model_path, directory)
    batch = best_batch(workload, model_path, options, progress) if workload.batches else None
    measured = {clients: collections.defaultdict(list) for clients in workload.clients}
    bare, best = ({clients: [] for clients in workload.clients} for _ in range(2))
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            servers, refusals = start_all(workload, in_turn(workload.cases, number), model_path, files, stack)
            progress.step(f"{workload.title}, warming up")
            warm_up(workload, servers, files)
            for clients in workload.clients:
                for (name, protocol), server in servers.items():
                    progress.step(f"{workload.title}, {name}, {protocol}, {clients} clients")
                    measured[clients][name, protocol].append(load.served(server, files, protocol, clients, options.seconds))
                progress.step(f"{workload.title}, bare runtime")
                bare[clients].append(load.bare(model_path, min(clients, CPUS), options.seconds))
                if batch:
                    progress.step(f"{workload.title}, bare runtime, {batch} rows in a run")
                    best[clients].append(load.bare(model_path, CPUS, options.seconds, batch))
    for clients in workload.clients:
        for case in workload.cases:
            row = {"model": workload.title, "server": case[0], "protocol": case[1], "clients": clients}
            if case in refusals:
                yield row | {"refused": refusals[case]}
            else:
                yield row | _table_row(case, measured[clients], bare[clients], best[clients], min(clients, CPUS), batch)
