// The kernel for SSE4.1: sixteen characters of a number at once, without a branch on how many digits it has.
//
// Compiled with SSE4.1 enabled (CMakeLists.txt) and called only where the processor has it.
#include "codec/json_number_kernel.h"

#if defined(__SSE4_1__)

#include <array>
#include <bit>
#include <cstdint>

#include <smmintrin.h>

namespace tflite_serving {
namespace {

constexpr unsigned kWidth = 16;

// For a point at index p (kWidth: none) and an end at index e, the bytes of a shuffle that moves the digits before e to the right end of a
// register, leaves the point out, and fills up with zeros.
struct Shuffle {
  alignas(kWidth) std::array<uint8_t, kWidth> from;
};
constexpr uint8_t kZero = 0x80;

constexpr Shuffle MakeShuffle(unsigned point, unsigned end) {
  Shuffle shuffle{};
  unsigned next = end;  // digits still to be placed stand before it
  for (unsigned i = kWidth; i-- > 0;) {
    if (next > 0 && next - 1 == point) --next;
    shuffle.from[i] = next > 0 ? static_cast<uint8_t>(--next) : kZero;
  }
  return shuffle;
}

constexpr auto kShuffles = [] {
  std::array<std::array<Shuffle, kWidth + 1>, kWidth + 1> table{};
  for (unsigned point = 0; point <= kWidth; ++point) {
    for (unsigned end = 0; end <= kWidth; ++end) table[point][end] = MakeShuffle(point, end);
  }
  return table;
}();

struct Sse41Scanner {
  TFLS_INLINE static __m128i Load(const char* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

  // A bit for each of sixteen characters that is not a digit.
  TFLS_INLINE static uint32_t NonDigits(__m128i text) {
    const __m128i digits = _mm_sub_epi8(text, _mm_set1_epi8('0'));
    return ~static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits))) & 0xFFFF;
  }
  TFLS_INLINE static uint32_t Points(__m128i text) { return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(text, _mm_set1_epi8('.')))); }

  // The digits at `p` before `end`, without the point, as a number.
  TFLS_INLINE static uint64_t Pack(const char* p, unsigned point, unsigned end) {
    const __m128i shuffle = _mm_load_si128(reinterpret_cast<const __m128i*>(kShuffles[point][end].from.data()));
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
    if (end <= kWidth) {
      digits = Pack(start, has_point ? point : kWidth, end);
      return true;
    }
    if (end > kMaxPlainDigits + (has_point ? 1 : 0)) return false;
    const unsigned head = end - kWidth;
    const bool point_in_tail = has_point && point >= head;
    const uint64_t tail = Pack(start + head, point_in_tail ? point - head : kWidth, kWidth);
    digits = Pack(start, has_point && point < head ? point : kWidth, head) * (point_in_tail ? kFifteen : kFifteen * 10) + tail;
    return true;
  }

  TFLS_INLINE static bool Scan(const char* p, Decimal& number) {
    const __m128i text = Load(p);
    uint64_t others = NonDigits(text) | uint64_t{1} << kWidth;
    uint64_t points = Points(text);
    const unsigned sign = others & 1;
    const char* const start = p + sign;
    others >>= sign;
    points >>= sign;
    auto point = static_cast<unsigned>(std::countr_zero(others));
    others ^= others & (~others + 1) & points;  // the point, if the integer part ends with one, is no end
    auto end = static_cast<unsigned>(std::countr_zero(others));
    const bool is_long = end + sign >= kWidth;
    if (is_long) [[unlikely]] {
      const __m128i more = Load(p + kWidth);
      others = (NonDigits(text) | uint64_t{NonDigits(more)} << kWidth | uint64_t{1} << (2 * kWidth)) >> sign;
      points = (Points(text) | uint64_t{Points(more)} << kWidth) >> sign;
      point = static_cast<unsigned>(std::countr_zero(others));
      others ^= others & (~others + 1) & points;
      end = static_cast<unsigned>(std::countr_zero(others));
    }
    const unsigned has_point = point != end ? 1 : 0;
    number.negative = sign != 0;
    number.end = start + end;
    number.fraction = end - point - has_point;
    const bool bad_start = (point == 0) | ((*start == '0') & (point > 1)) | ((sign != 0) & (*p != '-'));
    const bool bad_end = ((has_point != 0) & (number.fraction == 0)) | ((*number.end | ' ') == 'e');
    if (bad_start | bad_end) [[unlikely]]
      return false;
    if (is_long) [[unlikely]]
      return PackLong(start, point, end, number.digits);
    number.digits = Pack(start, point, end);
    return true;
  }
};

}  // namespace

const NumberReader* Sse41NumberReader(DType dtype) { return __builtin_cpu_supports("sse4.1") ? ReaderOf<Sse41Scanner>(dtype) : nullptr; }

}  // namespace tflite_serving

#else

namespace tflite_serving {

const NumberReader* Sse41NumberReader(DType) { return nullptr; }

}  // namespace tflite_serving

#endif
