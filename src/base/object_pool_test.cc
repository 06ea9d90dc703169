#include "base/object_pool.h"

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
}

}  // namespace
}  // namespace tflite_serving
