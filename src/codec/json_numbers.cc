#include "codec/json_numbers.h"

#include <charconv>
#include <limits>
#include <system_error>
#include <type_traits>

#include <fast_float/fast_float.h>

#include "codec/json_number_kernel.h"
#include "tensor/half.h"

namespace tflite_serving {
namespace {

constexpr char kInvalidValue[] = "Invalid value.";
constexpr char kNoFraction[] = "Miss fraction part in number.";
constexpr char kNoExponent[] = "Miss exponent in number.";
constexpr char kTooBig[] = "Number too big to be stored in double.";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

const char* SkipDigits(const char* p) {
  while (IsDigit(*p)) ++p;
  return p;
}

// Moves `p` over `word`, or to the first character that differs.
bool Consume(const char*& p, const char* word) {
  for (; *word != '\0'; ++word, ++p) {
    if (*p != *word) return false;
  }
  return true;
}

// At the N or I of NaN, Inf or Infinity.
NumberToken ScanSpecial(const char* p) {
  const bool is_valid = *p == 'N' ? Consume(p, "NaN") : Consume(p, "Inf") && (*p != 'i' || Consume(p, "inity"));
  return {.end = p, .fault = is_valid ? nullptr : kInvalidValue, .is_special = true};
}

// Behind an e or E. The value is cut off where no double could make sense of more.
const char* ScanExponent(const char* p, int64_t& exponent) {
  constexpr int64_t kEnough = int64_t{1} << 40;
  const bool negative = *p == '-';
  if (*p == '-' || *p == '+') ++p;
  if (!IsDigit(*p)) return nullptr;
  for (exponent = 0; IsDigit(*p); ++p) {
    if (exponent < kEnough) exponent = exponent * 10 + (*p - '0');
  }
  if (negative) exponent = -exponent;
  return p;
}

double DecimalValue(const char* begin, const char* end) {
  double value = 0;
  fast_float::from_chars(begin, end, value);
  return value;
}

template <class Integer>
NumberResult ReadInteger(const char* begin, const NumberToken& token, Integer& value) {
  constexpr bool kNarrow = sizeof(Integer) < sizeof(int32_t);
  using Accepted = std::conditional_t<kNarrow, int32_t, Integer>;  // as the original: what is no int32 is of the wrong type for an int8
  if (!token.is_integer) return NumberResult::kWrongType;
  const char* const digits = *begin == '-' && std::is_unsigned_v<Accepted> ? begin + 1 : begin;
  Accepted accepted{};
  if (std::from_chars(digits, token.end, accepted).ec != std::errc()) return NumberResult::kWrongType;
  if (digits != begin && accepted != 0) return NumberResult::kWrongType;
  if (accepted < std::numeric_limits<Integer>::min() || accepted > std::numeric_limits<Integer>::max()) return NumberResult::kOutOfRange;
  value = static_cast<Integer>(accepted);
  return NumberResult::kOk;
}

}  // namespace

NumberToken ScanNumber(const char* position) {
  constexpr int64_t kSurelyFits = std::numeric_limits<double>::max_exponent10;  // digits before the point
  const char* p = *position == '-' ? position + 1 : position;
  if (*p == 'N' || *p == 'I') return ScanSpecial(p);
  if (!IsDigit(*p)) return {.end = p, .fault = kInvalidValue};
  const char* const integer = p;
  p = *p == '0' ? p + 1 : SkipDigits(p);
  const int64_t integer_digits = p - integer;
  NumberToken token{.is_integer = true};
  if (*p == '.') {
    token.is_integer = false;
    if (!IsDigit(*++p)) return {.end = p, .fault = kNoFraction};
    p = SkipDigits(p);
  }
  int64_t exponent = 0;
  if (*p == 'e' || *p == 'E') {
    token.is_integer = false;
    const char* const digits = ++p;
    p = ScanExponent(digits, exponent);
    if (p == nullptr) return {.end = digits + (*digits == '-' || *digits == '+' ? 1 : 0), .fault = kNoExponent};
  }
  if (integer_digits + exponent > kSurelyFits && DecimalValue(integer, p) == std::numeric_limits<double>::infinity()) {
    return {.end = position, .fault = kTooBig};
  }
  token.end = p;
  return token;
}

double NumberValue(const char* begin, const NumberToken& token) {
  if (!token.is_special) return DecimalValue(begin, token.end);
  const bool negative = *begin == '-';
  if (begin[negative ? 1 : 0] == 'N') return std::numeric_limits<double>::quiet_NaN();
  return negative ? -std::numeric_limits<double>::infinity() : std::numeric_limits<double>::infinity();
}

template <class Element>
NumberResult ReadNumber(const char*& position, Element& value) {
  const NumberToken token = ScanNumber(position);
  if (token.fault != nullptr) return NumberResult::kNotANumber;
  if constexpr (std::is_same_v<Element, float>) {
    if (token.is_special) {
      value = static_cast<float>(NumberValue(position, token));
    } else {
      fast_float::from_chars(position, token.end, value);
    }
  } else if constexpr (std::is_same_v<Element, double>) {
    value = NumberValue(position, token);
  } else if constexpr (std::is_same_v<Element, Half>) {
    value.bits = HalfFromDouble(NumberValue(position, token));
  } else if constexpr (std::is_same_v<Element, Bfloat16>) {
    value.bits = Bfloat16FromDouble(NumberValue(position, token));
  } else {
    const NumberResult result = ReadInteger(position, token, value);
    if (result != NumberResult::kOk) return result;
  }
  position = token.end;
  return NumberResult::kOk;
}

template NumberResult ReadNumber(const char*&, float&);
template NumberResult ReadNumber(const char*&, double&);
template NumberResult ReadNumber(const char*&, Half&);
template NumberResult ReadNumber(const char*&, Bfloat16&);
template NumberResult ReadNumber(const char*&, int8_t&);
template NumberResult ReadNumber(const char*&, uint8_t&);
template NumberResult ReadNumber(const char*&, int16_t&);
template NumberResult ReadNumber(const char*&, uint16_t&);
template NumberResult ReadNumber(const char*&, int32_t&);
template NumberResult ReadNumber(const char*&, uint32_t&);
template NumberResult ReadNumber(const char*&, int64_t&);
template NumberResult ReadNumber(const char*&, uint64_t&);

const NumberReader* NumberReaderFor(DType dtype) {
  for (const auto reader_for : {&Avx2NumberReader, &Sse41NumberReader}) {
    if (const NumberReader* const fast = reader_for(dtype); fast != nullptr) return fast;
  }
  return PortableNumberReader(dtype);
}

}  // namespace tflite_serving
