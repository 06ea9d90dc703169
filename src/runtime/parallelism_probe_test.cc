#include "runtime/parallelism_probe.h"

#include <string>

#include <gtest/gtest.h>

#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

TEST(ParallelismProbeTest, NothingIsMeasuredWhereThereIsNothingToChoose) {
  const ParallelismTrial one_core = TryParallelism(*OpenTestModel("digits"), 1);
  EXPECT_EQ(one_core.one_run.count(), 0);
  EXPECT_TRUE(one_core.measured.empty());
  const ParallelismTrial stateful = TryParallelism(*OpenTestModel("stateful"), 4);
  EXPECT_EQ(stateful.cpus, 4);
  EXPECT_EQ(stateful.one_run.count(), 0);
  EXPECT_TRUE(stateful.measured.empty());
}

// However fast this machine is: a prefix of the candidates if the model is slow here, and nothing if it is fast.
TEST(ParallelismProbeTest, WhatIsMeasuredAreTheCandidatesInTheirOrder) {
  for (const std::string name : {"half_plus_two", "digits", "multi_signature", "string_cube", "while_loop", "examples/dense"}) {
    int turns = 0;
    const ParallelismTrial trial = TryParallelism(*OpenTestModel(name), 4, [&turns] { ++turns; });
    const std::vector<Parallelism> candidates = ParallelismCandidates(4);
    EXPECT_GT(trial.one_run.count(), 0) << name;
    EXPECT_TRUE(trial.one_run > kInlineTime || trial.measured.empty()) << name;
    EXPECT_EQ(turns, trial.one_run > kInlineTime ? 1 : 0) << name;
    ASSERT_LE(trial.measured.size(), candidates.size()) << name;
    for (size_t i = 0; i < trial.measured.size(); ++i) {
      EXPECT_EQ(trial.measured[i].parallelism, candidates[i]) << name;
      EXPECT_GT(trial.measured[i].runs_per_second, 0) << name;
      EXPECT_GT(trial.measured[i].core_share, 0) << name;
    }
  }
}

}  // namespace
}  // namespace tflite_serving
