// The shape of a tensor: up to eight dimensions, held inline (no allocation).
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

namespace tflite_serving {

// A value. In a signature a dimension of -1 is one that each request chooses; in a tensor every dimension is >= 0. Rank 0 is a scalar.
class Shape {
 public:
  static constexpr int kMaxRank = 8;  // LiteRtLayout has room for eight

  Shape() = default;
  // Requires at most kMaxRank dimensions.
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  void set(int i, int64_t dim) { dims_[static_cast<size_t>(i)] = dim; }
  // False when there is no room for one more.
  [[nodiscard]] bool Append(int64_t dim);
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }

  // The product of all dimensions, 1 for a scalar; nothing when a dimension is negative or the product exceeds int64.
  std::optional<int64_t> NumElements() const;

  // "[2,3]", "[?,4]" for -1, "[]" for a scalar.
  std::string ToString() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

// `actual` seen as `expected` (whose -1 fits anything): itself where it fits; or, when its rank is lower, with dimensions of 1 added so that it
// fits: at the end, else at the front, else anywhere. Clients of TensorFlow Serving send [1] to a [1,1] model and are answered.
// Nothing when no such way exists.
std::optional<Shape> FitShape(const Shape& actual, const Shape& expected);

}  // namespace tflite_serving
