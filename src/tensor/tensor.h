// Tensors: an element type, a shape and bytes. TensorView borrows its bytes, Tensor owns them.
//
// Memory layout: elements in row-major order, little-endian, without gaps; bool is one byte of 0 or 1.
// Strings are held in the layout that LiteRT's string tensors use, so that they reach the interpreter without another copy:
//   int32 count; int32 offset[count + 1] (from the start of the buffer; offset[count] is its size); the strings' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace tflite_serving {

// LiteRT uses a caller's memory in place only when it is aligned like this.
inline constexpr size_t kTensorAlignment = 64;
// Fewer bytes are copied sooner than the runtime is told where they lie.
inline constexpr size_t kMinBorrowedBytes = size_t{16} << 10;
// What any one tensor may need: TFLite counts bytes of string tensors in int32, and a gRPC message cannot carry more.
inline constexpr size_t kMaxTensorBytes = (size_t{1} << 31) - 1;

// Growable memory, aligned to kTensorAlignment, not initialised, with kPaddingBytes readable behind its capacity. Thread-compatible.
class AlignedBuffer {
 public:
  static constexpr size_t kPaddingBytes = 64;

  AlignedBuffer() = default;
  AlignedBuffer(AlignedBuffer&& other) noexcept;
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept;
  ~AlignedBuffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  std::span<std::byte> bytes() { return {data_, size_}; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Keeps the first min(size(), n) bytes; new ones are not initialised. False when there is no memory (the buffer is unchanged).
  // Growing doubles the capacity; shrinking keeps it.
  [[nodiscard]] bool Resize(size_t n);
  // Makes room for n bytes in all without changing size().
  [[nodiscard]] bool Reserve(size_t n);

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// A tensor that somebody else keeps alive. For strings `bytes` is in the layout above.
struct TensorView {
  DType dtype = DType::kInvalid;
  Shape shape;
  std::span<const std::byte> bytes;

  // Requires a string tensor whose layout was checked (ValidateStrings) and 0 <= i < number of elements.
  std::string_view StringAt(int64_t i) const { return StringsAt(i, 1); }
  // The bytes of `count` strings from number i on, which lie one behind the other. Requires 0 <= i <= i + count <= number of elements.
  std::string_view StringsAt(int64_t i, int64_t count) const;

  // For element types of fixed size.
  template <typename T>
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

// The bytes that a tensor of this type and shape has. INVALID_ARGUMENT when the shape is negative or overflows, or the result exceeds
// kMaxTensorBytes. For strings: the bytes of the header alone (count and offsets).
StatusOr<size_t> TensorSizeBytes(DType dtype, const Shape& shape);

// Whether `bytes` is a sound string layout with `count` strings: offsets in order and inside. To be called on every string buffer of foreign origin.
Status ValidateStrings(std::span<const std::byte> bytes, int64_t count);

// A tensor that owns its elements, or memory for the next tensor's and borrows them. Thread-compatible. Movable.
class Tensor {
 public:
  Tensor() = default;
  // Memory for a tensor of fixed-size elements, not initialised; `memory` is used for it, if it is large enough.
  static StatusOr<Tensor> Create(DType dtype, const Shape& shape, AlignedBuffer memory = {});
  // Takes memory that already holds the elements; its size must be TensorSizeBytes (strings: a sound layout).
  Tensor(DType dtype, const Shape& shape, AlignedBuffer buffer) : dtype_(dtype), shape_(shape), buffer_(std::move(buffer)) {}
  // Borrows elements, TensorSizeBytes of them, for which CanBorrow is true: they must outlive what is done with view(), unchanged, and
  // AlignedBuffer::kPaddingBytes must be readable behind them. `memory` is kept for ReleaseBuffer.
  static Tensor Borrow(DType dtype, const Shape& shape, std::span<const std::byte> elements, AlignedBuffer memory);
  // Whether the runtime can read these elements where they lie, and it pays: numbers, aligned, kMinBorrowedBytes at least. Bytes of foreign origin
  // may be no booleans.
  static bool CanBorrow(DType dtype, std::span<const std::byte> elements);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  // Of its own; none if they are borrowed.
  std::span<std::byte> bytes() { return buffer_.bytes().first(borrowed_.empty() ? buffer_.size() : 0); }
  TensorView view() const { return {dtype_, shape_, borrowed_.empty() ? buffer_.bytes() : borrowed_}; }
  // Gives the memory away, to be used for the next tensor; this one must not be used any more.
  AlignedBuffer ReleaseBuffer() && { return std::move(buffer_); }

 private:
  DType dtype_ = DType::kInvalid;
  Shape shape_;
  AlignedBuffer buffer_;
  std::span<const std::byte> borrowed_;  // empty if the elements are those in buffer_
};

// Builds the string layout, one string after the other. Thread-compatible.
class StringTensorBuilder {
 public:
  // `count` strings will follow, of `text_bytes` or more in all. RESOURCE_EXHAUSTED when there is no room; INVALID_ARGUMENT when there cannot be.
  Status Start(int64_t count, size_t text_bytes = 0);
  // RESOURCE_EXHAUSTED when the tensor would pass kMaxTensorBytes. Requires fewer than `count` strings so far.
  Status Add(std::string_view text);
  // The same for `count` strings of `from`, from number `first` on; requires them to be there.
  Status AddRun(const TensorView& from, int64_t first, int64_t count);
  void AddEmpty(int64_t count);
  // The finished layout; strings not added are empty.
  AlignedBuffer Finish();

 private:
  // False when there is no room.
  bool Append(std::string_view text);

  AlignedBuffer buffer_;
  int64_t count_ = 0;
  int64_t added_ = 0;
};

}  // namespace tflite_serving
