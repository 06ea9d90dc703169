// Reading serialized protobuf messages where they lie: in the pieces in which a gRPC message arrived, without a protobuf library and without copying
// what is not asked for. Format: https://protobuf.dev/programming-guides/encoding/
//
//   MessageReader reader(WireRange(pieces));
//   for (WireField field; reader.Next(field);) {
//     if (field.Is(1, WireType::kVarint)) id = field.number_value;
//   }
//   if (reader.malformed()) return InvalidArgumentError(std::string(reader.problem()));
//
// Unknown fields, and known ones of another wire type, are for the caller to pass over, as every protobuf library does. Nothing here recurses, and no
// input makes it read outside of the pieces. All types are values that borrow the pieces, and thread-compatible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

// Bytes that may lie in several pieces. Reading takes them from the front; a copy of a range is a bookmark.
class WireRange {
 public:
  WireRange() = default;
  // Both spans must outlive the range and all that is split from it. Pieces may be empty.
  explicit WireRange(std::span<const std::span<const std::byte>> pieces);
  // The same over bytes that lie in one piece.
  explicit WireRange(std::span<const std::byte> bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  explicit WireRange(std::string_view bytes) : WireRange(std::as_bytes(std::span(bytes))) {}

  size_t size() const { return static_cast<size_t>(end_ - at_) + rest_; }
  bool empty() const { return size() == 0; }

  // Takes a varint of at most ten bytes. False, with an undefined position, if there is none.
  [[nodiscard]] bool ReadVarint(uint64_t& value) {
    if (end_ - at_ < 2 || std::to_integer<uint8_t>(*at_) >= 0x80) return ReadAnyVarint(value);
    value = std::to_integer<uint8_t>(*at_++);  // and the piece has more
    return true;
  }
  // Takes a little-endian value.
  [[nodiscard]] bool ReadFixed32(uint32_t& value) { return Read(std::as_writable_bytes(std::span(&value, 1))); }
  [[nodiscard]] bool ReadFixed64(uint64_t& value) { return Read(std::as_writable_bytes(std::span(&value, 1))); }
  // Takes as many bytes as `to` has. False, and nothing taken, if there are fewer.
  [[nodiscard]] bool Read(std::span<std::byte> to);
  // Takes `size` bytes as a range of their own. False, and nothing taken, if there are fewer.
  [[nodiscard]] bool Split(uint64_t size, WireRange& front);
  [[nodiscard]] bool Skip(uint64_t size);

  // What is left of the piece at hand: for loops that are worth their own bounds check. Empty only when the range is. Advance(n) takes n bytes of it.
  std::span<const std::byte> contiguous() const { return {at_, end_}; }
  void Advance(size_t n) {
    at_ += n;
    if (at_ == end_) NextPiece();
  }

  // A copy of all bytes.
  std::string ToString() const;

 private:
  bool ReadAnyVarint(uint64_t& value);
  // Moves on to the next piece that has bytes, when the one at hand has none left.
  void NextPiece();

  std::span<const std::span<const std::byte>> pieces_;  // those behind the one at hand
  const std::byte* at_ = nullptr;
  const std::byte* end_ = nullptr;  // of the piece at hand, or of the range, whichever comes first
  size_t rest_ = 0;                 // bytes of the range in pieces_
};

// The wire types that a proto3 message has. Groups, which it has not, are skipped by the reader.
enum class WireType : uint8_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t number_value = 0;  // of kVarint, kFixed64 and kFixed32
  WireRange range;            // of kLengthDelimited

  bool Is(uint32_t expected_number, WireType expected_type) const { return number == expected_number && type == expected_type; }
};

// The fields of one message, one after the other.
class MessageReader {
 public:
  // As deep as protobuf libraries follow unknown groups.
  static constexpr size_t kMaxGroupDepth = 100;

  explicit MessageReader(const WireRange& message) : rest_(message) {}

  // The next field. False at the end of the message, or where it is malformed.
  [[nodiscard]] bool Next(WireField& field);

  bool malformed() const { return !problem_.empty(); }
  // What is wrong with the message: "a length of 70 bytes where 12 are left". Empty if nothing is.
  const std::string& problem() const { return problem_; }

 private:
  bool NextSmall(WireField& field);
  bool Fail(std::string problem);
  bool ReadTag(uint32_t& number, uint32_t& type);
  bool ReadValue(uint32_t type, WireField& field);
  bool SkipGroup(uint32_t number);

  WireRange rest_;
  std::string problem_;
};

// A `string` field's text, which proto3 wants to be UTF-8. INVALID_ARGUMENT if it is not, or is longer than kMaxNameBytes.
inline constexpr size_t kMaxNameBytes = 4096;
StatusOr<std::string> ReadName(const WireRange& range);
// The same into a string whose memory is used again; its content after an error is not specified.
Status ReadName(const WireRange& range, std::string& name);

}  // namespace tflite_serving
