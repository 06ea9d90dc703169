#include "server/server_metrics.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;
using testing::HasSubstr;

TEST(SaturationTest, IsTheShareOfTheWindow) {
  Saturation saturation;
  const TimePoint start{seconds(100)};
  const auto of_worker = [&](int after, nanoseconds busy) { return saturation.Of("worker", 2, seconds(40) + busy, start + seconds(after)); };
  EXPECT_EQ(of_worker(0, seconds(0)), 0.0);  // nothing to compare with
  EXPECT_EQ(of_worker(2, seconds(3)), 0.75);
  EXPECT_EQ(of_worker(4, seconds(4)), 0.5);
  EXPECT_EQ(of_worker(4, seconds(4)), 0.5);       // another scraper
  EXPECT_EQ(of_worker(14, seconds(4)), 0.0);      // since second 4
  EXPECT_EQ(of_worker(20, seconds(10)), 0.1875);  // since second 4 still: the next question is 6 s old
  EXPECT_EQ(of_worker(24, seconds(99)), 1.0);
  EXPECT_EQ(saturation.Of("batch", 0, nanoseconds(0), start), 0.0);
  EXPECT_EQ(saturation.Of("batch", 0, nanoseconds(0), start + seconds(9)), 0.0);
}

TEST(PoolMetricsTest, OfAPool) {
  Saturation saturation;
  MetricsPage page(metrics::kOurs);
  CollectPool("worker", {.num_threads = 2, .num_queued = 3, .oldest = milliseconds(1500)}, TimePoint{}, saturation, page);
  const std::string text = page.Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_pool_threads{pool=\"worker\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_pool_saturation_ratio{pool=\"worker\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_queue_depth{pool=\"worker\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_queue_age_seconds{pool=\"worker\"} 1.5\n"));
}

}  // namespace
}  // namespace tflite_serving
