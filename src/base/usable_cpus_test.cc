#include "base/usable_cpus.h"

#include <sched.h>

#include <thread>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

TEST(UsableCpusTest, QuotaIsRoundedUp) {
  EXPECT_EQ(ParseCpuMax("200000 100000\n"), 2);
  EXPECT_EQ(ParseCpuMax("150000 100000"), 2);
  EXPECT_EQ(ParseCpuMax("10000 100000"), 1);
}

TEST(UsableCpusTest, NoQuotaAndNonsenseAreNoQuota) {
  EXPECT_EQ(ParseCpuMax("max 100000\n"), 0);
  EXPECT_EQ(ParseCpuMax(""), 0);
  EXPECT_EQ(ParseCpuMax("-5 100"), 0);
  EXPECT_EQ(ParseCpuMax("100 0"), 0);
}

TEST(UsableCpusTest, RespectsTheAffinityMask) {
  std::thread([] {
    cpu_set_t mask;
    ASSERT_EQ(sched_getaffinity(0, sizeof(mask), &mask), 0);
    int first = 0;
    while (!CPU_ISSET(first, &mask)) ++first;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(UsableCpus(), 1);
  }).join();
}

}  // namespace
}  // namespace tflite_serving
