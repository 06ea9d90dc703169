#!/usr/bin/env python3
"""Measures the server and prints tables; ./bench builds what this needs, docs/performance.md says what it means."""

import argparse
import pathlib
import sys
import tempfile

import contenders
import memory
import model_table
import open_loop
import page
import placement
import progress
import report
import sweep
import workloads

SECTIONS = {"table": model_table, "sweep": sweep, "open": open_loop, "memory": memory}


def measure(section, options, shown, failures):
    """The rows of a section, of all models that were asked for. A model whose measurement fails keeps the rows that it has, and its
    reason is added to `failures`: an hour of others is not lost for it."""
    module = SECTIONS[section]
    chosen = [workload for workload in workloads.WORKLOADS if options.only in workload.model]
    for workload in chosen:
        shown.expect(module.steps(workload, options))
    rows = []
    for workload in chosen:
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            try:
                for row in module.measure(workload, options.models / f"{workload.model}.tflite", options, pathlib.Path(directory), shown):
                    rows.append(row)
            except (contenders.Failure, contenders.Refused) as failure:
                failures.append(f"{section}, {workload.title}: {failure}")
    return rows


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./bench", description=__doc__)
    parser.add_argument("section", nargs="?", choices=[*SECTIONS, "all"], default="table", metavar="SECTION",
                        help="table (default): beside the bare runtime and others; sweep: 1 to 256 clients; open: Poisson arrivals; "
                             "memory: of several interpreters; all")
    parser.add_argument("--quick", action="store_true", help="one round of one second each")
    parser.add_argument("--seconds", type=int, default=4, help="length of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each row of the table (%(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="models with this in the name")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE",
                        help="where the JSON goes (build/bench/SECTION.json), and the page, FILE.html beside it")
    parser.add_argument("--models", type=pathlib.Path, required=True, metavar="DIR", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    if not any(options.only in workload.model for workload in workloads.WORKLOADS):
        parser.error(f"no model has {options.only!r} in its name: {', '.join(one.model for one in workloads.WORKLOADS)}")
    options.json = options.json or workloads.ROOT / "build" / "bench" / f"{options.section}.json"
    options.html = options.json.with_suffix(".html")
    return options


def main():
    options = parse_arguments()
    placement.keep_to_server_cores()
    shown = progress.Progress()
    results, failures = report.conditions(options), []
    try:
        for section in SECTIONS if options.section == "all" else [options.section]:
            results[section] = measure(section, options, shown, failures)
    finally:
        shown.finish()
    report.write_json(results, options.json)
    print(f"\n{report.text(results)}\n")
    options.html.write_text(page.page(results))
    print(f"JSON: {options.json}\npage: {options.html}")
    if failures:
        sys.exit("\n".join(["bench: not all could be measured:", *failures]))


if __name__ == "__main__":
    try:
        main()
    except AssertionError as failure:  # a server that did not end as it should
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell tells an interrupt; the servers have been stopped on the way here
