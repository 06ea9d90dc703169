#include "runtime/run_estimate.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

TEST(RunEstimateTest, KnowsNothingAtFirst) { EXPECT_FALSE(RunEstimate().Expected(1)); }

TEST(RunEstimateTest, ExpectsWhatWas) {
  RunEstimate estimate;
  estimate.Record(microseconds(10), 1000);
  EXPECT_EQ(estimate.Expected(1000), microseconds(10));
  EXPECT_EQ(estimate.Expected(1), microseconds(10)) << "smaller requests are not faster";
}

TEST(RunEstimateTest, LargerRequestsTakeLonger) {
  RunEstimate estimate;
  estimate.Record(microseconds(10), 1000);
  EXPECT_EQ(estimate.Expected(4000), microseconds(40));
}

TEST(RunEstimateTest, TheSizeOfSmallRequestsDoesNotMatter) {
  RunEstimate estimate;
  estimate.Record(microseconds(10), 4);
  EXPECT_EQ(estimate.Expected(512), microseconds(10));
}

TEST(RunEstimateTest, OneInterruptedRunCountsLittleAndAShortOneMuch) {
  RunEstimate estimate;
  estimate.Record(microseconds(8), 1000);
  estimate.Record(microseconds(88), 1000);
  EXPECT_EQ(estimate.Expected(1000), microseconds(18));
  estimate.Record(microseconds(8), 1000);
  EXPECT_EQ(estimate.Expected(1000), microseconds(13));
}

TEST(RunEstimateTest, FollowsALastingChange) {
  RunEstimate estimate;
  estimate.Record(microseconds(8), 1000);
  for (int i = 0; i < 60; ++i) estimate.Record(microseconds(800), 1000);
  EXPECT_GT(*estimate.Expected(1000), microseconds(780));
}

}  // namespace
}  // namespace tflite_serving
