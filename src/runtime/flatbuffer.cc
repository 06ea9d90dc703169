#include "runtime/flatbuffer.h"

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr size_t kIdentifierPosition = 4;
constexpr size_t kVtableHeaderBytes = 4;  // its own size and the table's, two bytes each

}  // namespace

void FlatBuffer::Fail(size_t position) {
  if (error_.empty()) error_ = fmt::format("the file refers to position {}, but has {} bytes", position, bytes_.size());
}

bool FlatBuffer::Spend(size_t bytes) {
  if (bytes > budget_ && error_.empty()) error_ = "the file names the same content from too many places";
  if (bytes > budget_) return false;
  budget_ -= bytes;
  return true;
}

FlatTable FlatBuffer::Root(std::string_view identifier) {
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data()), bytes_.size());
  if (text.size() < kIdentifierPosition + identifier.size() || text.substr(kIdentifierPosition, identifier.size()) != identifier) {
    if (error_.empty())
      error_ = fmt::format("not a file of this kind: the letters \"{}\" at position {} are missing", identifier, kIdentifierPosition);
    return {};
  }
  return {this, Read<uint32_t>(0)};
}

FlatTable::FlatTable(FlatBuffer* file, size_t position) : file_(file), position_(position) {
  // The table begins with the signed distance back to its vtable, which may lie on either side.
  const auto distance = static_cast<int64_t>(file->Read<int32_t>(position));
  const int64_t vtable = static_cast<int64_t>(position) - distance;
  if (vtable < 0) {
    file->Fail(position);
    return;
  }
  vtable_ = static_cast<size_t>(vtable);
  vtable_size_ = file->Read<uint16_t>(vtable_);
}

size_t FlatTable::Find(int field) const {
  const size_t entry = kVtableHeaderBytes + 2 * static_cast<size_t>(field);
  if (file_ == nullptr || entry + 2 > vtable_size_) return 0;
  const size_t offset = file_->Read<uint16_t>(vtable_ + entry);
  return offset == 0 ? 0 : position_ + offset;
}

FlatTable::Elements FlatTable::FindVector(int field, size_t element_size) const {
  const size_t vector = Target(field);
  if (vector == 0) return {};
  const Elements elements{vector + sizeof(uint32_t), file_->Read<uint32_t>(vector)};
  if (elements.count == 0) return elements;
  const size_t total = file_->bytes_.size();
  if (elements.position > total || elements.count > (total - elements.position) / element_size) {
    file_->Fail(elements.position);
    return {};
  }
  if (!file_->Spend(elements.count * element_size)) return {};
  return elements;
}

std::string_view FlatTable::String(int field) const {
  const std::span<const std::byte> bytes = Bytes(field);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::span<const std::byte> FlatTable::Bytes(int field) const {
  const Elements elements = FindVector(field, 1);
  if (elements.count == 0) return {};
  return file_->bytes_.subspan(elements.position, elements.count);
}

size_t FlatTable::Target(int field) const {
  const size_t reference = Find(field);
  return reference == 0 ? 0 : reference + file_->Read<uint32_t>(reference);
}

bool FlatTable::HasFieldFrom(int field) const {
  for (size_t entry = kVtableHeaderBytes + 2 * static_cast<size_t>(field); entry + 2 <= vtable_size_; entry += 2) {
    if (file_->Read<uint16_t>(vtable_ + entry) != 0) return true;
  }
  return false;
}

FlatTable FlatTable::Table(int field) const {
  const size_t target = Target(field);
  return target == 0 ? FlatTable() : FlatTable(file_, target);
}

std::vector<FlatTable> FlatTable::Tables(int field) const {
  const Elements elements = FindVector(field, sizeof(uint32_t));
  std::vector<FlatTable> tables;
  tables.reserve(elements.count);
  for (size_t i = 0; i < elements.count; ++i) {
    const size_t reference = elements.position + i * sizeof(uint32_t);
    tables.push_back(FlatTable(file_, reference + file_->Read<uint32_t>(reference)));
  }
  return tables;
}

}  // namespace tflite_serving
