// Reading serialized tf.Example messages where they lie: which features one has, of which kind, and their values.
//
//   ExampleReader example;
//   TFLS_RETURN_IF_ERROR(example.Parse(bytes));
//   const ExampleFeature* age = example.Find("age");
//   if (age != nullptr && age->kind() == FeatureKind::kFloat) age->ForEachFloat([&](float value) { … });
//
// The format is protobuf's, of tensorflow/core/example/{example,feature}.proto:
//   Example { Features features = 1 }      Features { map<string, Feature> feature = 1 }
//   Feature { oneof kind { BytesList bytes_list = 1; FloatList float_list = 2; Int64List int64_list = 3 } }
//   each list: repeated value = 1, numbers packed or not
// All rules of merging hold: several Features are one, the last entry of a name wins whole, the last kind of a Feature wins, lists of one kind join.
// So an example behind the bytes of its context (ExampleListWithContext) reads as both, the example's features winning. Unknown fields are passed
// over.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "wire/message_reader.h"

namespace tflite_serving {

// kNone: a Feature without a list, or with an empty kind; TensorFlow treats it as if it were not there.
enum class FeatureKind : uint8_t { kNone = 0, kBytes = 1, kFloat = 2, kInt64 = 3 };

// "bytes", "float", "int64"; "nothing" for kNone.
std::string_view FeatureKindName(FeatureKind kind);

// The values of one feature; a value that borrows the serialized bytes. Immutable, so thread-safe.
class ExampleFeature {
 public:
  FeatureKind kind() const { return kind_; }
  size_t count() const { return count_; }

  // Calls `visit` with each value in order, count() times. Each requires its own kind(). A string_view lies in the serialized bytes.
  template <typename Visit>
  void ForEachBytes(Visit visit) const;
  template <typename Visit>
  void ForEachFloat(Visit visit) const;
  template <typename Visit>
  void ForEachInt64(Visit visit) const;

 private:
  friend class ExampleReader;
  ExampleFeature() = default;
  // Checks all of a map's entry and finds out the rest. The entry's name goes to `name`.
  Status ReadEntry(const WireRange& entry, std::string_view& name);
  // Counts the values in one list of `kind`.
  static StatusOr<size_t> CountValues(FeatureKind kind, const WireRange& list);
  template <typename Visit>
  void ForEachField(Visit visit) const;

  FeatureKind kind_ = FeatureKind::kNone;
  size_t count_ = 0;
  size_t first_list_ = 0;  // how many lists of the entry come before those that count
  WireRange entry_;
};

// One Example. Thread-compatible; to be used again for the next one, whose features then take its memory.
class ExampleReader {
 public:
  // Entries that one Example may have: of each a small record is kept, of more than a short entry's own bytes.
  static constexpr size_t kMaxFeatures = size_t{1} << 16;

  // Reads `serialized`, which must outlive the reader's next Parse. INVALID_ARGUMENT if it is not an Example, all of it: "field 1 claims 70 bytes
  // where 12 are left". The reader is empty then.
  Status Parse(std::string_view serialized);

  size_t size() const { return features_.size(); }
  // The feature of this name, or nullptr. Valid until the next Parse.
  const ExampleFeature* Find(std::string_view name) const;

 private:
  struct Named {
    std::string_view name;
    size_t number = 0;  // of its entry in the message
    ExampleFeature feature;
  };
  Status ParseFeatures(const WireRange& features);
  void KeepLastOfEachName();

  std::vector<Named> features_;  // sorted by name, each name once
};

// ---- Templates ----

// Calls `visit` with each field 1 of the lists that count.
template <typename Visit>
void ExampleFeature::ForEachField(Visit visit) const {
  size_t list_number = 0;
  MessageReader entry(entry_);
  for (WireField value; entry.Next(value);) {
    if (!value.Is(2, WireType::kLengthDelimited)) continue;
    MessageReader feature(value.range);
    for (WireField list; feature.Next(list);) {
      if (list.type != WireType::kLengthDelimited || list.number < 1 || list.number > 3 || list_number++ < first_list_) continue;
      MessageReader values(list.range);
      for (WireField field; values.Next(field);) {
        if (field.number == 1) visit(field);
      }
    }
  }
}

template <typename Visit>
void ExampleFeature::ForEachBytes(Visit visit) const {
  ForEachField([&](const WireField& field) {
    if (field.type != WireType::kLengthDelimited) return;
    const std::span<const std::byte> bytes = field.range.contiguous();
    visit(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  });
}

template <typename Visit>
void ExampleFeature::ForEachFloat(Visit visit) const {
  ForEachField([&](const WireField& field) {
    if (field.type == WireType::kFixed32) visit(std::bit_cast<float>(static_cast<uint32_t>(field.number_value)));
    if (field.type != WireType::kLengthDelimited) return;
    WireRange packed = field.range;
    for (uint32_t bits; packed.ReadFixed32(bits);) visit(std::bit_cast<float>(bits));
  });
}

template <typename Visit>
void ExampleFeature::ForEachInt64(Visit visit) const {
  ForEachField([&](const WireField& field) {
    if (field.type == WireType::kVarint) visit(static_cast<int64_t>(field.number_value));
    if (field.type != WireType::kLengthDelimited) return;
    WireRange packed = field.range;
    for (uint64_t value; !packed.empty() && packed.ReadVarint(value);) visit(static_cast<int64_t>(value));
  });
}

}  // namespace tflite_serving
