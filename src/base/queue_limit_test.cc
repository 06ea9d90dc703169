#include "base/queue_limit.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr size_t kMany = 1000;
constexpr milliseconds kMaxWait(800);

struct QueueLimitTest : ::testing::Test {
  bool Refuses(int wait_ms, size_t num_queued = kMany) {
    const bool may_refuse = limit.may_refuse(num_queued);
    const bool refuses = limit.Refuses(num_queued, milliseconds(wait_ms), now);
    EXPECT_TRUE(may_refuse || !refuses);
    return refuses;
  }

  QueueLimit limit{kMaxWait, 2};
  TimePoint now{seconds(1)};
};

TEST_F(QueueLimitTest, RefusesWhatWouldWaitTooLong) {
  EXPECT_FALSE(Refuses(800));
  EXPECT_TRUE(Refuses(801));
}

TEST_F(QueueLimitTest, LetsNoLongQueueStandInOverload) {
  EXPECT_FALSE(Refuses(300)) << "a burst";
  EXPECT_FALSE(limit.may_refuse(QueueLimit::kAlwaysQueued));
  EXPECT_TRUE(Refuses(801));
  EXPECT_TRUE(Refuses(300));
  EXPECT_TRUE(Refuses(201));
  EXPECT_FALSE(Refuses(200));
  EXPECT_FALSE(Refuses(100));
  EXPECT_TRUE(Refuses(300)) << "it has not been short yet";
  EXPECT_FALSE(Refuses(99));
  EXPECT_FALSE(Refuses(300));
}

TEST_F(QueueLimitTest, TriesLongQueuesAgainAfterAWhile) {
  EXPECT_TRUE(Refuses(801));
  now += 60 * kMaxWait;
  EXPECT_TRUE(Refuses(300));
  now += nanoseconds(1);
  EXPECT_FALSE(Refuses(300));
  EXPECT_TRUE(Refuses(801));
  EXPECT_TRUE(Refuses(300));
}

TEST_F(QueueLimitTest, QueuesSomeForEachThreadHoweverLongTheyTake) {
  EXPECT_FALSE(Refuses(5000, 2 * QueueLimit::kAlwaysQueued - 1));
  EXPECT_FALSE(Refuses(300)) << "nothing has been refused";
  EXPECT_TRUE(Refuses(5000, 2 * QueueLimit::kAlwaysQueued));
}

TEST(UnlimitedQueueTest, RefusesNothing) {
  QueueLimit limit(nanoseconds::max(), 1);
  for (const TimePoint now : {TimePoint(), TimePoint(seconds(1)), TimePoint::max()})
    EXPECT_FALSE(limit.Refuses(kMany, std::chrono::hours(1000), now));
}

}  // namespace
}  // namespace tflite_serving
