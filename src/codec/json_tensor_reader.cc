#include "codec/json_tensor_reader.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include <fmt/format.h>

#include "codec/base64.h"
#include "codec/json_value_text.h"

namespace tflite_serving {
namespace {

// What is read of an element, or of each part of a complex one.
DType PartOf(DType dtype) {
  if (dtype == DType::kComplex64) return DType::kFloat;
  return dtype == DType::kComplex128 ? DType::kDouble : dtype;
}

constexpr int64_t kParts = 2;                          // of a complex number
constexpr size_t kMaxKeptTextBytes = size_t{1} << 20;  // of strings, from one tensor to the next

// Reached only while a document is read whose syntax nobody has checked yet, and then never reported.
Status SyntaxError(const JsonReader& json) {
  return InternalError(fmt::format("a tensor's JSON breaks the grammar at offset {}", json.position() - json.document().data()));
}

}  // namespace

void JsonTensorReader::Start(DType dtype, const Shape& expected, size_t json_bytes, AlignedBuffer memory) {
  constexpr size_t kMinElementChars = 2;  // a digit and a comma
  dtype_ = dtype;
  const DType part = PartOf(dtype);
  numbers_ = NumberReaderFor(part);
  element_bytes_ = DTypeSize(part);
  max_elements_ = json_bytes / kMinElementChars + 1;
  elements_ = 0;
  rows_ = 0;
  text_.clear();
  text_ends_.clear();
  buffer_ = std::move(memory);
  if (element_bytes_ == 0) return;
  size_t guess = part == dtype ? 1 : kParts;
  for (const int64_t dim : expected.dims())
    guess *= static_cast<size_t>(std::clamp<int64_t>(dim, 1, static_cast<int64_t>(max_elements_ / guess) + 1));
  const size_t wanted = std::min({std::max(guess * element_bytes_, buffer_.capacity()), max_elements_ * element_bytes_, kMaxTensorBytes});
  // Without memory for the guess it starts with none, and Grow reports what is really missing.
  if (!buffer_.Resize(0) || !buffer_.Resize(wanted / element_bytes_ * element_bytes_)) buffer_ = AlignedBuffer();
}

Status JsonTensorReader::ReadValue(JsonReader& json) { return ReadNested(json, Shape::kMaxRank); }

Status JsonTensorReader::ReadRow(JsonReader& json) {
  const int64_t before = elements_;
  TFLS_RETURN_IF_ERROR(ReadNested(json, Shape::kMaxRank - 1));
  if (rows_ == 0) {
    row_shape_ = value_shape_;
    row_elements_ = elements_ - before;
  } else {
    TFLS_RETURN_IF_ERROR(CheckRow(elements_ - before));
  }
  ++rows_;
  return OkStatus();
}

Status JsonTensorReader::CheckRow(int64_t elements) const {
  if (elements != row_elements_) return InvalidArgumentError(fmt::format("Expecting tensor size: {} but got: {}", row_elements_, elements));
  if (value_shape_ == row_shape_) return OkStatus();
  return InvalidArgumentError(fmt::format("Expecting shape {} but got: {}", row_shape_.ToString(), value_shape_.ToString()));
}

StatusOr<Tensor> JsonTensorReader::FinishRows() {
  Shape shape({rows_});
  for (const int64_t dim : row_shape_.dims()) {
    if (!shape.Append(dim)) return InternalError("a row has as many dimensions as a tensor may have");
  }
  return MakeTensor(shape, 1);
}

Status JsonTensorReader::ReadNested(JsonReader& json, int max_levels) {
  level_ = 0;
  rank_ = kUnknown;
  sizes_.fill(kUnknown);
  for (;;) {
    if (json.Peek() == '[') {
      TFLS_RETURN_IF_ERROR(OpenList(max_levels));
      json.Advance();
      if (json.Peek() != ']') continue;
      if (rank_ == kUnknown) rank_ = level_;
    } else {
      TFLS_RETURN_IF_ERROR(ReadElements(json));
    }
    TFLS_ASSIGN_OR_RETURN(const bool complete, CloseLists(json));
    if (complete) break;
  }
  value_shape_ = ShapeOfNest();
  return OkStatus();
}

Shape JsonTensorReader::ShapeOfNest() const { return Shape(std::span(sizes_).first(static_cast<size_t>(rank_))); }

Status JsonTensorReader::OpenList(int max_levels) {
  const int limit = rank_ == kUnknown ? max_levels : rank_;
  if (level_ >= limit) return InvalidArgumentError(fmt::format("Encountered list at unexpected level: {} expected < {}", level_, limit));
  counts_[static_cast<size_t>(level_++)] = 0;
  return OkStatus();
}

StatusOr<bool> JsonTensorReader::CloseLists(JsonReader& json) {
  while (level_ > 0) {
    const char next = json.Peek();
    if (next != ',' && next != ']') return SyntaxError(json);
    json.Advance();
    if (next == ',') return false;
    const auto closed = static_cast<size_t>(--level_);
    if (sizes_[closed] == kUnknown) {
      sizes_[closed] = counts_[closed];
    } else if (sizes_[closed] != counts_[closed]) {
      return InvalidArgumentError(
          fmt::format("Encountered list at unexpected size: {} at level: {} expected size: {}", counts_[closed], closed, sizes_[closed]));
    }
    if (level_ > 0) ++counts_[closed - 1];
  }
  return true;
}

Status JsonTensorReader::ReadElements(JsonReader& json) {
  if (rank_ == kUnknown) rank_ = level_;
  if (level_ != rank_) {
    if (JsonTypeOf(json.Peek()) == JsonType::kNone) return SyntaxError(json);
    return InvalidArgumentError(fmt::format("JSON Value: {} found at incorrect level: {} in the JSON DOM. Expected at level: {}",
                                            JsonValueText(json, json.position()), level_ + 1, rank_));
  }
  while (element_bytes_ > 0) {
    if (numbers_ != nullptr && level_ > 0 && ReadRun(json)) return OkStatus();
    if (static_cast<size_t>(elements_) * element_bytes_ < buffer_.size()) break;
    TFLS_RETURN_IF_ERROR(Grow());
  }
  TFLS_RETURN_IF_ERROR(ReadElement(json));
  ++elements_;
  if (level_ > 0) ++counts_[static_cast<size_t>(level_ - 1)];
  return OkStatus();
}

bool JsonTensorReader::ReadRun(JsonReader& json) {
  const auto inner = static_cast<size_t>(level_ - 1);
  NumberRun run{.position = json.position(),
                .out = buffer_.data() + static_cast<size_t>(elements_) * element_bytes_,
                .out_end = buffer_.data() + buffer_.size(),
                .count = counts_[inner],
                .expected = sizes_[inner],
                .has_siblings = level_ > 1};
  const bool behind_element = numbers_->read_run(run);
  json.Seek(run.position);
  elements_ = (run.out - buffer_.data()) / static_cast<int64_t>(element_bytes_);
  counts_[inner] = run.count;
  sizes_[inner] = run.expected;
  if (run.lists_closed > 0) counts_[inner - 1] += run.lists_closed;
  return behind_element;
}

Status JsonTensorReader::ReadElement(JsonReader& json) {
  switch (dtype_) {
    case DType::kString:
      return ReadStringElement(json);
    case DType::kBool:
      return ReadBoolElement(json);
    default:
      break;
  }
  if (numbers_ != nullptr) return ReadNumberElement(json);
  if (json.Peek() == '{') return TypeError(json);
  if (JsonTypeOf(json.Peek()) == JsonType::kNone) return SyntaxError(json);
  return UnimplementedError(fmt::format("Conversion of JSON Value: {} to type: {}", JsonValueText(json, json.position()), DTypeName(dtype_)));
}

Status JsonTensorReader::ReadNumberElement(JsonReader& json) {
  const char* position = json.position();
  switch (numbers_->read_one(position, buffer_.data() + static_cast<size_t>(elements_) * element_bytes_)) {
    case NumberResult::kOk:
      json.Seek(position);
      return OkStatus();
    case NumberResult::kOutOfRange:
      return InvalidArgumentError(fmt::format("JSON Value: {} is out of range for type {}", JsonValueText(json, position), DTypeName(dtype_)));
    case NumberResult::kWrongType:
    case NumberResult::kNotANumber:
      break;
  }
  return TypeError(json);
}

Status JsonTensorReader::ReadBoolElement(JsonReader& json) {
  const JsonType type = JsonTypeOf(json.Peek());
  if (type != JsonType::kTrue && type != JsonType::kFalse) return TypeError(json);
  if (!json.SkipValue()) return json.Fault();
  buffer_.data()[elements_] = type == JsonType::kTrue ? std::byte{1} : std::byte{0};
  return OkStatus();
}

Status JsonTensorReader::ReadStringElement(JsonReader& json) {
  std::string_view text;
  switch (json.Peek()) {
    case '"':
      if (!json.ReadString(text)) return json.Fault();
      text_ += text;
      break;
    case '{':
      if (!ReadBase64Object(json, text)) {
        return InvalidArgumentError(fmt::format("JSON Value: {} not formatted correctly for base64 data", JsonValueText(json, json.position())));
      }
      if (!DecodeBase64(text, text_)) return InvalidArgumentError("Unable to base64 decode");
      break;
    default:
      return TypeError(json);
  }
  if (text_.size() > kMaxTensorBytes) {
    return ResourceExhaustedError(fmt::format("a tensor of type {} exceeds the limit of {} bytes", DTypeName(dtype_), kMaxTensorBytes));
  }
  text_ends_.push_back(static_cast<uint32_t>(text_.size()));
  return OkStatus();
}

Status JsonTensorReader::Grow() {
  const size_t used = static_cast<size_t>(elements_) * element_bytes_;
  const size_t wanted = std::min(std::max(2 * used, used + kTensorAlignment), max_elements_ * element_bytes_);
  const size_t room = std::min(wanted, kMaxTensorBytes / element_bytes_ * element_bytes_);
  if (room <= used) {
    return ResourceExhaustedError(fmt::format("a tensor of type {} exceeds the limit of {} bytes", DTypeName(dtype_), kMaxTensorBytes));
  }
  if (!buffer_.Reserve(room) || !buffer_.Resize(room)) {
    return ResourceExhaustedError(fmt::format("no memory for a tensor of {} bytes", room));
  }
  return OkStatus();
}

Status JsonTensorReader::TypeError(JsonReader& json) const {
  const JsonType type = JsonTypeOf(json.Peek());
  if (type == JsonType::kNone) return SyntaxError(json);
  if (type == JsonType::kArray) {
    return InvalidArgumentError(fmt::format("Encountered list at unexpected level: {} expected < {}", level_, rank_));
  }
  return InvalidArgumentError(fmt::format("JSON Value: {} Type: {} is not of expected type: {}", JsonValueText(json, json.position()),
                                          JsonTypeName(type), DTypeName(dtype_)));
}

StatusOr<AlignedBuffer> JsonTensorReader::MakeStrings() {
  StringTensorBuilder builder;
  TFLS_RETURN_IF_ERROR(builder.Start(elements_));
  size_t begin = 0;
  for (const size_t end : text_ends_) {
    TFLS_RETURN_IF_ERROR(builder.Add(std::string_view(text_).substr(begin, end - begin)));
    begin = end;
  }
  if (text_.capacity() + text_ends_.capacity() * sizeof(text_ends_[0]) > kMaxKeptTextBytes) {
    text_ = std::string();
    text_ends_ = std::vector<uint32_t>();
  }
  return builder.Finish();
}

StatusOr<Shape> JsonTensorReader::ElementShape(const Shape& lists, int row_levels) const {
  const int rank = lists.rank();
  const bool ends_empty = rank > 0 && lists[rank - 1] == 0;  // where there is no number, there is no pair
  if (PartOf(dtype_) == dtype_ || ends_empty) return lists;
  if (rank <= row_levels || lists[rank - 1] != kParts) {
    return InvalidArgumentError(fmt::format("numbers of type {} are lists [re, im]; got lists of sizes {}", DTypeName(dtype_), lists.ToString()));
  }
  return Shape(lists.dims().first(static_cast<size_t>(rank - 1)));
}

StatusOr<Tensor> JsonTensorReader::MakeTensor(const Shape& lists, int row_levels) {
  TFLS_ASSIGN_OR_RETURN(const Shape shape, ElementShape(lists, row_levels));
  if (dtype_ == DType::kString) {
    TFLS_ASSIGN_OR_RETURN(AlignedBuffer strings, MakeStrings());
    return Tensor(dtype_, shape, std::move(strings));
  }
  TFLS_ASSIGN_OR_RETURN(const size_t size, TensorSizeBytes(dtype_, shape));
  assert(size == static_cast<size_t>(elements_) * element_bytes_);
  if (!buffer_.Resize(size)) return ResourceExhaustedError(fmt::format("no memory for a tensor of {} bytes", size));
  return Tensor(dtype_, shape, std::move(buffer_));
}

}  // namespace tflite_serving
