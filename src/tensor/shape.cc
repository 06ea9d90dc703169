#include "tensor/shape.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

bool DimFits(int64_t actual, int64_t expected) { return expected == -1 ? actual >= 0 : actual == expected; }

// `actual`, with ones before it up to `front` and ones after it up to expected's rank; nothing if that does not fit.
std::optional<Shape> PlaceAt(const Shape& actual, const Shape& expected, int front) {
  Shape placed = expected;
  for (int i = 0; i < expected.rank(); ++i) {
    const bool inside = i >= front && i < front + actual.rank();
    const int64_t dim = inside ? actual[i - front] : 1;
    if (!DimFits(dim, expected[i])) return std::nullopt;
    placed.set(i, dim);
  }
  return placed;
}

// Ones anywhere: dimension i of `placed` is the next of `actual`, or a one. Tries the first before the second; at most 2^8 ways.
bool Interleave(const Shape& actual, const Shape& expected, int i, int taken, Shape& placed) {
  if (i == expected.rank()) return taken == actual.rank();
  if (taken < actual.rank() && DimFits(actual[taken], expected[i])) {
    placed.set(i, actual[taken]);
    if (Interleave(actual, expected, i + 1, taken + 1, placed)) return true;
  }
  if (!DimFits(1, expected[i])) return false;
  placed.set(i, 1);
  return Interleave(actual, expected, i + 1, taken, placed);
}

}  // namespace

Shape::Shape(std::span<const int64_t> dims) {
  assert(dims.size() <= kMaxRank);
  rank_ = static_cast<int>(std::min<size_t>(dims.size(), kMaxRank));
  std::copy_n(dims.begin(), rank_, dims_.begin());
}

bool Shape::Append(int64_t dim) {
  if (rank_ == kMaxRank) return false;
  dims_[static_cast<size_t>(rank_++)] = dim;
  return true;
}

std::optional<int64_t> Shape::NumElements() const {
  int64_t product = 1;
  bool zero = false;
  for (const int64_t dim : dims()) {
    if (dim < 0) return std::nullopt;
    if (dim == 0) {
      zero = true;
    } else if (__builtin_mul_overflow(product, dim, &product)) {
      return std::nullopt;  // also when a later dimension is 0: [2^40, 2^40, 0] is an attack, not a tensor
    }
  }
  return zero ? 0 : product;
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (int i = 0; i < rank_; ++i) {
    if (i > 0) text += ',';
    text += dims_[static_cast<size_t>(i)] == -1 ? "?" : fmt::to_string(dims_[static_cast<size_t>(i)]);
  }
  return text + "]";
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dims(), b.dims()); }

std::optional<Shape> FitShape(const Shape& actual, const Shape& expected) {
  if (actual.rank() > expected.rank()) return std::nullopt;
  if (const auto fitted = PlaceAt(actual, expected, 0)) return fitted;
  if (const auto fitted = PlaceAt(actual, expected, expected.rank() - actual.rank())) return fitted;
  Shape placed = expected;
  if (Interleave(actual, expected, 0, 0, placed)) return placed;
  return std::nullopt;
}

}  // namespace tflite_serving
