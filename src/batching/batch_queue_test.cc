#include "batching/batch_queue.h"

#include <array>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

namespace tflite_serving {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A queue in a time that the test turns, of a model that takes 300 us for a row, and 100 us more for each further one.
class BatchQueueTest : public testing::Test {
 protected:
  void Use(const BatchingParameters& parameters) {
    queue_ = BatchQueue(parameters);
    for (const int64_t rows : {1, 2, 4, 8, 16}) queue_.Record(rows, microseconds(200 + 100 * rows));
  }
  Status Add(int64_t rows = 1, TimePoint deadline = kNoDeadline, const Cancellation* cancellation = nullptr, int64_t width = 1) {
    const TensorView input{DType::kFloat, {rows, width}, {}};
    BatchTask task{.request = {.inputs = *inputs_.emplace_back(std::make_unique<std::array<TensorView, 1>>(std::array{input})),
                               .deadline = deadline,
                               .cancellation = cancellation},
                   .rows = rows};
    return queue_.Add(task, now_);
  }
  // Arrivals so close to each other that waiting pays.
  void AddMany(int count) {
    for (int i = 0; i < count; ++i) {
      now_ += microseconds(5);
      ASSERT_TRUE(Add().ok());
    }
  }
  int64_t TakeRows() {
    int64_t rows = 0;
    for (const BatchTask& task : queue_.Take(now_).batch) rows += task.rows;
    return rows;
  }
  bool Starts() const { return queue_.StartTime(now_) <= now_; }

  TimePoint now_{std::chrono::hours(1)};
  BatchQueue queue_{BatchingParameters{}};
  std::vector<std::unique_ptr<std::array<TensorView, 1>>> inputs_;
};

constexpr BatchingParameters WithTimeout(microseconds timeout) { return {.max_batch_size = 16, .batch_timeout_micros = timeout.count()}; }

TEST_F(BatchQueueTest, WithoutATimeoutNothingWaits) {
  Use({.max_batch_size = 16});
  EXPECT_EQ(queue_.StartTime(now_), kNoDeadline);
  AddMany(3);
  EXPECT_TRUE(Starts());
  EXPECT_EQ(TakeRows(), 3);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(BatchQueueTest, ALoneClientIsNeverHeldUp) {
  Use(WithTimeout(milliseconds(100)));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Add().ok());
    ASSERT_TRUE(Starts()) << i;
    ASSERT_EQ(TakeRows(), 1);
    now_ += microseconds(310);  // its answer, and the next request at once
  }
}

TEST_F(BatchQueueTest, WaitsForThoseThatComeCloseBehind) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(100);
  EXPECT_TRUE(Starts()) << "full";
  while (!queue_.empty()) TakeRows();
  AddMany(1);
  EXPECT_FALSE(Starts());
  AddMany(3);
  EXPECT_FALSE(Starts());
  AddMany(11);
  EXPECT_TRUE(Starts()) << "one more is not worth it";
  EXPECT_EQ(TakeRows(), 15);
}

TEST_F(BatchQueueTest, AWaitEndsWhenNobodyComes) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(100);
  while (!queue_.empty()) TakeRows();
  AddMany(1);
  ASSERT_FALSE(Starts());
  EXPECT_LT(queue_.StartTime(now_), now_ + milliseconds(1)) << "long before the timeout";
  now_ = queue_.StartTime(now_);
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, WaitsThatDoNotPayAreGivenUp) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(100);
  while (!queue_.empty()) TakeRows();
  int waits = 0;
  for (int i = 0; i < 200; ++i) {  // two clients that send at the same time, and wait for their answers
    AddMany(2);
    if (!Starts()) {
      ++waits;
      queue_.BeginWait(now_);
      now_ = queue_.StartTime(now_);
    }
    ASSERT_EQ(TakeRows(), 2);
    now_ += microseconds(400);
  }
  EXPECT_LT(waits, 20);
}

TEST_F(BatchQueueTest, AWaitNeverPassesADeadline) {
  Use(WithTimeout(std::chrono::seconds(1)));
  AddMany(100);
  while (!queue_.empty()) TakeRows();
  now_ += microseconds(5);
  ASSERT_TRUE(Add(1, now_ + microseconds(10)).ok());
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, OverdueAndForsakenOnesAreTakenOut) {
  Use({.max_batch_size = 16});
  Cancellation gone;
  ASSERT_TRUE(Add(1, now_ + microseconds(1)).ok());
  ASSERT_TRUE(Add(1, kNoDeadline, &gone).ok());
  ASSERT_TRUE(Add(2).ok());
  gone.Cancel();
  now_ += microseconds(1);
  const BatchQueue::Taken taken = queue_.Take(now_);
  EXPECT_EQ(taken.overdue.size(), 2u);
  ASSERT_EQ(taken.batch.size(), 1u);
  EXPECT_EQ(taken.batch[0].rows, 2);
}

TEST_F(BatchQueueTest, ARequestStaysWhole) {
  Use({.max_batch_size = 16});
  for (const int64_t rows : {10, 10, 6}) ASSERT_TRUE(Add(rows).ok());
  EXPECT_EQ(TakeRows(), 16) << "the first and the last";
  EXPECT_EQ(TakeRows(), 10);
}

TEST_F(BatchQueueTest, OthersShapesWaitForTheirTurn) {
  Use({.max_batch_size = 16});
  for (const int64_t width : {1, 2, 1, 2}) ASSERT_TRUE(Add(1, kNoDeadline, nullptr, width).ok());
  const BatchQueue::Taken first = queue_.Take(now_);
  ASSERT_EQ(first.batch.size(), 2u);
  EXPECT_EQ(first.batch[1].request.inputs[0].shape[1], 1);
  EXPECT_EQ(TakeRows(), 2);
  Use({.max_batch_size = 16, .pad_variable_length_inputs = true});
  for (const int64_t width : {1, 2, 1, 2}) ASSERT_TRUE(Add(1, kNoDeadline, nullptr, width).ok());
  EXPECT_EQ(TakeRows(), 4);
}

TEST_F(BatchQueueTest, IsBoundedInBatches) {
  Use({.max_batch_size = 4, .max_enqueued_batches = 2});
  ASSERT_TRUE(Add(4).ok());
  ASSERT_TRUE(Add(3).ok());
  EXPECT_EQ(Add(2), UnavailableError("The batch scheduling queue to which this task was submitted is full; currently 2 batches enqueued and "
                                     "max_enqueued_batches is 2"));
  EXPECT_TRUE(Add(1).ok());
}

TEST_F(BatchQueueTest, WhatIsToRunAloneDoes) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(100);
  while (!queue_.empty()) TakeRows();
  AddMany(3);
  BatchQueue::Taken taken = queue_.Take(now_);
  ASSERT_EQ(taken.batch.size(), 3u);
  for (BatchTask& task : taken.batch) {
    task.alone = true;
    queue_.Return(std::move(task));
  }
  AddMany(2);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(Starts());
    EXPECT_EQ(TakeRows(), 1);
  }
  EXPECT_EQ(TakeRows(), 2);
}

TEST_F(BatchQueueTest, ARunMayBeSmallerThanARequest) {
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16}), 16);
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16, .enable_large_batch_splitting = true}), 16);
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16, .enable_large_batch_splitting = true, .max_execution_batch_size = 4}), 4);
}

}  // namespace
}  // namespace tflite_serving
