#include "codec/tensor_proto_decoder.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

#include <fmt/format.h>

#include "codec/tensor_proto_fields.h"

namespace tflite_serving {
namespace {

// What the first pass over a message finds: everything but the values.
struct TensorHead {
  int dtype_number = 0;
  Shape shape;
  bool unknown_rank = false;
  WireRange content;
};

Status Malformed(const MessageReader& reader) { return InvalidArgumentError(reader.problem()); }

// Takes the dimension's size; its name is for people.
StatusOr<int64_t> ReadDim(const WireRange& message) {
  int64_t size = 0;
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kDimSizeField, WireType::kVarint)) size = static_cast<int64_t>(field.number_value);
  }
  if (reader.malformed()) return Malformed(reader);
  if (size < 0) return InvalidArgumentError(fmt::format("a dimension of {}", size));
  return size;
}

Status ReadShape(const WireRange& message, TensorHead& head) {
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kShapeUnknownRankField, WireType::kVarint)) head.unknown_rank = field.number_value != 0;
    if (!field.Is(kShapeDimField, WireType::kLengthDelimited)) continue;
    TFLS_ASSIGN_OR_RETURN(const int64_t size, ReadDim(field.range));
    if (!head.shape.Append(size)) return InvalidArgumentError(fmt::format("more than {} dimensions", Shape::kMaxRank));
  }
  return reader.malformed() ? Malformed(reader) : OkStatus();
}

StatusOr<TensorHead> ReadHead(const WireRange& message) {
  TensorHead head;
  MessageReader reader(message);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kDtypeField, WireType::kVarint)) head.dtype_number = static_cast<int>(field.number_value);
    if (field.Is(kShapeField, WireType::kLengthDelimited)) TFLS_RETURN_IF_ERROR(ReadShape(field.range, head));
    if (field.Is(kContentField, WireType::kLengthDelimited)) head.content = field.range;
  }
  if (reader.malformed()) return Malformed(reader);
  if (head.unknown_rank) return InvalidArgumentError("a shape of unknown rank");
  return head;
}

// Memory that `elements` take as T, filled from the front by the values as they come.
template <typename T>
struct Filling {
  std::span<T> elements;
  size_t filled = 0;

  std::span<T> left() const { return elements.subspan(filled); }
};

// One value per varint, cut to T.
template <typename T>
T FromVarint(uint64_t value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value != 0;
  } else {
    return static_cast<T>(value);
  }
}

// Varints from the piece at hand, as long as none of them can reach its end. Most are short, so the first byte is looked at alone.
template <typename T>
void TakeContiguousVarints(WireRange& range, Filling<T>& to, bool& malformed) {
  constexpr size_t kLongest = 10;
  const std::span<const std::byte> bytes = range.contiguous();
  size_t at = 0;
  while (at + kLongest <= bytes.size() && to.filled < to.elements.size()) {
    uint64_t value = std::to_integer<uint64_t>(bytes[at++]);
    if (value >= 0x80) {
      value &= 0x7F;
      for (unsigned shift = 7;; shift += 7) {
        if (shift == 7 * kLongest) {
          malformed = true;
          return;
        }
        const auto byte = std::to_integer<uint64_t>(bytes[at++]);
        value |= (byte & 0x7F) << shift;
        if (byte < 0x80) break;
      }
    }
    to.elements[to.filled++] = FromVarint<T>(value);
  }
  range.Advance(at);
}

// Those behind the last element are left unread. False if a varint is malformed.
template <typename T>
bool TakePackedVarints(WireRange range, Filling<T>& to) {
  while (!range.empty() && to.filled < to.elements.size()) {
    bool malformed = false;
    TakeContiguousVarints(range, to, malformed);
    if (malformed) return false;
    if (range.empty() || to.filled == to.elements.size()) break;
    uint64_t value;
    if (!range.ReadVarint(value)) return false;
    to.elements[to.filled++] = FromVarint<T>(value);
  }
  return true;
}

// Fixed-size values lie on the wire as they lie in memory.
template <typename T>
bool TakePackedFixed(WireRange range, Filling<T>& to) {
  if (range.size() % sizeof(T) != 0) return false;
  const size_t n = std::min(range.size() / sizeof(T), to.left().size());
  const bool read = range.Read(std::as_writable_bytes(to.left().first(n)));
  to.filled += n;
  return read;
}

