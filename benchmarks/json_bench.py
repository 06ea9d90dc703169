#!/usr/bin/env python3
"""Runs json_benchmark and prints its ratios: this server's JSON reader beside simdjson's and RapidJSON's, its
writer beside a bare loop of std::to_chars. `./bench json` builds what this needs.

The repetitions of all cases are mixed at random, so that what else happens on the machine hits every case; a figure is
the fastest repetition's CPU time, which other programs disturb least.
"""

import argparse
import collections
import json
import pathlib
import subprocess
import sys

BINARY = pathlib.Path(__file__).resolve().parents[1] / "build" / "release" / "bin" / "json_benchmark"
NOTATIONS = ("shortest_float", "numpy_float", "four_decimals", "bytes")
PARSERS = {"Decode": "this server", "SimdjsonDom": "simdjson DOM", "Simdjson": "simdjson on demand", "RapidjsonDom": "RapidJSON DOM"}
# What the reader and the writer have to reach.
LEAST_OF_SIMDJSON_DOM = {"shortest_float": 1.8, "numpy_float": 1.3, "four_decimals": 1.3, "bytes": 1.3}
MOST_OF_TO_CHARS = 1.15


def fastest(arguments):
    """Microseconds of CPU by case, the least of its repetitions."""
    cases = "|".join(f"{parser}/{notation}" for parser in PARSERS for notation in NOTATIONS)
    output = subprocess.run(
        [BINARY, f"--benchmark_filter=^({cases}|Encode/softmax_1000x1001|ToChars/softmax_1000x1001)$",
         f"--benchmark_repetitions={arguments.repetitions}", "--benchmark_enable_random_interleaving=true",
         "--benchmark_min_time=0.05", "--benchmark_format=json"],
        check=True, capture_output=True, text=True).stdout
    times = collections.defaultdict(list)
    for row in json.loads(output)["benchmarks"]:
        if row.get("error_occurred"):
            sys.exit(f"{row['name']}: {row['error_message']}")
        if row["run_type"] == "iteration":
            times[row["run_name"]].append(row["cpu_time"])
    return {name: min(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    times = fastest(parser.parse_args())
    met = True
    print("224x224x3 numbers of JSON to a tensor, ms of CPU")
    print(f"| notation | {' | '.join(PARSERS.values())} | times simdjson DOM | wanted |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for notation in NOTATIONS:
        row = [times[f"{parser}/{notation}"] / 1000 for parser in PARSERS]
        ratio, wanted = row[1] / row[0], LEAST_OF_SIMDJSON_DOM[notation]
        met = met and ratio >= wanted
        print(f"| {notation} | {' | '.join(f'{value:.2f}' for value in row)} | {ratio:.2f} | {wanted} |")
    encode, floor = (times[f"{name}/softmax_1000x1001"] / 1000 for name in ("Encode", "ToChars"))
    met = met and encode <= MOST_OF_TO_CHARS * floor
    print(f"\n1000x1001 floats to JSON: {encode:.1f} ms, std::to_chars {floor:.1f} ms: {encode / floor:.3f} (wanted: at most {MOST_OF_TO_CHARS})")
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
