#include "batching/batch_tensors.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

#include "tensor/half.h"

namespace tflite_serving {
namespace {

using Element = std::array<std::byte, 16>;  // room for the largest

template <typename T>
Element BytesOf(T value) {
  Element element{};
  std::memcpy(element.data(), &value, sizeof(value));
  return element;
}

// The nearest value of the type.
template <typename T>
Element Nearest(double value) {
  if constexpr (std::is_integral_v<T>) {
    constexpr auto kLeast = static_cast<double>(std::numeric_limits<T>::min());
    constexpr auto kMost = static_cast<double>(std::numeric_limits<T>::max());
    if (value >= kMost) return BytesOf(std::numeric_limits<T>::max());
    if (value > kLeast) return BytesOf(static_cast<T>(value));
    return BytesOf(std::numeric_limits<T>::min());
  } else {
    return BytesOf(static_cast<T>(value));
  }
}

Element PadElement(DType dtype, double value) {
  switch (dtype) {
    case DType::kFloat:
    case DType::kComplex64:  // its real part comes first
      return Nearest<float>(value);
    case DType::kDouble:
    case DType::kComplex128:
      return Nearest<double>(value);
    case DType::kHalf:
      return BytesOf(HalfFromDouble(value));
    case DType::kBfloat16:
      return BytesOf(Bfloat16FromDouble(value));
    case DType::kInt8:
      return Nearest<int8_t>(value);
    case DType::kInt16:
      return Nearest<int16_t>(value);
    case DType::kInt32:
      return Nearest<int32_t>(value);
    case DType::kInt64:
      return Nearest<int64_t>(value);
    case DType::kUint8:
      return Nearest<uint8_t>(value);
    case DType::kUint16:
      return Nearest<uint16_t>(value);
    case DType::kUint32:
      return Nearest<uint32_t>(value);
    case DType::kUint64:
      return Nearest<uint64_t>(value);
    case DType::kBool:
      return BytesOf(static_cast<uint8_t>(value != 0));
    default:
      return {};
  }
}

// `from`, a block of these dimensions, into the corner of a larger one. Sizes in elements.
void CopyBlock(std::span<const int64_t> from_dims, std::span<const int64_t> to_dims, size_t element_size, const std::byte*& from, std::byte* to) {
  if (std::ranges::equal(from_dims, to_dims)) {
    size_t size = element_size;
    for (const int64_t dim : from_dims) size *= static_cast<size_t>(dim);
    if (size > 0) std::memcpy(to, from, size);
    from += size;
    return;
  }
  size_t stride = element_size;
  for (const int64_t dim : to_dims.subspan(1)) stride *= static_cast<size_t>(dim);
  for (int64_t i = 0; i < from_dims[0]; ++i) {
    CopyBlock(from_dims.subspan(1), to_dims.subspan(1), element_size, from, to + static_cast<size_t>(i) * stride);
  }
}

int64_t Product(std::span<const int64_t> dims) { return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>()); }

// The strings of `from` that begin with number `first`, a block of these dimensions, as one of `to_dims`: what is more there is empty.
Status AddBlock(std::span<const int64_t> from_dims, std::span<const int64_t> to_dims, const TensorView& from, int64_t& first,
                StringTensorBuilder& to) {
  if (std::ranges::equal(from_dims.subspan(1), to_dims.subspan(1))) {
    const int64_t count = Product(from_dims);
    TFLS_RETURN_IF_ERROR(to.AddRun(from, first, count));
    first += count;
  } else {
    for (int64_t i = 0; i < from_dims[0]; ++i) TFLS_RETURN_IF_ERROR(AddBlock(from_dims.subspan(1), to_dims.subspan(1), from, first, to));
  }
  to.AddEmpty((to_dims[0] - from_dims[0]) * Product(to_dims.subspan(1)));
  return OkStatus();
}

Status AddRows(const TensorView& part, int64_t rows, Shape shape, StringTensorBuilder& to) {
  Shape from = part.shape;
  from.set(0, rows);
  shape.set(0, rows);
  int64_t first = 0;
  return AddBlock(from.dims(), shape.dims(), part, first, to);
}

StatusOr<Tensor> ConcatenateStrings(std::span<const TensorView> parts, const Shape& shape) {
  // This first: the products below are then within bounds.
  TFLS_RETURN_IF_ERROR(TensorSizeBytes(DType::kString, shape).status());
  const TensorView& last = parts.back();
  auto filler = static_cast<size_t>(shape[0]);
  size_t text_bytes = 0;
  for (const TensorView& part : parts) {
    text_bytes += part.StringsAt(0, Product(part.shape.dims())).size();
    filler -= static_cast<size_t>(part.shape[0]);
  }
  text_bytes += filler * last.StringsAt(0, Product(last.shape.dims().subspan(1))).size();
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(Product(shape.dims()), text_bytes));
  for (const TensorView& part : parts) TFLS_RETURN_IF_ERROR(AddRows(part, part.shape[0], shape, builder));
  for (; filler > 0; --filler) TFLS_RETURN_IF_ERROR(AddRows(last, 1, shape, builder));
  return Tensor(DType::kString, shape, builder.Finish());
}

