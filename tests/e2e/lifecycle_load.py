"""Steady load on a server while its models change under it, as a script and for test_lifecycle.

    python tests/e2e/lifecycle_load.py --seconds 60 --clients 8

Every answer says which version gave it. A client notes when it asked and when it was answered;
the versions that may answer in between are known, because all changes are made here:

- while a change is on its way (from the moment it is made until the server shows it), the versions
  from before and after it may both answer;
- from then on those from after it alone.

Zero requests may fail. The script also prints the latencies with and without changes, in turn so that
what else the machine does falls on both, and the server's memory before and after.
"""

import argparse
import dataclasses
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import struct
import sys
import tempfile
import threading
import time

import grpc
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.apis import model_service_pb2_grpc

import server_process

CHANGE_SECONDS = 60  # that one change may take until it shows
HALF_PLUS_TWO = server_process.base_path("half_plus_two").read_bytes()
BIAS = struct.pack("<f", 2)
assert HALF_PLUS_TWO.count(BIAS) == 1
X = 1.0
# What the script allows: of the p99.9 without changes, and of the resident memory before them.
MOST_SLOWER = 2
MOST_GROWTH = 1.1


def model_of(number):
    """A model that answers X / 2 + number."""
    return HALF_PLUS_TWO.replace(BIAS, struct.pack("<f", number))


def number_of(answer):
    return answer["outputs"][0] - X / 2


class Allowed:
    """Which numbers may be answered on one route, over time. Thread-safe."""

    def __init__(self, numbers):
        self._lock = threading.Lock()
        self._spans = [(0.0, frozenset(numbers))]  # from when on

    def set(self, numbers):
        with self._lock:
            self._spans.append((time.monotonic(), frozenset(numbers)))

    def now(self):
        with self._lock:
            return self._spans[-1][1]

    def between(self, start, end):
        with self._lock:
            spans = list(self._spans)
        found = set()
        for i, (since, numbers) in enumerate(spans):
            until = spans[i + 1][0] if i + 1 < len(spans) else float("inf")
            if since <= end and until >= start:
                found |= numbers
        return found


@dataclasses.dataclass
class Tally:
    """What one client saw."""
    latencies_ms: list = dataclasses.field(default_factory=list)
    problems: list = dataclasses.field(default_factory=list)


def merged(tallies):
    return Tally([ms for tally in tallies for ms in tally.latencies_ms],
                 [problem for tally in tallies for problem in tally.problems])


class Load:
    """Clients that ask until they are stopped."""

    def __init__(self, server, routes, clients):
        self._stop = threading.Event()
        self._tallies = [Tally() for _ in range(clients)]
        self._threads = [
            threading.Thread(target=self._ask, args=(server, routes, tally, seed))
            for seed, tally in enumerate(self._tallies)]
        for thread in self._threads:
            thread.start()

    def _ask(self, server, routes, tally, seed):
        generator = random.Random(seed)
        connection = http.client.HTTPConnection(*server.address, timeout=60)
        body = json.dumps({"inputs": [X]})
        while not self._stop.is_set():
            route = generator.choice(list(routes))
            start = time.monotonic()
            try:
                connection.request("POST", f"/v1/models/{route}:predict", body)
                response = connection.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException) as problem:
                tally.problems.append(f"{route}: {problem!r}")
                return
            end = time.monotonic()
            tally.latencies_ms.append((end - start) * 1000)
            try:
                number = number_of(json.loads(text))
            except (ValueError, KeyError):
                tally.problems.append(f"{route}: {response.status} {text!r}")
                continue
            allowed = routes[route].between(start, end)
            if number not in allowed:
                tally.problems.append(f"{route}: answered by {number}, allowed {sorted(allowed)}")

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return merged(self._tallies)


