#include "codec/tensor_proto_encoder.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "codec/tensor_proto_fields.h"

namespace tflite_serving {
namespace {

// A value as its varint: signed ones sign-extended, as protobuf's int32 and int64 are.
template <typename T>
constexpr uint64_t ToVarint(T value) {
  return static_cast<uint64_t>(static_cast<int64_t>(value));
}
template <>
constexpr uint64_t ToVarint(uint64_t value) {
  return value;
}

template <typename T>
size_t VarintsSize(std::span<const T> values) {
  size_t size = 0;
  for (const T value : values) size += VarintSize(ToVarint(value));
  return size;
}

template <typename T>
void WriteVarints(std::span<const T> values, MessageWriter& out) {
  for (const T value : values) out.Varint(ToVarint(value));
}

// Calls `visit` with the elements as integers of their type. Requires a type whose values are varints, other than bool.
template <typename Visitor>
auto VisitIntegers(const TensorView& tensor, const Visitor& visit) {
  switch (tensor.dtype) {
    case DType::kInt8:
      return visit(tensor.values<int8_t>());
    case DType::kUint8:
      return visit(tensor.values<uint8_t>());
    case DType::kInt16:
      return visit(tensor.values<int16_t>());
    case DType::kInt32:
      return visit(tensor.values<int32_t>());
    case DType::kUint32:
      return visit(tensor.values<uint32_t>());
    case DType::kInt64:
      return visit(tensor.values<int64_t>());
    case DType::kUint64:
      return visit(tensor.values<uint64_t>());
    default:  // uint16, and the bits of half and bfloat16
      return visit(tensor.values<uint16_t>());
  }
}

// Types whose values lie on the wire as they lie in memory.
bool IsFixed(DType dtype) { return dtype == DType::kFloat || dtype == DType::kDouble || dtype == DType::kComplex64 || dtype == DType::kComplex128; }

size_t DimSize(int64_t dim) { return dim == 0 ? 0 : TagSize(kDimSizeField) + VarintSize(static_cast<uint64_t>(dim)); }

}  // namespace

StatusOr<TensorProtoEncoder> TensorProtoEncoder::Create(const TensorView& tensor, bool as_tensor_content) {
  TensorProtoEncoder encoder;
  encoder.tensor_ = tensor;
  encoder.as_tensor_content_ = as_tensor_content;
  encoder.field_ = as_tensor_content ? kContentField : ValuesField(tensor.dtype);
  if (ValuesField(tensor.dtype) == 0) return UnimplementedError(fmt::format("a tensor of {} cannot be encoded", DTypeName(tensor.dtype)));
  TFLS_ASSIGN_OR_RETURN(const size_t size_bytes, TensorSizeBytes(tensor.dtype, tensor.shape));
  encoder.num_elements_ = *tensor.shape.NumElements();
  if (tensor.dtype == DType::kString ? tensor.bytes.size() < size_bytes : tensor.bytes.size() != size_bytes) {
    return InternalError(
        fmt::format("{}{} needs {} bytes, got {}", DTypeName(tensor.dtype), tensor.shape.ToString(), size_bytes, tensor.bytes.size()));
  }
  encoder.values_size_ = encoder.ValuesSize();
  const bool each_has_a_head = tensor.dtype == DType::kString && !as_tensor_content;
  const size_t values = each_has_a_head ? encoder.values_size_ : DelimitedSize(encoder.field_, encoder.values_size_);
  const auto dtype = static_cast<uint64_t>(tensor.dtype);
  encoder.size_ =
      TagSize(kDtypeField) + VarintSize(dtype) + DelimitedSize(kShapeField, encoder.ShapeSize()) + (encoder.values_size_ > 0 ? values : 0);
  return encoder;
}

size_t TensorProtoEncoder::ShapeSize() const {
  size_t size = 0;
  for (const int64_t dim : tensor_.shape.dims()) size += DelimitedSize(kShapeDimField, DimSize(dim));
  return size;
}

size_t TensorProtoEncoder::ValuesSize() const {
  if (tensor_.dtype == DType::kString) {
    size_t size = 0;
    for (int64_t i = 0; i < num_elements_; ++i) {
      const size_t text = tensor_.StringAt(i).size();
      size += as_tensor_content_ ? VarintSize(text) + text : DelimitedSize(field_, text);
    }
    return size;
  }
  if (as_tensor_content_ || IsFixed(tensor_.dtype) || tensor_.dtype == DType::kBool) return tensor_.bytes.size();
  return VisitIntegers(tensor_, [](auto values) { return VarintsSize(values); });
}

void TensorProtoEncoder::Write(MessageWriter& out) const {
  out.Tag(kDtypeField, WireType::kVarint);
  out.Varint(static_cast<uint64_t>(tensor_.dtype));
  WriteShape(out);
  if (values_size_ == 0) return;
  if (tensor_.dtype == DType::kString) {
    WriteStrings(out);
  } else {
    out.Delimited(field_, values_size_);
    WriteValues(out);
  }
}

void TensorProtoEncoder::WriteShape(MessageWriter& out) const {
  out.Delimited(kShapeField, ShapeSize());  // there even for a scalar, whose shape is empty: clients ask HasField("tensor_shape")
  for (const int64_t dim : tensor_.shape.dims()) {
    out.Delimited(kShapeDimField, DimSize(dim));
    if (dim == 0) continue;
    out.Tag(kDimSizeField, WireType::kVarint);
    out.Varint(static_cast<uint64_t>(dim));
  }
}

void TensorProtoEncoder::WriteValues(MessageWriter& out) const {
  if (tensor_.dtype == DType::kBool) {
    for (const std::byte value : tensor_.bytes) out.Put(value != std::byte{0} ? std::byte{1} : std::byte{0});
  } else if (as_tensor_content_ || IsFixed(tensor_.dtype)) {
    out.Bytes(tensor_.bytes);
  } else {
    VisitIntegers(tensor_, [&out](auto values) { WriteVarints(values, out); });
  }
}

void TensorProtoEncoder::WriteStrings(MessageWriter& out) const {
  if (!as_tensor_content_) {
    for (int64_t i = 0; i < num_elements_; ++i) {
      const std::string_view text = tensor_.StringAt(i);
      out.Delimited(field_, text.size());
      out.Text(text);
    }
    return;
  }
  out.Delimited(field_, values_size_);
  for (int64_t i = 0; i < num_elements_; ++i) out.Varint(tensor_.StringAt(i).size());
  for (int64_t i = 0; i < num_elements_; ++i) out.Text(tensor_.StringAt(i));
}

}  // namespace tflite_serving
