// Serialized tf.Examples: whatever the bytes are, reading them ends with features or a reason, every feature has as many values as it says, and bytes
// lie inside of the message. Two Examples one behind the other read as both, the second one's features winning.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "example/example_reader.h"

namespace {

using tflite_serving::ExampleFeature;
using tflite_serving::ExampleReader;
using tflite_serving::FeatureKind;

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckValues(const ExampleFeature& feature, std::string_view message) {
  size_t count = 0;
  switch (feature.kind()) {
    case FeatureKind::kNone:
      break;
    case FeatureKind::kBytes:
      feature.ForEachBytes([&](std::string_view value) {
        Require(value.empty() || (value.data() >= message.data() && value.data() + value.size() <= message.data() + message.size()));
        ++count;
      });
      break;
    case FeatureKind::kFloat:
      feature.ForEachFloat([&](float) { ++count; });
      break;
    case FeatureKind::kInt64:
      feature.ForEachInt64([&](int64_t) { ++count; });
      break;
  }
  Require(count == feature.count());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view message(reinterpret_cast<const char*>(data), size);
  ExampleReader example;
  const bool is_sound = example.Parse(message).ok();
  Require(is_sound || example.size() == 0);
  for (const std::string_view name : {"", "x", "text", "number"}) {
    if (const ExampleFeature* feature = example.Find(name); feature != nullptr) CheckValues(*feature, message);
  }
  const std::string twice = std::string(message) + std::string(message);
  ExampleReader both;
  if (!is_sound || !both.Parse(twice).ok()) return 0;
  Require(both.size() == example.size());
  const ExampleFeature* first = example.Find("x");
  const ExampleFeature* again = both.Find("x");
  Require((first == nullptr) == (again == nullptr));
  if (first != nullptr) Require(first->kind() == again->kind() && first->count() == again->count());
  return 0;
}