// The second pass: the values, from field `number`. `Wire` is kVarint, kFixed32 or kFixed64.
template <typename T, WireType Wire>
Status TakeValues(const WireRange& message, uint32_t number, Filling<T>& to) {
  MessageReader reader(message);
  for (WireField field; to.filled < to.elements.size() && reader.Next(field);) {
    if (field.Is(number, WireType::kLengthDelimited)) {
      bool taken;
      if constexpr (Wire == WireType::kVarint) {
        taken = TakePackedVarints(field.range, to);
      } else {
        taken = TakePackedFixed(field.range, to);
      }
      if (!taken) return InvalidArgumentError(fmt::format("the {} bytes of field {} are no sequence of values", field.range.size(), number));
    } else if (field.Is(number, Wire)) {
      if constexpr (Wire == WireType::kVarint) {
        to.elements[to.filled++] = FromVarint<T>(field.number_value);
      } else {
        std::memcpy(&to.elements[to.filled++], &field.number_value, sizeof(T));
      }
    }
  }
  return reader.malformed() ? Malformed(reader) : OkStatus();
}

Status TooFewValues(DType dtype, const Shape& shape, size_t size_bytes) {
  return InvalidArgumentError(fmt::format("{}{} needs {} bytes, but the message has fewer values than elements, for which the limit is {} bytes",
                                          DTypeName(dtype), shape.ToString(), size_bytes, kMaxFilledTensorBytes));
}

// Decodes values of type T into `tensor`; a complex number is two of them (`parts`).
template <typename T, WireType Wire>
Status DecodeValues(const WireRange& message, uint32_t number, size_t parts, Tensor& tensor) {
  Filling<T> to{{reinterpret_cast<T*>(tensor.bytes().data()), tensor.bytes().size() / sizeof(T)}};
  TFLS_RETURN_IF_ERROR((TakeValues<T, Wire>(message, number, to)));
  if (to.filled == to.elements.size()) return OkStatus();
  if (tensor.bytes().size() > kMaxFilledTensorBytes) return TooFewValues(tensor.dtype(), tensor.view().shape, tensor.bytes().size());
  to.filled -= to.filled % parts;
  if (to.filled == 0 || parts == 1) {
    std::ranges::fill(to.left(), to.filled == 0 ? T{} : to.elements[to.filled - 1]);
  } else {
    for (size_t i = to.filled; i < to.elements.size(); ++i) to.elements[i] = to.elements[i - parts];
  }
  return OkStatus();
}

Status DecodeNumbers(const WireRange& message, Tensor& tensor) {
  const uint32_t number = ValuesField(tensor.dtype());
  switch (tensor.dtype()) {
    case DType::kFloat:
      return DecodeValues<float, WireType::kFixed32>(message, number, 1, tensor);
    case DType::kComplex64:
      return DecodeValues<float, WireType::kFixed32>(message, number, 2, tensor);
    case DType::kDouble:
      return DecodeValues<double, WireType::kFixed64>(message, number, 1, tensor);
    case DType::kComplex128:
      return DecodeValues<double, WireType::kFixed64>(message, number, 2, tensor);
    case DType::kBool:
      return DecodeValues<bool, WireType::kVarint>(message, number, 1, tensor);
    case DType::kInt8:
    case DType::kUint8:
      return DecodeValues<uint8_t, WireType::kVarint>(message, number, 1, tensor);
    case DType::kInt16:
    case DType::kUint16:
    case DType::kHalf:
    case DType::kBfloat16:
      return DecodeValues<uint16_t, WireType::kVarint>(message, number, 1, tensor);
    case DType::kInt32:
    case DType::kUint32:
      return DecodeValues<uint32_t, WireType::kVarint>(message, number, 1, tensor);
    case DType::kInt64:
    case DType::kUint64:
      return DecodeValues<uint64_t, WireType::kVarint>(message, number, 1, tensor);
    default:
      return InvalidArgumentError(fmt::format("dtype {} cannot be decoded", static_cast<int>(tensor.dtype())));
  }
}

Status DecodeContent(WireRange content, Tensor& tensor) {
  const std::span<std::byte> bytes = tensor.bytes();
  if (content.size() != bytes.size() || !content.Read(bytes)) {
    return InvalidArgumentError(fmt::format("tensor_content has {} bytes, {}{} needs {}", content.size(), DTypeName(tensor.dtype()),
                                            tensor.view().shape.ToString(), bytes.size()));
  }
  if (tensor.dtype() == DType::kBool) {
    for (std::byte& value : bytes) value = value != std::byte{0} ? std::byte{1} : std::byte{0};
  }
  return OkStatus();
}

