// JSON numbers straight into tensor memory: the inner loop of the predict decoder.
//
// A client sends an image as 150,000 decimal numbers in nested lists. Reading them is most of what a REST request costs beside the model, so
// the innermost lists are read by a kernel that knows nothing but plain numbers, commas and closing brackets; whatever else comes, it hands
// back. There is a portable kernel (eight digits at a time in a 64-bit register), one for SSE4.1 and one for AVX2 (sixty-four characters looked at
// together), chosen when the process starts. Numbers that no kernel reads (exponents, twenty digits, NaN) go to ReadNumber below, which the kernels
// call themselves.
//
// float and double get the nearest value to the decimal text, never a double that is rounded again; half and bfloat16 the nearest to the
// nearest double. What exceeds the range of float, half or bfloat16 becomes an infinity, what is too small a zero or a denormal.
//
// Everything here may read up to kJsonPaddingBytes behind the document, which must be zero bytes. All functions are thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tflite_serving {

// Zero bytes that stand readable behind every JSON document. The first of them ends every loop, since no grammar rule accepts it.
inline constexpr size_t kJsonPaddingBytes = 64;

enum class NumberResult {
  kOk,
  kNotANumber,  // something else stands there, or the number breaks the grammar or is beyond double (both are syntax errors in JSON)
  kWrongType,   // a number that this element type does not take: 1.5 for int32, 2^31 for int32
  kOutOfRange,  // an int32, but not an int8, uint8, int16 or uint16
};

// The kernels' view of nested lists: the innermost list that is being read, and how many of its siblings were read to their ends.
struct NumberRun {
  const char* position;      // in: the first character of an element; out: see the kernel's result
  std::byte* out;            // in and out: where the next element goes
  std::byte* out_end;        // the end of the room, a whole number of elements away
  int64_t count = 0;         // in and out: elements of the innermost list so far
  int64_t expected = -1;     // in and out: elements that every innermost list has; -1 while the first one is open
  int64_t lists_closed = 0;  // out: innermost lists that were read to their ends and had a sibling behind them
  bool has_siblings;         // in: whether the innermost list stands in another list
};

// How one element type is read.
struct NumberReader {
  size_t element_bytes;

  // Reads as far as it can. True: stopped behind an element (at what is not a comma, or not a bracket it can pass). False: stopped at the
  // start of an element that it cannot read, or for which there is no room.
  bool (*read_run)(NumberRun& run);

  // Reads the one JSON number at `position` to `out` and moves behind it. On failure `position` is unchanged.
  NumberResult (*read_one)(const char*& position, std::byte* out);
};

// The fastest reader for this machine, or nullptr for a type that is not numeric or not supported (string, bool, complex, int4).
const NumberReader* NumberReaderFor(DType dtype);

// The kernels, for tests and benchmarks; nullptr on a machine that lacks the instructions.
const NumberReader* PortableNumberReader(DType dtype);
const NumberReader* Sse41NumberReader(DType dtype);
const NumberReader* Avx2NumberReader(DType dtype);

// The grammar of one number: its end, or nullptr. `is_integer` when it has neither a fraction nor an exponent. NaN, Inf and Infinity, with or
// without a minus, are numbers too, as TensorFlow Serving accepts them.
struct NumberToken {
  const char* end = nullptr;    // behind the number; where the fault is, if `fault` is set
  const char* fault = nullptr;  // a message of RapidJSON's, a string literal
  bool is_integer = false;
  bool is_special = false;  // NaN or an infinity
};
NumberToken ScanNumber(const char* position);

// The value of a number that ScanNumber has accepted.
double NumberValue(const char* begin, const NumberToken& token);

}  // namespace tflite_serving
