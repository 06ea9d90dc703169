#include "runtime/timed_runs.h"

#include <array>
#include <atomic>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(TimedRunsTest, EachCallerRunsAtLeastOnce) {
  std::array<std::atomic<int>, 3> calls{};
  const StatusOr<RunTimes> times = TimeRuns(3, std::chrono::nanoseconds(0), [&](int caller) {
    ++calls[static_cast<size_t>(caller)];
    return OkStatus();
  });
  ASSERT_TRUE(times.ok());
  for (const auto& count : calls) EXPECT_EQ(count, 1);
  EXPECT_GT(times->runs_per_second, 0);
}

TEST(TimedRunsTest, AnErrorEndsIt) {
  std::atomic<int> calls = 0;
  const Status status = TimeRuns(1, std::chrono::hours(1), [&](int) { return ++calls == 3 ? InternalError("third") : OkStatus(); }).status();
  EXPECT_EQ(status, InternalError("third"));
  EXPECT_EQ(calls, 3);
}

TEST(TimedRunsTest, WhoWaitsHasNoCore) {
  std::atomic<bool> go = false;
  std::atomic<bool> waits = false;
  // One caller waits in the kernel for the other, which takes processor time once that is so.
  const auto run = [&](int caller) {
    if (caller == 0) {
      waits = true;
      waits.notify_all();
      go.wait(false);
      return OkStatus();
    }
    waits.wait(false);
    for (std::atomic<int> i = 0; i < 5'000'000; ++i) {
    }
    go = true;
    go.notify_all();
    return OkStatus();
  };
  const StatusOr<RunTimes> times = TimeRuns(2, std::chrono::nanoseconds(0), run);
  ASSERT_TRUE(times.ok());
  EXPECT_LT(times->core_share, 0.9);
  EXPECT_GT(times->core_share, 0);
  EXPECT_LE(times->median, times->p99);
}

}  // namespace
}  // namespace tflite_serving