// Appends the bytes of `range` to `builder`; `scratch` is kept from call to call.
Status AddString(WireRange range, std::string& scratch, StringTensorBuilder& builder) {
  if (const auto here = range.contiguous(); here.size() == range.size()) {
    return builder.Add({reinterpret_cast<const char*>(here.data()), here.size()});
  }
  scratch = range.ToString();
  return builder.Add(scratch);
}

// `count` lengths, then the bytes of all of them.
Status DecodeStringContent(WireRange content, int64_t count, StringTensorBuilder& builder) {
  WireRange lengths = content;
  uint64_t total = 0;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t length;
    if (!content.ReadVarint(length)) return InvalidArgumentError(fmt::format("tensor_content ends within the lengths of {} strings", count));
    total += std::min<uint64_t>(length, kMaxTensorBytes + 1);
  }
  if (total != content.size()) {
    return InvalidArgumentError(fmt::format("tensor_content has {} bytes of strings where their lengths add up to {}", content.size(), total));
  }
  std::string scratch;
  for (int64_t i = 0; i < count; ++i) {
    uint64_t length;
    WireRange text;
    if (!lengths.ReadVarint(length) || !content.Split(length, text)) return InternalError("string lengths changed between two readings");
    TFLS_RETURN_IF_ERROR(AddString(text, scratch, builder));
  }
  return OkStatus();
}

Status DecodeStringValues(const WireRange& message, const Shape& shape, int64_t count, StringTensorBuilder& builder) {
  MessageReader reader(message);
  std::string scratch;
  std::optional<WireRange> last;
  int64_t added = 0;
  for (WireField field; added < count && reader.Next(field);) {
    if (!field.Is(kStringValField, WireType::kLengthDelimited)) continue;
    TFLS_RETURN_IF_ERROR(AddString(field.range, scratch, builder));
    last = field.range;
    ++added;
  }
  if (reader.malformed()) return Malformed(reader);
  if (added == count) return OkStatus();
  const size_t each = sizeof(int32_t) + (last ? last->size() : 0);
  if (static_cast<size_t>(count) > kMaxFilledTensorBytes / each) {
    return TooFewValues(DType::kString, shape, static_cast<size_t>(std::min<uint64_t>(static_cast<uint64_t>(count), SIZE_MAX / each)) * each);
  }
  if (!last || last->empty()) return OkStatus();  // the builder fills up with empty strings
  const std::string text = last->ToString();
  for (; added < count; ++added) TFLS_RETURN_IF_ERROR(builder.Add(text));
  return OkStatus();
}

StatusOr<Tensor> DecodeStrings(const WireRange& message, const TensorHead& head, int64_t count) {
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(count));
  if (head.content.empty()) {
    TFLS_RETURN_IF_ERROR(DecodeStringValues(message, head.shape, count, builder));
  } else {
    TFLS_RETURN_IF_ERROR(DecodeStringContent(head.content, count, builder));
  }
  return Tensor(DType::kString, head.shape, builder.Finish());
}

}  // namespace

StatusOr<Tensor> DecodeTensorProto(const WireRange& message, AlignedBuffer memory, BorrowedContents* contents) {
  TFLS_ASSIGN_OR_RETURN(const TensorHead head, ReadHead(message));
  const DType dtype = DTypeFromNumber(head.dtype_number);
  if (dtype == DType::kInvalid) return InvalidArgumentError(fmt::format("dtype {} is not supported", head.dtype_number));
  TFLS_ASSIGN_OR_RETURN(const size_t size_bytes, TensorSizeBytes(dtype, head.shape));
  const int64_t count = *head.shape.NumElements();
  // Every value has at least one byte on the wire, so this is known before any memory is taken.
  if (size_bytes > kMaxFilledTensorBytes && static_cast<size_t>(count) > message.size()) return TooFewValues(dtype, head.shape, size_bytes);
  if (dtype == DType::kString) return DecodeStrings(message, head, count);
  if (const std::span<const std::byte> content = head.content.contiguous(); contents != nullptr && content.size() == size_bytes) {
    if (content.size() > contents->largest.size()) contents->largest = content;
    if (Tensor::CanBorrow(dtype, content)) return Tensor::Borrow(dtype, head.shape, content, std::move(memory));
  }
  TFLS_ASSIGN_OR_RETURN(Tensor tensor, Tensor::Create(dtype, head.shape, std::move(memory)));
  TFLS_RETURN_IF_ERROR(head.content.empty() ? DecodeNumbers(message, tensor) : DecodeContent(head.content, tensor));
  return tensor;
}

}  // namespace tflite_serving
