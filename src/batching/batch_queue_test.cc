#include "batching/batch_queue.h"

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <queue>
#include <utility>
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
    TFLS_RETURN_IF_ERROR(queue_.CheckRoom(rows));
    queue_.Add(std::move(task), now_);
    return OkStatus();
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
    running_ += rows;
    return rows;
  }
  // All that was taken is answered.
  void Answer() { queue_.Answered(std::exchange(running_, 0)); }
  void TakeAll() {
    while (!queue_.empty()) TakeRows();
    Answer();
  }
  TimePoint StartTime() const { return queue_.StartTime(now_); }
  bool Starts() const { return StartTime() <= now_; }

  TimePoint now_{std::chrono::hours(1)};
  int64_t running_ = 0;
  BatchQueue queue_{BatchingParameters{}};
  std::vector<std::unique_ptr<std::array<TensorView, 1>>> inputs_;
};

constexpr BatchingParameters WithTimeout(microseconds timeout) { return {.max_batch_size = 16, .batch_timeout_micros = timeout.count()}; }

TEST_F(BatchQueueTest, WithoutATimeoutNothingWaits) {
  Use({.max_batch_size = 16});
  EXPECT_EQ(StartTime(), kNoDeadline);
  AddMany(16);
  TakeAll();
  AddMany(3);
  EXPECT_TRUE(Starts());
  EXPECT_EQ(TakeRows(), 3);
  EXPECT_TRUE(queue_.empty());
}

TEST_F(BatchQueueTest, WhatAllAreExpectedToTakeIsReckonedInTheSizesThatAreBest) {
  Use({.max_batch_size = 16});
  EXPECT_EQ(queue_.ExpectedOfAll(), microseconds(0));
  AddMany(36);
  EXPECT_EQ(queue_.ExpectedOfAll(), microseconds(1800 + 1800 + 600)) << "batches of 16, 16 and 4";
  queue_ = BatchQueue({.max_batch_size = 16});
  queue_.Record(1, microseconds(100));
  queue_.Record(16, microseconds(3200));
  AddMany(36);
  EXPECT_EQ(queue_.ExpectedOfAll(), microseconds(3600)) << "each alone";
}

TEST_F(BatchQueueTest, ALoneClientIsNeverHeldUp) {
  Use(WithTimeout(milliseconds(100)));
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Add().ok());
    ASSERT_TRUE(Starts()) << i;
    ASSERT_EQ(TakeRows(), 1);
    now_ += microseconds(300);
    Answer();
    now_ += microseconds(10);
  }
}

TEST_F(BatchQueueTest, ThoseWhoHaveBeenAwayForLongAreNotExpectedBack) {
  Use(WithTimeout(milliseconds(100)));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    TakeAll();
  }
  now_ += milliseconds(20);  // the twelve run for 1.4
  AddMany(1);
  ASSERT_FALSE(Starts());
  AddMany(11);
  TakeAll();
  now_ += milliseconds(25);
  for (int i = 0; i < 10; ++i) {
    AddMany(1);
    ASSERT_TRUE(Starts()) << i << ": one client, after the others";
    TakeAll();
    now_ += microseconds(310);
  }
}

TEST_F(BatchQueueTest, WaitsForClientsThatWereJustAnswered) {
  Use(WithTimeout(milliseconds(2)));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    TakeAll();
  }
  AddMany(1);
  EXPECT_FALSE(Starts());
  queue_.set_num_threads(12);
  EXPECT_TRUE(Starts()) << "each of the others has a thread";
  queue_.set_num_threads(1);
  AddMany(3);
  EXPECT_FALSE(Starts());
  AddMany(8);
  EXPECT_TRUE(Starts()) << "all are here";
  EXPECT_EQ(TakeRows(), 12);
}

TEST_F(BatchQueueTest, AWaitEndsWhenNobodyComes) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(12);
  TakeAll();
  AddMany(1);
  ASSERT_FALSE(Starts());
  queue_.BeginWait(now_);
  EXPECT_LT(StartTime(), now_ + milliseconds(1)) << "long before the timeout";
  now_ = StartTime();
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, PatienceBeginsWithTheWait) {
  Use(WithTimeout(milliseconds(2)));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    TakeAll();
  }
  AddMany(12);
  TakeRows();
  AddMany(2);  // while those twelve run
  now_ += microseconds(1400);
  Answer();
  ASSERT_FALSE(Starts()) << "they will be back";
}

