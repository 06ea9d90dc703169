#include "transport/grpc/grpc_exchange.h"

#include <cstring>
#include <new>
#include <utility>

#include "telemetry/trace_context.h"
#include "transport/grpc/grpc_limits.h"
#include "transport/grpc/grpc_loop.h"
#include "transport/grpc/grpc_stream.h"

namespace tflite_serving {
namespace {

constexpr size_t kReplyOffset = 8;  // keeps the reply aligned

}  // namespace

GrpcExchange::GrpcExchange(GrpcLoop& loop, std::shared_ptr<FinishedCalls> finished, std::shared_ptr<InFlightBytes> memory)
    : in_flight(std::move(memory)), loop_(loop), finished_(std::move(finished)) {}
GrpcExchange::~GrpcExchange() = default;

void GrpcExchange::Begin() {
  state_.store(State::kHandling, std::memory_order_relaxed);
  request_ = std::as_bytes(std::span(reader.message()));
  if (const std::string_view id = head.metadata("x-request-id"); IsValidRequestId(id)) ids_.request_id.assign(id);
}

std::span<std::byte> GrpcExchange::AllocateReply(size_t size_bytes) {
  reply_.Clear();
  if (!reply_.MakeRoom(kReplyOffset + size_bytes)) throw std::bad_alloc();
  reply_share_.Set(reply_.capacity());
  reply_.Commit(kReplyOffset + size_bytes);
  return std::as_writable_bytes(std::span(reply_.bytes()).subspan(kReplyOffset));
}

void GrpcExchange::Finish(const Status& status) {
  status_ = status;
  held_share_.Set(0);
  if (state_.exchange(State::kFinished, std::memory_order_acq_rel) != State::kWaiting) return;
  const std::shared_ptr<FinishedCalls> finished = finished_;
  finished->Push(*this);
}

void GrpcExchange::Resume() { loop_.Resume(*this); }

bool GrpcExchange::TryWait() {
  State expected = State::kHandling;
  return state_.compare_exchange_strong(expected, State::kWaiting, std::memory_order_acq_rel);
}

std::string_view GrpcExchange::framed_reply() {
  if (reply_.empty()) AllocateReply(0);
  char* const prefix = reply_.bytes().data() + kReplyOffset - GrpcMessageReader::kPrefixBytes;
  const auto size = static_cast<uint32_t>(reply_.size() - kReplyOffset);
  const char bytes[GrpcMessageReader::kPrefixBytes] = {0, static_cast<char>(size >> 24), static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                                                       static_cast<char>(size)};
  std::memcpy(prefix, bytes, sizeof(bytes));
  return {prefix, size + sizeof(bytes)};
}

size_t GrpcExchange::Recycle() {
  session = nullptr;
  stream_id = -1;
  head.Clear();
  method = nullptr;
  reader.Next();
  if (reader.capacity() > kMaxPooledMessageBytes) reader.Free();
  deadline_time = kNoDeadline;
  cancelled.Reset();
  held = answered = false;
  aligned_byte = packed = sent = output_runs = 0;
  stream.reset();
  request_ = {};
  status_ = OkStatus();
  ids_.Clear();
  reply_.Clear();
  if (reply_.capacity() > kMaxPooledMessageBytes) reply_.Free();
  reply_share_.Set(reply_.capacity());
  return reader.capacity() + reply_.capacity();
}

void GrpcExchange::FreeBuffers() {
  reader.Free();
  reply_.Free();
  reply_share_.Set(0);
}

}  // namespace tflite_serving
