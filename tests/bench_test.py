#!/usr/bin/env python3
"""Tests of what ./bench computes: the ideal queue, comparisons, charts, what perf and /proc say. What it measures is seen by running it."""

import itertools
import os
import pathlib
import sys
import unittest
import xml.dom.minidom
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "benchmarks"))
import compare  # noqa: E402
import ideal_queue  # noqa: E402
import placement  # noqa: E402
import process_figures  # noqa: E402
import report  # noqa: E402
import svg_charts  # noqa: E402
import turns  # noqa: E402
from svg_charts import Bar, Series  # noqa: E402


class IdealQueue(unittest.TestCase):
    def test_one_server_makes_those_wait_that_come_meanwhile(self):
        self.assertEqual(ideal_queue.latencies([0, 1, 10], [4], 1), [4, 7, 4] * ideal_queue.REPETITIONS)

    def test_a_second_server_takes_the_second(self):
        self.assertEqual(ideal_queue.latencies([0, 1, 2], [4], 2), [4, 4, 6] * ideal_queue.REPETITIONS)

    def test_service_times_are_those_measured(self):
        self.assertEqual(set(ideal_queue.latencies(range(0, 1000, 10), [1, 2], 1)), {1, 2})


class Order(unittest.TestCase):
    def test_each_comes_before_each_and_each_is_the_first(self):
        orders = [turns.in_turn(("a", "b", "c"), number) for number in range(6)]
        self.assertEqual(orders[:4], [("a", "b", "c"), ("c", "b", "a"), ("b", "c", "a"), ("a", "c", "b")])
        for one, other in itertools.permutations("abc", 2):
            self.assertEqual(sum(order.index(one) < order.index(other) for order in orders), 3)
        self.assertEqual({order[0] for order in orders}, set("abc"))


def row(clients, rate, **more):
    return {"model": "m", "server": "this", "protocol": "gRPC", "clients": clients, "items_per_s": rate,
            "latency_ms": {"99": 2.0, "99.9": 3.0}, "cpu_us": 10, **more}


class Reports(unittest.TestCase):
    def test_a_value_is_found_by_its_path(self):
        self.assertEqual(report.value(row(1, 1), "latency_ms.99.9"), 3.0)
        self.assertIsNone(report.value(row(1, 1), "ideal_latency_ms.99"))

    def test_a_table_leaves_out_columns_that_nobody_has_and_cells_that_one_lacks(self):
        text = report.markdown(report.cells("sweep", [row(1, 1000), row(2, 2000, instructions=5)]))
        self.assertEqual(len(set(map(len, text.splitlines()))), 1)
        self.assertIn("1,000.0", text)
        self.assertIn("instructions/item", text)
        self.assertNotIn("refused", text)

    def test_a_refused_row_is_told_once_for_each_server(self):
        rows = [{"model": "m", "server": "s", "protocol": p, "clients": 1, "refused": "no"} for p in ("a", "b")]
        self.assertEqual(report.refusals(rows), ["m, s: not measured; the server said: no"])

    def test_rows_are_compared_with_their_like(self):
        before = compare.by_key("sweep", [row(1, 1000), row(2, 1)])
        after = compare.by_key("sweep", [row(4, 1), row(1, 1500)])
        columns = {title: texts for title, _, texts in compare.columns("sweep", before, after)}
        self.assertEqual(columns["clients"], ["1"])
        self.assertEqual((columns["items/s: A"], columns["B/A (more is better)"]), (["1,000.0"], ["1.500"]))


class Charts(unittest.TestCase):
    def test_charts_are_well_formed_and_say_each_value(self):
        lines = svg_charts.line_chart("a < b", "x", "y", [(0, "one"), (1, "two")],
                                      [Series("s & t", 0, [(0, 5), (1, 5000)], False), Series("ideal", 1, [(0, 1), (1, 2)], True)], log_y=True)
        bars = svg_charts.bar_chart("a", "us", ("user", "system"), "bare", [Bar("one", (3, 4), 5), Bar("two", (0, 0), None)])
        titles = [node.firstChild.data for node in xml.dom.minidom.parseString(lines).getElementsByTagName("title")]
        self.assertIn("s & t, two: 5,000", titles)
        self.assertIn("one, system: 4 us", bars)
        xml.dom.minidom.parseString(bars)

    def test_points_stay_within_the_chart(self):
        for values in ([0.001, 70000], [3, 3], [1e-9, 1]):
            for log_y in (False, True):
                chart = xml.dom.minidom.parseString(
                    svg_charts.line_chart("", "", "", [(0, ""), (1, "")], [Series("", 0, list(enumerate(values)), False)], log_y))
                heights = [float(circle.getAttribute("cy")) for circle in chart.getElementsByTagName("circle")]
                self.assertGreaterEqual(min(heights), svg_charts.TOP)
                self.assertLessEqual(max(heights), svg_charts.HEIGHT - svg_charts.BOTTOM)


class Processes(unittest.TestCase):
    def test_instructions_are_read_from_perf(self):
        for line, expected in (("12345,,instructions,1000,100.00,,", 12345), ("12,,instructions:u,1000,100.00,,", 12),
                               ("<not supported>,,instructions,0,100.00,,", None), ("", None)):
            self.assertEqual(process_figures.count_in(f"# started on Mon\n\n{line}\n"), expected)

    def test_what_a_process_used_is_more_than_nothing(self):
        pids = process_figures.with_children(os.getpid())
        self.assertEqual(pids[0], os.getpid())
        self.assertGreater(process_figures.peak_rss_mib(pids[:1]), 1)
        self.assertGreater(process_figures.pss_mib(pids[0])["Pss"], 1)
        self.assertGreaterEqual(process_figures.cpu_time(pids[:1]).user_s, 0)


class Placement(unittest.TestCase):
    def test_cores_are_divided_where_there_are_several(self):
        for usable, server, load in (({0}, [0], [0]), ({0, 1}, [0], [1]), ({0, 1, 2}, [0, 1], [2]), ({4, 5, 6, 7}, [4, 5, 6], [7]),
                                     (set(range(16)), list(range(12)), [12, 13, 14, 15])):
            with mock.patch("os.sched_getaffinity", return_value=usable):
                self.assertEqual(placement.divide(), (server, load))


if __name__ == "__main__":
    unittest.main()
