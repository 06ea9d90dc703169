"""What the kernel knows of running processes: processor time, memory, instructions."""

import collections
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

CpuTime = collections.namedtuple("CpuTime", "user_s system_s")


def with_children(pid):
    """A process and all below it: the workers of a server that forks."""
    children = []
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        children += (task / "children").read_text().split()
    return [pid] + [one for child in children for one in with_children(int(child))]


def cpu_time(pids):
    """Of the processes and all their threads, those that ended included."""
    user = system = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        user += int(fields[11])
        system += int(fields[12])
    return CpuTime(user / TICKS_PER_SECOND, system / TICKS_PER_SECOND)


def peak_rss_mib(pids):
    """The largest resident memory of each up to now, added up."""
    return sum(int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
               for pid in pids) / 1024


def pss_mib(pid):
    """Resident memory, of shared pages this process's share: {"Pss": all, "Pss_Anon": …, …}."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kib) / 1024 for name, kib in re.findall(r"^(Pss\w*):\s+(\d+) kB", text, re.M)}


# --- Instructions -----------------------------------------------------------------------------


@functools.cache
def instructions_not_counted():
    """Why instructions cannot be counted on this machine; empty if they can."""
    perf = shutil.which("perf")
    if not perf:
        return "perf is not installed (Debian: linux-perf)"
    trial = subprocess.run([perf, "stat", "-x,", "-e", "instructions", "true"],
                           capture_output=True, text=True)
    if trial.returncode != 0:
        return f"perf stat: {(trial.stderr.strip().splitlines() or ['failed'])[0]}"
    if count_in(trial.stderr) is None:
        return "the processor's counters are not to be had here, as in most virtual machines"
    return ""


def count_in(report):
    """The number in a line of `perf stat -x,`; None for <not supported> and <not counted>."""
    match = re.search(r"^(\d+),[^,]*,instructions", report, re.M)
    return int(match[1]) if match else None


class InstructionCounter:
    """Counts what processes execute while another command runs: `command(…)` is that command's line
    with perf before it, `count()` the number once it has ended, None where nothing is counted."""

    def __init__(self, pids):
        self._pids = pids
        self._report = None if instructions_not_counted() else tempfile.NamedTemporaryFile("r")

    def command(self, command):
        if not self._report:
            return command
        return ["perf", "stat", "-x,", "-o", self._report.name, "-e", "instructions",
                "-p", ",".join(map(str, self._pids)), "--", *command]

    def count(self):
        return count_in(self._report.read()) if self._report else None
