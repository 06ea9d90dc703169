#!/usr/bin/env python3
"""Two runs of ./bench side by side: for each row that both have, the figures of A and B and what B is times A."""

import argparse
import json
import pathlib

import report

# What is compared of each section: as report.COLUMNS, with whether more of it is better.
FIGURES = {
    "table": (("items/s", "items_per_s", "{:,.1f}", True), ("p99 ms", "latency_ms.99", "{:.3f}", False),
              ("CPU µs/item", "cpu_us", "{:,.1f}", False), ("of bare, CPU", "of_bare_by_cpu", "{:.3f}", True)),
    "sweep": (("items/s", "items_per_s", "{:,.1f}", True), ("p99 ms", "latency_ms.99", "{:.3f}", False),
              ("CPU µs/item", "cpu_us", "{:,.1f}", False)),
    "open": (("goodput/s", "goodput_per_s", "{:,.1f}", True), ("p99 ms", "latency_ms.99", "{:.3f}", False),
             ("× ideal p99", "times_ideal_p99", "{:.2f}", False), ("goodput of peak", "of_peak", "{:.3f}", True)),
    "memory": (("PSS MiB at start", "start_pss_mib", "{:.1f}", False), ("PSS MiB after load", "loaded_pss_mib", "{:.1f}", False)),
}


def by_key(section, rows):
    return {tuple(str(row[key]) for key in report.KEYS[section]): row for row in rows if "refused" not in row}


def columns(section, before, after):
    """Of the rows that both runs have."""
    both = [key for key in before if key in after]
    result = [(name, False, [key[i] for key in both]) for i, name in enumerate(report.KEYS[section])]
    for title, path, form, more_is_better in FIGURES[section]:
        pairs = [(report.value(before[key], path), report.value(after[key], path)) for key in both]
        if not any(None not in pair for pair in pairs):
            continue
        for side, name in enumerate((f"{title}: A", "B")):
            result.append((name, True, ["" if pair[side] is None else form.format(pair[side]) for pair in pairs]))
        result.append((f"B/A ({'more' if more_is_better else 'less'} is better)", True,
                       ["" if None in pair or not pair[0] else f"{pair[1] / pair[0]:.3f}" for pair in pairs]))
    return result


def main():
    parser = argparse.ArgumentParser(prog="./bench compare", description=__doc__)
    parser.add_argument("a", type=pathlib.Path, metavar="A.json")
    parser.add_argument("b", type=pathlib.Path, metavar="B.json")
    arguments = parser.parse_args()
    runs = [json.loads(path.read_text()) for path in (arguments.a, arguments.b)]
    for name, results in zip("AB", runs):
        print(f"{name}: {report.conditions_line(results)}")
    for section in report.COLUMNS:
        if all(section in results for results in runs):
            before, after = (by_key(section, results[section]) for results in runs)
            if before.keys() & after.keys():
                print(f"\n## {report.TITLES[section]}\n\n{report.markdown(columns(section, before, after))}")
            for name, only in (("A", before.keys() - after.keys()), ("B", after.keys() - before.keys())):
                for key in sorted(only):
                    print(f"only in {name}: {', '.join(key)}")


if __name__ == "__main__":
    main()
