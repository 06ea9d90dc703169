// What the tests of BatchingServable have in common.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "batching/batching_servable.h"
#include "servable/fake_servable.h"

namespace tflite_serving {

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

inline std::vector<std::string> TextsOf(const TensorView& view) {
  EXPECT_TRUE(ValidateStrings(view.bytes, *view.shape.NumElements()).ok());
  std::vector<std::string> texts;
  for (int64_t i = 0; i < *view.shape.NumElements(); ++i) texts.emplace_back(view.StringAt(i));
  return texts;
}

inline const std::string kZeroBytes("\0\0", 2);

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
  std::shared_ptr<Request> Start(std::vector<float> values, TimePoint deadline = kNoDeadline, const Cancellation* cancellation = nullptr) {
    auto request = std::make_shared<Request>(std::move(values));
    servable_->Run({.signature = &servable_->signatures()[0], .inputs = request->inputs, .deadline = deadline, .cancellation = cancellation},
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

}  // namespace tflite_serving
