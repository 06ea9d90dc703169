#include "tensor/half.h"

#include <bit>

namespace tflite_serving {
namespace {

// Rounds to a format of 1 + exponent + `mantissa_bits` bits whose smallest normal number is 2^`min_exponent` and whose infinity is `infinity`.
uint16_t RoundTo16Bits(double value, int mantissa_bits, int min_exponent, uint16_t infinity) {
  constexpr int kDoubleMantissaBits = 52;
  constexpr int kDoubleBias = 1023;
  const auto bits = std::bit_cast<uint64_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 63 << 15);
  const int exponent = static_cast<int>(bits >> kDoubleMantissaBits & 0x7FF) - kDoubleBias;
  if (value != value) return static_cast<uint16_t>(sign | infinity | 1 << (mantissa_bits - 1));
  const int shift = kDoubleMantissaBits - mantissa_bits + (exponent < min_exponent ? min_exponent - exponent : 0);
  if (shift > kDoubleMantissaBits + 1) return sign;  // less than half of the smallest denormal
  const uint64_t mantissa = (bits & ((uint64_t{1} << kDoubleMantissaBits) - 1)) | uint64_t{1} << kDoubleMantissaBits;
  const uint64_t half = uint64_t{1} << (shift - 1);
  const uint64_t rest = mantissa & (2 * half - 1);
  uint64_t rounded = mantissa >> shift;
  if (rest > half || (rest == half && (rounded & 1) != 0)) ++rounded;
  // The leading bit of a normal number's mantissa adds the one that makes its biased exponent.
  if (exponent > min_exponent) rounded += static_cast<uint64_t>(exponent - min_exponent) << mantissa_bits;
  return static_cast<uint16_t>(sign | (rounded < infinity ? rounded : infinity));
}

}  // namespace

uint16_t HalfFromDouble(double value) { return RoundTo16Bits(value, 10, -14, 0x7C00); }
uint16_t Bfloat16FromDouble(double value) { return RoundTo16Bits(value, 7, -126, 0x7F80); }

float FloatFromHalf(uint16_t bits) {
  constexpr float kSmallestDenormal = 0x1p-24F;
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = bits >> 10 & 0x1F;
  const uint32_t mantissa = bits & 0x3FF;
  if (exponent == 0) return std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(mantissa) * kSmallestDenormal) | sign);
  const uint32_t rebiased = exponent == 0x1F ? 0xFF : exponent + 127 - 15;
  return std::bit_cast<float>(sign | rebiased << 23 | mantissa << 13);
}

float FloatFromBfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

}  // namespace tflite_serving
