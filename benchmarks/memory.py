"""What further interpreters of one model cost: they share its weights, and have an arena each for what a run computes.

PSS counts a page that several processes map in parts, so that what lies in files counts too. The same number of clients asks each
server, enough that every interpreter runs: the memory of requests is the same in all rows.
"""

import contenders
import load
import process_figures
from workloads import GRPC

INTERPRETERS = (1, 2, 4, 8)
MODEL = "mobilenet_v2_float"
CLIENTS = 2 * max(INTERPRETERS)
MIB = 1 << 20


def steps(workload, _):
    return len(INTERPRETERS) if workload.model == MODEL else 0


def measure(workload, model_path, options, directory, progress):
    if workload.model != MODEL:
        return
    files = contenders.RequestFiles(workload, model_path, directory)
    alone = None
    for interpreters in INTERPRETERS:
        progress.step(f"{workload.title}, {interpreters} interpreters")
        server = contenders.ThisServer(workload, model_path, [f"--num_tflite_pools={interpreters}"])
        try:
            load.served(server, files, GRPC, CLIENTS, options.seconds)
            memory = process_figures.pss_mib(server.pids[0])
        finally:
            server.stop()
        alone = alone or memory
        further = {"pss_each_further_mib": (memory["Pss"] - alone["Pss"]) / (interpreters - 1)} if interpreters > 1 else {}
        yield {"model": workload.title, "interpreters": interpreters, "pss_mib": memory["Pss"], "pss_anon_mib": memory["Pss_Anon"],
               "file_mib": model_path.stat().st_size / MIB, **further}