class Changes:
    """Two models whose files, versions, labels and configuration change at random.

    `rolling` serves its highest version; `labelled` serves two versions, between which the label
    "stable" moves.
    """

    more_models = ""  # configurations of such as do not change

    def __init__(self, directory, seed):
        self.directory = pathlib.Path(directory)
        self.generator = random.Random(seed)
        self.counts = {}
        self._next_number = 3  # of what a model answers; small integers are exact
        self._rolling = {}  # version: number
        self._labelled = {}
        self._stable = 1
        self._extra = False
        self._write("rolling", 1, self._rolling)
        self._write("labelled", 1, self._labelled)
        self._write("labelled", 2, self._labelled)
        self._put(self.directory / "extra" / "1", model_of(1))
        self.routes = {
            "rolling": Allowed({self._rolling[1]}),
            "labelled/versions/1": Allowed({self._labelled[1]}),
            "labelled/versions/2": Allowed({self._labelled[2]}),
            "labelled/labels/stable": Allowed({self._labelled[1]}),
        }

    def start_server(self, *flags):
        config = self.directory / "models.config"
        config.write_text(self.config())
        self.server = server_process.ConfiguredServer(config, "--file_system_poll_wait_seconds=1", *flags)
        return self.server.wait_until_ready()

    def config(self):
        extra = (f"config {{ name: 'extra' base_path: '{self.directory}/extra' "
                 "model_platform: 'tflite' }" if self._extra else "")
        return f"""model_config_list {{
          config {{ name: 'rolling' base_path: '{self.directory}/rolling' model_platform: 'tflite' }}
          config {{ name: 'labelled' base_path: '{self.directory}/labelled' model_platform: 'tflite'
                   model_version_policy {{ all {{}} }}
                   version_labels {{ key: 'stable' value: {self._stable} }} }}
          {extra}{self.more_models}
        }}"""

    def each_once(self):
        """So that what the process reads of its own file for it is in memory: that is no growth."""
        for change in (self.add, self.remove, self.add_corrupt, self.replace, self.switch_link, self.move_label, self.configure, self.configure):
            change()

    def settle(self):
        """As many models as at first."""
        if self._extra:
            self.configure()

    def step(self):
        change = self.generator.choice([
            self.add, self.remove, self.add_corrupt, self.replace, self.switch_link,
            self.move_label, self.configure])
        if change() is not False:
            name = change.__name__
            self.counts[name] = self.counts.get(name, 0) + 1

    # --- changes ------------------------------------------------------------------------------

    def add(self):
        version = max(self._rolling) + 1
        with self._changing("rolling", lambda: self._rolling[max(self._rolling)]):
            self._write("rolling", version, self._rolling)
            self._wait("rolling", {version: "AVAILABLE"})

    def remove(self):
        if len(self._rolling) < 2:
            return False
        version = max(self._rolling)
        before = self._rolling[version]
        del self._rolling[version]
        below = max(self._rolling)
        with self._changing("rolling", lambda: self._rolling[below], {before}):
            shutil.rmtree(self._directory("rolling", version))
            self._wait("rolling", {below: "AVAILABLE", version: "END"})

    def add_corrupt(self):
        version = max(self._rolling) + 1
        whole = model_of(1)
        self._put(self._directory("rolling", version),
                  whole[:self.generator.randrange(1, len(whole) * 9 // 10)])
        self._wait("rolling", {version: "END"})
        shutil.rmtree(self._directory("rolling", version))

    def replace(self):
        version = max(self._rolling)
        replaced = self._replaced("rolling", version)
        with self._changing("rolling", lambda: self._rolling[version]):
            self._write("rolling", version, self._rolling)
            self._wait_for_replacements("rolling", version, replaced + 1)

    def switch_link(self):
        version = self.generator.choice([1, 2])
        route = f"labelled/versions/{version}"
        replaced = self._replaced("labelled", version)
        routes = [route] + (["labelled/labels/stable"] if self._stable == version else [])
        number = self._number()
        target = self.directory / f"target-{number}"
        self._put(target, model_of(number))
        befores = {name: self.routes[name].now() for name in routes}
        for name in routes:
            self.routes[name].set(befores[name] | {number})
        link = self.directory / "labelled" / "link"
        link.symlink_to(target)
        directory = self._directory("labelled", version)
        if directory.is_symlink():
            os.replace(link, directory)
        else:  # the first time
            directory.rename(self.directory / f"was-{number}")
            os.replace(link, directory)
        self._labelled[version] = number
        self._wait_for_replacements("labelled", version, replaced + 1)
        for name in routes:
            self.routes[name].set({number})

    def move_label(self):
        self._stable = 3 - self._stable
        with self._changing("labelled/labels/stable", lambda: self._labelled[self._stable]):
            self._reload()

    def configure(self):
        self._extra = not self._extra
        self._reload()

    # --- how they are made and seen -----------------------------------------------------------

    def _changing(self, route, after, before=None):
        return _Changing(self.routes[route], after, before or self.routes[route].now(),
                         self._next_number)

    def _number(self):
        self._next_number += 1
        return self._next_number - 1

    def _directory(self, model, version):
        return self.directory / model / str(version)

    def _put(self, directory, data):
        directory.mkdir(parents=True, exist_ok=True)
        part = directory / ".part"
        part.write_bytes(data)
        os.replace(part, directory / "model.tflite")

    def _write(self, model, version, numbers):
        numbers[version] = self._number()
        self._put(self._directory(model, version), model_of(numbers[version]))

    def _reload(self):
        request = model_management_pb2.ReloadConfigRequest()
        text_format.Parse(self.config(), request.config)
        with grpc.insecure_channel(self.server.grpc_target) as channel:
            model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(
                request, timeout=CHANGE_SECONDS)

    def _states(self, model):
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        connection.request("GET", f"/v1/models/{model}")
        rows = json.loads(connection.getresponse().read())["model_version_status"]
        return {int(row["version"]): row["state"] for row in rows}

    def look(self):
        """What the waits for a change do over and over, without a change."""
        self._states("rolling")

    def between_looks(self):
        self.server.running()

    def _wait(self, model, expected):
        def reached():
            now = self._states(model)
            return all(now.get(version) in ((states,) if isinstance(states, str) else states)
                       for version, states in expected.items())
        assert server_process.settles(reached, self.between_looks, CHANGE_SECONDS), (
            self.server.describe(f"{model} is {self._states(model)}, expected {expected}"))
        return self._states(model)

    def _replaced(self, model, version):
        return self.server.log.count(
            f"Replaced servable version {{name: {model} version: {version}}}")

    def _wait_for_replacements(self, model, version, count):
        assert server_process.settles(lambda: self._replaced(model, version) >= count,
                                      self.between_looks, CHANGE_SECONDS), (
            self.server.describe(f"{model} {version} was not replaced"))


class _Changing:
    """While it lasts, answers from before and of any new number are allowed on a route; then
    those from after alone."""

    def __init__(self, allowed, after, before, new_number):
        self._allowed, self._after, self._before = allowed, after, before
        self._new_number = new_number

    def __enter__(self):
        self._allowed.set(set(self._before) | {self._new_number} | self._possible())

    def _possible(self):
        try:
            return {self._after()}
        except KeyError:
            return set()

    def __exit__(self, kind, *_):
        if kind is None:
            self._allowed.set({self._after()})


def resident_mib(server):
    """(all, what is not of files)"""
    status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
    return [int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024 for key in ("VmRSS", "RssAnon")]


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of changes (60)")
    parser.add_argument("--calm", type=float, default=60, help="seconds without changes (60)")
    parser.add_argument("--rounds", type=int, default=6, help="in which both are divided (6)")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        changes = Changes(directory, options.seed)
        server = changes.start_server()
        changes.each_once()

        def load_during(seconds, act):
            load = Load(server, changes.routes, options.clients)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                act()
            return load.stop()

        calm, changing, rss = [], [], []
        for _ in range(options.rounds):
            calm.append(load_during(options.calm / options.rounds, changes.look))
            rss.append(resident_mib(server))
            changing.append(load_during(options.seconds / options.rounds, changes.step))
        changes.settle()
        rss.append(resident_mib(server))
        server.stop()
    calm, changing = merged(calm), merged(changing)
    print(f"changes: {sum(changes.counts.values())} {changes.counts}")
    for name, tally in (("without changes", calm), ("with changes", changing)):
        print(f"{name}: {len(tally.latencies_ms)} requests, {len(tally.problems)} failed; "
              f"p50 {percentile(tally.latencies_ms, .5):.2f} ms, "
              f"p99 {percentile(tally.latencies_ms, .99):.2f} ms, "
              f"p99.9 {percentile(tally.latencies_ms, .999):.2f} ms")
    ratio = percentile(changing.latencies_ms, .999) / percentile(calm.latencies_ms, .999)
    print(f"p99.9 with changes / without: {ratio:.2f} (at most {MOST_SLOWER})")
    (all_before, own_before), (all_after, own_after) = rss[0], rss[-1]
    growth = all_after / all_before
    print(f"resident memory: {all_before:.1f} -> {all_after:.1f} MiB ({growth:.2f}, at most {MOST_GROWTH}); "
          f"of it not of files: {own_before:.1f} -> {own_after:.1f} MiB")
    problems = calm.problems + changing.problems
    print(*problems[:20], sep="\n")
    return 1 if problems or ratio > MOST_SLOWER or growth > MOST_GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
