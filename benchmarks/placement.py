"""Which cores the server and the load generator run on: cores of their own where there are enough,
else all of them together. Importing it changes nothing; `keep_to_server_cores` does."""

import os

FEWEST_TO_SEPARATE = 4  # below, a core for the load generator would be half of what the server has

_USABLE = sorted(os.sched_getaffinity(0))
SEPARATED = len(_USABLE) >= FEWEST_TO_SEPARATE
# A quarter of the cores sends faster than the others can answer.
LOAD_CORES = _USABLE[-(len(_USABLE) // 4):] if SEPARATED else _USABLE
SERVER_CORES = [core for core in _USABLE if core not in LOAD_CORES] if SEPARATED else _USABLE
CPUS = len(SERVER_CORES)  # of the server, and of the bare runtime that it is compared with

DESCRIPTION = (f"server on cores {SERVER_CORES}, load generator on cores {LOAD_CORES}"
               if SEPARATED else f"server and load generator share {CPUS} cores")


def keep_to_server_cores():
    """For this process and all that it starts without `on_load_cores`."""
    os.sched_setaffinity(0, SERVER_CORES)


def on_load_cores(command):
    """The command line that runs `command` where the load generator belongs."""
    if not SEPARATED:
        return command
    return ["taskset", "-c", ",".join(map(str, LOAD_CORES)), *command]
