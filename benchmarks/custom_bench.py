#!/usr/bin/env python3
"""What a servable in Python costs at its interface beyond the same call in one Python process, and what a second instance brings. `./bench custom`
builds what this needs."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "build" / "release" / "bin" / "custom_servable"
PYTHON = ROOT / "build" / "custom-venv" / "bin" / "python"
WORKER = ROOT / "python" / "tflite_serving_worker.py"
MODULE = ROOT / "benchmarks" / "custom_servables_measured.py"
MOST_OVERHEAD_US = 300
LEAST_OF_TWO = 1.7


def served(name, instances, callers, seconds):
    output = subprocess.run([PROGRAM, PYTHON, WORKER, MODULE, name, str(instances), str(callers), str(seconds)], check=True, capture_output=True, text=True)
    return json.loads(output.stdout)


def called(name):
    """Microseconds of the same call in a Python process, the median of many."""
    code = f"""
import json, sys, timeit, numpy as np
sys.path[:0] = [{str(ROOT / 'python')!r}, {str(MODULE.parent)!r}]
import custom_servables_measured as m
servable, inputs = m.{name}.__new__(m.{name}), {{"x": np.zeros([1, 224, 224, 3], np.float32)}}
print(json.dumps(timeit.repeat(lambda: servable.predict(inputs), number=1, repeat=200)))
"""
    return statistics.median(json.loads(subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout)) * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=3)
    seconds = parser.parse_args().seconds
    met = True
    print("an image of 224x224x3 floats, one caller, microseconds")
    print("| servable | a call in Python | served, p50 | p99 | beyond |\n| --- | ---: | ---: | ---: | ---: |")
    for name in ("Identity", "Copy"):
        alone, one = called(name), served(name, 1, 1, seconds)
        beyond = one["p50_us"] - alone
        met = met and (name != "Identity" or beyond <= MOST_OVERHEAD_US)
        print(f"| {name} | {alone:.1f} | {one['p50_us']:.0f} | {one['p99_us']:.0f} | {beyond:.0f} |")
    rates = [run["runs"] / run["wall_s"] for run in (served("Busy", 1, 4, seconds), served("Busy", 2, 4, seconds))]
    met = met and rates[1] >= LEAST_OF_TWO * rates[0]
    print(f"\nBusy, four callers: {rates[0]:.1f} runs/s with one instance, {rates[1]:.1f} with two: {rates[1] / rates[0]:.2f} times")
    print(f"wanted: Identity at most {MOST_OVERHEAD_US} us beyond, two instances {LEAST_OF_TWO} times")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
