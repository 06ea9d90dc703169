// Where the next bytes of a connection are received: those of a large message right where the message is put together.
//
// HTTP/2 cuts a message into DATA frames, nine bytes of head before each. While one of them is on its way, one read is spread over many places: what
// is left of the frame goes behind what the message has already; the next frames are taken to be like it, so a head goes aside and what it announces
// behind the rest again; and so on. Where the heads that come are other ones, what follows the first of these is put in order before it is read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "transport/asio_types.h"

namespace tflite_serving {

// A DATA frame of a large message, whose head has come and the rest not wholly.
struct GrpcLanding {
  std::span<char> room;    // where the message goes on, no longer than what is missing of it; empty: there is no such frame
  size_t missing = 0;      // of the message
  size_t frame_bytes = 0;  // of the frame, without its head
  size_t frame_left = 0;   // of those, still to come
  int32_t stream_id = 0;
};

// Thread-compatible: one for all connections of a loop, since nothing is kept from one event to the next.
class GrpcInput {
 public:
  static constexpr size_t kFrameHeadBytes = 9;
  static constexpr size_t kMaxFrames = 31;  // taken to follow; two buffers for each is what Asio passes to one read
  // Shorter frames are not worth a place of their own.
  static constexpr size_t kMinFrameBytes = size_t{8} << 10;

  // `bulk_bytes`: read at once where there is no landing, and taken to follow where there is one; more than a frame's head.
  explicit GrpcInput(size_t bulk_bytes) : bulk_(bulk_bytes) {}

  // Where the next bytes go, one at least: valid until the next call, and as long as the landing's room.
  std::span<const asio::mutable_buffer> Prepare(const GrpcLanding& landing);
  // Of all that Prepare has given.
  size_t room_bytes() const { return room_bytes_; }
  // So many bytes have come there: gives them to `take` in their order, piece by piece, until it returns false. Returns what it returned last.
  bool Deliver(size_t size, const std::function<bool(std::string_view)>& take);

 private:
  struct FrameHead {
    std::array<char, kFrameHeadBytes> bytes;
    size_t announced;
    bool may_end_stream;
  };

  void Add(char* room, size_t size);
  bool IsAsExpected(const FrameHead& head) const;
  // The number of bytes, of `size` that have come, which lie where they belong: all, or up to a head that is not as expected.
  size_t InPlace(size_t size) const;

  std::vector<char> bulk_;
  int32_t stream_id_ = 0;
  size_t room_bytes_ = 0;
  size_t num_buffers_ = 0;
  size_t num_frames_ = 0;  // with their heads in heads_: the buffers are the frame that has begun, then a head and its frame, again and again
  std::array<FrameHead, kMaxFrames> heads_;
  std::array<asio::mutable_buffer, 1 + 2 * kMaxFrames> buffers_;
};

}  // namespace tflite_serving
