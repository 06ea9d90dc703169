#include "base/object_pool.h"

#include <atomic>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(ObjectPoolTest, HandsOutTheLastReturnedObjectWithItsMemory) {
  ObjectPool<std::vector<int>> pool(1);
  auto first = pool.Take();
  first->reserve(100);
  const auto* const memory = first.get();
  pool.GiveBack(std::move(first));
  auto again = pool.Take();
  EXPECT_EQ(again.get(), memory);
  EXPECT_GE(again->capacity(), 100u);
  pool.GiveBack(std::move(again));
}

TEST(ObjectPoolTest, KeepsNoMoreThanItsBound) {
  ObjectPool<std::vector<int>> pool(1);
  auto a = pool.Take();
  auto b = pool.Take();
  const auto* const kept = a.get();
  pool.GiveBack(std::move(a));
  pool.GiveBack(std::move(b));
  auto first = pool.Take();
  auto second = pool.Take();
  EXPECT_EQ(first.get(), kept);
  EXPECT_EQ(second->capacity(), 0u) << "the second object is a new one";
  pool.GiveBack(std::move(first));
  pool.GiveBack(std::move(second));
}

TEST(ObjectPoolTest, ItsEndWaitsForWhatIsOut) {
  std::atomic<bool> given_back = false;
  std::jthread user;
  {
    ObjectPool<std::vector<int>> pool(1);
    std::promise<void> ending;
    user = std::jthread([&, object = pool.Take(), begun = ending.get_future()]() mutable {
      begun.wait();
      given_back = true;
      pool.GiveBack(std::move(object));
    });
    ending.set_value();
  }
  EXPECT_TRUE(given_back);
}

}  // namespace
}  // namespace tflite_serving
