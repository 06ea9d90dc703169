#include "runtime/interpreter_pool.h"

#include <atomic>
#include <memory>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/thread.h"
#include "runtime/test_tensors.h"

namespace tflite_serving {
namespace {

using ::testing::HasSubstr;

class InterpreterPoolTest : public ::testing::Test {
 protected:
  std::unique_ptr<InterpreterPool> Pool(int count) {
    std::vector<std::unique_ptr<Interpreter>> interpreters(static_cast<size_t>(count));
    for (auto& interpreter : interpreters) interpreter = *Interpreter::Create(*model_, {});
    return std::make_unique<InterpreterPool>(std::move(interpreters));
  }

  std::unique_ptr<Model> model_ = OpenTestModel("half_plus_two");
};

TEST_F(InterpreterPoolTest, LendsEachOnce) {
  const auto pool = Pool(2);
  EXPECT_EQ(pool->size(), 2);
  EXPECT_TRUE(pool->HasFree());
  auto first = pool->TryLease();
  auto second = pool->TryLease();
  ASSERT_TRUE(first && second);
  EXPECT_NE(&**first, &**second);
  EXPECT_FALSE(pool->HasFree());
  EXPECT_FALSE(pool->TryLease());
  first.reset();
  EXPECT_TRUE(pool->HasFree());
  EXPECT_TRUE(pool->TryLease());
}

TEST_F(InterpreterPoolTest, TheLastGivenBackIsTheFirstLent) {
  const auto pool = Pool(3);
  auto first = pool->TryLease();
  auto second = pool->TryLease();
  const Interpreter* last = &**first;
  second.reset();
  first.reset();
  EXPECT_EQ(&**pool->TryLease(), last);
}

TEST_F(InterpreterPoolTest, AMovedLeaseIsGivenBackOnce) {
  const auto pool = Pool(1);
  {
    auto lease = pool->TryLease();
    const InterpreterPool::Lease moved = *std::move(lease);
    EXPECT_FALSE(pool->HasFree());
  }
  EXPECT_TRUE(pool->TryLease());
}

TEST_F(InterpreterPoolTest, WaitingEndsAtTheDeadline) {
  const auto pool = Pool(1);
  const auto held = pool->TryLease();
  const auto refused = pool->WaitForLease(Clock::Steady().Now());
  EXPECT_EQ(refused.status().code(), StatusCode::kDeadlineExceeded);
  EXPECT_THAT(refused.status().message(), HasSubstr("all 1 interpreters"));
}

TEST_F(InterpreterPoolTest, AFreeOneIsLentEvenAfterTheDeadline) { EXPECT_TRUE(Pool(1)->WaitForLease(TimePoint::min()).ok()); }

TEST_F(InterpreterPoolTest, NeverTwoHoldersAtOnce) {
  const auto pool = Pool(2);
  std::atomic<int> holders = 0;
  std::atomic<int> most = 0;
  std::atomic<int> leases = 0;
  {
    std::vector<std::jthread> threads(8);
    for (std::jthread& thread : threads) {
      thread = StartThread("test", [&] {
        for (int round = 0; round < 200; ++round) {
          const auto lease = pool->WaitForLease(kNoDeadline);
          const int now = ++holders;
          int seen = most;
          while (now > seen && !most.compare_exchange_weak(seen, now)) {
          }
          ++leases;
          --holders;
        }
      });
    }
  }
  EXPECT_LE(most, 2);
  EXPECT_EQ(leases, 8 * 200);
}

}  // namespace
}  // namespace tflite_serving
