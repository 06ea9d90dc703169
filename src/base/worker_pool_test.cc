#include "base/worker_pool.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/queue_limit.h"

namespace tflite_serving {
namespace {

TEST(WorkerPoolTest, RunsEverythingThatItAccepted) {
  std::atomic<int> count = 0;
  {
    WorkerPool pool("test", 3, 1000);
    for (int i = 0; i < 100; ++i) {
      std::function<void()> task = [&count] { ++count; };
      ASSERT_TRUE(pool.TrySubmit(task));
    }
  }
  EXPECT_EQ(count, 100);
}

TEST(WorkerPoolTest, RefusesOnePastItsBound) {
  std::promise<void> started;
  std::promise<void> gate;
  WorkerPool pool("test", 1, 2);
  std::function<void()> blocker = [&] {
    started.set_value();
    gate.get_future().wait();
  };
  ASSERT_TRUE(pool.TrySubmit(blocker));
  started.get_future().wait();  // the only thread is busy: what follows waits
  for (int i = 0; i < 2; ++i) {
    std::function<void()> task = [] {};
    EXPECT_TRUE(pool.TrySubmit(task));
  }
  std::function<void()> refused = [] {};
  EXPECT_FALSE(pool.TrySubmit(refused));
  EXPECT_TRUE(refused != nullptr) << "a refused task stays the caller's";
  gate.set_value();
}

// One thread that is busy from Close until OpenAndFinish.
class BusyPoolTest : public testing::Test {
 protected:
  void Start(const WorkerPoolOptions& options) {
    pool_.emplace("test", options);
    Close();
  }
  void Close(std::string_view flow = {}) {
    ASSERT_TRUE(Submit(
        [this] {
          busy_.set_value();
          gate_.get_future().wait();
        },
        flow));
    busy_.get_future().wait();
  }
  bool Submit(std::function<void()> task, std::string_view flow = {}) { return pool_->TrySubmit(task, flow); }
  void OpenAndFinish() {
    gate_.set_value();
    pool_->Stop();
  }

  std::promise<void> busy_;
  std::promise<void> gate_;
  std::string order_;
  std::optional<WorkerPool> pool_;
};

TEST_F(BusyPoolTest, AFlowThatAsksForMuchWaitsForItself) {
  Start({.num_threads = 1, .max_queued = 100});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Submit([this] { order_ += 'h'; }, "hot"));
  ASSERT_TRUE(Submit([this] { order_ += 'c'; }, "calm"));
  OpenAndFinish();
  EXPECT_EQ(order_.size(), 51u);
  EXPECT_LE(order_.find('c'), 1u) << order_;
}

TEST_F(BusyPoolTest, TimeIsSharedAndNotTurns) {
  class TaskClock : public Clock {
   public:
    TimePoint Now() const override { return now; }
    TimePoint now;
  } clock;  // the only thread's: nobody else asks
  Start({.num_threads = 1, .max_queued = 100, .clock = &clock});
  const auto submit = [&](int count, char letter, std::chrono::seconds time, std::string_view flow) {
    const auto task = [this, &clock, letter, time] {
      order_ += letter;
      clock.now += time;
    };
    for (int i = 0; i < count; ++i) ASSERT_TRUE(Submit(task, flow));
  };
  submit(4, 's', std::chrono::seconds(3), "slow");
  submit(9, 'f', std::chrono::seconds(1), "fast");
  OpenAndFinish();
  EXPECT_EQ(order_, "sfffsfffsfffs");
}

TEST_F(BusyPoolTest, WhatWouldWaitTooLongIsRefused) {
  class TaskClock : public Clock {
   public:
    TimePoint Now() const override { return TimePoint(std::chrono::seconds(ticks++)); }  // every task takes a second
    mutable std::atomic<int> ticks = 0;
  } clock;
  pool_.emplace("test", WorkerPoolOptions{.num_threads = 1, .max_queued = 100, .max_wait = std::chrono::seconds(2), .clock = &clock});
  std::counting_semaphore<> done(0);
  for (int i = 0; i < 100; ++i) {  // until that is known
    ASSERT_TRUE(Submit([&done] { done.release(); }, "m"));
    done.acquire();
  }
  Close("m");
  int accepted = 0;
  while (Submit([] {}, "m")) ++accepted;
  EXPECT_EQ(accepted, static_cast<int>(QueueLimit::kAlwaysQueued)) << "which would take 16 s";
  EXPECT_TRUE(pool_->WouldRefuse("m"));
  EXPECT_FALSE(pool_->WouldRefuse("another"));
  EXPECT_TRUE(Submit([] {}, "another")) << "nobody of its own is before it";
  OpenAndFinish();
}

TEST(WorkerPoolTest, ForgetsIdleFlows) {
  WorkerPool pool("test", 2, 100000);
  std::atomic<int> count = 0;
  const size_t flows = 3 * WorkerPool::kMaxIdleFlows;
  for (size_t i = 0; i < flows; ++i) {
    std::function<void()> task = [&count] { ++count; };
    ASSERT_TRUE(pool.TrySubmit(task, std::to_string(i)));
  }
  pool.Stop();
  EXPECT_EQ(static_cast<size_t>(count), flows);
}

}  // namespace
}  // namespace tflite_serving
