#include "transport/grpc/grpc_protocol.h"

#include <charconv>
#include <cstdint>

namespace tflite_serving {
namespace {

constexpr std::string_view kContentType = "application/grpc";
constexpr size_t kMaxTimeoutDigits = 8;
constexpr std::string_view kHexDigits = "0123456789ABCDEF";

std::string_view CutMessage(std::string_view message) {
  size_t cut = kMaxStatusMessageBytes;
  while (cut > kMaxStatusMessageBytes - 4 && (static_cast<unsigned char>(message[cut]) & 0xC0) == 0x80) --cut;
  return message.substr(0, cut);
}

void AppendEncoded(std::string_view message, std::string& encoded) {
  for (const char c : message) {
    if (c >= ' ' && c <= '~' && c != '%') {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += '%';
    encoded += kHexDigits[byte >> 4];
    encoded += kHexDigits[byte & 15];
  }
}

std::optional<std::chrono::nanoseconds> TimeoutUnit(char unit) {
  switch (unit) {
    case 'H':
      return std::chrono::hours(1);
    case 'M':
      return std::chrono::minutes(1);
    case 'S':
      return std::chrono::seconds(1);
    case 'm':
      return std::chrono::milliseconds(1);
    case 'u':
      return std::chrono::microseconds(1);
    case 'n':
      return std::chrono::nanoseconds(1);
    default:
      return std::nullopt;
  }
}

}  // namespace

bool IsGrpcContentType(std::string_view content_type) {
  if (!content_type.starts_with(kContentType)) return false;
  content_type.remove_prefix(kContentType.size());
  return content_type.empty() || content_type[0] == ';' || content_type == "+proto" || content_type.starts_with("+proto;");
}

std::optional<std::chrono::nanoseconds> ParseGrpcTimeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kMaxTimeoutDigits + 1) return std::nullopt;
  const std::optional<std::chrono::nanoseconds> unit = TimeoutUnit(text.back());
  uint32_t value = 0;
  const std::string_view digits = text.substr(0, text.size() - 1);
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (!unit || error != std::errc() || stop != digits.data() + digits.size()) return std::nullopt;
  // 99,999,999 hours are more than nanoseconds can count.
  if (value > std::chrono::nanoseconds::max() / *unit) return std::chrono::nanoseconds::max();
  return value * *unit;
}

std::optional<GrpcEncoding> ParseGrpcEncoding(std::string_view name) {
  if (name == "identity") return GrpcEncoding::kIdentity;
  if (name == "gzip") return GrpcEncoding::kGzip;
  if (name == "deflate") return GrpcEncoding::kDeflate;
  return std::nullopt;
}

std::string EncodeStatusMessage(std::string_view message) {
  std::string encoded;
  encoded.reserve(message.size());
  if (message.size() <= kMaxStatusMessageBytes) {
    AppendEncoded(message, encoded);
  } else {
    AppendEncoded(CutMessage(message), encoded);
    encoded += kTruncatedSuffix;
  }
  return encoded;
}

}  // namespace tflite_serving
