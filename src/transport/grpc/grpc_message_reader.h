// The messages in the body of a gRPC request: each five bytes (compressed or not, its length) and itself.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "base/status.h"
#include "transport/byte_buffer.h"
#include "transport/grpc/grpc_protocol.h"

namespace tflite_serving {

// Reads one message after the other, each into one piece of memory. Thread-compatible.
class GrpcMessageReader {
 public:
  static constexpr size_t kPrefixBytes = 5;

  // `memory`, which may be null, must outlive the reader.
  explicit GrpcMessageReader(InFlightBytes* memory = nullptr) : input_(memory), output_(memory) {}

  // For a new request, whose compressed messages are in `encoding`. The byte number `aligned_byte` of a message gets an address that is a multiple of
  // kBodyAlignment, unless the message is compressed or outgrows its first memory.
  void Begin(GrpcEncoding encoding, size_t max_message_bytes, size_t aligned_byte = 0);

  // Takes what belongs to the current message off the front of `bytes`. Memory grows only as bytes arrive, whatever the prefix announces. When it
  // fails, the request is to be answered with the status, whose code and text are gRPC's where it has them:
  //   RESOURCE_EXHAUSTED  "Received message larger than max (N vs. M)", before or after decompression
  //   INTERNAL            a bad prefix, or a message that does not decompress
  //   UNAVAILABLE         there is no memory, or none within the budget
  Status Read(std::string_view& bytes);

  // The current message is whole: message() is what was sent, decompressed, until Next or Begin.
  bool complete() const { return complete_; }
  // Bytes of the current message have arrived.
  bool begun() const { return prefix_size_ > 0; }
  // Bytes of the current message that are still to come, once its length is known.
  size_t missing() const { return prefix_size_ == kPrefixBytes ? size_ - input_.size() : 0; }
  // Where the next of them go: Read finds those that lie there already in place.
  std::span<char> room() { return input_.room().first(std::min(input_.room().size(), missing())); }
  std::string_view message() const { return inflated_ ? output_.view() : input_.view(); }
  // Forgets the current message and keeps its memory.
  void Next();

  size_t capacity() const { return input_.capacity() + output_.capacity(); }
  void Free();

 private:
  Status ReadPrefix();
  Status Complete();

  GrpcEncoding encoding_ = GrpcEncoding::kIdentity;
  size_t max_message_bytes_ = 0;
  size_t aligned_byte_ = 0;
  std::array<char, kPrefixBytes> prefix_{};
  size_t prefix_size_ = 0;
  bool compressed_ = false;
  size_t size_ = 0;  // of the message, as announced
  bool complete_ = false;
  bool inflated_ = false;
  ByteBuffer input_;   // as sent
  ByteBuffer output_;  // decompressed
};

}  // namespace tflite_serving
