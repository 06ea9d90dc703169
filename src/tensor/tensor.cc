#include "tensor/tensor.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

int32_t LoadInt32(const std::byte* at) {
  int32_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

void StoreInt32(std::byte* at, size_t value) {
  const auto narrow = static_cast<int32_t>(value);
  std::memcpy(at, &narrow, sizeof(narrow));
}

Status TooLarge() { return ResourceExhaustedError(fmt::format("a string tensor exceeds the limit of {} bytes", kMaxTensorBytes)); }

constexpr size_t StringHeaderBytes(int64_t count) { return sizeof(int32_t) * (static_cast<size_t>(count) + 2); }

}  // namespace

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)), capacity_(std::exchange(other.capacity_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(capacity_, other.capacity_);
  return *this;
}

AlignedBuffer::~AlignedBuffer() { ::operator delete(data_, std::align_val_t{kTensorAlignment}); }

bool AlignedBuffer::Reserve(size_t n) {
  if (n <= capacity_) return true;
  const size_t wanted = (n + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
  auto* fresh = static_cast<std::byte*>(::operator new(wanted + kPaddingBytes, std::align_val_t{kTensorAlignment}, std::nothrow));
  if (fresh == nullptr) return false;
  if (size_ > 0) std::memcpy(fresh, data_, size_);
  std::memset(fresh + wanted, 0, kPaddingBytes);
  ::operator delete(data_, std::align_val_t{kTensorAlignment});
  data_ = fresh;
  capacity_ = wanted;
  return true;
}

bool AlignedBuffer::Resize(size_t n) {
  if (n > capacity_ && !Reserve(std::max(n, capacity_ * 2)) && !Reserve(n)) return false;
  size_ = n;
  return true;
}

std::string_view TensorView::StringsAt(int64_t i, int64_t count) const {
  const std::byte* offsets = bytes.data() + sizeof(int32_t) * static_cast<size_t>(i + 1);
  const auto begin = static_cast<size_t>(LoadInt32(offsets));
  const auto end = static_cast<size_t>(LoadInt32(offsets + sizeof(int32_t) * static_cast<size_t>(count)));
  return {reinterpret_cast<const char*>(bytes.data()) + begin, end - begin};
}

StatusOr<size_t> TensorSizeBytes(DType dtype, const Shape& shape) {
  const std::optional<int64_t> count = shape.NumElements();
  if (!count) return InvalidArgumentError(fmt::format("shape {} has a negative dimension or too many elements", shape.ToString()));
  const size_t element_bytes = dtype == DType::kString ? sizeof(int32_t) : DTypeSize(dtype);
  if (element_bytes == 0) return InvalidArgumentError(fmt::format("element type {} cannot be held", DTypeName(dtype)));
  if (static_cast<size_t>(*count) > kMaxTensorBytes / element_bytes - 2) {
    return InvalidArgumentError(fmt::format("a tensor of {}{} exceeds the limit of {} bytes", DTypeName(dtype), shape.ToString(), kMaxTensorBytes));
  }
  return dtype == DType::kString ? StringHeaderBytes(*count) : static_cast<size_t>(*count) * element_bytes;
}

Status ValidateStrings(std::span<const std::byte> bytes, int64_t count) {
  if (count < 0 || static_cast<size_t>(count) > kMaxTensorBytes / sizeof(int32_t) - 2 || bytes.size() < StringHeaderBytes(count) ||
      LoadInt32(bytes.data()) != count) {
    return InvalidArgumentError(fmt::format("string tensor: a buffer of {} bytes does not hold {} strings", bytes.size(), count));
  }
  auto previous = static_cast<int64_t>(StringHeaderBytes(count));
  for (int64_t i = 0; i <= count; ++i) {
    const int64_t offset = LoadInt32(bytes.data() + sizeof(int32_t) * static_cast<size_t>(i + 1));
    if (offset < previous || static_cast<size_t>(offset) > bytes.size()) {
      return InvalidArgumentError(fmt::format("string tensor: offset {} of string {} lies outside of {}..{}", offset, i, previous, bytes.size()));
    }
    previous = offset;
  }
  return OkStatus();
}

StatusOr<Tensor> Tensor::Create(DType dtype, const Shape& shape, AlignedBuffer memory) {
  if (dtype == DType::kString) return InternalError("Tensor::Create is for elements of fixed size");
  TFLS_ASSIGN_OR_RETURN(const size_t size, TensorSizeBytes(dtype, shape));
  if (memory.capacity() < size) memory = {};  // what it holds is not worth a copy
  if (!memory.Resize(size)) return ResourceExhaustedError(fmt::format("no memory for a tensor of {}{}", DTypeName(dtype), shape.ToString()));
  return Tensor(dtype, shape, std::move(memory));
}

Tensor Tensor::Borrow(DType dtype, const Shape& shape, std::span<const std::byte> elements, AlignedBuffer memory) {
  assert(CanBorrow(dtype, elements));
  Tensor tensor(dtype, shape, std::move(memory));
  tensor.borrowed_ = elements;
  return tensor;
}

bool Tensor::CanBorrow(DType dtype, std::span<const std::byte> elements) {
  return elements.size() >= kMinBorrowedBytes && reinterpret_cast<uintptr_t>(elements.data()) % kTensorAlignment == 0 && dtype != DType::kString &&
         dtype != DType::kBool;
}

Status StringTensorBuilder::Start(int64_t count, size_t text_bytes) {
  TFLS_ASSIGN_OR_RETURN(const size_t header, TensorSizeBytes(DType::kString, Shape({count})));
  if (text_bytes > kMaxTensorBytes - header) return TooLarge();
  if (!buffer_.Reserve(header + text_bytes) || !buffer_.Resize(header)) return ResourceExhaustedError(fmt::format("no memory for {} strings", count));
  count_ = count;
  added_ = 0;
  StoreInt32(buffer_.data(), static_cast<size_t>(count));
  StoreInt32(buffer_.data() + sizeof(int32_t), header);
  return OkStatus();
}

bool StringTensorBuilder::Append(std::string_view text) {
  const size_t end = buffer_.size() + text.size();
  if (end > kMaxTensorBytes || !buffer_.Resize(end)) return false;
  if (!text.empty()) std::memcpy(buffer_.data() + end - text.size(), text.data(), text.size());
  return true;
}

Status StringTensorBuilder::Add(std::string_view text) {
  assert(added_ < count_);
  if (!Append(text)) return TooLarge();
  ++added_;
  StoreInt32(buffer_.data() + sizeof(int32_t) * static_cast<size_t>(added_ + 1), buffer_.size());
  return OkStatus();
}

Status StringTensorBuilder::AddRun(const TensorView& from, int64_t first, int64_t count) {
  assert(count <= count_ - added_);
  const size_t start = buffer_.size();
  if (!Append(from.StringsAt(first, count))) return TooLarge();
  const std::byte* const offsets = from.bytes.data() + sizeof(int32_t) * static_cast<size_t>(first + 1);
  std::byte* const to = buffer_.data() + sizeof(int32_t) * static_cast<size_t>(added_ + 1);
  const int32_t shift = static_cast<int32_t>(start) - LoadInt32(offsets);
  for (size_t i = 1; i <= static_cast<size_t>(count); ++i) {
    const int32_t offset = LoadInt32(offsets + sizeof(int32_t) * i) + shift;
    std::memcpy(to + sizeof(int32_t) * i, &offset, sizeof(offset));
  }
  added_ += count;
  return OkStatus();
}

void StringTensorBuilder::AddEmpty(int64_t count) {
  assert(count <= count_ - added_);
  for (const int64_t end = added_ + count; added_ < end; ++added_) {
    StoreInt32(buffer_.data() + sizeof(int32_t) * static_cast<size_t>(added_ + 2), buffer_.size());
  }
}

AlignedBuffer StringTensorBuilder::Finish() {
  AddEmpty(count_ - added_);
  count_ = 0;
  added_ = 0;
  return std::move(buffer_);
}

}  // namespace tflite_serving
