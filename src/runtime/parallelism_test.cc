#include "runtime/parallelism.h"

#include <initializer_list>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;
using Measured = ParallelismTrial::Measured;

constexpr std::chrono::milliseconds kSlow{5};

Parallelism Of(int interpreters, int threads) { return {.interpreters = interpreters, .threads = threads}; }

ParallelismTrial Trial(int cpus, std::vector<Measured> measured) { return {.cpus = cpus, .one_run = kSlow, .measured = std::move(measured)}; }

// On two cores: runs per second of two interpreters, of one, and of one with two threads.
std::string ChooseOfTwo(double two, double one, double threads) {
  return ChooseParallelism(Trial(2, {{Of(2, 1), two, 1}, {Of(1, 1), one, 1}, {Of(1, 2), threads, 1}})).ToString();
}

TEST(ParallelismTest, CandidatesNeverTakeMoreThanTheCores) {
  EXPECT_THAT(ParallelismCandidates(1), ElementsAre(Of(1, 1)));
  EXPECT_THAT(ParallelismCandidates(2), ElementsAre(Of(2, 1), Of(1, 1), Of(1, 2)));
  EXPECT_THAT(ParallelismCandidates(6), ElementsAre(Of(6, 1), Of(4, 1), Of(2, 1), Of(1, 1), Of(3, 2), Of(1, 4), Of(1, 6)));
  EXPECT_THAT(ParallelismCandidates(8), ElementsAre(Of(8, 1), Of(4, 1), Of(2, 1), Of(1, 1), Of(4, 2), Of(2, 4), Of(1, 8)));
  for (int cpus = 1; cpus < 200; ++cpus) {
    for (const Parallelism& one : ParallelismCandidates(cpus)) {
      EXPECT_GE(one.interpreters, 1) << cpus;
      EXPECT_LE(one.interpreters * one.threads, cpus);
    }
  }
}

TEST(ParallelismTest, ThroughputComesFirst) {
  EXPECT_EQ(ChooseOfTwo(285, 143, 240), "2 interpreters of 1 thread (auto: 285 runs/s; 1 of 1: 143, 1 of 2: 240)");
  EXPECT_EQ(ChooseOfTwo(6038, 2902, 7111), "1 interpreter of 2 threads (auto: 7111 runs/s; 2 of 1: 6038, 1 of 1: 2902)");
  EXPECT_EQ(ChooseOfTwo(3.25, 1.5, 2), "2 interpreters of 1 thread (auto: 3.25 runs/s; 1 of 1: 1.5, 1 of 2: 2)");
}

TEST(ParallelismTest, WhatIsNearlyAsGoodTakesLessMemory) {
  EXPECT_THAT(ChooseOfTwo(1000, 949, 900), StartsWith("2 interpreters of 1 thread"));
  EXPECT_THAT(ChooseOfTwo(1000, 950, 900), StartsWith("1 interpreter of 1 thread"));
  EXPECT_THAT(ChooseOfTwo(1000, 1000, 1000), StartsWith("1 interpreter of 1 thread"));
}

TEST(ParallelismTest, ThreadsHaveToPay) {
  EXPECT_THAT(ChooseOfTwo(1000, 500, 1000), StartsWith("2 interpreters of 1 thread"));
  EXPECT_THAT(ChooseOfTwo(1000, 500, 1099), StartsWith("2 interpreters of 1 thread"));
  EXPECT_THAT(ChooseOfTwo(1000, 500, 1101), StartsWith("1 interpreter of 2 threads"));
  EXPECT_THAT(ChooseOfTwo(1000, 1200, 1300), StartsWith("1 interpreter of 1 thread"));  // against the best with one thread
}

TEST(ParallelismTest, NoMoreThreadsThanPay) {
  const auto choose = [](double two, double four) {
    return ChooseParallelism(Trial(4, {{Of(4, 1), 100, 1}, {Of(2, 1), 60, 1}, {Of(1, 1), 30, 1}, {Of(2, 2), two, 1}, {Of(1, 4), four, 1}}))
        .parallelism;
  };
  EXPECT_EQ(choose(200, 205), Of(2, 2));
  EXPECT_EQ(choose(200, 220), Of(1, 4));
  EXPECT_EQ(choose(90, 200), Of(1, 4));
}

TEST(ParallelismTest, ABusyMachineIsNotBelieved) {
  const auto choose = [](double share) {
    return ChooseParallelism(Trial(2, {{Of(2, 1), 100, share}, {Of(1, 1), 100, 1}, {Of(1, 2), 300, 1}})).ToString();
  };
  EXPECT_EQ(choose(0.62), "2 interpreters of 1 thread (auto: not measured, since the cores were busy: runs had 62 % of their time)");
  EXPECT_THAT(choose(kUndisturbed), StartsWith("1 interpreter of 2 threads"));
}

TEST(ParallelismTest, WithoutFiguresThereIsOneForEachCore) {
  EXPECT_EQ(ChooseParallelism({}).ToString(), "1 interpreter of 1 thread (auto: one usable core)");
  EXPECT_EQ(ChooseParallelism({.cpus = 4, .one_run = {}, .measured = {}}).ToString(), "4 interpreters of 1 thread (auto: not measured)");
  EXPECT_EQ(ChooseParallelism({.cpus = 4, .one_run = kInlineTime, .measured = {}}).ToString(), "4 interpreters of 1 thread (auto: a fast model)");
  EXPECT_EQ(ChooseParallelism(Trial(4, {})).ToString(), "4 interpreters of 1 thread (auto: too slow to be measured)");
  // Cut short.
  EXPECT_EQ(ChooseParallelism(Trial(4, {{Of(4, 1), 100, 1}, {Of(2, 1), 99, 1}})).parallelism, Of(2, 1));
}

}  // namespace
}  // namespace tflite_serving
