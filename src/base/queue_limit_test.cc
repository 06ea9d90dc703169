#include "base/queue_limit.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr size_t kMany = 1000;

TEST(QueueLimitTest, RefusesWhatWouldWaitTooLong) {
  QueueLimit limit(milliseconds(800), 1);
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(800)));
  EXPECT_TRUE(limit.Refuses(kMany, milliseconds(801)));
}

TEST(QueueLimitTest, LetsNoLongQueueStandInOverload) {
  QueueLimit limit(milliseconds(800), 1);
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(300))) << "a burst";
  EXPECT_TRUE(limit.Refuses(kMany, milliseconds(801)));
  EXPECT_TRUE(limit.Refuses(kMany, milliseconds(300)));
  EXPECT_TRUE(limit.Refuses(kMany, milliseconds(201)));
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(200)));
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(100)));
  EXPECT_TRUE(limit.Refuses(kMany, milliseconds(300))) << "it has not been short yet";
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(99)));
  EXPECT_FALSE(limit.Refuses(kMany, milliseconds(300)));
}

TEST(QueueLimitTest, QueuesSomeForEachThreadHoweverLongTheyTake) {
  QueueLimit limit(milliseconds(800), 2);
  EXPECT_FALSE(limit.Refuses(2 * QueueLimit::kAlwaysQueued - 1, milliseconds(5000)));
  EXPECT_TRUE(limit.Refuses(2 * QueueLimit::kAlwaysQueued, milliseconds(5000)));
}

TEST(QueueLimitTest, MayBeWithoutLimit) {
  QueueLimit limit(nanoseconds::max(), 1);
  EXPECT_FALSE(limit.Refuses(kMany, std::chrono::hours(1000)));
}

}  // namespace
}  // namespace tflite_serving
