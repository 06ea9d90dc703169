#include "codec/npy.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>
#include <optional>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/tensor.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionBytes = 2;
constexpr size_t kHeaderAlignment = 64;
constexpr size_t kMaxShownBytes = 64;  // of a header, in a message

struct Row {
  DType dtype;
  std::string_view descr;  // as NumPy writes it on a little-endian machine
  std::string_view name;
};

constexpr Row kRows[] = {
    {DType::kFloat, "<f4", "float32"},     {DType::kDouble, "<f8", "float64"},      {DType::kHalf, "<f2", "float16"},
    {DType::kBfloat16, "|V2", "bfloat16"}, {DType::kInt8, "|i1", "int8"},           {DType::kInt16, "<i2", "int16"},
    {DType::kInt32, "<i4", "int32"},       {DType::kInt64, "<i8", "int64"},         {DType::kUint8, "|u1", "uint8"},
    {DType::kUint16, "<u2", "uint16"},     {DType::kUint32, "<u4", "uint32"},       {DType::kUint64, "<u8", "uint64"},
    {DType::kBool, "|b1", "bool"},         {DType::kComplex64, "<c8", "complex64"}, {DType::kComplex128, "<c16", "complex128"},
};

const Row* FindRow(DType dtype) {
  const Row* const row = std::ranges::find(kRows, dtype, &Row::dtype);
  return row == std::end(kRows) ? nullptr : row;
}

Status NpyError(std::string_view what) { return InvalidArgumentError(fmt::format("npy: {}", what)); }

StatusOr<DType> DTypeOf(std::string_view descr) {
  // '|': where no order of bytes applies.
  const auto same = [descr](const Row& row) {
    return descr == row.descr || (descr.size() > 1 && descr[0] == '<' && descr.substr(1) == row.descr.substr(1));
  };
  const Row* const row = std::ranges::find_if(kRows, same);
  if (row != std::end(kRows)) return row->dtype;
  const std::string_view shown = descr.substr(0, kMaxShownBytes);
  if (descr.starts_with('>')) {
    return NpyError(fmt::format("elements of type '{}' are big-endian; convert them with x.astype('<{}')", shown, shown.substr(1)));
  }
  return NpyError(fmt::format("elements of type '{}' are not served", shown));
}

