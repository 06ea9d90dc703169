#include "telemetry/metrics.h"

#include <future>
#include <latch>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread.h"
#include "telemetry/process_metrics.h"

namespace tflite_serving {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::array<uint64_t, 2> kBounds = {1'000'000, 2'000'000};
constexpr MetricFamily kTimes{"times_seconds", MetricType::kHistogram, "Times.", {"who"}, kBounds, 1e9};
constexpr MetricFamily kThings{"things_total", MetricType::kCounter, "Things.", {"who", "how"}};
constexpr MetricFamily kLevel{"level", MetricType::kGauge, "A level."};
constexpr const MetricFamily* kFamilies[] = {&kTimes, &kThings, &kLevel};

TEST(MetricsTest, PageOfAllKinds) {
  Histogram times(kTimes);
  times.Observe(std::chrono::milliseconds(1));  // a bound belongs to its bucket
  times.Observe(std::chrono::nanoseconds(1'000'001));
  times.Observe(std::chrono::milliseconds(7));
  times.Observe(std::chrono::nanoseconds(-5));  // a clock that went back
  MetricsPage page(kFamilies);
  page.Add(kLevel, {}, 0.25);
  page.Add(kThings, {"a", "b"}, 12);
  page.Add(kTimes, {"x"}, times);
  page.Add(kThings, {"a", "c"}, 9007199254740993.0 * 4);
  EXPECT_EQ(page.Text(),
            "# HELP times_seconds Times.\n# TYPE times_seconds histogram\n"
            "times_seconds_bucket{who=\"x\",le=\"0.001\"} 2\n"
            "times_seconds_bucket{who=\"x\",le=\"0.002\"} 3\n"
            "times_seconds_bucket{who=\"x\",le=\"+Inf\"} 4\n"
            "times_seconds_sum{who=\"x\"} 0.009000001\n"
            "times_seconds_count{who=\"x\"} 4\n"
            "# HELP things_total Things.\n# TYPE things_total counter\n"
            "things_total{who=\"a\",how=\"b\"} 12\n"
            "things_total{who=\"a\",how=\"c\"} 3.602879701896397e+16\n"
            "# HELP level A level.\n# TYPE level gauge\n"
            "level 0.25\n");
}

TEST(MetricsTest, SumOfAFamily) {
  MetricsPage page(kFamilies);
  page.Add(kThings, {"a", "b"}, 12);
  page.Add(kThings, {"a", "c"}, 13);
  EXPECT_EQ(page.Sum("things_total"), 25.0);
  EXPECT_EQ(page.Sum("level"), std::nullopt);
  EXPECT_EQ(page.Sum("other"), std::nullopt);
}

TEST(MetricsTest, LabelsCannotForgeASample) {
  MetricsPage page(kFamilies);
  page.Add(kThings, {"\"} 1\nlevel 2", "\\"}, 1);
  EXPECT_THAT(page.Text(), HasSubstr("things_total{who=\"\\\"} 1\\nlevel 2\",how=\"\\\\\"} 1\n"));
}

TEST(MetricsTest, LabelsAreAlwaysUtf8) {
  MetricsPage page(kFamilies);
  page.Add(kThings, {"\xff\xc3", "\xc3\xa9"}, 1);
  EXPECT_THAT(page.Text(), HasSubstr("things_total{who=\"\xEF\xBF\xBD\xEF\xBF\xBD\",how=\"\xc3\xa9\"} 1\n"));
}

TEST(MetricsTest, WhatDoesNotStandOnThePageIsDropped) {
  MetricsPage page(std::span<const MetricFamily* const>(kFamilies).first(1));
  page.Add(kLevel, {}, 1);
  EXPECT_THAT(page.Text(), Not(HasSubstr("level")));
}

// The bounds as the original prints them (published auto-tuners query le="708235").
TEST(MetricsTest, OriginalsBoundsAndBraces) {
  MetricsPage page(metrics::kOriginals);
  page.Add(metrics::kTfRequestLatency, {"m", "Predict", "GRPC"}, Histogram(metrics::kTfRequestLatency));
  page.Add(metrics::kTfGraphRuns, {}, 3);
  const std::string text = page.Text();
  for (const char* bound : {"10", "18", "32.4", "58.32", "104.976", "188.957", "340.122", "708235", "1.27482e+06", "1.47476e+09", "+Inf"}) {
    EXPECT_THAT(text, HasSubstr(std::string(":tensorflow:serving:request_latency_bucket{model_name=\"m\",API=\"Predict\",entrypoint=\"GRPC\",le=\"") +
                                bound + "\"} 0\n"));
  }
  EXPECT_THAT(text, HasSubstr(":tensorflow:core:graph_runs{} 3\n"));
}

TEST(MetricsTest, ThreadsLoseNothing) {
  constexpr int kThreads = 8;
  constexpr int kEach = 10'000;
  Counter counter;
  Histogram sizes(metrics::kBatchRows);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < kEach; ++k) {
          counter.Add();
          sizes.Observe(uint64_t{3});
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), uint64_t{kThreads * kEach});
  EXPECT_EQ(sizes.InBucket(2), uint64_t{kThreads * kEach});  // (2, 4]
  EXPECT_EQ(sizes.sum(), uint64_t{3 * kThreads * kEach});
}

