// A bounds-checked reader of FlatBuffers, the format of a .tflite file (https://flatbuffers.dev, "FlatBuffer Binary Format"). Little-endian only.
//
// The file comes from outside and may be anything, so every position is checked against the buffer before it is followed. Reading cannot fail on
// the spot: what lies outside of the buffer reads as if it were absent, and the buffer remembers that it happened. So code reads a whole structure
// in straight lines and asks error() once at its end; results mean nothing unless error() is empty.
//
//   FlatBuffer file(bytes);
//   FlatTable root = file.Root("TFL3");
//   for (FlatTable subgraph : root.Tables(2)) … subgraph.String(4) …
//   if (!file.error().empty()) return InvalidArgumentError(file.error());
//
// Thread-compatible. Tables and views point into the buffer's bytes and into the FlatBuffer, and must not outlive them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tflite_serving {

class FlatTable;

class FlatBuffer {
 public:
  explicit FlatBuffer(std::span<const std::byte> bytes) : bytes_(bytes), budget_(kSharing * bytes.size() + kSmallestBudget) {}
  FlatBuffer(const FlatBuffer&) = delete;
  FlatBuffer& operator=(const FlatBuffer&) = delete;

  // The root table of a file that bears this four-letter identifier.
  FlatTable Root(std::string_view identifier);

  // Why the first impossible position was one; empty while the file is sound.
  const std::string& error() const { return error_; }

 private:
  friend class FlatTable;
  // The number at `position`; 0, and an error, outside of the buffer.
  template <typename T>
  T Read(size_t position) {
    if (position > bytes_.size() || bytes_.size() - position < sizeof(T)) {
      Fail(position);
      return T{};
    }
    T value;
    std::memcpy(&value, bytes_.data() + position, sizeof(value));
    return value;
  }
  void Fail(size_t position);
  // Counts bytes that are read through vectors. A file may name one vector from many places, and so describe far more than it holds: one of 1 MB
  // could ask for more memory than there is. Writers share a few small vectors at most.
  bool Spend(size_t bytes);
  static constexpr size_t kSharing = 4;
  static constexpr size_t kSmallestBudget = 1 << 16;

  std::span<const std::byte> bytes_;
  size_t budget_;
  std::string error_;
};

// One table of the file; a value. Fields are named by their number in the schema, from 0; an absent one reads as its default.
class FlatTable {
 public:
  template <typename T>
  T Scalar(int field, T absent = T{}) const {
    const size_t position = Find(field);
    return position == 0 ? absent : file_->Read<T>(position);
  }
  std::string_view String(int field) const;
  // A vector of scalars.
  template <typename T>
  std::vector<T> Scalars(int field) const {
    const Elements elements = FindVector(field, sizeof(T));
    std::vector<T> values(elements.count);
    for (size_t i = 0; i < values.size(); ++i) values[i] = file_->Read<T>(elements.position + i * sizeof(T));
    return values;
  }
  // A vector of bytes, in place.
  std::span<const std::byte> Bytes(int field) const;
  // A table; one without fields if it is absent.
  FlatTable Table(int field) const;
  // A vector of tables.
  std::vector<FlatTable> Tables(int field) const;

  // For an editor of the file: where the table lies, and where what the field refers to does (0 if it is absent).
  size_t position() const { return position_; }
  size_t Target(int field) const;
  // Whether the table has a field of this number or a higher one.
  bool HasFieldFrom(int field) const;

 private:
  friend class FlatBuffer;
  FlatTable() = default;  // a table without fields
  FlatTable(FlatBuffer* file, size_t position);

  // Where the field's value lies; 0 if it is absent.
  size_t Find(int field) const;
  // Where the elements of a vector field begin, and how many there are; a count of 0 if the field is absent or does not fit into the file.
  struct Elements {
    size_t position = 0;
    size_t count = 0;
  };
  Elements FindVector(int field, size_t element_size) const;

  FlatBuffer* file_ = nullptr;
  size_t position_ = 0;
  size_t vtable_ = 0;
  size_t vtable_size_ = 0;
};

}  // namespace tflite_serving
