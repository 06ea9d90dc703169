#include "wire/message_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

static_assert(std::endian::native == std::endian::little, "fixed fields are read as they lie");

constexpr int kMaxVarintBytes = 10;
constexpr uint32_t kStartGroup = 3;
constexpr uint32_t kEndGroup = 4;

// The length of the UTF-8 sequence at the front of `text`; 0 if there is no valid one (RFC 3629).
size_t Utf8SequenceLength(std::string_view text) {
  const auto byte = [text](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const auto in = [&byte](size_t i, unsigned from, unsigned to) { return byte(i) >= from && byte(i) <= to; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned from = lead == 0xE0 ? 0xA0 : 0x80;  // no overlong forms
    const unsigned to = lead == 0xED ? 0x9F : 0xBF;    // no surrogates
    return in(1, from, to) && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned from = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned to = lead == 0xF4 ? 0x8F : 0xBF;  // nothing above U+10FFFF
    return in(1, from, to) && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

WireRange::WireRange(std::span<const std::span<const std::byte>> pieces) : pieces_(pieces) {
  for (const auto piece : pieces) rest_ += piece.size();
  NextPiece();
}

void WireRange::NextPiece() {
  while (at_ == end_ && rest_ > 0) {
    const size_t taken = std::min(pieces_.front().size(), rest_);
    at_ = pieces_.front().data();
    end_ = at_ + taken;
    rest_ -= taken;
    pieces_ = pieces_.subspan(1);
  }
}

bool WireRange::ReadAnyVarint(uint64_t& value) {
  value = 0;
  for (int i = 0; i < kMaxVarintBytes; ++i) {
    if (at_ == end_) return false;
    const auto byte = std::to_integer<uint64_t>(*at_);
    Advance(1);
    value |= (byte & 0x7F) << (7 * i);
    if (byte < 0x80) return true;
  }
  return false;
}

bool WireRange::Read(std::span<std::byte> to) {
  if (to.size() > size()) return false;
  while (!to.empty()) {
    const size_t n = std::min(to.size(), static_cast<size_t>(end_ - at_));
    std::memcpy(to.data(), at_, n);
    to = to.subspan(n);
    Advance(n);
  }
  return true;
}

bool WireRange::Split(uint64_t wanted, WireRange& front) {
  if (wanted > size()) return false;
  front = *this;
  const auto here = static_cast<uint64_t>(end_ - at_);
  if (wanted <= here) {
    front.end_ = at_ + wanted;
    front.rest_ = 0;
  } else {
    front.rest_ = wanted - here;
  }
  return Skip(wanted);
}

bool WireRange::Skip(uint64_t n) {
  if (n > size()) return false;
  while (n > 0) {
    const uint64_t step = std::min(n, static_cast<uint64_t>(end_ - at_));
    Advance(step);
    n -= step;
  }
  return true;
}

std::string WireRange::ToString() const {
  std::string text(size(), '\0');
  WireRange copy = *this;
  const bool all = copy.Read(std::as_writable_bytes(std::span(text)));
  return all ? text : std::string();
}

bool MessageReader::Fail(std::string problem) {
  problem_ = std::move(problem);
  return false;
}

bool MessageReader::ReadTag(uint32_t& number, uint32_t& type) {
  uint64_t tag;
  if (!rest_.ReadVarint(tag)) return Fail("a field's number is cut off or too long");
  if (tag > UINT32_MAX || tag >> 3 == 0) return Fail(fmt::format("{} is no field number", tag >> 3));
  number = static_cast<uint32_t>(tag >> 3);
  type = static_cast<uint32_t>(tag & 7);
  return true;
}

bool MessageReader::ReadValue(uint32_t type, WireField& field) {
  field.type = static_cast<WireType>(type);
  switch (field.type) {
    case WireType::kVarint:
      return rest_.ReadVarint(field.number_value) || Fail(fmt::format("the number in field {} is cut off or too long", field.number));
    case WireType::kFixed64:
      return rest_.ReadFixed64(field.number_value) || Fail(fmt::format("the number in field {} is cut off", field.number));
    case WireType::kFixed32: {
      uint32_t value;
      if (!rest_.ReadFixed32(value)) return Fail(fmt::format("the number in field {} is cut off", field.number));
      field.number_value = value;
      return true;
    }
    case WireType::kLengthDelimited: {
      uint64_t length;
      if (!rest_.ReadVarint(length)) return Fail(fmt::format("the length of field {} is cut off or too long", field.number));
      const size_t left = rest_.size();
      return rest_.Split(length, field.range) || Fail(fmt::format("field {} claims {} bytes where {} are left", field.number, length, left));
    }
  }
  return Fail(fmt::format("field {} has the unknown wire type {}", field.number, type));
}

// A field of small number with a small number or length, all in one piece: nearly every one.
bool MessageReader::NextSmall(WireField& field) {
  const std::span<const std::byte> here = rest_.contiguous();
  if (here.size() < 2) return false;
  const auto tag = std::to_integer<uint32_t>(here[0]);
  const auto value = std::to_integer<uint32_t>(here[1]);
  if (tag >= 0x80 || tag >> 3 == 0 || value >= 0x80) return false;
  const auto type = static_cast<WireType>(tag & 7);
  if (type == WireType::kVarint) {
    field.number_value = value;
    rest_.Advance(2);
  } else if (type == WireType::kLengthDelimited && value <= here.size() - 2) {
    field.range = WireRange(here.subspan(2, value));
    rest_.Advance(2 + value);
  } else {
    return false;
  }
  field.number = tag >> 3;
  field.type = type;
  return true;
}

bool MessageReader::Next(WireField& field) {
  if (NextSmall(field)) return true;
  while (!rest_.empty()) {
    uint32_t type;
    if (!ReadTag(field.number, type)) return false;
    if (type == kEndGroup) return Fail(fmt::format("group {} ends without having begun", field.number));
    if (type != kStartGroup) return ReadValue(type, field);
    if (!SkipGroup(field.number)) return false;
  }
  return false;
}

bool MessageReader::SkipGroup(uint32_t number) {
  std::array<uint32_t, kMaxGroupDepth> open{number};
  size_t depth = 1;
  while (depth > 0) {
    WireField field;
    uint32_t type;
    if (!ReadTag(field.number, type)) return false;
    if (type == kStartGroup) {
      if (depth == kMaxGroupDepth) return Fail(fmt::format("groups lie deeper than {} in one another", kMaxGroupDepth));
      open[depth++] = field.number;
    } else if (type == kEndGroup) {
      if (open[--depth] != field.number) return Fail(fmt::format("group {} is ended as {}", open[depth], field.number));
    } else if (!ReadValue(type, field)) {
      return false;
    }
  }
  return true;
}

Status ReadName(const WireRange& range, std::string& name) {
  if (range.size() > kMaxNameBytes) return InvalidArgumentError(fmt::format("a name has {} bytes, the limit is {}", range.size(), kMaxNameBytes));
  if (const auto here = range.contiguous(); here.size() == range.size()) {
    name.assign(reinterpret_cast<const char*>(here.data()), here.size());
  } else {
    name = range.ToString();
  }
  return IsUtf8(name) ? OkStatus() : InvalidArgumentError("a name is not valid UTF-8");
}

StatusOr<std::string> ReadName(const WireRange& range) {
  std::string name;
  TFLS_RETURN_IF_ERROR(ReadName(range, name));
  return name;
}

}  // namespace tflite_serving
