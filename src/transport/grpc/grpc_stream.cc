#include "transport/grpc/grpc_stream.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "base/mutex.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_session.h"

namespace tflite_serving {

class GrpcStream::Waker final : public GrpcWaker, public std::enable_shared_from_this<Waker> {
 public:
  Waker(GrpcStream& stream, std::shared_ptr<asio::io_context> io) : stream_(&stream), io_(std::move(io)) {}

  void Wake() override {
    const MutexLock lock(mutex_);  // while the stream lives its loop runs, and will run what is posted
    if (io_ == nullptr || std::exchange(pending_, true)) return;
    asio::post(*io_, [self = shared_from_this()] { self->Deliver(); });
  }

  // The stream ends.
  void Forget() {
    stream_ = nullptr;
    const MutexLock lock(mutex_);
    io_ = nullptr;
  }

 private:
  void Deliver() {
    {
      const MutexLock lock(mutex_);
      pending_ = false;
    }
    if (stream_ != nullptr) stream_->OnWake();
  }

  GrpcStream* stream_;  // of the loop's thread
  Mutex mutex_;
  std::shared_ptr<asio::io_context> io_ TFLS_GUARDED_BY(mutex_);
  bool pending_ TFLS_GUARDED_BY(mutex_) = false;
};

GrpcStream::GrpcStream(GrpcSession& session, GrpcExchange& exchange, std::shared_ptr<asio::io_context> io)
    : session_(session), exchange_(exchange), waker_(std::make_shared<Waker>(*this, std::move(io))) {}

GrpcStream::~GrpcStream() { waker_->Forget(); }

void GrpcStream::Send(std::string message) {
  if (finished_) return;
  if (queued_bytes_ + message.size() > kMaxQueuedStreamBytes) {
    return Finish(ResourceExhaustedError(fmt::format("more than {} bytes wait for the client to read them", kMaxQueuedStreamBytes)));
  }
  const auto size = static_cast<uint32_t>(message.size());
  const char prefix[] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8), static_cast<char>(size)};
  message.insert(0, prefix, sizeof(prefix));
  queued_bytes_ += message.size();
  const bool first = queue_.empty();
  queue_.push_back(std::move(message));
  session_.ResumeStream(exchange_, first);
}

void GrpcStream::Finish(const Status& status) {
  if (std::exchange(finished_, true)) return;
  status_ = status;
  session_.ResumeStream(exchange_, queue_.empty());
}

std::shared_ptr<GrpcWaker> GrpcStream::waker() { return waker_; }

void GrpcStream::Open(const GrpcStreamOpener& opener) {
  handler_ = opener(*this);
  DropFinishedHandler();
}

void GrpcStream::OnMessage(std::string_view message) {
  if (finished_) return;
  handler_->OnMessage(message);
  DropFinishedHandler();
}

void GrpcStream::OnEnd() {
  if (finished_) return;
  handler_->OnEnd();
  DropFinishedHandler();
}

void GrpcStream::OnWake() {
  if (finished_) return;
  handler_->OnWake();
  DropFinishedHandler();
  session_.FlushOutput();
}

void GrpcStream::DropFinishedHandler() {
  if (finished_) handler_.reset();
}

size_t GrpcStream::Take(char* room, size_t room_size) {
  size_t size = 0;
  while (size < room_size && !queue_.empty()) {
    const std::string& front = queue_.front();
    const size_t step = std::min(room_size - size, front.size() - taken_);
    front.copy(room + size, step, taken_);
    size += step;
    taken_ += step;
    if (taken_ < front.size()) break;
    queued_bytes_ -= front.size();
    taken_ = 0;
    queue_.pop_front();
  }
  return size;
}

}  // namespace tflite_serving