TEST_F(BatchQueueTest, PatienceGrowsWithWhatIsSaved) {
  Use(WithTimeout(milliseconds(2)));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    TakeAll();
  }
  AddMany(4);  // 600 us for four and 1400 for twelve: 400 are saved
  queue_.BeginWait(now_);
  now_ += microseconds(90);
  EXPECT_FALSE(Starts()) << "who reads the requests may be writing the answers before";
  now_ += microseconds(20);
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, AShortWaitIsTriedThoughNoGainIsKnown) {
  queue_ = BatchQueue(WithTimeout(milliseconds(2)));
  for (const int64_t rows : {1, 2, 4, 8, 16}) queue_.Record(rows, microseconds(rows == 1 ? 150 : 100 * rows));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    TakeAll();
  }
  AddMany(2);
  EXPECT_TRUE(Starts()) << "50 us are much, beside 200";
  AddMany(8);
  EXPECT_FALSE(Starts()) << "10 us are not, beside 1000";
  AddMany(2);
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, NothingWaitsForRowsThatWouldRunAlone) {
  queue_ = BatchQueue(WithTimeout(milliseconds(2)));
  for (const int64_t rows : {1, 2, 4, 8, 16}) queue_.Record(rows, microseconds(100 * rows));
  for (int i = 0; i < 5; ++i) {
    AddMany(12);
    EXPECT_EQ(TakeRows(), 1);
    TakeAll();
  }
  AddMany(10);
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, WaitsThatDoNotPayAreGivenUp) {
  Use(WithTimeout(milliseconds(2)));
  int waits = 0;
  for (int i = 0; i < 400; ++i) {  // twelve come together now and then; two come after every answer
    AddMany(i % 8 == 0 ? 12 : 2);
    if (!Starts()) {
      ++waits;
      queue_.BeginWait(now_);
      now_ = StartTime();
    }
    TakeAll();
    now_ += microseconds(400);
  }
  EXPECT_LT(waits, 40);
}

// Some clients that send again when they are answered, and threads that each run a batch at a time.
class ClosedLoop {
 public:
  ClosedLoop(BatchQueue& queue, int clients, int threads) : queue_(queue), idle_(threads) {
    for (int i = 0; i < clients; ++i) arrivals_.push(now_ + microseconds(kGap * i));
  }
  // The mean size of the batches that run in this time, after a while in which all settles.
  double MeanBatch(milliseconds settling, milliseconds time) {
    const TimePoint from = now_ + settling;
    int64_t rows = 0;
    int64_t batches = 0;
    while (now_ < from + time) {
      if (idle_ > 0 && queue_.StartTime(now_) <= now_) {
        const auto taken = static_cast<int64_t>(queue_.Take(now_).batch.size());
        --idle_;
        ends_.emplace(now_ + CostOf(taken), taken);
        if (now_ >= from) {
          rows += taken;
          ++batches;
        }
        continue;
      }
      Step();
    }
    return static_cast<double>(rows) / static_cast<double>(batches);
  }

  static microseconds CostOf(int64_t rows) { return microseconds(2000 + 20 * rows); }  // the more together, the better

 private:
  static constexpr int kGap = 10;  // between two answers of a batch, and so between the requests that follow
  void Step() {
    TimePoint next = kNoDeadline;
    if (!arrivals_.empty()) next = std::min(next, arrivals_.top());
    if (!ends_.empty()) next = std::min(next, ends_.top().first);
    if (idle_ > 0 && !queue_.empty()) {
      queue_.BeginWait(now_);
      next = std::min(next, queue_.StartTime(now_));
    }
    now_ = std::max(next, now_);
    if (!ends_.empty() && ends_.top().first <= now_) {
      const int64_t rows = ends_.top().second;
      ends_.pop();
      ++idle_;
      queue_.Record(rows, CostOf(rows));
      queue_.Answered(rows);
      for (int i = 0; i < rows; ++i) arrivals_.push(now_ + microseconds(kGap * (i + 1)));
    } else if (!arrivals_.empty() && arrivals_.top() <= now_) {
      arrivals_.pop();
      BatchTask task;
      task.request.inputs = kInputs;
      queue_.Add(std::move(task), now_);
    }
  }

  static inline const std::array<TensorView, 1> kInputs = {TensorView{DType::kFloat, {1, 1}, {}}};
  BatchQueue& queue_;
  int idle_;
  TimePoint now_{std::chrono::hours(1)};
  template <typename T>
  using Earliest = std::priority_queue<T, std::vector<T>, std::greater<>>;
  Earliest<TimePoint> arrivals_;
  Earliest<std::pair<TimePoint, int64_t>> ends_;
};

