#include "batching/batching_servable.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "batching/batching_servable_fixture.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

TEST_F(BatchingServableTest, ThoseThatWaitRunTogetherAndGetTheirOwnRows) {
  Use({});
  const std::shared_ptr<Request> first = Occupy();
  const std::vector<std::shared_ptr<Request>> requests = {Start({1}), Start({2, 3}), Start({4})};
  Open();
  for (const auto& request : requests) {
    Wait(*request);
    EXPECT_TRUE(request->status.ok());
    EXPECT_EQ(request->answer, request->values);
  }
  EXPECT_THAT(sizes_, ElementsAre(1, 4));
}

TEST_F(BatchingServableTest, ALoneRequestIsNotCopied) {
  Use({});
  const std::byte* seen = nullptr;
  status_of_ = [&seen](const RunRequest& request) {
    seen = request.inputs[0].bytes.data();
    return OkStatus();
  };
  const std::shared_ptr<Request> request = Start({1, 2});
  Wait(*request);
  EXPECT_EQ(seen, request->inputs[0].bytes.data());
}

TEST_F(BatchingServableTest, AProfileIsTheModels) {
  Use({});
  const StatusOr<ModelProfile> profile = servable_->Profile({.signature_name = "s", .runs = 3});
  ASSERT_TRUE(profile.ok());
  EXPECT_EQ(profile->signature, "s");
  EXPECT_EQ(profile->runs, 3);
}

TEST_F(BatchingServableTest, RowsAreFilledUpToAnAllowedSize) {
  Use({.max_batch_size = 8, .allowed_batch_sizes = {2, 8}});
  const std::shared_ptr<Request> request = Start({1, 2, 3});
  Wait(*request);
  EXPECT_THAT(request->answer, ElementsAre(1, 2, 3));
  EXPECT_THAT(sizes_, ElementsAre(8));
}

TEST_F(BatchingServableTest, WhatFailsTogetherRunsAlone) {
  Use({});
  status_of_ = [](const RunRequest& request) {
    for (const float value : request.inputs[0].values<float>()) {
      if (value < 0) return InvalidArgumentError("a number below zero");
    }
    return OkStatus();
  };
  const std::shared_ptr<Request> first = Occupy();
  const std::shared_ptr<Request> good = Start({1});
  const std::shared_ptr<Request> bad = Start({-2});
  const std::shared_ptr<Request> fine = Start({3});
  Open();
  for (const auto& request : {good, bad, fine}) Wait(*request);
  EXPECT_TRUE(good->status.ok());
  EXPECT_TRUE(fine->status.ok());
  EXPECT_EQ(bad->status, InvalidArgumentError("a number below zero"));
  EXPECT_THAT(sizes_, ElementsAre(1, 3, 1, 1, 1));
}

TEST_F(BatchingServableTest, StringsThatWaitRunTogetherAndGetTheirOwnRows) {
  Use({.max_batch_size = 16, .allowed_batch_sizes = {1, 8, 16}});
  std::vector<std::vector<std::string>> runs;
  status_of_ = [&runs](const RunRequest& request) {
    runs.push_back(TextsOf(request.inputs[0]));
    return OkStatus();
  };
  gate_ = open_.get_future();
  std::vector<std::shared_ptr<TextRequest>> requests = {StartText({"first"})};
  begun_.wait(0);
  for (const std::vector<std::string>& texts : std::vector<std::vector<std::string>>{{"a", ""}, {""}, {kZeroBytes, "b"}}) {
    requests.push_back(StartText(texts));
  }
  Open();
  for (const auto& request : requests) {
    Wait(*request);
    EXPECT_TRUE(request->status.ok());
    EXPECT_EQ(request->answer, request->texts);
  }
  EXPECT_THAT(runs, ElementsAre(ElementsAre("first"), ElementsAre("a", "", "", kZeroBytes, "b", kZeroBytes, kZeroBytes, kZeroBytes)));
}

TEST_F(BatchingServableTest, ALoneRequestOfStringsIsFilledUpOrNotCopied) {
  Use({.max_batch_size = 4, .allowed_batch_sizes = {2, 4}});
  const std::byte* seen = nullptr;
  status_of_ = [&seen](const RunRequest& request) {
    seen = request.inputs[0].bytes.data();
    return OkStatus();
  };
  for (const std::vector<std::string>& texts : std::vector<std::vector<std::string>>{{"a"}, {"a", ""}, {"", "b", "c"}}) {
    const std::shared_ptr<TextRequest> request = StartText(texts);
    Wait(*request);
    EXPECT_EQ(request->answer, texts);
    EXPECT_EQ(seen == request->memory.data(), texts.size() == 2);
  }
  EXPECT_THAT(sizes_, ElementsAre(2, 2, 4));
}

