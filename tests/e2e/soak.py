"""Everything at once, for long, as a script and for test_soak: does anything grow, leak or break?

    python tests/e2e/soak.py --seconds 600

Good, bad and hasty clients (soak_clients) ask while models change (lifecycle_load). Memory and
descriptors are compared while no client is there: after a warm-up, in which each kind of request
has come often, and at the end. The clients rest between two requests, so that all of them together
take less than a processor.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import pathlib
import random
import resource
import sys
import tempfile
import threading
import time

import lifecycle_load
import server_process
from soak_clients import FAILURES, Bad, Good, Hasty

WARM_UP_SHARE = 0.4
MAX_GROWTH = 1.05
MAX_PROBLEMS = 20  # after so many there is no point in going on
REST_SECONDS = 0.02  # of a client between two requests
CHANGE_REST_SECONDS = 1
LOOK_SECONDS = 0.05
BAD_CLIENTS = HASTY_CLIENTS = 2
STEADY = ("half_plus_two", "inference", "while_loop", "batched")
FLAGS = ("--enable_batching", "--enable_per_model_batching_parameters", "--readiness=any_model")


class Changes(lifecycle_load.Changes):
    """Those of lifecycle_load beside the models of STEADY, one of which is batched."""

    def __init__(self, directory, seed, over):
        super().__init__(directory, seed)
        self.between_looks = functools.partial(over.wait, LOOK_SECONDS)
        batched = self.directory / "batched" / "1"
        self._put(batched, lifecycle_load.HALF_PLUS_TWO)
        (batched / "batching_params.pbtxt").write_text("max_batch_size { value: 8192 }")
        for name in STEADY:
            path = batched.parent if name == "batched" else server_process.base_path(name)
            self.more_models += f"config {{ name: '{name}' base_path: '{path}' model_platform: 'tflite' }}\n"

    def unload_one(self):
        """Leaves the models of the beginning. With each that it unloads the server gives freed memory back."""
        def unloaded():
            return self.server.log.count("Done unloading servable version {name: extra")
        self.settle()
        self.configure()
        before = unloaded()
        self.configure()
        assert server_process.settles(lambda: unloaded() > before, self.between_looks), self.server.describe("extra is not unloaded")


@dataclasses.dataclass
class Look:
    """What the server takes at one time, and what it and the clients have taken until then."""
    second: float
    tree_mib: float  # resident, of its children too: models are tried in processes of their own
    own_mib: float
    anonymous_mib: float
    descriptors: int
    server_cpu_s: float
    clients_cpu_s: float


class Soak:
    """The clients, the changes, and what they and the looks at the server found."""

    def __init__(self, directory, clients, seed):
        self.over = threading.Event()
        self.changes = Changes(directory, seed, self.over)
        self.server = self.changes.start_server(*FLAGS)
        self.seeds = random.Random(seed)
        self.clients = [Good] * clients + [Bad] * BAD_CLIENTS + [Hasty] * HASTY_CLIENTS
        self.kinds = set()
        self.latencies_ms = collections.defaultdict(list)  # by kind
        self.problems = []
        self.looks = []
        self.begin, self.begin_cpu_s = time.monotonic(), time.process_time()

    def fail(self, problem):
        self.problems.append(str(problem))
        if self.is_lost():
            self.over.set()

    def is_lost(self):
        return len(self.problems) >= MAX_PROBLEMS or not self.server.running()

    def _ask(self, client_class, seed):
        generator = random.Random(seed)
        while not self.over.is_set():
            client = client_class(self.changes, generator)
            kinds = list(client.kinds().items())
            self.kinds.update(name for name, _ in kinds)
            generator.shuffle(kinds)
            for name, (ask, *arguments) in kinds:
                if self.over.wait(REST_SECONDS):
                    break
                begin = time.monotonic()
                try:
                    ask(*arguments)
                except FAILURES as problem:
                    self.fail(f"{name}: {problem!r}")
                    break
                self.latencies_ms[name].append((time.monotonic() - begin) * 1000)
            client.close()

    def _change(self):
        while not self.over.wait(CHANGE_REST_SECONDS):
            try:
                self.changes.step()
            except FAILURES as problem:
                return self.fail(problem)

    def load(self, seconds, looks):
        """Everything at once for so long, with so many looks at the server."""
        threads = [threading.Thread(target=self._ask, args=(kind, self.seeds.random())) for kind in self.clients]
        threads.append(threading.Thread(target=self._change))
        for thread in threads:
            thread.start()
        try:
            for _ in range(looks):
                if self.over.wait(seconds / looks):
                    break
                self.look()
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        assert not self.is_lost(), self.server.describe("given up")
        self.over.clear()

    def calm(self, most_descriptors):
        """A look without clients, when all is closed and memory that was freed is the system's again."""
        self.changes.unload_one()
        if not server_process.settles(lambda: self.server.fd_count() <= most_descriptors, self.changes.between_looks):
            self.fail(f"{self.server.fd_count()} descriptors without clients, {most_descriptors} before")
        return self.look()

    def look(self):
        own, anonymous = lifecycle_load.resident_mib(self.server)
        self.looks.append(Look(
            time.monotonic() - self.begin, own + sum(resident_of_children_mib(self.server.pid)), own, anonymous,
            self.server.fd_count(), self.server.cpu_seconds(), time.process_time() - self.begin_cpu_s))
        return self.looks[-1]

    def run(self, seconds, max_growth):
        self.changes.each_once()
        first = self.calm(sys.maxsize)
        self.load(seconds * WARM_UP_SHARE, 4)
        warm = self.calm(first.descriptors)
        unseen = self.kinds - self.latencies_ms.keys()
        assert not unseen, f"the warm-up was too short for {sorted(unseen)}"
        self.load(seconds * (1 - WARM_UP_SHARE), 8)
        end = self.calm(first.descriptors)
        for what, before, after in (("all its processes", warm.tree_mib, end.tree_mib), ("the server", warm.own_mib, end.own_mib)):
            if after > before * max_growth:
                self.fail(f"resident memory of {what}: {before:.1f} MiB after the warm-up, {after:.1f} at the end")
        self.server.stop()

    def show(self):
        print(f"{'':34} {'requests':>9} {'p50 ms':>8} {'p99 ms':>8} {'most':>8}")
        for name, values in sorted(self.latencies_ms.items()):
            p50, p99 = (lifecycle_load.percentile(values, share) for share in (.5, .99))
            print(f"{name:34} {len(values):9} {p50:8.1f} {p99:8.1f} {max(values):8.1f}")
        print(f"{'in all':34} {sum(map(len, self.latencies_ms.values())):9}")
        print(f"changes: {sum(self.changes.counts.values())} {self.changes.counts}")
        print(f"{'second':>6} {'RSS of all, MiB':>16} {'of the server':>14} {'not of files':>13} {'descriptors':>12} "
              f"{'server CPU s':>13} {'clients CPU s':>14}")
        for look in self.looks:
            print(f"{look.second:6.0f} {look.tree_mib:16.1f} {look.own_mib:14.1f} {look.anonymous_mib:13.1f} {look.descriptors:12} "
                  f"{look.server_cpu_s:13.0f} {look.clients_cpu_s:14.0f}")
        for problem in self.problems:
            print(f"FAILED: {problem}")


def resident_of_children_mib(pid):
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            for child in (task / "children").read_text().split():
                pages = int(pathlib.Path(f"/proc/{child}/statm").read_text().split()[1])
                yield pages * resource.getpagesize() / (1 << 20)
                yield from resident_of_children_mib(child)


def run(seconds, clients=8, seed=1, max_growth=MAX_GROWTH):
    """Prints what was asked and what it took; the problems."""
    with tempfile.TemporaryDirectory() as directory:
        soak = Soak(directory, clients, seed)
        try:
            soak.run(seconds, max_growth)
        except FAILURES as problem:
            soak.fail(problem)
        finally:
            soak.server.kill()
        soak.show()
    return soak.problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600, help="of load, the warm-up included (600)")
    parser.add_argument("--clients", type=int, default=8, help="good ones (8)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return 1 if run(options.seconds, options.clients, options.seed) else 0


if __name__ == "__main__":
    sys.exit(main())
