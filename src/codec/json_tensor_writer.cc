#include "codec/json_tensor_writer.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "codec/json_numbers.h"
#include "tensor/half.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kBytesSuffix = "_bytes";
// Elements for which room is made at once: most take much less than the longest.
constexpr int64_t kMostAtOnce = 4096;

// The empty lists that a tensor without elements is written as: [3,0] are three.
int64_t EmptyLists(const Shape& shape) {
  int64_t lists = 1;
  for (const int64_t size : shape.dims()) {
    if (size == 0) return lists;
    if (__builtin_mul_overflow(lists, size, &lists)) return std::numeric_limits<int64_t>::max();
  }
  return 0;
}

bool IsComplex(DType dtype) { return dtype == DType::kComplex64 || dtype == DType::kComplex128; }
bool HasJsonForm(DType dtype) { return dtype == DType::kString || dtype == DType::kBool || IsComplex(dtype) || NumberReaderFor(dtype) != nullptr; }
constexpr size_t kMaxComplexChars = 2 * kMaxNumberChars + sizeof("[,]") - 1;

}  // namespace

StatusOr<JsonTensorWriter> JsonTensorWriter::Create(std::string_view name, const TensorView& tensor) {
  if (!HasJsonForm(tensor.dtype)) return InvalidArgumentError(fmt::format("Failed to write JSON value for tensor type: {}", DTypeName(tensor.dtype)));
  const bool is_string = tensor.dtype == DType::kString;
  const StatusOr<size_t> size = TensorSizeBytes(tensor.dtype, tensor.shape);
  const bool fits = size.ok() && (is_string ? ValidateStrings(tensor.bytes, *tensor.shape.NumElements()).ok() : tensor.bytes.size() == *size);
  if (!fits) {
    return InternalError(
        fmt::format("output \"{}\": {}{} does not fit into {} bytes", name, DTypeName(tensor.dtype), tensor.shape.ToString(), tensor.bytes.size()));
  }
  if (EmptyLists(tensor.shape) > kMaxEmptyLists) {
    return InvalidArgumentError(fmt::format("\"{}\": {}{} has no elements, and would be more than {} empty lists", name, DTypeName(tensor.dtype),
                                            tensor.shape.ToString(), kMaxEmptyLists));
  }
  return JsonTensorWriter(tensor, is_string && name.ends_with(kBytesSuffix));
}

void JsonTensorWriter::WriteDims(int first, JsonBuffer& out) {
  const Shape& shape = tensor_.shape;
  int rank = first;  // a list of no elements ends the nesting: [2,0,3] is [[],[]]
  while (rank < shape.rank() && (rank == first || shape[rank - 1] != 0)) ++rank;
  if (rank == first) return WriteElements(1, out);
  std::array<int64_t, Shape::kMaxRank> index{};
  int open = first;  // lists that are open are those of the dimensions before it
  for (;;) {
    for (; open < rank; ++open) {
      out.Append('[');
      index[static_cast<size_t>(open)] = 0;
    }
    WriteElements(shape[rank - 1], out);
    out.Append(']');
    for (--open; open > first && ++index[static_cast<size_t>(open - 1)] == shape[open - 1]; --open) out.Append(']');
    if (open == first) return;
    out.Append(',');
  }
}

template <class Element, size_t kMaxChars, class Write>
void JsonTensorWriter::WriteNumbers(int64_t count, JsonBuffer& out, Write write) {
  const std::byte* in = tensor_.bytes.data() + static_cast<size_t>(next_) * sizeof(Element);
  for (int64_t i = 0; i < count;) {
    const int64_t end = std::min(count, i + kMostAtOnce);
    char* p = out.Reserve(static_cast<size_t>(end - i) * (kMaxChars + 1));
    for (; i < end; ++i, in += sizeof(Element)) {
      Element value;
      std::memcpy(&value, in, sizeof(value));
      if (i > 0) *p++ = ',';
      p = write(p, value);
    }
    out.Commit(p);
  }
}

void JsonTensorWriter::WriteStrings(int64_t count, JsonBuffer& out) {
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0) out.Append(',');
    const std::string_view text = tensor_.StringAt(next_ + i);
    if (as_base64_) {
      out.AppendBase64(text);
    } else {
      out.AppendString(text);
    }
  }
}

void JsonTensorWriter::WriteElements(int64_t count, JsonBuffer& out) {
  constexpr auto kWrite = [](char* p, auto value) { return WriteNumber(p, value); };
  constexpr auto kWriteComplex = [](char* p, const auto& parts) {
    *p++ = '[';
    p = WriteNumber(p, parts[0]);
    *p++ = ',';
    p = WriteNumber(p, parts[1]);
    *p++ = ']';
    return p;
  };
  switch (tensor_.dtype) {
    case DType::kFloat:
      WriteNumbers<float>(count, out, kWrite);
      break;
    case DType::kDouble:
      WriteNumbers<double>(count, out, kWrite);
      break;
    case DType::kHalf:
      WriteNumbers<uint16_t>(count, out, [](char* p, uint16_t bits) { return WriteNumber(p, FloatFromHalf(bits)); });
      break;
    case DType::kBfloat16:
      WriteNumbers<uint16_t>(count, out, [](char* p, uint16_t bits) { return WriteNumber(p, FloatFromBfloat16(bits)); });
      break;
    case DType::kInt8:
      WriteNumbers<int8_t>(count, out, kWrite);
      break;
    case DType::kUint8:
      WriteNumbers<uint8_t>(count, out, kWrite);
      break;
    case DType::kInt16:
      WriteNumbers<int16_t>(count, out, kWrite);
      break;
    case DType::kUint16:
      WriteNumbers<uint16_t>(count, out, kWrite);
      break;
    case DType::kInt32:
      WriteNumbers<int32_t>(count, out, kWrite);
      break;
    case DType::kUint32:
      WriteNumbers<uint32_t>(count, out, kWrite);
      break;
    case DType::kInt64:
      WriteNumbers<int64_t>(count, out, kWrite);
      break;
    case DType::kUint64:
      WriteNumbers<uint64_t>(count, out, kWrite);
      break;
    case DType::kBool:
      WriteNumbers<uint8_t>(count, out, [](char* p, uint8_t value) { return WriteNumber(p, value != 0); });
      break;
    case DType::kComplex64:
      WriteNumbers<std::array<float, 2>, kMaxComplexChars>(count, out, kWriteComplex);
      break;
    case DType::kComplex128:
      WriteNumbers<std::array<double, 2>, kMaxComplexChars>(count, out, kWriteComplex);
      break;
    case DType::kString:
      WriteStrings(count, out);
      break;
    default:
      break;  // Create has refused it
  }
  next_ += count;
}

}  // namespace tflite_serving
