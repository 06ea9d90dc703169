#!/usr/bin/env python3
"""What metrics and traces cost a small request: what observers_benchmark measures of RequestRecord, as a share of
the processor time that the server takes for a request of half_plus_two. `./bench observers` builds what this needs.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import server_process

BINARY = pathlib.Path(__file__).resolve().parents[1] / "build" / "release" / "bin" / "observers_benchmark"
REQUESTS = 100_000
REPETITIONS = 10
MOST = 0.03


def told_ns():
    """Nanoseconds by case, the least of its repetitions."""
    output = subprocess.run([BINARY, f"--benchmark_repetitions={REPETITIONS}", "--benchmark_enable_random_interleaving=true",
                             "--benchmark_min_time=0.1", "--benchmark_format=json"], check=True, capture_output=True, text=True).stdout
    times = {}
    for row in json.loads(output)["benchmarks"]:
        if row["run_type"] == "iteration":
            times[row["run_name"]] = min(row["cpu_time"], times.get(row["run_name"], row["cpu_time"]))
    return times


def request_us(name):
    """Processor time of the server, the least of three loads of one client."""
    server = server_process.Server(name, server_process.base_path(name)).wait_until_ready()
    try:
        with tempfile.NamedTemporaryFile() as body:
            body.write(b'{"instances": [1.0, 2.0, 5.0]}')
            body.flush()
            took = []
            for _ in range(3):
                before = server.cpu_seconds()
                output = subprocess.run(["h2load", "--h1", "-c16", f"-n{REQUESTS}", f"-d{body.name}", server.predict_url],
                                        check=True, capture_output=True, text=True).stdout
                assert f" {REQUESTS} succeeded" in output, output
                took.append((server.cpu_seconds() - before) / REQUESTS * 1e6)
        server.stop()
    finally:
        server.kill()
    return min(took)


def main():
    told = told_ns()
    request = request_us("half_plus_two")
    print(f"half_plus_two over REST: {request:.1f} us of the server's processor time for a request")
    print("| told to | ns for a request | share | allowed |")
    print("| --- | ---: | ---: | ---: |")
    shares = {name: (told[name] - told["Nobody"]) / 1000 / request for name in ("Nobody", "Metrics", "MetricsAndTraces")}
    for name, share in shares.items():
        print(f"| {name} | {told[name]:.0f} | {share:.1%} | {MOST:.0%} |")
    sys.exit(0 if max(shares.values()) <= MOST else 1)


if __name__ == "__main__":
    main()
