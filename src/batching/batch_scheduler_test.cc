#include "batching/batch_scheduler.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/queue_limit.h"

namespace tflite_serving {
namespace {

BatchTask NewTask(std::function<void()> on_done) {
  return {.done = [on_done = std::move(on_done)](const Status&, std::span<const TensorView>) { on_done(); }};
}

void AnswerAll(std::vector<BatchTask>& batch) {
  for (const BatchTask& task : batch) task.done(OkStatus(), {});
}

TEST(BatchSchedulerTest, AModelUnderLoadDoesNotHoldUpAnother) {
  std::promise<void> open;
  std::promise<void> begun;
  std::string order;
  std::optional<BatchScheduler> scheduler(std::in_place, "batch", 1);
  const BatchQueue one_by_one{BatchingParameters{.max_batch_size = 1, .max_enqueued_batches = 100}};
  const auto blocked = scheduler->NewSource(one_by_one, [&, gate = open.get_future().share()](BatchScheduler::Source&, std::vector<BatchTask> batch) {
    begun.set_value();
    gate.wait();
    AnswerAll(batch);
  });
  const auto run = [](BatchScheduler::Source&, std::vector<BatchTask> batch) { AnswerAll(batch); };
  const auto hot = scheduler->NewSource(one_by_one, run);
  const auto calm = scheduler->NewSource(one_by_one, run);
  BatchTask first = NewTask([] {});
  ASSERT_TRUE(scheduler->Submit(blocked, {&first, 1}).ok());
  begun.get_future().wait();
  // Of the hot model fifty wait before the only one of the other comes.
  for (int i = 0; i < 50; ++i) {
    BatchTask task = NewTask([&] { order += 'h'; });
    ASSERT_TRUE(scheduler->Submit(hot, {&task, 1}).ok());
  }
  BatchTask calm_task = NewTask([&] { order += 'c'; });
  ASSERT_TRUE(scheduler->Submit(calm, {&calm_task, 1}).ok());
  open.set_value();
  scheduler.reset();  // once all have run
  EXPECT_LE(order.find('c'), 1u) << order;
}

TEST(BatchSchedulerTest, WhatWouldWaitTooLongIsRefused) {
  std::promise<void> open;
  std::promise<void> begun;
  BatchScheduler scheduler("batch", 1, std::chrono::seconds(2));
  BatchQueue queue(BatchingParameters{.max_batch_size = 1, .max_enqueued_batches = 1000});
  queue.Record(1, std::chrono::seconds(1));
  const auto slow = scheduler.NewSource(
      std::move(queue), [&, gate = open.get_future().share(), first = true](BatchScheduler::Source&, std::vector<BatchTask> batch) mutable {
        if (std::exchange(first, false)) begun.set_value();
        gate.wait();
        AnswerAll(batch);
      });
  const auto other =
      scheduler.NewSource(BatchQueue(BatchingParameters{}), [](BatchScheduler::Source&, std::vector<BatchTask> batch) { AnswerAll(batch); });
  const auto submit = [&scheduler](const BatchScheduler::SourceHandle& source) {
    BatchTask task = NewTask([] {});
    return scheduler.Submit(source, {&task, 1});
  };
  ASSERT_TRUE(submit(slow).ok());
  begun.get_future().wait();
  size_t accepted = 0;
  Status refusal;
  while ((refusal = submit(slow)).ok()) ++accepted;
  EXPECT_EQ(accepted, QueueLimit::kAlwaysQueued) << "which would take 16 s";
  EXPECT_EQ(refusal, UnavailableError("too many requests are waiting; try again later"));
  EXPECT_TRUE(submit(other).ok()) << "nobody of its own is before it";
  open.set_value();
  scheduler.Stop();
}

TEST(BatchSchedulerTest, TheNextBatchMayBeAsLargeAsTheOneThatRuns) {
  constexpr size_t kRows = 40;
  std::promise<void> open;
  std::promise<void> begun;
  BatchScheduler scheduler("batch", 1, std::chrono::seconds(2));
  BatchQueue queue(BatchingParameters{.max_batch_size = 100, .max_enqueued_batches = 1000});
  queue.Record(1, std::chrono::seconds(10));
  queue.Record(kRows, std::chrono::seconds(10));
  const auto slow = scheduler.NewSource(
      std::move(queue), [&, gate = open.get_future().share(), first = true](BatchScheduler::Source& from, std::vector<BatchTask> batch) mutable {
        if (std::exchange(first, false)) begun.set_value();
        gate.wait();
        scheduler.Answered(from, static_cast<int64_t>(batch.size()));
        AnswerAll(batch);
      });
  std::vector<BatchTask> tasks;
  for (size_t i = 0; i < kRows; ++i) tasks.push_back(NewTask([] {}));
  ASSERT_TRUE(scheduler.Submit(slow, tasks).ok());
  begun.get_future().wait();
  size_t accepted = 0;
  for (BatchTask task = NewTask([] {}); scheduler.Submit(slow, {&task, 1}).ok(); task = NewTask([] {})) ++accepted;
  EXPECT_EQ(accepted, kRows);
  open.set_value();
  scheduler.Stop();
}

TEST(BatchSchedulerTest, WhatIsQueuedIsRunBeforeTheEnd) {
  std::atomic<int> done = 0;
  {
    BatchScheduler scheduler("batch", 2);
    const auto source = scheduler.NewSource(BatchQueue(BatchingParameters{.max_batch_size = 1, .max_enqueued_batches = 1000}),
                                            [](BatchScheduler::Source&, std::vector<BatchTask> batch) { AnswerAll(batch); });
    for (int i = 0; i < 100; ++i) {
      BatchTask task = NewTask([&done] { ++done; });
      ASSERT_TRUE(scheduler.Submit(source, {&task, 1}).ok());
    }
  }
  EXPECT_EQ(done, 100);
}

TEST(BatchSchedulerTest, AWaitEndsByItself) {
  std::promise<size_t> ran;
  BatchScheduler scheduler("batch", 1);
  BatchQueue queue(BatchingParameters{.max_batch_size = 1000, .batch_timeout_micros = 5000});
  queue.Record(1, std::chrono::milliseconds(300));  // so that any wait would pay
  queue.Record(1000, std::chrono::milliseconds(301));
  const auto source = scheduler.NewSource(std::move(queue), [&ran](BatchScheduler::Source&, std::vector<BatchTask> batch) {
    const size_t size = batch.size();
    AnswerAll(batch);
    ran.set_value(size);
  });
  BatchTask task = NewTask([] {});
  ASSERT_TRUE(scheduler.Submit(source, {&task, 1}).ok());
  EXPECT_EQ(ran.get_future().get(), 1u);
}

}  // namespace
}  // namespace tflite_serving
