#include "transport/grpc/grpc_output.h"

#include "transport/grpc/grpc_exchange.h"

namespace tflite_serving {

bool GrpcOutput::Append(std::string_view bytes) {
  if (!frames_.Append(bytes)) return false;
  size_ += bytes.size();
  if (!runs_.empty() && runs_.back().reply == nullptr) {
    runs_.back().size += bytes.size();
  } else {
    AddRun({.size = bytes.size(), .reply = nullptr, .owner = nullptr});
  }
  return true;
}

void GrpcOutput::AppendReply(std::string_view bytes, GrpcExchange& owner) {
  size_ += bytes.size();
  AddRun({.size = bytes.size(), .reply = bytes.data(), .owner = &owner});
  ++owner.output_runs;
}

void GrpcOutput::AddRun(const Run& run) {
  if (first_ >= kMaxPieces) {
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  runs_.push_back(run);
}

std::span<const asio::const_buffer> GrpcOutput::Pieces() {
  size_t count = 0;
  const char* frame = frames_.view().data();
  for (size_t i = first_; i < runs_.size() && count < kMaxPieces; ++i) {
    const Run& run = runs_[i];
    pieces_[count++] = asio::const_buffer(run.reply != nullptr ? run.reply : frame, run.size);
    if (run.reply == nullptr) frame += run.size;
  }
  return std::span(pieces_).first(count);
}

GrpcExchange* GrpcOutput::ConsumeFirst(size_t size) {
  Run& run = runs_[first_];
  size_ -= size;
  run.size -= size;
  if (run.reply == nullptr) {
    frames_.Consume(size);
  } else {
    run.reply += size;
  }
  if (run.size > 0) return nullptr;
  GrpcExchange* const owner = run.owner;
  if (++first_ == runs_.size()) {
    runs_.clear();
    first_ = 0;
  }
  return owner != nullptr && --owner->output_runs == 0 ? owner : nullptr;
}

void GrpcOutput::Clear() {
  for (size_t i = first_; i < runs_.size(); ++i) {
    if (runs_[i].owner != nullptr) --runs_[i].owner->output_runs;
  }
  runs_.clear();
  first_ = 0;
  frames_.Free();
  size_ = 0;
}

}  // namespace tflite_serving
