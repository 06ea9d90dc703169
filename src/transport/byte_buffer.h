// A growing run of bytes, filled at its end and consumed from its front: what is read from a socket and not yet understood, and a request's body.
//
// Unlike std::string or std::vector it never writes zeros over memory that a read is about to fill, and grows by realloc, which for a large body
// moves pages instead of copying bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

#include "transport/in_flight_bytes.h"

namespace tflite_serving {

// What runs a request's tensors reads them in place where they are aligned like this.
inline constexpr size_t kBodyAlignment = 64;
// Bytes that a parser may read, not write, after the end of a buffer's content.
inline constexpr size_t kBodyPaddingBytes = 64;

// Thread-compatible.
class ByteBuffer {
 public:
  // Memory for which there is no room in `in_flight` is not there. It must outlive the buffer; null: there is no limit.
  explicit ByteBuffer(InFlightBytes* in_flight = nullptr) : share_(in_flight) {}
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;
  ~ByteBuffer() { std::free(data_); }

  bool empty() const { return begin_ == end_; }
  size_t size() const { return end_ - begin_; }
  // Not counting the padding.
  size_t capacity() const { return capacity_; }
  std::string_view view() const { return {data_ + begin_, size()}; }
  std::span<char> bytes() { return {data_ + begin_, size()}; }

  // Where the next bytes go; Commit says how many came. Invalidated by MakeRoom.
  std::span<char> room() { return {data_ + end_, capacity_ - end_}; }
  void Commit(size_t size) { end_ += size; }

  // Makes room() at least `size` bytes long, moving the bytes to the front of the memory if that is enough. False: there is no memory.
  [[nodiscard]] bool MakeRoom(size_t size) {
    if (capacity_ - end_ >= size) return true;
    if (begin_ > 0 && capacity_ - this->size() >= size) {
      std::memmove(data_, data_ + begin_, this->size());
      end_ -= begin_;
      begin_ = 0;
    }
    return capacity_ - end_ >= size || Resize(end_ + size);
  }

  // Of an empty buffer: makes room() at least `size` bytes long, with its byte number `offset` at a multiple of kBodyAlignment. It stays there when
  // a large buffer grows, as a rule. False: there is no memory.
  [[nodiscard]] bool MakeAlignedRoom(size_t size, size_t offset) {
    if (!MakeRoom(size + kBodyAlignment - 1)) return false;
    begin_ = end_ = -(reinterpret_cast<uintptr_t>(data_) + offset) % kBodyAlignment;
    return true;
  }

  // As MakeRoom, growing at least by doubling so that many small appends stay linear. Bytes that lie at the beginning of room() stay there.
  [[nodiscard]] bool Append(std::string_view bytes) {
    if (capacity_ - end_ < bytes.size() && !MakeRoom(std::max(bytes.size(), size()))) return false;
    if (!bytes.empty() && bytes.data() != data_ + end_) std::memcpy(data_ + end_, bytes.data(), bytes.size());
    end_ += bytes.size();
    return true;
  }

  // Drops the first `size` bytes.
  void Consume(size_t size) {
    begin_ += size;
    if (begin_ == end_) Clear();
  }

  void Swap(ByteBuffer& other) {
    std::swap(data_, other.data_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
    std::swap(capacity_, other.capacity_);
    share_.Swap(other.share_);
  }

  // Drops the bytes and keeps the memory.
  void Clear() { begin_ = end_ = 0; }
  // Drops both.
  void Free() {
    std::free(data_);
    data_ = nullptr;
    begin_ = end_ = capacity_ = 0;
    share_.Set(0);
  }

  // The bytes, with kBodyPaddingBytes zeros after them. Requires that memory was ever reserved.
  std::span<char> Padded() {
    std::memset(data_ + end_, 0, kBodyPaddingBytes);
    return {data_ + begin_, size()};
  }

 private:
  bool Resize(size_t capacity) {
    if (!share_.TrySet(capacity)) return false;
    void* const grown = std::realloc(data_, capacity + kBodyPaddingBytes);
    if (grown == nullptr) {
      share_.Set(capacity_);
      return false;
    }
    data_ = static_cast<char*>(grown);
    capacity_ = capacity;
    return true;
  }

  char* data_ = nullptr;  // capacity_ + kBodyPaddingBytes bytes, or null
  size_t begin_ = 0;
  size_t end_ = 0;
  size_t capacity_ = 0;
  InFlightShare share_;
};

}  // namespace tflite_serving
