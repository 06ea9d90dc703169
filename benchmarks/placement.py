"""Which cores the server and the load generator run on: cores of their own where there is more than one,
else the same. Importing it changes nothing; `keep_to_server_cores` does."""

import os


def divide():
    """(cores of the server, cores of the load generator), of those that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        return usable, usable
    of_load = max(1, len(usable) // 4)  # a quarter sends faster than the others can answer
    return usable[:-of_load], usable[-of_load:]


SERVER_CORES, LOAD_CORES = divide()
SEPARATED = SERVER_CORES != LOAD_CORES
CPUS = len(SERVER_CORES)  # of the server, and of the bare runtime that it is compared with

DESCRIPTION = (f"server on cores {SERVER_CORES}, load generator on cores {LOAD_CORES}"
               if SEPARATED else "server and load generator share one core")


def keep_to_server_cores():
    """For this process and all that it starts without `on_load_cores`."""
    os.sched_setaffinity(0, SERVER_CORES)


def on_load_cores(command):
    """The command line that runs `command` where the load generator belongs."""
    if not SEPARATED:
        return command
    return ["taskset", "-c", ",".join(map(str, LOAD_CORES)), *command]
