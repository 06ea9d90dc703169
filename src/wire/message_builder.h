// For tests: builds serialized protobuf messages field by field, well-formed or not.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "wire/message_writer.h"

namespace tflite_serving {

class MessageBuilder {
 public:
  MessageBuilder& Varint(uint32_t number, uint64_t value) { return Tag(number, WireType::kVarint).Raw(VarintText(value)); }
  MessageBuilder& Delimited(uint32_t number, std::string_view inside) {
    return Tag(number, WireType::kLengthDelimited).Raw(VarintText(inside.size())).Raw(inside);
  }
  MessageBuilder& Message(uint32_t number, const MessageBuilder& inside) { return Delimited(number, inside.text()); }
  // A float (fixed32) or double (fixed64), not packed.
  template <std::floating_point T>
  MessageBuilder& Fixed(uint32_t number, T value) {
    return Tag(number, sizeof(T) == 4 ? WireType::kFixed32 : WireType::kFixed64).Raw(Bytes(std::span(&value, 1)));
  }
  // Packed values as they lie in memory, or as varints.
  template <typename T>
  MessageBuilder& PackedFixed(uint32_t number, std::initializer_list<T> values) {
    return Delimited(number, Bytes(std::span(values.begin(), values.size())));
  }
  MessageBuilder& PackedVarints(uint32_t number, std::initializer_list<int64_t> values) {
    std::string inside;
    for (const int64_t value : values) inside += VarintText(static_cast<uint64_t>(value));
    return Delimited(number, inside);
  }
  MessageBuilder& Raw(std::string_view bytes) {
    text_ += bytes;
    return *this;
  }

  const std::string& text() const { return text_; }

  template <typename T>
  static std::string Bytes(std::span<const T> values) {
    return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
  }
  template <typename T>
  static std::string Bytes(std::span<T> values) {
    return Bytes(std::span<const T>(values));
  }

 private:
  static std::string VarintText(uint64_t value) {
    std::string text(VarintSize(value), '\0');
    MessageWriter(std::as_writable_bytes(std::span(text))).Varint(value);
    return text;
  }
  MessageBuilder& Tag(uint32_t number, WireType type) { return Raw(VarintText(uint64_t{number} << 3 | static_cast<uint64_t>(type))); }

  std::string text_;
};

// A message cut into pieces of at most `piece_bytes`; it must outlive what reads it.
class MessagePieces {
 public:
  MessagePieces(std::string text, size_t piece_bytes) : text_(std::move(text)) {
    for (std::span<const std::byte> left = std::as_bytes(std::span(text_)); !left.empty();) {
      pieces_.push_back(left.first(std::min(piece_bytes, left.size())));
      left = left.subspan(pieces_.back().size());
    }
  }
  MessagePieces(const MessagePieces&) = delete;
  MessagePieces& operator=(const MessagePieces&) = delete;

  std::span<const std::span<const std::byte>> pieces() const { return pieces_; }
  WireRange range() const { return WireRange(pieces_); }

 private:
  const std::string text_;
  std::vector<std::span<const std::byte>> pieces_;
};

}  // namespace tflite_serving
