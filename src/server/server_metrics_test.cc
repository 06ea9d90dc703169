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
using testing::Not;

TEST(SaturationTest, IsTheShareSinceTheScrapeBefore) {
  Saturation saturation;
  const TimePoint start{seconds(100)};
  EXPECT_EQ(saturation.Of("worker", 2, seconds(40), start), 0.0);  // nothing to compare with
  EXPECT_EQ(saturation.Of("worker", 2, seconds(43), start + seconds(2)), 0.75);
  EXPECT_EQ(saturation.Of("worker", 2, seconds(44), start + milliseconds(2999)), 0.75);  // too soon
  EXPECT_EQ(saturation.Of("worker", 2, seconds(43), start + seconds(4)), 0.0);
  EXPECT_EQ(saturation.Of("worker", 2, seconds(99), start + seconds(5)), 1.0);
  EXPECT_EQ(saturation.Of("batch", 0, nanoseconds(0), start), 0.0);
  EXPECT_EQ(saturation.Of("batch", 0, nanoseconds(0), start + seconds(9)), 0.0);
}

TEST(LoadMetricsTest, CountsByModelAndOutcome) {
  LoadMetrics loads;
  StatusOr<ServableHandle> outcome = NotFoundError("no file");
  const ServableLoader loader =
      loads.Counting([&](const ServableId&, const std::string&, const LoadOptions&, const Cancellation&) { return outcome; });
  const Cancellation stop;
  const std::pair<ServableId, std::string> versions[] = {{{"m", 3}, "/models/m/3/model.tflite"}, {{"m", 4}, "/models/m/4"}, {{"n", 1}, "/n.tflite"}};
  for (const auto& [id, path] : versions) EXPECT_FALSE(loader(id, path, {}, stop).ok());
  outcome = ServableHandle();
  EXPECT_TRUE(loader({"m", 4}, "/models/m/4", {}, stop).ok());

  MetricsPage page(metrics::kAll);
  loads.Collect(std::vector<std::string>{"m"}, page);
  const std::string text = page.Text();
  EXPECT_THAT(text, HasSubstr("tflite_serving_model_loads_total{model=\"m\",code=\"OK\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_model_loads_total{model=\"m\",code=\"NOT_FOUND\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("tflite_serving_model_load_duration_seconds_count{model=\"m\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/models/m\",status=\"success\"} 1\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:cc:saved_model:load_attempt_count{model_path=\"/models/m\",status=\"fail\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(":tensorflow:core:graph_build_calls{} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("\"n\"")));  // not configured
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
