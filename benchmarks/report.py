"""The results as Markdown tables that a terminal shows well too, and as JSON."""

import json
import pathlib
import platform
import re
import subprocess

import placement
import process_figures

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Of each section: (title, key or path of keys, form). KEYS name a row; the others are its figures.
KEYS = {
    "table": ("model", "server", "protocol", "clients"),
    "sweep": ("model", "server", "protocol", "clients"),
    "open": ("model", "server", "protocol", "load"),
    "memory": ("model", "interpreters"),
}
_IDENTITY = (("model", "model", "{}"), ("server", "server", "{}"), ("protocol", "protocol", "{}"))
COLUMNS = {
    "table": _IDENTITY + (
        ("clients", "clients", "{}"), ("items/s", "items_per_s", "{:,.1f}"), ("p50 ms", "latency_ms.50", "{:.3f}"),
        ("p99 ms", "latency_ms.99", "{:.3f}"), ("server CPU µs/item", "cpu_us", "{:,.1f}"), ("peak RSS MiB", "peak_rss_mib", "{:.0f}"),
        ("bare items/s", "bare_items_per_s", "{:,.1f}"), ("bare CPU µs/item", "bare_cpu_us", "{:,.1f}"),
        ("of bare, wall", "of_bare_by_wall", "{:.3f}"), ("of bare, CPU", "of_bare_by_cpu", "{:.3f}"),
        ("best batch", "best_batch", "{}"), ("of best batch, wall", "of_best_batch_by_wall", "{:.3f}"),
        ("of best batch, CPU", "of_best_batch_by_cpu", "{:.3f}"), ("of unbatched, items/s", "of_unbatched_items", "{:.3f}"),
        ("× unbatched p99", "times_unbatched_p99", "{:.2f}"), ("× constant, CPU", "times_constant_cpu", "{:.2f}"),
        ("× FastAPI, items/CPU-s", "times_fastapi_per_cpu", "{:.1f}")),
    "sweep": _IDENTITY + (
        ("clients", "clients", "{}"), ("items/s", "items_per_s", "{:,.1f}"), ("p50 ms", "latency_ms.50", "{:.3f}"),
        ("p99 ms", "latency_ms.99", "{:.3f}"), ("user µs/item", "user_us", "{:,.1f}"), ("system µs/item", "system_us", "{:,.1f}"),
        ("instructions/item", "instructions", "{:,.0f}"), ("refused", "refused_share", "{:.1%}")),
    "open": _IDENTITY + (
        ("load", "load", "{}"), ("arrivals/s", "arrivals_per_s", "{:,.1f}"), ("goodput/s", "goodput_per_s", "{:,.1f}"),
        ("goodput of peak", "of_peak", "{:.3f}"), ("refused", "refused_share", "{:.1%}"), ("failed", "failed_share", "{:.1%}"),
        ("p50 ms", "latency_ms.50", "{:.3f}"),
        ("p90 ms", "latency_ms.90", "{:.3f}"), ("p99 ms", "latency_ms.99", "{:.3f}"), ("p99.9 ms", "latency_ms.99.9", "{:.3f}"),
        ("ideal p99 ms", "ideal_latency_ms.99", "{:.3f}"), ("× ideal p99", "times_ideal_p99", "{:.2f}"),
        ("× own ideal p99", "times_own_ideal_p99", "{:.2f}"),
        ("p99 ms from sent", "latency_from_sent_ms.99", "{:.3f}"), ("sent late p99 ms", "sent_late_ms.99", "{:.3f}"), ("generator CPU", "generator_cpu_share", "{:.0%}")),
    "memory": (
        ("model", "model", "{}"), ("interpreters", "interpreters", "{}"), ("PSS MiB at start", "start_pss_mib", "{:.1f}"),
        ("each further", "start_each_further_mib", "{:.1f}"), ("bare runtime PSS MiB", "bare_pss_mib", "{:.1f}"),
        ("each further", "bare_each_further_mib", "{:.1f}"), ("PSS MiB after load", "loaded_pss_mib", "{:.1f}"),
        ("of it, packed weights", "shared_weights_mib", "{:.1f}"), ("model file MiB", "file_mib", "{:.1f}")),
}
TITLES = {"table": "Beside the bare runtime", "sweep": "By number of clients", "open": "Poisson arrivals", "memory": "Memory"}


def value(row, path):
    """row["a"]["99.9"] for "a.99.9"; None if there is none."""
    key, _, rest = path.partition(".")
    found = row.get(key)
    return found.get(rest) if rest and isinstance(found, dict) else found


def cells(section, rows):
    """The columns of a section that any of the rows has, as [(title, right-aligned, [text for each row])]."""
    columns = []
    for title, path, form in COLUMNS[section]:
        values = [value(row, path) for row in rows]
        if any(one is not None for one in values):
            columns.append((title, not any(isinstance(one, str) for one in values),
                            ["" if one is None else form.format(one) for one in values]))
    return columns


def markdown(columns):
    """A Markdown table of [(title, right-aligned, texts)]."""
    lines = list(zip(*([title, *texts] for title, _, texts in columns)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    rights = [right for _, right, _ in columns]
    rule = ["-" * (width - 1) + ":" if right else "-" * width for width, right in zip(widths, rights)]
    return "\n".join("| " + " | ".join(cell.rjust(width) if right else cell.ljust(width)
                                       for cell, width, right in zip(line, widths, rights)) + " |"
                     for line in [lines[0], rule, *lines[1:]])


def refusals(rows):
    """A line for each server that did not start, and why."""
    reasons = {(row["model"], row["server"]): row["refused"] for row in rows if "refused" in row}
    return [f"{model}, {server}: not measured; the server said: {reason}" for (model, server), reason in reasons.items()]


def processor():
    match = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return match[1] if match else platform.machine()


def revision():
    described = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def conditions(options):
    """What a reader has to know of a run."""
    return {"revision": revision(), "processor": processor(), "cpus": placement.CPUS, "placement": placement.DESCRIPTION,
            "rounds": options.rounds, "seconds": options.seconds,
            "instructions": process_figures.instructions_not_counted() or "counted by perf stat"}


def conditions_line(results):
    return (f"{results['processor']}, {results['cpus']} CPUs; {results['placement']}; revision {results['revision']}; "
            f"rounds of {results['seconds']} s in turn, medians of {results['rounds']}")


def text(results):
    """All sections of a run, as they are printed."""
    parts = [conditions_line(results)]
    if "sweep" in results and results["instructions"] != "counted by perf stat":
        parts.append(f"Instructions are not counted here: {results['instructions']}.")
    for section in COLUMNS:
        if results.get(section):
            rows = results[section]
            parts += [f"## {TITLES[section]}", markdown(cells(section, [row for row in rows if "refused" not in row] or rows))]
            parts += ["\n".join(refusals(rows))] if refusals(rows) else []
    return "\n\n".join(parts)


def write_json(results, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