TEST(MetricsTest, CellsMayFall) {
  ShardedCells cells(9);
  std::jthread([&] { cells.Add(8, 1); }).join();
  cells.Add(8, ~uint64_t{0});
  EXPECT_EQ(cells.Sum(8), 0u);
}

TEST(MetricsTest, LazilyIsMadeOnce) {
  Lazily<Histogram> lazy;
  EXPECT_EQ(lazy.Peek(), nullptr);
  Histogram* const first = &lazy.Get(kTimes);
  EXPECT_EQ(&lazy.Get(kTimes), first);
  EXPECT_EQ(lazy.Peek(), first);
}

// As `promtool check metrics` wants ours: a unit, "_total" on counters alone, no colons; and every name once.
TEST(MetricsTest, NamesFollowTheRules) {
  std::set<std::string_view> names;
  for (const MetricFamily* family : metrics::kOurs) {
    EXPECT_TRUE(names.insert(family->name).second) << family->name;
    EXPECT_EQ(family->name.ends_with("_total"), family->type == MetricType::kCounter) << family->name;
    EXPECT_EQ(family->name.find(':'), std::string_view::npos) << family->name;
    EXPECT_FALSE(family->help.empty()) << family->name;
  }
  for (const MetricFamily* family : metrics::kOriginals) {
    EXPECT_TRUE(names.insert(family->name).second) << family->name;
    EXPECT_TRUE(family->name.starts_with(":tensorflow:")) << family->name;
  }
}

TEST(ProcessMetricsTest, ParsesALineWithAnAwkwardName) {
  const auto stat = ParseProcessStat("4321 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 7 0 5678 1048576 99 18446744073709551615 1 1 0\n");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->name, "a) b (c");
  EXPECT_EQ(stat->user_ticks, 12u);
  EXPECT_EQ(stat->system_ticks, 34u);
  EXPECT_EQ(stat->num_threads, 7u);
  EXPECT_EQ(stat->start_ticks, 5678u);
  EXPECT_EQ(stat->virtual_bytes, 1048576u);
  EXPECT_EQ(stat->resident_pages, 99u);
}

TEST(ProcessMetricsTest, RefusesOtherText) {
  for (const char* text : {"", "1 (a", "1 (a)", "1 )a( S 1 2 3", "1 (a) S 1 1 1 0 -1 2 3 4"}) EXPECT_FALSE(ParseProcessStat(text)) << text;
}

TEST(ProcessMetricsTest, OfThisProcess) {
  MetricsPage page(metrics::kOurs);
  CollectProcessMetrics(page);
  for (const char* name : {"process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_virtual_memory_bytes ", "process_open_fds ",
                           "process_max_fds ", "process_start_time_seconds 1", "process_threads "}) {
    EXPECT_THAT(page.Text(), HasSubstr(std::string("\n") + name));
  }
}

TEST(ProcessMetricsTest, ThreadsByName) {
  std::promise<void> gate;
  std::shared_future<void> open = gate.get_future().share();
  std::latch running(3);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.push_back(StartThread("metrics_test", [&running, open] {
      running.count_down();
      open.wait();
    }));
  }
  running.wait();
  const auto times = ReadThreadTimes();
  gate.set_value();
  ASSERT_TRUE(times.contains("metrics_test"));
  EXPECT_EQ(times.find("metrics_test")->second.count, 3);
}

}  // namespace
}  // namespace tflite_serving
