// The two 16-bit floating-point types, which C++20 lacks: half (IEEE 754 binary16) and bfloat16 (the upper half of a float), as their bits.
// All functions are thread-safe.
#pragma once

#include <cstdint>

namespace tflite_serving {

// The nearest value, ties to even; beyond the range an infinity.
uint16_t HalfFromDouble(double value);
uint16_t Bfloat16FromDouble(double value);
// Exact.
float FloatFromHalf(uint16_t bits);
float FloatFromBfloat16(uint16_t bits);

}  // namespace tflite_serving
