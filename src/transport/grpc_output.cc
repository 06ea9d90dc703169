#include "transport/grpc_output.h"

#include "transport/grpc_exchange.h"

namespace tflite_serving {

bool GrpcOutput::Append(std::string_view bytes) {
  if (!frames_.Append(bytes)) return false;
  size_ += bytes.size();
  if (!runs_.empty() && runs_.back().reply == nullptr) {
    runs_.back().size += bytes.size();
  } else {
    runs_.push_back({.size = bytes.size(), .reply = nullptr, .owner = nullptr});
  }
  return true;
}

void GrpcOutput::AppendReply(std::string_view bytes, GrpcExchange& owner) {
  size_ += bytes.size();
  runs_.push_back({.size = bytes.size(), .reply = bytes.data(), .owner = &owner});
  ++owner.output_runs;
}

std::span<const asio::const_buffer> GrpcOutput::Pieces() {
  size_t count = 0;
  const char* frame = frames_.view().data();
  for (const Run& run : runs_) {
    if (count == kMaxPieces) break;
    pieces_[count++] = asio::const_buffer(run.reply != nullptr ? run.reply : frame, run.size);
    if (run.reply == nullptr) frame += run.size;
  }
  return std::span(pieces_).first(count);
}

GrpcExchange* GrpcOutput::ConsumeFirst(size_t size) {
  Run& run = runs_.front();
  size_ -= size;
  run.size -= size;
  if (run.reply == nullptr) {
    frames_.Consume(size);
  } else {
    run.reply += size;
  }
  if (run.size > 0) return nullptr;
  GrpcExchange* const owner = run.owner;
  runs_.pop_front();
  return owner != nullptr && --owner->output_runs == 0 ? owner : nullptr;
}

void GrpcOutput::Clear() {
  for (const Run& run : runs_) {
    if (run.owner != nullptr) --run.owner->output_runs;
  }
  runs_.clear();
  frames_.Free();
  size_ = 0;
}

}  // namespace tflite_serving
