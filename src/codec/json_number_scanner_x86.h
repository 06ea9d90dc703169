// How the x86 kernels find numbers: sixty-four characters are looked at together, and each number is then cut out of bit masks.
//
// Where a number begins depends on where the one before it ended, so the length of that dependency bounds the speed of the whole loop. With the masks
// at hand it is a shift, a count of zeros and an addition; the digits are packed aside from it, sixteen at a time, without a branch on how many
// there are. The grammar is checked on the masks too, for all numbers of the window at once: where it is broken anywhere, the window's numbers are
// left to ReadNumber, which knows the whole of it.
//
// Included by the kernels' sources alone, each compiled for other instructions: the scanner is a template over a type that is local to its source, so
// that each has its own (json_number_kernel.h).
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <immintrin.h>

#include "codec/json_number_kernel.h"

namespace tflite_serving {

inline constexpr unsigned kNumberWidth = 16;

// What a number of up to kNumberWidth characters looks like, by the index of its point and of its end (no point: that of its end).
struct NumberForm {
  // The bytes of a shuffle that moves the digits to the right end of a register, leaves the point out, and fills up with zeros.
  alignas(kNumberWidth) std::array<uint8_t, kNumberWidth> shuffle;
};
inline constexpr auto kNumberForms = [] {
  constexpr uint8_t kZeroFill = 0x80;
  std::array<std::array<NumberForm, kNumberWidth + 1>, kNumberWidth + 1> table{};
  for (unsigned point = 0; point <= kNumberWidth; ++point) {
    for (unsigned end = 0; end <= kNumberWidth; ++end) {
      unsigned next = end;  // digits still to be placed stand before it
      for (unsigned i = kNumberWidth; i-- > 0;) {
        if (next > 0 && next - 1 == point) --next;
        table[point][end].shuffle[i] = next > 0 ? static_cast<uint8_t>(--next) : kZeroFill;
      }
    }
  }
  return table;
}();

template <class Instructions>
class X86Scanner {
 public:
  // Numbers are then found at `p` and behind.
  TFLS_INLINE explicit X86Scanner(const char* p) { LookAt(p); }

  TFLS_INLINE bool Scan(const char* p, Decimal& number) {
    if (p - window_ > kLastStart) LookAt(p);
    const auto offset = static_cast<unsigned>(p - window_);
    uint64_t ends = ends_ >> offset;
    const unsigned sign = ends & 1;
    ends >>= sign;
    const char* const start = p + sign;
    const auto end = static_cast<unsigned>(std::countr_zero(ends));
    const uint64_t end_bit = ends & (~ends + 1);
    const uint64_t points = (points_ >> (offset + sign)) & (end_bit - 1);
    const auto point = static_cast<unsigned>(std::countr_zero(points | end_bit));
    number.end = start + end;
    number.negative = sign != 0;
    number.fraction = end - point - (points != 0 ? 1 : 0);
    if ((sign != 0) & (*p != '-')) [[unlikely]]
      return false;
    if (end - 1 >= kNumberWidth) [[unlikely]]
      return end > kNumberWidth && broken_ == 0 && PackLong(start, point, end, number.digits);
    number.digits = Pack(start, point, end);
    return broken_ == 0;
  }

 private:
  static constexpr unsigned kWindow = 64;
  // A number that begins here, with its sign, its point and the character behind it, ends within the window.
  static constexpr ptrdiff_t kLastStart = kWindow - (1 + kMaxPlainDigits + 1 + 1);
  static_assert(kWindow <= kJsonPaddingBytes);

