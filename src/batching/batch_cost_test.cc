#include "batching/batch_cost.h"

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

BatchCost CostOf(std::initializer_list<std::pair<int64_t, microseconds>> sizes) {
  BatchCost cost;
  for (const auto& [rows, time] : sizes) cost.Record(rows, time);
  return cost;
}

TEST(BatchCostTest, NothingIsExpectedOfTheUnknown) {
  EXPECT_EQ(BatchCost().Expected(3), nanoseconds(0));
  EXPECT_EQ(BatchCost().BestUpTo(3), 3);
  EXPECT_EQ(BatchCost().BestByWaiting(1, 64, microseconds(1), microseconds(100)), nanoseconds::max());
}

TEST(BatchCostTest, SizesInBetweenLieOnALine) {
  const BatchCost cost = CostOf({{2, microseconds(20)}, {6, microseconds(60)}});
  EXPECT_EQ(cost.Expected(2), microseconds(20));
  EXPECT_EQ(cost.Expected(4), microseconds(40));
  EXPECT_EQ(cost.Expected(1), microseconds(20)) << "a smaller one is hardly cheaper";
  EXPECT_EQ(cost.Expected(12), microseconds(120));
}

TEST(BatchCostTest, ASizeIsItsRecentAverage) {
  BatchCost cost = CostOf({{1, microseconds(100)}});
  cost.Record(1, microseconds(200));
  EXPECT_EQ(cost.Expected(1), microseconds(125));
  for (int i = 0; i < 100; ++i) cost.Record(1, microseconds(200));
  EXPECT_NEAR(static_cast<double>(cost.Expected(1).count()), 200'000, 10);
}

TEST(BatchCostTest, SizesAreBounded) {
  BatchCost cost;
  const auto size = static_cast<int64_t>(BatchCost::kMaxSizes);
  for (int64_t rows = 1; rows <= size; ++rows) cost.Record(rows, microseconds(rows));
  cost.Record(2 * size, microseconds(4 * size));  // twice the time for each row: a quarter of that goes to the largest known
  EXPECT_EQ(cost.Expected(size), microseconds(size) + microseconds(size) / 4);
}

TEST(BatchCostTest, ASmallerSizeIsChosenWhereItSavesATenth) {
  const BatchCost cost = CostOf({{1, microseconds(300)}, {4, microseconds(600)}, {7, microseconds(900)}, {8, microseconds(1500)}});
  EXPECT_EQ(cost.BestUpTo(8), 7);
  EXPECT_EQ(cost.BestUpTo(7), 7);
  EXPECT_EQ(cost.BestUpTo(1), 1);
  EXPECT_EQ(CostOf({{7, microseconds(700)}, {8, microseconds(850)}}).BestUpTo(8), 8) << "not for less than that";
  EXPECT_EQ(CostOf({{3, microseconds(1)}, {8, microseconds(850)}}).BestUpTo(8), 8) << "nor for less than half of them";
}

TEST(BatchCostTest, WaitingCountsAsTime) {
  const BatchCost cost = CostOf({{1, microseconds(300)}, {4, microseconds(600)}, {16, microseconds(1600)}});
  EXPECT_EQ(cost.BestByWaiting(1, 64, microseconds(0), microseconds(0)), microseconds(100));
  EXPECT_EQ(cost.BestByWaiting(1, 64, microseconds(100), microseconds(300)), microseconds(225)) << "three come in time for four";
  EXPECT_EQ(cost.BestByWaiting(1, 64, microseconds(100), microseconds(299)), nanoseconds::max());
  EXPECT_EQ(cost.BestByWaiting(1, 3, microseconds(0), microseconds(0)), nanoseconds::max()) << "no size so small is known";
  EXPECT_EQ(cost.BestByWaiting(16, 64, microseconds(0), microseconds(0)), nanoseconds::max());
}

}  // namespace
}  // namespace tflite_serving
