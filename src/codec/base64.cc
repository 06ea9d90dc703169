#include "codec/base64.h"

#include <array>
#include <cstdint>

namespace tflite_serving {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr uint8_t kInvalid = 0x80;  // what is no digit: the bit that no value has

constexpr std::array<uint8_t, 256> kValues = [] {
  std::array<uint8_t, 256> values{};
  values.fill(kInvalid);
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}();

constexpr uint32_t ValueOf(char c) { return kValues[static_cast<unsigned char>(c)]; }
constexpr bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

char* PutThree(char* out, uint32_t bits) {
  out[0] = static_cast<char>(bits >> 16);
  out[1] = static_cast<char>(bits >> 8);
  out[2] = static_cast<char>(bits);
  return out + 3;
}

// From the first character that is not one of four digits in a row: digit by digit, to the end. `out` has room; nullptr if it is not base64.
char* DecodeSlowly(std::string_view text, char* out) {
  uint32_t bits = 0;
  unsigned digits = 0;   // in `bits`
  unsigned padding = 0;  // '=' seen
  for (const char c : text) {
    if (IsSpace(c)) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const uint32_t value = ValueOf(c);
    if (value == kInvalid || padding > 0) return nullptr;
    bits = bits << 6 | value;
    if (++digits == 4) {
      out = PutThree(out, bits);
      digits = 0;
      bits = 0;
    }
  }
  const unsigned expected_padding = digits == 0 ? 0 : 4 - digits;
  if (digits == 1 || (padding > 0 && padding != expected_padding)) return nullptr;
  if (digits == 0) return out;
  bits <<= 6 * (4 - digits);
  *out++ = static_cast<char>(bits >> 16);
  if (digits == 3) *out++ = static_cast<char>(bits >> 8);
  return out;
}

}  // namespace

char* EncodeBase64(std::string_view bytes, char* out) {
  const auto byte = [bytes](size_t i) -> uint32_t { return i < bytes.size() ? static_cast<unsigned char>(bytes[i]) : 0U; };
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t bits = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    out[0] = kAlphabet[bits >> 18];
    out[1] = kAlphabet[bits >> 12 & 0x3F];
    out[2] = i + 1 < bytes.size() ? kAlphabet[bits >> 6 & 0x3F] : '=';
    out[3] = i + 2 < bytes.size() ? kAlphabet[bits & 0x3F] : '=';
    out += 4;
  }
  return out;
}

bool DecodeBase64(std::string_view text, std::string& out) {
  const size_t old_size = out.size();
  out.resize(old_size + text.size() / 4 * 3 + 3);
  char* end = out.data() + old_size;
  size_t i = 0;
  for (; i + 4 <= text.size(); i += 4) {
    const uint32_t a = ValueOf(text[i]);
    const uint32_t b = ValueOf(text[i + 1]);
    const uint32_t c = ValueOf(text[i + 2]);
    const uint32_t d = ValueOf(text[i + 3]);
    if (((a | b | c | d) & kInvalid) != 0) break;
    end = PutThree(end, a << 18 | b << 12 | c << 6 | d);
  }
  end = DecodeSlowly(text.substr(i), end);
  out.resize(end == nullptr ? old_size : static_cast<size_t>(end - out.data()));
  return end != nullptr;
}

}  // namespace tflite_serving
