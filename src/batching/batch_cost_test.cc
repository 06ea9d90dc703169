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
  EXPECT_EQ(BatchCost().BestUpTo(3, microseconds(1)), 3);
}

TEST(BatchCostTest, SizesInBetweenLieOnALine) {
  const BatchCost cost = CostOf({{2, microseconds(20)}, {6, microseconds(60)}});
  EXPECT_EQ(cost.Expected(2), microseconds(20));
  EXPECT_EQ(cost.Expected(4), microseconds(40));
  EXPECT_EQ(cost.Expected(1), microseconds(20)) << "a smaller one is hardly cheaper";
  EXPECT_EQ(cost.Expected(12), microseconds(120));
}

TEST(BatchCostTest, ASizeIsItsRecentAverage) {
  BatchCost cost = CostOf({{1, microseconds(80)}});
  cost.Record(1, microseconds(160));
  EXPECT_EQ(cost.Expected(1), microseconds(90)) << "held up";
  cost.Record(1, microseconds(50));
  EXPECT_EQ(cost.Expected(1), microseconds(70));
  for (int i = 0; i < 100; ++i) cost.Record(1, microseconds(200));
  EXPECT_NEAR(static_cast<double>(cost.Expected(1).count()), 200'000, 10);
}

TEST(BatchCostTest, SizesAreBounded) {
  BatchCost cost;
  const auto size = static_cast<int64_t>(BatchCost::kMaxSizes);
  for (int64_t rows = 1; rows <= size; ++rows) cost.Record(rows, microseconds(rows));
  cost.Record(2 * size, microseconds(4 * size));  // twice the time for each row: an eighth of that goes to the largest known
  EXPECT_EQ(cost.Expected(size), microseconds(size) + microseconds(size) / 8);
}

TEST(BatchCostTest, ASmallerSizeIsChosenWhereItSavesATenth) {
  const BatchCost cost = CostOf({{1, microseconds(300)}, {4, microseconds(600)}, {7, microseconds(900)}, {8, microseconds(1500)}});
  EXPECT_EQ(cost.BestUpTo(8, microseconds(1500)), 7);
  EXPECT_EQ(cost.BestUpTo(7, microseconds(900)), 7);
  EXPECT_EQ(cost.BestUpTo(1, microseconds(300)), 1);
  EXPECT_EQ(CostOf({{7, microseconds(700)}}).BestUpTo(8, microseconds(850)), 8) << "not for less than that";
  EXPECT_EQ(CostOf({{3, microseconds(1)}}).BestUpTo(8, microseconds(850)), 8) << "nor for less than half of them";
}

}  // namespace
}  // namespace tflite_serving
