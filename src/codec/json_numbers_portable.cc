// The kernel for any machine: eight digits at a time in a 64-bit register.
#include <bit>
#include <cstdint>
#include <cstring>

#include "codec/json_number_kernel.h"

namespace tflite_serving {
namespace {

static_assert(std::endian::native == std::endian::little, "the first character of a number must be the lowest byte of its register");

constexpr uint64_t EveryByte(uint64_t byte) { return byte * 0x0101010101010101; }

TFLS_INLINE uint64_t Load8(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// The value of eight decimal digits (0 to 9 each, the first in the lowest byte): pairs, then fours, then all.
TFLS_INLINE uint64_t ValueOf8(uint64_t digits) {
  digits = (digits * (1 + (10 << 8))) >> 8;
  constexpr uint64_t kPairs = 0x000000FF000000FF;
  constexpr uint64_t kFirst = 100 + (uint64_t{1000000} << 32);
  constexpr uint64_t kSecond = 1 + (uint64_t{10000} << 32);
  return ((digits & kPairs) * kFirst + ((digits >> 16) & kPairs) * kSecond) >> 32;
}

class PortableScanner {
 public:
  explicit PortableScanner(const char*) {}

  TFLS_INLINE static bool Scan(const char* p, Decimal& number) {
    number.negative = *p == '-';
    p += number.negative ? 1 : 0;
    const char* point = p + 1;
    number.digits = static_cast<uint64_t>(*p - '0');
    if (*point != '.' || number.digits > 9) {  // not the one digit before the point that most numbers have
      number.digits = 0;
      point = TakeDigits(p, number.digits);
    }
    number.end = point;
    if (*point == '.') number.end = TakeDigits(point + 1, number.digits);
    const auto integers = point - p;
    const auto fraction = number.end - point - (*point == '.' ? 1 : 0);
    number.fraction = static_cast<unsigned>(fraction);
    const bool leading_zero = *p == '0' && integers > 1;
    const bool bare_point = *point == '.' && fraction == 0;
    return integers > 0 && !leading_zero && !bare_point && integers + fraction <= kMaxPlainDigits;
  }

 private:
  // Appends the digits at `p` to `value` and returns their end. The value wraps when there are too many; the caller counts.
  TFLS_INLINE static const char* TakeDigits(const char* p, uint64_t& value) {
    constexpr uint64_t kPowers[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000};
    constexpr uint64_t kEight = 100000000;
    for (;; p += 8) {
      const uint64_t digits = Load8(p) ^ EveryByte('0');
      const uint64_t others = (((digits & EveryByte(0x7F)) + EveryByte(0x7F - 9)) | digits) & EveryByte(0x80);
      if (others != 0) {
        const int count = std::countr_zero(others) / 8;
        if (count > 0) value = value * kPowers[count] + ValueOf8(digits << (64 - 8 * count));
        return p + count;
      }
      value = value * kEight + ValueOf8(digits);
    }
  }
};

}  // namespace

const NumberReader* PortableNumberReader(DType dtype) { return ReaderOf<PortableScanner>(dtype); }

}  // namespace tflite_serving
