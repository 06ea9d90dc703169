#include "base/worker_pool.h"

#include <atomic>
#include <future>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace tflite_serving
