// NumPy's file of one array, .npy, versions 1 to 3 (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html):
//
//   "\x93NUMPY", major, minor, the header's length in two bytes (version 1) or four, little-endian
//   {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }    the header: a dictionary of Python, padded with spaces, a line end behind it
//   the elements
//
// Served are little-endian arrays in C order whose elements are numbers or booleans. NumPy has no bfloat16; ml_dtypes saves it as 'V2'.
// All functions are thread-safe.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace tflite_serving {

// A longer header is refused, as numpy.load does.
inline constexpr size_t kMaxNpyHeaderBytes = 10'000;

struct NpyArray {
  DType dtype = DType::kInvalid;
  Shape shape;
  std::span<const std::byte> elements;  // part of the file; exactly those that the shape wants
};

// INVALID_ARGUMENT `npy: …` for whatever is no such file, holds another number of bytes than its shape wants, or has elements, an order of bytes or
// of dimensions that is not served.
StatusOr<NpyArray> ParseNpy(std::span<const std::byte> file);

// All that stands before the elements, a multiple of 64 bytes, as numpy.save writes it. Requires a type that has a NumpyName.
std::string NpyHeader(DType dtype, const Shape& shape);

// "float32", "bool", as numpy.dtype takes them; empty for string, int4 and kInvalid, which have no array of NumPy.
std::string_view NumpyName(DType dtype);

}  // namespace tflite_serving