TEST_F(BatchingServableTest, FillerThatThereIsNoRoomForIsLeftOut) {
  Use({.max_batch_size = 4096, .allowed_batch_sizes = {4096}});
  const std::shared_ptr<TextRequest> request = StartText({std::string(1 << 20, 'x')});
  Wait(*request);
  EXPECT_TRUE(request->status.ok()) << request->status.ToString();
  EXPECT_EQ(request->answer, request->texts);
  EXPECT_THAT(sizes_, ElementsAre(1));
}

TEST_F(BatchingServableTest, ALargeRequestOfStringsIsSplit) {
  Use({.max_batch_size = 8, .allowed_batch_sizes = {3}, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  const std::shared_ptr<TextRequest> request = StartText({"a", "", kZeroBytes, "dd", "e", "f", "g", "h"});
  Wait(*request);
  EXPECT_TRUE(request->status.ok());
  EXPECT_EQ(request->answer, request->texts);
  EXPECT_THAT(sizes_, ElementsAre(3, 3, 3));
}

TEST_F(BatchingServableTest, ARequestOfNoStringsIsTheModelsToAnswer) {
  Use({});
  const std::shared_ptr<TextRequest> request = StartText({});
  Wait(*request);
  EXPECT_TRUE(request->status.ok());
  EXPECT_THAT(sizes_, ElementsAre(0));
}

TEST_F(BatchingServableTest, APieceWithoutItsRowsFailsTheRequest) {
  Use({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  model_->on_run = [](const RunRequest& request, const RunDone& done) {
    TensorView none = request.inputs[0];
    none.shape.set(0, 0);
    none.bytes = {};
    done(OkStatus(), {&none, 1});
  };
  EXPECT_EQ(Run({1, 2, 3, 4}).code(), StatusCode::kFailedPrecondition);
}

TEST_F(BatchingServableTest, ALargeRequestIsRefusedOrSplit) {
  Use({.max_batch_size = 3});
  EXPECT_EQ(Run({1, 2, 3, 4}), InvalidArgumentError("Task size 4 is larger than maximum input batch size 3"));
  Use({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  const std::shared_ptr<Request> split = Start({1, 2, 3, 4, 5, 6, 7, 8});
  Wait(*split);
  EXPECT_TRUE(split->status.ok());
  EXPECT_EQ(split->answer, split->values);
  EXPECT_THAT(sizes_, UnorderedElementsAre(3, 3, 2));
}

TEST_F(BatchingServableTest, APieceThatFailsFailsTheRequest) {
  Use({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  status_of_ = [](const RunRequest& request) { return request.inputs[0].values<float>()[0] == 4 ? InvalidArgumentError("no fours") : OkStatus(); };
  EXPECT_EQ(Run({1, 2, 3, 4, 5, 6, 7}), InvalidArgumentError("no fours"));
}

TEST_F(BatchingServableTest, ARequestThatDoesNotFitWholeIsNotRunInPart) {
  Use({.max_batch_size = 8, .max_enqueued_batches = 2, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  const std::shared_ptr<Request> first = Occupy();
  EXPECT_EQ(Run({1, 2, 3, 4, 5, 6, 7, 8}).code(), StatusCode::kUnavailable);
  const std::shared_ptr<Request> second = Start({1, 2, 3, 4, 5, 6});
  Open();
  Wait(*second);
  EXPECT_THAT(sizes_, ElementsAre(1, 3, 3));
}

TEST_F(BatchingServableTest, InputsAreWhereTheRuntimeCanReadThem) {
  Use({.max_batch_size = 8, .enable_large_batch_splitting = true, .max_execution_batch_size = 3});
  std::atomic<int> misaligned = 0;
  status_of_ = [&misaligned](const RunRequest& request) {
    if (reinterpret_cast<uintptr_t>(request.inputs[0].bytes.data()) % kTensorAlignment != 0) ++misaligned;
    return OkStatus();
  };
  EXPECT_TRUE(Run({1, 2, 3, 4, 5, 6, 7}).ok());
  EXPECT_EQ(misaligned, 0);
}

TEST_F(BatchingServableTest, ARequestOfNoRowsIsTheModelsToAnswer) {
  Use({.max_batch_size = 8, .allowed_batch_sizes = {4, 8}});
  const std::thread::id here = std::this_thread::get_id();
  std::atomic<bool> ran_here = false;
  status_of_ = [&, here](const RunRequest& request) {
    ran_here = ran_here || std::this_thread::get_id() == here;
    return request.inputs[0].shape[0] == 0 ? InvalidArgumentError("no rows") : OkStatus();
  };
  const std::shared_ptr<Request> first = Occupy();
  const std::vector<std::shared_ptr<Request>> empty = {Start({}), Start({})};
  const std::shared_ptr<Request> full = Start({1});
  Open();
  for (const auto& request : empty) {
    Wait(*request);
    EXPECT_EQ(request->status, InvalidArgumentError("no rows"));
  }
  Wait(*full);
  EXPECT_TRUE(full->status.ok());
  EXPECT_FALSE(ran_here) << "it may wait for an interpreter";
  EXPECT_THAT(sizes_, ElementsAre(4, 0, 0, 4));
}

TEST_F(BatchingServableTest, ABatchIsCancelledWhenAllItsClientsHaveGone) {
  Use({});
  std::array<Cancellation, 2> gone;
  std::vector<bool> seen;
  status_of_ = [&](const RunRequest& request) {
    if (request.inputs[0].shape[0] < 2) return OkStatus();
    for (Cancellation& one : gone) {
      seen.push_back(request.cancellation->cancelled());
      one.Cancel();
    }
    seen.push_back(request.cancellation->cancelled());
    return CancelledError("nobody waits for it");
  };
  const std::shared_ptr<Request> first = Occupy();
  const std::vector<std::shared_ptr<Request>> requests = {Start({1}, kNoDeadline, &gone[0]), Start({2}, kNoDeadline, &gone[1])};
  Open();
  for (const auto& request : requests) {
    Wait(*request);
    EXPECT_EQ(request->status, CancelledError("nobody waits for it"));
  }
  EXPECT_THAT(seen, ElementsAre(false, false, true));
}

TEST_F(BatchingServableTest, ABatchThatRunsOutOfTimeSaysSo) {
  Use({});
  status_of_ = [](const RunRequest& request) {
    return request.inputs[0].shape[0] > 1 ? DeadlineExceededError("the request was still running at its deadline") : OkStatus();
  };
  const std::shared_ptr<Request> first = Occupy();
  const std::vector<std::shared_ptr<Request>> requests = {Start({1}), Start({2})};
  Open();
  for (const auto& request : requests) {
    Wait(*request);
    EXPECT_EQ(request->status.code(), StatusCode::kDeadlineExceeded);
  }
}

TEST_F(BatchingServableTest, AFullQueueRefuses) {
  Use({.max_batch_size = 1, .max_enqueued_batches = 1});
  const std::shared_ptr<Request> first = Occupy();
  const std::shared_ptr<Request> second = Start({1});
  EXPECT_EQ(Run({2}).code(), StatusCode::kUnavailable);
  Open();
  Wait(*second);
  EXPECT_TRUE(second->status.ok());
}

TEST_F(BatchingServableTest, ADeadlineThatPassedInTheQueueEndsTheRequestWithoutARun) {
  Use({});
  const std::shared_ptr<Request> first = Occupy();
  const std::shared_ptr<Request> late = Start({1}, Clock::Steady().Now());
  Open();
  Wait(*late);
  EXPECT_EQ(late->status, ResourceExhaustedError("Run() timeout exceeded while waiting in batching queue"));
  EXPECT_THAT(sizes_, ElementsAre(1));
}

TEST_F(BatchingServableTest, WhatIsAnsweredInlineIsNotQueued) {
  Use({});
  model_->runs_inline = true;
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id ran_on;
  status_of_ = [&ran_on](const RunRequest&) {
    ran_on = std::this_thread::get_id();
    return OkStatus();
  };
  EXPECT_TRUE(Run({1}).ok());
  EXPECT_EQ(ran_on, here);
}

TEST_F(BatchingServableTest, OnlySmallRequestsAreDecodedOnAnIoThread) {
  Use({});
  EXPECT_TRUE(servable_->RunsInline(BatchingServable::kInlineRequestBytes));
  EXPECT_FALSE(servable_->RunsInline(BatchingServable::kInlineRequestBytes + 1));
  servable_ = std::make_unique<BatchingServable>(model_, std::vector<bool>{false}, BatchingParameters{}, *scheduler_);
  EXPECT_FALSE(servable_->RunsInline(1));
}

TEST_F(BatchingServableTest, OutputsWithoutTheBatchsRowsAreAnError) {
  Use({.max_batch_size = 4, .allowed_batch_sizes = {4}});
  model_->on_run = [](const RunRequest& request, const RunDone& done) {
    const TensorView scalar{DType::kFloat, {}, request.inputs[0].bytes.first(sizeof(float))};
    done(OkStatus(), {&scalar, 1});
  };
  EXPECT_EQ(Run({1, 2, 3}), FailedPreconditionError("Batched output tensor has 0 dimensions"));
  model_->on_run = [](const RunRequest& request, const RunDone& done) {
    const TensorView half{DType::kFloat, {1}, request.inputs[0].bytes.first(sizeof(float))};
    done(OkStatus(), {&half, 1});
  };
  EXPECT_EQ(Run({1, 2, 3}).code(), StatusCode::kFailedPrecondition);
}

TEST_F(BatchingServableTest, ManyThreadsAreEachAnsweredTheirOwn) {
  scheduler_ = std::make_unique<BatchScheduler>("batch", 3);
  model_->on_run = [](const RunRequest& request, const RunDone& done) { done(OkStatus(), request.inputs); };
  Use({.max_batch_size = 8, .batch_timeout_micros = 100});
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 200; ++i) {
          const std::shared_ptr<Request> request = Start(std::vector<float>(static_cast<size_t>(1 + i % 3), static_cast<float>(1000 * t + i)));
          Wait(*request);
          if (!request->status.ok() || request->answer != request->values) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace tflite_serving