// Also when a run takes longer than the timeout: it bounds how long a thread waits, not how long ago a request came that waited for a thread.
TEST_F(BatchQueueTest, ClientsInALoopComeTogether) {
  for (const int timeout_us : {5000, 1000}) {
    for (const int threads : {1, 2}) {
      for (const int clients : {8, 16, 32, 64}) {
        queue_ = BatchQueue({.max_batch_size = 64, .batch_timeout_micros = timeout_us, .max_enqueued_batches = 100});
        queue_.set_num_threads(threads);
        for (const int64_t rows : {1, 8, 64}) queue_.Record(rows, ClosedLoop::CostOf(rows));
        const double mean = ClosedLoop(queue_, clients, threads).MeanBatch(milliseconds(200), milliseconds(500));
        EXPECT_GT(mean, 0.85 * clients / threads) << clients << " clients, " << threads << " threads, a timeout of " << timeout_us << " us";
      }
    }
  }
}

TEST_F(BatchQueueTest, AWaitNeverPassesADeadline) {
  Use(WithTimeout(milliseconds(2)));
  AddMany(12);
  TakeAll();
  AddMany(1);
  ASSERT_FALSE(Starts());
  ASSERT_TRUE(Add(1, now_ + microseconds(10)).ok());
  EXPECT_TRUE(Starts());
}

TEST_F(BatchQueueTest, SizesAreJudgedByWhatTheyAreFilledUpTo) {
  queue_ = BatchQueue({.max_batch_size = 64, .allowed_batch_sizes = {8, 64}});
  for (const int64_t rows : {8, 64}) queue_.Record(rows, microseconds(200 + 100 * rows));
  for (int i = 0; i < 10; ++i) {
    AddMany(9);
    EXPECT_EQ(TakeRows(), 8) << "and not 64 for the ninth";
    EXPECT_EQ(TakeRows(), 1);
  }
}

TEST_F(BatchQueueTest, ThreadsDivideWhatIsOutstanding) {
  Use({.max_batch_size = 16});
  queue_.set_num_threads(4);
  AddMany(9);
  EXPECT_EQ(TakeRows(), 3);
  Use({.max_batch_size = 16, .allowed_batch_sizes = {8, 16}});
  queue_.set_num_threads(4);
  AddMany(9);
  EXPECT_EQ(TakeRows(), 8) << "the five beside three cost nothing";
}

TEST_F(BatchQueueTest, ASizeThatWasSlowOnceIsTriedAgain) {
  Use({.max_batch_size = 16});
  for (int i = 0; i < 50; ++i) queue_.Record(16, milliseconds(4));
  int large = 0;
  for (int i = 0; i < 1500; ++i) {
    AddMany(16);
    while (!queue_.empty()) {
      const int64_t rows = TakeRows();
      queue_.Record(rows, microseconds(200 + 100 * rows));
      large += rows == 16 ? 1 : 0;
    }
    Answer();
  }
  EXPECT_GT(large, 750);
}

TEST_F(BatchQueueTest, BatchesThatSaveNothingAreGivenUp) {
  Use({.max_batch_size = 16});
  for (const int64_t rows : {1, 2, 4, 8, 16}) {
    for (int i = 0; i < 50; ++i) queue_.Record(rows, microseconds(rows == 1 ? 600 : 300 * rows));  // one row was slow once
  }
  int single = 0;
  for (int i = 0; i < 3000; ++i) {
    AddMany(16 - i % 5);
    while (!queue_.empty()) {
      const int64_t rows = TakeRows();
      queue_.Record(rows, microseconds(rows == 1 ? 300 : 330 * rows));
      single += rows == 1 ? 1 : 0;
    }
    Answer();
  }
  EXPECT_GT(single, 1500 * 14);
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
  AddMany(16);
  TakeAll();
  AddMany(3);
  BatchQueue::Taken taken = queue_.Take(now_);
  ASSERT_EQ(taken.batch.size(), 3u);
  queue_.Answered(3);
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

TEST_F(BatchQueueTest, TasksMayComeBackWhenNobodyIsLeft) {
  Use({.max_batch_size = 16});
  Cancellation gone;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Add(1, kNoDeadline, &gone).ok());
  BatchQueue::Taken taken = queue_.Take(now_);
  ASSERT_EQ(taken.batch.size(), 2u);
  queue_.Answered(2);
  gone.Cancel();
  for (BatchTask& task : taken.batch) {
    queue_.Return(std::move(task));
    EXPECT_EQ(queue_.Take(now_).overdue.size(), 1u);
  }
}

TEST_F(BatchQueueTest, ARunMayBeSmallerThanARequest) {
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16}), 16);
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16, .enable_large_batch_splitting = true}), 16);
  EXPECT_EQ(MaxRowsOfRun({.max_batch_size = 16, .enable_large_batch_splitting = true, .max_execution_batch_size = 4}), 4);
}

}  // namespace
}  // namespace tflite_serving
