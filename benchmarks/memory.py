"""What further interpreters of one model cost: they share its weights, and have an arena each for what a run computes.

PSS counts a page that several processes map in parts, so that what lies in files counts too. `start` is the server before its first
request, `loaded` after CLIENTS clients at once, with the memory of their requests; the bare runtime has as many interpreters.
"""

import contenders
import load
import process_figures
from workloads import GRPC

INTERPRETERS = (1, 2, 4, 8)
CLIENTS = 2 * max(INTERPRETERS)
MODEL = "mobilenet_v2_float"
MIB = 1 << 20


def steps(workload, _):
    return len(INTERPRETERS) if workload.model == MODEL else 0


def _figures(workload, model_path, files, interpreters, seconds):
    server = contenders.ThisServer(workload, model_path, [f"--num_tflite_pools={interpreters}"])
    try:
        start = process_figures.pss_mib(server.pids[0])
        load.served(server, files, GRPC, CLIENTS, seconds)
        loaded = process_figures.pss_mib(server.pids[0])
    finally:
        server.stop()
    return {"start_pss_mib": start["Pss"], "loaded_pss_mib": loaded["Pss"], "shared_weights_mib": loaded["Pss_Shmem"],
            "bare_pss_mib": load.bare(model_path, interpreters, 1).pss_mib}


def measure(workload, model_path, options, directory, progress):
    if workload.model != MODEL:
        return
    files = contenders.RequestFiles(workload, model_path, directory)
    one = None
    for interpreters in INTERPRETERS:
        progress.step(f"{workload.title}, {interpreters} interpreters")
        figures = _figures(workload, model_path, files, interpreters, options.seconds)
        one = one or figures
        further = {f"{which}_each_further_mib": (figures[f"{which}_pss_mib"] - one[f"{which}_pss_mib"]) / (interpreters - 1)
                   for which in ("start", "bare") if interpreters > 1}
        yield {"model": workload.title, "interpreters": interpreters, "file_mib": model_path.stat().st_size / MIB, **figures, **further}
