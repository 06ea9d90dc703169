"""One HTML page of a run's results: charts and tables, nothing from the network."""

import html
import math

import report
import svg_charts
from svg_charts import Bar, Series
from workloads import BATCHING, CONSTANT, FASTAPI, GRPC, JSON, JSON_17, NPY, THIS

# One colour for one thing on the whole page.
CASE_COLORS = {(THIS, JSON): 0, (THIS, GRPC): 1, (BATCHING, JSON): 2, (BATCHING, GRPC): 3, (THIS, JSON_17): 4, (THIS, NPY): 5}
LOAD_COLORS = {"50 %": 0, "80 %": 2, "95 %": 1, "3x": 4}
SHOWN_PERCENTILES = (50, 75, 90, 95, 99, 99.9)

STYLE = """
:root { --paper: #fff; --ink: #1d2430; --soft: #5b6472; --rule: #dfe3e8; --mark: #111;
  --series-0: #2f6fb5; --series-1: #d1662a; --series-2: #3f9a6b; --series-3: #a3527f; --series-4: #8a6d1f; --series-5: #5d5fc7; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181f; --ink: #e6e9ee; --soft: #9aa4b2; --rule: #2c333d; --mark: #fff;
  --series-0: #6aa8e8; --series-1: #f0935a; --series-2: #6cc598; --series-3: #d58ab3; --series-4: #cdb15c; --series-5: #9c9df0; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.2rem; } p { color: var(--soft); max-width: 60rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(28rem, 1fr)); gap: 1.5rem; align-items: start; }
.tables { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); text-align: left; } .right { text-align: right; }
th { color: var(--soft); font-weight: 600; } summary { cursor: pointer; color: var(--soft); margin: 1rem 0; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; } svg .title { font-size: 14px; font-weight: 600; }
svg .tick, svg .axis { fill: var(--soft); font-size: 11px; } svg .rule { stroke: var(--rule); } svg .mark { stroke: var(--mark); stroke-width: 2; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""
NOTES = {
    "table": "Processor time of the server for one answer, user and system, the fewest and the most clients that were measured. The mark is the "
             "bare runtime's: LiteRT alone in a loop.",
    "sweep": "Clients that each wait for their answer before they send the next request.",
    "open": "Poisson arrivals at shares of the capacity that was measured just before. Latency counts from when a request was due, whether or not "
            "it could be sent then. Dashed: an ideal queue, as many servers as cores, with the same arrivals and the bare runtime's run times.",
    "memory": "One server with so many interpreters of one model; the bare runtime with as many.",
}


def _by(rows, *keys):
    """{values of the keys: rows}, in the order in which they come."""
    groups = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def cpu_charts(rows):
    """With the fewest and the most clients of each model. FastAPI's bar would hide all others: it has a chart beside theirs."""
    for (model,), of_model in _by(rows, "model").items():
        by_clients = _by(of_model, "clients")
        for (clients,), group in {key: by_clients[key] for key in (min(by_clients), max(by_clients))}.items():
            own = [row for row in group if row["server"] != FASTAPI]
            for title, chosen in (("", own), (" and FastAPI", group)):
                if chosen is own or len(chosen) > len(own):
                    bars = [Bar(f"{row['server']}, {row['protocol']}", (row["user_us"], row["system_us"]),
                                None if row["server"] == CONSTANT else row["bare_cpu_us"]) for row in chosen]
                    yield svg_charts.bar_chart(f"{model}{title}, {clients} client{'s' * (clients > 1)}", "CPU µs for one answer",
                                               ("user", "system"), "bare runtime", bars)


def sweep_charts(rows):
    for (model,), group in _by(rows, "model").items():
        ticks = [(math.log2(clients), str(clients)) for clients in sorted({row["clients"] for row in group})]
        for label, path, log_y in (("answers/s", "items_per_s", False), ("p99 latency in ms", "latency_ms.99", True),
                                   ("CPU µs for one answer", "cpu_us", False)):
            series = [Series(f"{server}, {protocol}", CASE_COLORS[server, protocol],
                             [(math.log2(row["clients"]), report.value(row, path)) for row in case], False)
                      for (server, protocol), case in _by(group, "server", "protocol").items()]
            yield svg_charts.line_chart(model, "clients", label, ticks, series, log_y)


def latency_charts(rows):
    def points(latencies):
        # The distance to 100 %, so that each nine takes the same room.
        return [(-math.log10(1 - share / 100), latencies[str(share)]) for share in SHOWN_PERCENTILES]

    ticks = [(-math.log10(1 - share / 100), f"{share:g} %") for share in SHOWN_PERCENTILES]
    for (model, server, protocol), group in _by(rows, "model", "server", "protocol").items():
        series = []
        for row in group:
            color = LOAD_COLORS[row["load"]]
            series.append(Series(f"{row['load']}: {row['arrivals_per_s']:,.0f} arrivals/s", color, points(row["latency_ms"]), False))
            if "ideal_latency_ms" in row:
                series.append(Series(f"{row['load']}, ideal queue", color, points(row["ideal_latency_ms"]), True))
        yield svg_charts.line_chart(f"{model}, {server}, {protocol}", "so many answers were faster", "latency in ms", ticks, series, True)


def memory_charts(rows):
    for (model,), group in _by(rows, "model").items():
        series = [Series(name, color, [(row["interpreters"], row[key]) for row in group], False)
                  for color, (name, key) in enumerate((("server at start", "start_pss_mib"), ("bare runtime", "bare_pss_mib"),
                                                       ("server after load", "loaded_pss_mib")))]
        yield svg_charts.line_chart(model, "interpreters", "PSS in MiB", [(row["interpreters"], str(row["interpreters"])) for row in group], series)


CHARTS = {"table": cpu_charts, "sweep": sweep_charts, "open": latency_charts, "memory": memory_charts}


def _table(columns):
    css = ['class="right"' if right else "" for _, right, _ in columns]
    head = "".join(f"<th {one}>{html.escape(title)}</th>" for one, (title, _, _) in zip(css, columns))
    body = "".join("<tr>" + "".join(f"<td {one}>{html.escape(cell)}</td>" for one, cell in zip(css, line)) + "</tr>\n"
                   for line in zip(*(texts for _, _, texts in columns)))
    return f'<div class="tables"><table><tr>{head}</tr>\n{body}</table></div>'


def _section(section, rows):
    measured = [row for row in rows if "refused" not in row]
    parts = [f"<h2>{report.TITLES[section]}</h2><p>{NOTES[section]}</p>"]
    parts += [f"<p>{html.escape(line)}</p>" for line in report.refusals(rows)]
    if measured:
        parts += ['<div class="charts">', *CHARTS[section](measured), "</div>"]
        parts.append(f"<details><summary>Figures</summary>{_table(report.cells(section, measured))}</details>")
    return "\n".join(parts)


def page(results):
    sections = [_section(section, results[section]) for section in report.COLUMNS if results.get(section)]
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>tflite-serving: ./bench</title><style>{STYLE}</style></head>\n<body><h1>tflite-serving: ./bench</h1>\n"
            f"<p>{html.escape(report.conditions_line(results))}</p>\n" + "\n".join(sections) + "\n</body></html>\n")
