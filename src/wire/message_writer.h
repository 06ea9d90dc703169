// Writing serialized protobuf messages into memory of exactly the right size: the sizes are computed first, then everything is written once.
// Format: https://protobuf.dev/programming-guides/encoding/
#pragma once

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "wire/message_reader.h"

namespace tflite_serving {

// The bytes that `value` takes as a varint: 1 to 10. A negative int32 or int64 is sign-extended first, and takes 10.
constexpr size_t VarintSize(uint64_t value) { return (static_cast<size_t>(std::bit_width(value | 1)) * 9 + 64) / 64; }
constexpr size_t TagSize(uint32_t number) { return VarintSize(uint64_t{number} << 3); }
// A length-delimited field with `size` bytes inside.
constexpr size_t DelimitedSize(uint32_t number, size_t size) { return TagSize(number) + VarintSize(size) + size; }

// Thread-compatible. The caller has computed the size of `out` with the functions above; passing it is a bug, which debug builds catch.
class MessageWriter {
 public:
  explicit MessageWriter(std::span<std::byte> out) : at_(out.data()), end_(out.data() + out.size()) {}

  void Varint(uint64_t value) {
    if (value >> 63 != 0) return NegativeVarint(value);
    while (value >= 0x80) {
      Put(static_cast<std::byte>(value | 0x80));
      value >>= 7;
    }
    Put(static_cast<std::byte>(value));
  }
  void Tag(uint32_t number, WireType type) { Varint(uint64_t{number} << 3 | static_cast<uint64_t>(type)); }
  // The head of a field whose `size` bytes the caller writes next.
  void Delimited(uint32_t number, size_t size) {
    Tag(number, WireType::kLengthDelimited);
    Varint(size);
  }
  void Bytes(std::span<const std::byte> bytes) {
    assert(bytes.size() <= left());
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void Text(std::string_view text) { Bytes(std::as_bytes(std::span(text))); }
  void Put(std::byte byte) {
    assert(left() > 0);
    *at_++ = byte;
  }

  size_t left() const { return static_cast<size_t>(end_ - at_); }

 private:
  // Ten bytes at once, as each negative number of an int32 or int64 takes.
  void NegativeVarint(uint64_t value) {
    std::array<std::byte, 10> bytes;
    for (size_t i = 0; i < 9; ++i) bytes[i] = static_cast<std::byte>(value >> 7 * i | 0x80);
    bytes[9] = std::byte{1};
    Bytes(bytes);
  }

  std::byte* at_;
  std::byte* end_;
};

}  // namespace tflite_serving
