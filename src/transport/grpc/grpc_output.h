// The bytes that a connection is to send, in order: frames, held here, and replies, which stay where their handler wrote them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "transport/asio_types.h"
#include "transport/byte_buffer.h"

namespace tflite_serving {

class GrpcExchange;

// Thread-compatible.
class GrpcOutput {
 public:
  static constexpr size_t kMaxPieces = 64;
  // What an empty output keeps for the next frames.
  static constexpr size_t kMaxIdleFrameBytes = size_t{16} << 10;

  // Copies `bytes`. False: there is no memory.
  [[nodiscard]] bool Append(std::string_view bytes);
  // Points to `bytes`, which `owner` holds, and counts it in the owner's output_runs until they are consumed.
  void AppendReply(std::string_view bytes, GrpcExchange& owner);

  size_t size() const { return size_; }
  // The first pieces, for one write. Invalidated by any other method.
  std::span<const asio::const_buffer> Pieces();
  // Drops the first `size` bytes. `released` is called with every exchange whose last piece that was.
  template <typename Released>
  void Consume(size_t size, Released released);
  void Clear();

 private:
  struct Run {
    size_t size;
    const char* reply;    // null: the bytes are next in frames_
    GrpcExchange* owner;  // of the reply
  };

  void AddRun(const Run& run);
  // Drops the first bytes of the first run; the owner if that was its last run, otherwise null.
  GrpcExchange* ConsumeFirst(size_t size);

  ByteBuffer frames_;
  std::vector<Run> runs_;
  size_t first_ = 0;  // of runs_ that is not consumed
  size_t size_ = 0;
  std::array<asio::const_buffer, kMaxPieces> pieces_;
};

template <typename Released>
void GrpcOutput::Consume(size_t size, Released released) {
  while (size > 0) {
    const size_t step = std::min(size, runs_[first_].size);
    size -= step;
    if (GrpcExchange* const owner = ConsumeFirst(step)) released(*owner);
  }
  if (size_ == 0 && frames_.capacity() > kMaxIdleFrameBytes) frames_.Free();
}

}  // namespace tflite_serving
