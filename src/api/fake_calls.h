// For tests: calls without a network. They keep what the handler finished them with.
#pragma once

#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "transport/grpc_call.h"
#include "transport/grpc_stream_call.h"
#include "transport/http_call.h"

namespace tflite_serving {

class FakeHttpCall : public HttpCall {
 public:
  FakeHttpCall(std::string method, std::string target, const std::string& body)
      : method_(std::move(method)), target_(std::move(target)), memory_(body.size() + 64) {
    std::copy(body.begin(), body.end(), memory_.begin());
    request_ = {.method = method_, .target = target_, .body = std::span(memory_).first(body.size()), .received_at = Clock::Steady().Now()};
  }

  const HttpRequest& request() const override { return request_; }
  HttpResponse& response() override { return response_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t bytes) override {
    held_bytes = bytes;
    return may_hold;
  }
  void Finish() override { finished_.set_value(); }

  size_t held_bytes = 0;
  Status may_hold;

  // What is not sent is empty.
  void set_content_type(std::string value) { request_.content_type = content_type_ = std::move(value); }
  void set_accept(std::string value) { request_.accept = accept_ = std::move(value); }
  void set_origin(std::string value) { request_.origin = origin_ = std::move(value); }
  void Cancel() { cancellation_.Cancel(); }

  // Waits for Finish.
  const HttpResponse& Wait() {
    finished_.get_future().wait();
    return response_;
  }

 private:
  const std::string method_;
  const std::string target_;
  std::string content_type_;
  std::string accept_;
  std::string origin_;
  std::vector<char> memory_;
  HttpRequest request_;
  HttpResponse response_;
  Cancellation cancellation_;
  std::promise<void> finished_;
};

class FakeGrpcCall : public GrpcCall {
 public:
  explicit FakeGrpcCall(const std::string& request)
      : request_(request + std::string(64, 0)), pieces_{std::as_bytes(std::span(request_)).first(request.size())} {}

  std::span<const std::span<const std::byte>> request() const override { return pieces_; }
  void AlignNext(const std::byte* /*byte*/) override {}
  std::string_view metadata(std::string_view key) const override {
    const auto found = metadata_.find(key);
    return found == metadata_.end() ? std::string_view() : found->second;
  }
  CallIds& ids() override { return ids_; }
  TimePoint deadline() const override { return deadline_; }
  const Cancellation& cancellation() const override { return cancellation_; }
  Status Hold(size_t bytes) override {
    held_bytes = bytes;
    return may_hold;
  }
  size_t held_bytes = 0;
  Status may_hold;
  std::span<std::byte> AllocateReply(size_t size_bytes) override {
    reply_.resize(size_bytes);
    return std::as_writable_bytes(std::span(reply_));
  }
  void Finish(const Status& status) override { finished_.set_value(status); }

  void set_metadata(const std::string& key, std::string value) { metadata_[key] = std::move(value); }
  void set_deadline(TimePoint deadline) { deadline_ = deadline; }
  void Cancel() { cancellation_.Cancel(); }
  // Waits for Finish.
  Status Wait() { return finished_.get_future().get(); }
  const std::string& reply() const { return reply_; }

 private:
  const std::string request_;
  const std::vector<std::span<const std::byte>> pieces_;
  std::map<std::string, std::string, std::less<>> metadata_;
  CallIds ids_;
  TimePoint deadline_ = kNoDeadline;
  Cancellation cancellation_;
  std::string reply_;
  std::promise<Status> finished_;
};

class FakeStreamCall : public GrpcStreamCall {
 public:
  void Send(std::string message) override { sent.push_back(std::move(message)); }
  void Finish(const Status& status) override { finished = status; }
  std::shared_ptr<GrpcWaker> waker() override { return waker_; }

  // Whether the handler asked to be woken since the last question; the test then calls its OnWake.
  bool TakeWake() { return std::exchange(waker_->woken, false); }

  std::vector<std::string> sent;
  std::optional<Status> finished;

 private:
  struct Waker : GrpcWaker {
    void Wake() override { woken = true; }
    bool woken = false;
  };

  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
};

}  // namespace tflite_serving
