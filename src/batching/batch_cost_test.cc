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
  EXPECT_EQ(BatchCost().BestUpTo(3, 3), 3);
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
  cost.Record(1, microseconds(60));
  EXPECT_EQ(cost.Expected(1), microseconds(70));
  cost.Record(1, microseconds(5000));
  EXPECT_NEAR(static_cast<double>(cost.Expected(1).count()), 93'333, 1) << "held up: as 140";
  for (int i = 0; i < 100; ++i) cost.Record(1, microseconds(200));
  EXPECT_NEAR(static_cast<double>(cost.Expected(1).count()), 200'000, 10);
}

TEST(BatchCostTest, ASizeThatRunsOftenSeemsNoQuicker) {
  BatchCost cost = CostOf({{1, microseconds(100)}});
  for (int i = 0; i < 1000; ++i) {
    cost.Record(1, microseconds(80));
    cost.Record(1, microseconds(120));
    ASSERT_NEAR(static_cast<double>(cost.Expected(1).count()), 100'000, 10'000);
  }
}

TEST(BatchCostTest, SizesAreBounded) {
  BatchCost cost;
  const auto size = static_cast<int64_t>(BatchCost::kMaxSizes);
  for (int64_t rows = 1; rows <= size; ++rows) cost.Record(rows, microseconds(rows));
  cost.Record(2 * size, microseconds(4 * size));  // twice the time for each row, counted for the largest known
  EXPECT_EQ(cost.Expected(size), microseconds(size) * 3 / 2);
}

TEST(BatchCostTest, ASmallerSizeIsChosenWhereItSavesATenth) {
  BatchCost cost = CostOf({{1, microseconds(300)}, {4, microseconds(600)}, {7, microseconds(900)}, {8, microseconds(1500)}});
  EXPECT_EQ(cost.BestUpTo(8, 8), 8) << "which is not known after one run";
  for (int i = 0; i < 7; ++i) cost.Record(7, microseconds(900));
  EXPECT_EQ(cost.BestUpTo(8, 8), 7);
  EXPECT_EQ(cost.BestUpTo(7, 7), 7);
  EXPECT_EQ(cost.BestUpTo(7, 8), 7);
  EXPECT_EQ(cost.BestUpTo(1, 1), 1);
  for (int i = 0; i < 100; ++i) cost.Record(8, microseconds(1140));
  EXPECT_EQ(cost.BestUpTo(8, 8), 8) << "not for less than that";
  EXPECT_EQ(CostOf({{3, microseconds(1)}, {8, microseconds(850)}}).BestUpTo(8, 8), 8) << "nor for less than half of them";
}

TEST(BatchCostTest, ABatchThatSavesLittleIsNone) {
  BatchCost cost = CostOf({{1, microseconds(100)}, {4, microseconds(400)}, {8, microseconds(730)}});
  EXPECT_EQ(cost.BestUpTo(8, 8), 1);
  EXPECT_EQ(cost.BestUpTo(4, 4), 1);
  EXPECT_EQ(cost.BestUpTo(7, 8), 1) << "though all seven would run as eight";
  EXPECT_EQ(cost.BestUpTo(20, 20), 1) << "nor do twenty, by all that is known";
  EXPECT_EQ(cost.BestUpTo(20, 32), 20) << "unless they run as others do";
  EXPECT_EQ(CostOf({{1, microseconds(100)}}).BestUpTo(2, 2), 2) << "since nobody knows";
  for (int i = 0; i < 100; ++i) cost.Record(4, microseconds(300));
  EXPECT_EQ(cost.BestUpTo(8, 8), 4) << "which does save a quarter";
}

TEST(BatchCostTest, LargerBatchesAreTriedByAndBy) {
  EXPECT_EQ(BatchCost().Trial(64), 64);
  BatchCost cost = CostOf({{1, microseconds(100)}});
  EXPECT_EQ(cost.Trial(64), 8);
  EXPECT_EQ(cost.BestUpTo(64, 64), 8);
  cost.Record(8, microseconds(750));
  EXPECT_EQ(cost.Trial(64), 8) << "which saved nothing";
  EXPECT_EQ(cost.BestUpTo(64, 64), 1);
  for (int i = 0; i < 100; ++i) cost.Record(8, microseconds(500));
  EXPECT_EQ(cost.Trial(64), 64);
  EXPECT_EQ(cost.Trial(65), 64);
  EXPECT_EQ(cost.BestUpTo(64, 64), 64);
  cost.Record(64, microseconds(6300));
  EXPECT_EQ(cost.Trial(64), 64) << "has run";
  EXPECT_EQ(cost.Trial(600), 64);
}

}  // namespace
}  // namespace tflite_serving