// The header's dictionary, read with just the grammar that it is written in.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text), rest_(text) {}

  Status Read() {
    if (!Take('{')) return Malformed();
    while (!Take('}')) {
      const std::optional<std::string_view> key = TakeString();
      if (!key || !Take(':')) return Malformed();
      TFLS_RETURN_IF_ERROR(ReadValue(*key));
      if (!Take(',') && !Peek('}')) return Malformed();
    }
    SkipSpaces();
    if (!rest_.empty() || !descr_ || !fortran_order_ || !has_shape_) return Malformed();
    return OkStatus();
  }

  std::string_view descr() const { return *descr_; }
  bool fortran_order() const { return *fortran_order_; }
  const Shape& shape() const { return shape_; }

 private:
  Status Malformed() const {
    return NpyError(fmt::format("expected a header of 'descr', 'fortran_order' and 'shape', got {}", text_.substr(0, kMaxShownBytes)));
  }

  void SkipSpaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \n"), rest_.size())); }
  bool Peek(char c) {
    SkipSpaces();
    return rest_.starts_with(c);
  }
  bool Take(char c) {
    if (!Peek(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool TakeWord(std::string_view word) {
    SkipSpaces();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // Without escapes, which no key or type has.
  std::optional<std::string_view> TakeString() {
    if (!Peek('\'') && !Peek('"')) return std::nullopt;
    const char quote = rest_[0];
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  Status ReadValue(std::string_view key) {
    if (key == "descr" && !descr_) {
      descr_ = TakeString();
      return descr_ ? OkStatus() : Malformed();
    }
    if (key == "fortran_order" && !fortran_order_) {
      if (TakeWord("False")) {
        fortran_order_ = false;
      } else if (TakeWord("True")) {
        fortran_order_ = true;
      }
      return fortran_order_ ? OkStatus() : Malformed();
    }
    if (key == "shape" && !has_shape_) {
      has_shape_ = true;
      return ReadShape();
    }
    return Malformed();
  }

  // A tuple of Python: "()", "(3,)", "(3, 4)".
  Status ReadShape() {
    if (!Take('(')) return Malformed();
    bool comma = true;  // an element may stand here
    while (!Take(')')) {
      SkipSpaces();
      int64_t dim = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), dim);
      if (!comma || error != std::errc() || dim < 0) return Malformed();
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      if (!shape_.Append(dim)) return NpyError(fmt::format("an array has at most {} dimensions", Shape::kMaxRank));
      comma = Take(',');
    }
    return shape_.rank() == 1 && !comma ? Malformed() : OkStatus();
  }

  const std::string_view text_;
  std::string_view rest_;
  std::optional<std::string_view> descr_;
  std::optional<bool> fortran_order_;
  Shape shape_;
  bool has_shape_ = false;
};

// Takes the header's text from the front of `file`.
StatusOr<std::string_view> TakeHeader(std::string_view& file) {
  if (!file.starts_with(kMagic)) return NpyError("the body does not begin with \\x93NUMPY");
  file.remove_prefix(kMagic.size());
  if (file.size() < kVersionBytes) return NpyError("the body ends in the header");
  const auto major = static_cast<unsigned char>(file[0]);
  const auto minor = static_cast<unsigned char>(file[1]);
  if (major < 1 || major > 3 || minor != 0) return NpyError(fmt::format("version {}.{} is none of 1.0, 2.0 and 3.0", major, minor));
  file.remove_prefix(kVersionBytes);
  const size_t length_bytes = major == 1 ? sizeof(uint16_t) : sizeof(uint32_t);
  if (file.size() < length_bytes) return NpyError("the body ends in the header");
  size_t length = 0;
  for (size_t i = 0; i < length_bytes; ++i) length |= static_cast<size_t>(static_cast<unsigned char>(file[i])) << (8 * i);
  file.remove_prefix(length_bytes);
  if (length > kMaxNpyHeaderBytes) return NpyError(fmt::format("the header has {} bytes, the limit is {}", length, kMaxNpyHeaderBytes));
  if (file.size() < length) return NpyError("the body ends in the header");
  const std::string_view header = file.substr(0, length);
  file.remove_prefix(length);
  return header;
}

}  // namespace

StatusOr<NpyArray> ParseNpy(std::span<const std::byte> file) {
  std::string_view rest(reinterpret_cast<const char*>(file.data()), file.size());
  TFLS_ASSIGN_OR_RETURN(const std::string_view text, TakeHeader(rest));
  HeaderReader header(text);
  TFLS_RETURN_IF_ERROR(header.Read());
  TFLS_ASSIGN_OR_RETURN(const DType dtype, DTypeOf(header.descr()));
  if (header.fortran_order()) return NpyError("the array is in Fortran order; send numpy.ascontiguousarray(x)");
  const StatusOr<size_t> wanted = TensorSizeBytes(dtype, header.shape());
  if (!wanted.ok()) return NpyError(wanted.status().message());
  if (rest.size() != *wanted) {
    return NpyError(fmt::format("{}{} has {} bytes, got {}", DTypeName(dtype), header.shape().ToString(), *wanted, rest.size()));
  }
  return NpyArray{dtype, header.shape(), file.last(rest.size())};
}

std::string NpyHeader(DType dtype, const Shape& shape) {
  const bool single = shape.rank() == 1;
  std::string text = fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", FindRow(dtype)->descr, fmt::join(shape.dims(), ", "),
                                 single ? "," : "");
  const size_t before = kMagic.size() + kVersionBytes + sizeof(uint16_t);
  text.resize((before + text.size() + 1 + kHeaderAlignment - 1) / kHeaderAlignment * kHeaderAlignment - before - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {1, 0, static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

std::string_view NumpyName(DType dtype) {
  const Row* const row = FindRow(dtype);
  return row == nullptr ? std::string_view() : row->name;
}

}  // namespace tflite_serving
