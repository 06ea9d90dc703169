#include "batching/batching_servable.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "servable/fake_servable.h"

namespace tflite_serving {
namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// The answer to one request, which is alive until it came.
struct Request {
  explicit Request(std::vector<float> numbers) : values(std::move(numbers)) {
    EXPECT_TRUE(memory.Resize(values.size() * sizeof(float)));
    std::ranges::copy(std::as_bytes(std::span(values)), memory.data());
    inputs = {{DType::kFloat, {static_cast<int64_t>(values.size())}, memory.bytes()}};
  }
  const std::vector<float> values;
  AlignedBuffer memory;
  std::vector<TensorView> inputs;
  std::promise<void> ended;
  Status status;
  std::vector<float> answer;
};

// The same of strings, [n,1].
struct TextRequest {
  explicit TextRequest(std::vector<std::string> strings) : texts(std::move(strings)) {
    StringTensorBuilder builder;
    EXPECT_TRUE(builder.Start(static_cast<int64_t>(texts.size())).ok());
    for (const std::string& text : texts) EXPECT_TRUE(builder.Add(text).ok());
    memory = builder.Finish();
    inputs = {{DType::kString, {static_cast<int64_t>(texts.size()), 1}, memory.bytes()}};
  }
  const std::vector<std::string> texts;
  AlignedBuffer memory;
  std::vector<TensorView> inputs;
  std::promise<void> ended;
  Status status;
  std::vector<std::string> answer;
};

std::vector<std::string> TextsOf(const TensorView& view) {
  EXPECT_TRUE(ValidateStrings(view.bytes, *view.shape.NumElements()).ok());
  std::vector<std::string> texts;
  for (int64_t i = 0; i < *view.shape.NumElements(); ++i) texts.emplace_back(view.StringAt(i));
  return texts;
}

const std::string kZeroBytes("\0\0", 2);

// A servable that answers x -> y = x, one run at a time, each as soon as the test lets it.
class BatchingServableTest : public testing::Test {
 protected:
  BatchingServableTest() {
    model_->runs_inline = false;
    model_->on_run = [this](const RunRequest& request, const RunDone& done) {
      begun_.fetch_add(1);
      begun_.notify_all();
      if (gate_.valid()) gate_.wait();
      sizes_.push_back(request.inputs[0].shape[0]);
      done(status_of_(request), request.inputs);
    };
  }
  void TearDown() override { scheduler_.reset(); }  // before what its runs use

  void Use(const BatchingParameters& parameters) {
    servable_ = std::make_unique<BatchingServable>(model_, std::vector<bool>{true}, parameters, *scheduler_);
  }
  std::shared_ptr<Request> Start(std::vector<float> values, TimePoint deadline = kNoDeadline) {
    auto request = std::make_shared<Request>(std::move(values));
    servable_->Run({.signature = &servable_->signatures()[0], .inputs = request->inputs, .deadline = deadline},
                   [request](const Status& status, std::span<const TensorView> outputs) {
                     request->status = status;
                     if (status.ok()) request->answer.assign(outputs[0].values<float>().begin(), outputs[0].values<float>().end());
                     request->ended.set_value();
                   });
    return request;
  }
  std::shared_ptr<TextRequest> StartText(std::vector<std::string> texts) {
    auto request = std::make_shared<TextRequest>(std::move(texts));
    servable_->Run({.signature = &servable_->signatures()[0], .inputs = request->inputs},
                   [request](const Status& status, std::span<const TensorView> outputs) {
                     request->status = status;
                     if (status.ok()) request->answer = TextsOf(outputs[0]);
                     request->ended.set_value();
                   });
    return request;
  }
  template <typename AnyRequest>
  static void Wait(AnyRequest& request) {
    request.ended.get_future().wait();
  }
  Status Run(std::vector<float> values) {
    const std::shared_ptr<Request> request = Start(std::move(values));
    Wait(*request);
    return request->status;
  }
  // The model runs one request, and will until Open: what comes now, waits.
  std::shared_ptr<Request> Occupy() {
    gate_ = open_.get_future();
    std::shared_ptr<Request> first = Start({0});
    begun_.wait(0);
    return first;
  }
  void Open() { open_.set_value(); }

  std::shared_ptr<FakeServable> model_ =
      std::make_shared<FakeServable>(ServableId{"m", 1}, std::vector<Signature>{IdentitySignature(DType::kFloat, {-1})});
  std::function<Status(const RunRequest&)> status_of_ = [](const RunRequest&) { return OkStatus(); };
  std::atomic<int> begun_ = 0;
  std::promise<void> open_;
  std::shared_future<void> gate_;
  std::vector<int64_t> sizes_;  // of the runs, in their order
  std::unique_ptr<BatchScheduler> scheduler_ = std::make_unique<BatchScheduler>("batch", 1);
  std::unique_ptr<BatchingServable> servable_;
};

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
  Use({});
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id ran_on;
  status_of_ = [&ran_on](const RunRequest&) {
    ran_on = std::this_thread::get_id();
    return InvalidArgumentError("no rows");
  };
  EXPECT_EQ(Run({}), InvalidArgumentError("no rows"));
  EXPECT_EQ(ran_on, here);
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
