#include "transport/grpc/grpc_input.h"

#include <algorithm>
#include <cstring>

#include <nghttp2/nghttp2.h>

namespace tflite_serving {

void GrpcInput::Add(char* room, size_t size) {
  buffers_[num_buffers_++] = asio::mutable_buffer(room, size);
  room_bytes_ += size;
}

std::span<const asio::mutable_buffer> GrpcInput::Prepare(const GrpcLanding& landing) {
  room_bytes_ = num_buffers_ = num_frames_ = 0;
  if (landing.room.empty() || landing.frame_bytes < kMinFrameBytes) {
    Add(bulk_.data(), bulk_.size());
    return std::span(buffers_).first(num_buffers_);
  }
  stream_id_ = landing.stream_id;
  std::span<char> room = landing.room;
  size_t missing = landing.missing;
  const auto add_frame = [&](size_t left, size_t most) {
    const size_t here = std::min({left, room.size(), most});
    Add(room.data(), here);
    missing -= left;
    room = here < left ? std::span<char>() : room.subspan(here);
  };
  add_frame(std::min(landing.frame_left, missing), SIZE_MAX);
  // What follows must fit into bulk_, if it is to be put in order.
  for (size_t spare = bulk_.size(); num_frames_ < kMaxFrames && !room.empty() && spare > kFrameHeadBytes;) {
    FrameHead& head = heads_[num_frames_++];
    head.announced = std::min(landing.frame_bytes, missing);
    head.may_end_stream = head.announced == missing;
    Add(head.bytes.data(), kFrameHeadBytes);
    spare -= kFrameHeadBytes;
    add_frame(head.announced, spare);
    spare -= buffers_[num_buffers_ - 1].size();
  }
  return std::span(buffers_).first(num_buffers_);
}

bool GrpcInput::IsAsExpected(const FrameHead& head) const {
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(head.bytes[i])); };
  const uint32_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
  const uint32_t stream_id = byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8);
  const uint32_t flags = byte(4) & ~uint32_t{head.may_end_stream ? NGHTTP2_FLAG_END_STREAM : NGHTTP2_FLAG_NONE};
  return size == head.announced && byte(3) == NGHTTP2_DATA && flags == 0 && stream_id == static_cast<uint32_t>(stream_id_);
}

size_t GrpcInput::InPlace(size_t size) const {
  if (num_frames_ == 0) return size;
  size_t at = buffers_[0].size();
  for (size_t i = 0; i < num_frames_ && at + kFrameHeadBytes <= size; ++i) {
    at += kFrameHeadBytes;
    if (!IsAsExpected(heads_[i])) return at;
    at += buffers_[2 * i + 2].size();
  }
  return size;
}

bool GrpcInput::Deliver(size_t size, const std::function<bool(std::string_view)>& take) {
  const size_t in_place = InPlace(size);
  // The rest, before a frame that is in place can reach into it.
  size_t at = 0;
  size_t gathered = 0;
  for (const asio::mutable_buffer& buffer : std::span(buffers_).first(num_buffers_)) {
    const size_t end = std::min(at + buffer.size(), size);
    const size_t begin = std::max(at, in_place);
    if (begin < end) {
      std::memcpy(bulk_.data() + gathered, static_cast<const char*>(buffer.data()) + (begin - at), end - begin);
      gathered += end - begin;
    }
    at += buffer.size();
  }
  at = 0;
  for (const asio::mutable_buffer& buffer : std::span(buffers_).first(num_buffers_)) {
    const size_t end = std::min(at + buffer.size(), in_place);
    if (at < end && !take({static_cast<const char*>(buffer.data()), end - at})) return false;
    at += buffer.size();
  }
  return gathered == 0 || take({bulk_.data(), gathered});
}

}  // namespace tflite_serving
