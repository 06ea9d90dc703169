// The loop that the number kernels share, as a template over how one plain number is found. Included by the kernels' sources alone.
//
// A kernel's source may be compiled for instructions that the machine lacks, so nothing here may become a function that the linker could pick
// for everybody: each function is inlined by force or depends on the Scanner, which is local to its source.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "codec/json_numbers.h"

namespace tflite_serving {

#define TFLS_INLINE [[gnu::always_inline]] inline

// The elements without a C++ type of their own.
struct Half {
  uint16_t bits;
};
struct Bfloat16 {
  uint16_t bits;
};

// A number as a Scanner finds it: `digits` / 10^`fraction`, with at most kMaxPlainDigits digits. fraction == 0: no decimal point.
struct Decimal {
  uint64_t digits;
  unsigned fraction;
  bool negative;
  const char* end;
};
inline constexpr unsigned kMaxPlainDigits = 19;  // the most that always fit into 64 bits

// Up to where powers of ten are exact in a double.
inline constexpr double kPowersOfTen[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                          1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Any JSON number to the element type, as NumberReader::read_one. Defined in json_numbers.cc for every type below.
template <class Element>
NumberResult ReadNumber(const char*& position, Element& value);

// From a plain number to an element; false when it takes more than a few instructions (the caller then asks ReadNumber).
//
// The double below is off by at most one unit in its last place, since both operands are rounded at most once. A float has 29 bits fewer, so
// rounding the double gives the float nearest to the decimal, unless the double lies within a few units of the middle between two floats.
TFLS_INLINE bool FromDecimal(const Decimal& number, float& value) {
  constexpr uint64_t kLostBits = (uint64_t{1} << 29) - 1;
  constexpr uint64_t kMiddle = uint64_t{1} << 28;
  constexpr uint64_t kMargin = 8;
  const auto digits = static_cast<int64_t>(number.digits);
  const double quotient = static_cast<double>(digits) / kPowersOfTen[number.fraction];
  const bool near_middle = (std::bit_cast<uint64_t>(quotient) & kLostBits) - (kMiddle - kMargin) <= 2 * kMargin;
  if (near_middle || digits < 0) return false;
  value = std::bit_cast<float>(std::bit_cast<uint32_t>(static_cast<float>(quotient)) | static_cast<uint32_t>(number.negative) << 31);
  return true;
}

// Exact operands give a correctly rounded quotient.
TFLS_INLINE bool FromDecimal(const Decimal& number, double& value) {
  if (number.digits > uint64_t{1} << 53) return false;
  const double quotient = static_cast<double>(static_cast<int64_t>(number.digits)) / kPowersOfTen[number.fraction];
  value = number.negative ? -quotient : quotient;
  return true;
}

template <class Integer>
  requires std::is_integral_v<Integer>
TFLS_INLINE bool FromDecimal(const Decimal& number, Integer& value) {
  const uint64_t limit = static_cast<uint64_t>(std::numeric_limits<Integer>::max()) + (number.negative && std::is_signed_v<Integer> ? 1 : 0);
  if (number.fraction != 0 || number.digits > limit || (number.negative && std::is_unsigned_v<Integer>)) return false;
  value = static_cast<Integer>(number.negative ? 0 - number.digits : number.digits);
  return true;
}

// Rare as JSON, and ReadNumber's rounding is more than a few instructions.
TFLS_INLINE bool FromDecimal(const Decimal&, Half&) { return false; }
TFLS_INLINE bool FromDecimal(const Decimal&, Bfloat16&) { return false; }

TFLS_INLINE const char* SkipSpaces(const char* p) {
  while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t') ++p;
  return p;
}

// From the bracket that closes a list to the first element of the list behind it; nullptr if that is not where `bracket` leads.
TFLS_INLINE const char* EnterNextList(const char* bracket) {
  if (bracket[1] != ',') return nullptr;
  const char* p = bracket[2] == '[' ? bracket + 2 : SkipSpaces(bracket + 2);
  if (*p != '[') return nullptr;
  p = SkipSpaces(p + 1);
  return *p == ']' || *p == '[' ? nullptr : p;
}

// NumberReader::read_run.
template <class Scanner, class Element>
bool ReadRun(NumberRun& run) {
  const char* p = run.position;
  auto* out = reinterpret_cast<Element*>(run.out);
  auto* const end = reinterpret_cast<Element*>(run.out_end);
  const Element* list = out - run.count;  // where the innermost list began
  Scanner scanner(p);
  bool behind_element = false;
  while (out != end) {
    Decimal number;
    if (scanner.Scan(p, number) && (*number.end | ' ') != 'e' && FromDecimal(number, *out)) [[likely]] {
      p = number.end;
    } else {
      const char* slow = p;  // a copy, so that `p` itself can stay in a register
      if (ReadNumber<Element>(slow, *out) != NumberResult::kOk) break;
      p = slow;
    }
    ++out;
    if (*p == ',') [[likely]] {
      ++p;
      if (*p <= ' ') p = SkipSpaces(p);
      continue;
    }
    const bool closes = *p == ']' && run.has_siblings && (run.expected == out - list || run.expected < 0);
    const char* next = closes ? EnterNextList(p) : nullptr;
    if (next == nullptr) {
      behind_element = true;
      break;
    }
    run.expected = out - list;
    ++run.lists_closed;
    list = out;
    p = next;
  }
  run.position = p;
  run.count = out - list;
  run.out = reinterpret_cast<std::byte*>(out);
  return behind_element;
}

// NumberReader::read_one.
template <class Scanner, class Element>
NumberResult ReadOne(const char*& position, std::byte* out) {
  return ReadNumber<Element>(position, *reinterpret_cast<Element*>(out));
}

template <class Scanner, class Element>
inline constexpr NumberReader kReader{sizeof(Element), &ReadRun<Scanner, Element>, &ReadOne<Scanner, Element>};

template <class Scanner>
const NumberReader* ReaderOf(DType dtype) {
  switch (dtype) {
    case DType::kFloat:
      return &kReader<Scanner, float>;
    case DType::kDouble:
      return &kReader<Scanner, double>;
    case DType::kInt32:
      return &kReader<Scanner, int32_t>;
    case DType::kUint8:
      return &kReader<Scanner, uint8_t>;
    case DType::kInt16:
      return &kReader<Scanner, int16_t>;
    case DType::kInt8:
      return &kReader<Scanner, int8_t>;
    case DType::kInt64:
      return &kReader<Scanner, int64_t>;
    case DType::kBfloat16:
      return &kReader<Scanner, Bfloat16>;
    case DType::kUint16:
      return &kReader<Scanner, uint16_t>;
    case DType::kHalf:
      return &kReader<Scanner, Half>;
    case DType::kUint32:
      return &kReader<Scanner, uint32_t>;
    case DType::kUint64:
      return &kReader<Scanner, uint64_t>;
    default:
      return nullptr;
  }
}

}  // namespace tflite_serving
