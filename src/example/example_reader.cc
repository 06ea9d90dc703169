#include "example/example_reader.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr uint32_t kFeaturesField = 1;  // of Example
constexpr uint32_t kEntryField = 1;     // of Features
constexpr uint32_t kNameField = 1;      // of an entry
constexpr uint32_t kValueField = 2;
constexpr uint32_t kListValueField = 1;

Status Malformed(const MessageReader& reader) { return reader.malformed() ? InvalidArgumentError(reader.problem()) : OkStatus(); }

StatusOr<size_t> CountPacked(FeatureKind kind, WireRange packed) {
  if (kind == FeatureKind::kFloat) {
    if (packed.size() % sizeof(float) != 0) return InvalidArgumentError(fmt::format("a list of floats has {} bytes", packed.size()));
    return packed.size() / sizeof(float);
  }
  size_t count = 0;
  for (uint64_t value; !packed.empty(); ++count) {
    if (!packed.ReadVarint(value)) return InvalidArgumentError("a number in a list is cut off or too long");
  }
  return count;
}

}  // namespace

std::string_view FeatureKindName(FeatureKind kind) {
  switch (kind) {
    case FeatureKind::kNone:
      return "nothing";
    case FeatureKind::kBytes:
      return "bytes";
    case FeatureKind::kFloat:
      return "float";
    case FeatureKind::kInt64:
      return "int64";
  }
  return "unknown";
}

StatusOr<size_t> ExampleFeature::CountValues(FeatureKind kind, const WireRange& list) {
  const WireType alone = kind == FeatureKind::kFloat ? WireType::kFixed32 : WireType::kVarint;
  size_t count = 0;
  MessageReader reader(list);
  for (WireField field; reader.Next(field);) {
    if (field.number != kListValueField) continue;
    if (field.type == WireType::kLengthDelimited && kind != FeatureKind::kBytes) {
      TFLS_ASSIGN_OR_RETURN(const size_t packed, CountPacked(kind, field.range));
      count += packed;
    } else if (field.type == (kind == FeatureKind::kBytes ? WireType::kLengthDelimited : alone)) {
      ++count;
    }
  }
  TFLS_RETURN_IF_ERROR(Malformed(reader));
  return count;
}

Status ExampleFeature::ReadEntry(const WireRange& entry, std::string_view& name) {
  entry_ = entry;
  size_t num_lists = 0;
  MessageReader reader(entry);
  for (WireField field; reader.Next(field);) {
    if (field.Is(kNameField, WireType::kLengthDelimited)) {
      const std::span<const std::byte> bytes = field.range.contiguous();
      name = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
    if (!field.Is(kValueField, WireType::kLengthDelimited)) continue;
    MessageReader feature(field.range);
    for (WireField list; feature.Next(list);) {
      if (list.type != WireType::kLengthDelimited || list.number < 1 || list.number > 3) continue;
      const auto kind = static_cast<FeatureKind>(list.number);
      TFLS_ASSIGN_OR_RETURN(const size_t count, CountValues(kind, list.range));
      if (std::exchange(kind_, kind) != kind) {
        count_ = 0;
        first_list_ = num_lists;
      }
      count_ += count;
      ++num_lists;
    }
    TFLS_RETURN_IF_ERROR(Malformed(feature));
  }
  return Malformed(reader);
}

Status ExampleReader::Parse(std::string_view serialized) {
  features_.clear();
  MessageReader reader((WireRange(serialized)));
  Status status;
  for (WireField field; status.ok() && reader.Next(field);) {
    if (field.Is(kFeaturesField, WireType::kLengthDelimited)) status = ParseFeatures(field.range);
  }
  if (status.ok()) status = Malformed(reader);
  if (!status.ok()) features_.clear();
  KeepLastOfEachName();
  return status;
}

Status ExampleReader::ParseFeatures(const WireRange& features) {
  MessageReader reader(features);
  for (WireField field; reader.Next(field);) {
    if (!field.Is(kEntryField, WireType::kLengthDelimited)) continue;
    if (features_.size() == kMaxFeatures) return InvalidArgumentError(fmt::format("an Example has more than {} features", kMaxFeatures));
    features_.push_back({.name = {}, .number = features_.size(), .feature = ExampleFeature()});
    TFLS_RETURN_IF_ERROR(features_.back().feature.ReadEntry(field.range, features_.back().name));
  }
  return Malformed(reader);
}

void ExampleReader::KeepLastOfEachName() {
  std::ranges::sort(features_, [](const Named& a, const Named& b) { return std::tie(a.name, a.number) < std::tie(b.name, b.number); });
  // Backwards, so that of equal names the last comes first and is the one that stays.
  const auto kept = std::unique(features_.rbegin(), features_.rend(), [](const Named& a, const Named& b) { return a.name == b.name; });
  features_.erase(features_.begin(), kept.base());
}

const ExampleFeature* ExampleReader::Find(std::string_view name) const {
  const auto found = std::ranges::lower_bound(features_, name, {}, &Named::name);
  return found != features_.end() && found->name == name ? &found->feature : nullptr;
}

}  // namespace tflite_serving