StatusOr<Tensor> CopyStrings(const TensorView& tensor, const Shape& shape, int64_t first, int64_t count) {
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(count, tensor.StringsAt(first, count).size()));
  TFLS_RETURN_IF_ERROR(builder.AddRun(tensor, first, count));
  return Tensor(DType::kString, shape, builder.Finish());
}

}  // namespace

StatusOr<Tensor> ConcatenateRows(std::span<const TensorView> parts, int64_t rows, double pad_value) {
  const DType dtype = parts.front().dtype;
  Shape shape = parts.front().shape;
  bool pads = false;
  for (const TensorView& part : parts) {
    for (int i = 1; i < shape.rank(); ++i) {
      pads = pads || part.shape[i] != shape[i];
      shape.set(i, std::max(shape[i], part.shape[i]));
    }
  }
  shape.set(0, rows);
  if (dtype == DType::kString) return ConcatenateStrings(parts, shape);
  TFLS_ASSIGN_OR_RETURN(Tensor whole, Tensor::Create(dtype, shape));
  const size_t element_size = DTypeSize(dtype);
  std::byte* to = whole.bytes().data();
  if (pads) {
    const Element pad = PadElement(dtype, pad_value);
    for (size_t at = 0; at < whole.bytes().size(); at += element_size) std::memcpy(to + at, pad.data(), element_size);
  }
  const size_t row_size = whole.bytes().size() / static_cast<size_t>(rows);
  for (const TensorView& part : parts) {
    std::array<int64_t, Shape::kMaxRank> dims{};
    const auto to_dims = std::span(dims).first(static_cast<size_t>(shape.rank()));
    std::ranges::copy(shape.dims(), to_dims.begin());
    to_dims[0] = part.shape[0];
    const std::byte* from = part.bytes.data();
    CopyBlock(part.shape.dims(), to_dims, element_size, from, to);
    to += static_cast<size_t>(part.shape[0]) * row_size;
  }
  const std::byte* const end = whole.bytes().data() + whole.bytes().size();
  const std::byte* const filler = to - static_cast<size_t>(parts.back().shape[0]) * row_size;
  for (; to != end; to += row_size) std::memcpy(to, filler, row_size);
  return whole;
}

Status SliceRows(std::span<const TensorView> tensors, int64_t first, int64_t rows, std::span<TensorView> slices, std::vector<Tensor>& memory) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& tensor = tensors[i];
    TensorView& slice = slices[i] = tensor;
    slice.shape.set(0, rows);
    if (tensor.dtype == DType::kString) {
      const int64_t row_count = Product(tensor.shape.dims().subspan(1));
      TFLS_ASSIGN_OR_RETURN(Tensor copy, CopyStrings(tensor, slice.shape, first * row_count, rows * row_count));
      slice = copy.view();
      memory.push_back(std::move(copy));
    } else {
      const size_t row_size = tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]);
      slice.bytes = tensor.bytes.subspan(static_cast<size_t>(first) * row_size, static_cast<size_t>(rows) * row_size);
    }
  }
  return OkStatus();
}

}  // namespace tflite_serving