  TFLS_INLINE void LookAt(const char* p) {
    window_ = p;
    uint64_t digits = 0;
    uint64_t points = 0;
    uint64_t zeros = 0;
#if defined(__AVX2__)
    for (unsigned i = 0; i < kWindow; i += 32) {
      const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + i));
      const __m256i values = _mm256_sub_epi8(text, _mm256_set1_epi8('0'));
      const auto mask = [&](__m256i bytes) { return uint64_t{static_cast<uint32_t>(_mm256_movemask_epi8(bytes))} << i; };
      digits |= mask(_mm256_cmpeq_epi8(_mm256_min_epu8(values, _mm256_set1_epi8(9)), values));
      points |= mask(_mm256_cmpeq_epi8(text, _mm256_set1_epi8('.')));
      zeros |= mask(_mm256_cmpeq_epi8(text, _mm256_set1_epi8('0')));
    }
#else
    for (unsigned i = 0; i < kWindow; i += kNumberWidth) {
      const __m128i text = Load(p + i);
      const __m128i values = _mm_sub_epi8(text, _mm_set1_epi8('0'));
      const auto mask = [&](__m128i bytes) { return uint64_t{static_cast<uint32_t>(_mm_movemask_epi8(bytes))} << i; };
      digits |= mask(_mm_cmpeq_epi8(_mm_min_epu8(values, _mm_set1_epi8(9)), values));
      points |= mask(_mm_cmpeq_epi8(text, _mm_set1_epi8('.')));
      zeros |= mask(_mm_cmpeq_epi8(text, _mm_set1_epi8('0')));
    }
#endif
    ends_ = ~(digits | points);
    points_ = points;
    const uint64_t firsts = digits & ~((digits | points) << 1);
    const uint64_t fractions = points << 1 & digits;  // their first digits
    const uint64_t leading_zeros = firsts & zeros & digits >> 1;
    // No number that is read from this window reaches its last character, so what would follow that does not matter.
    const uint64_t bare_points = points & ~(digits << 1 & (digits >> 1 | uint64_t{1} << (kWindow - 1)));
    const uint64_t second_points = (fractions + digits) & ~digits & points;  // the addition carries from a fraction's first digit to its end
    broken_ = leading_zeros | bare_points | second_points;
  }

  TFLS_INLINE static __m128i Load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  // The digits at `p` before `end`, without the point, as a number.
  TFLS_INLINE static uint64_t Pack(const char* p, unsigned point, unsigned end) {
    const __m128i shuffle = _mm_load_si128(reinterpret_cast<const __m128i*>(kNumberForms[point][end].shuffle.data()));
    const __m128i digits = _mm_shuffle_epi8(_mm_sub_epi8(Load(p), _mm_set1_epi8('0')), shuffle);
    const __m128i pairs = _mm_maddubs_epi16(digits, _mm_set1_epi16(10 | 1 << 8));
    const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(100 | 1 << 16));
    const __m128i eights = _mm_madd_epi16(_mm_packus_epi32(fours, fours), _mm_set1_epi32(10000 | 1 << 16));
    const auto both = static_cast<uint64_t>(_mm_cvtsi128_si64(eights));
    return (both & 0xFFFFFFFF) * 100000000 + (both >> 32);
  }

  // More than sixteen characters: the last sixteen, and those before them.
  TFLS_INLINE static bool PackLong(const char* start, unsigned point, unsigned end, uint64_t& digits) {
    constexpr uint64_t kFifteen = 1000000000000000;
    const bool has_point = point < end;
    if (end > kMaxPlainDigits + (has_point ? 1 : 0)) return false;
    const unsigned head = end - kNumberWidth;
    const bool point_in_tail = has_point && point >= head;
    const uint64_t tail = Pack(start + head, point_in_tail ? point - head : kNumberWidth, kNumberWidth);
    digits = Pack(start, has_point && point < head ? point : kNumberWidth, head) * (point_in_tail ? kFifteen : kFifteen * 10) + tail;
    return true;
  }

  const char* window_;
  uint64_t ends_;    // a bit for each character of the window that is neither a digit nor a point
  uint64_t points_;  // for each point
  uint64_t broken_;  // for each place where the grammar of numbers is broken
};

}  // namespace tflite_serving
