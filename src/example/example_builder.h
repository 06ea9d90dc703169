// For tests: builds serialized tf.Examples.
//
//   Example({{"age", Int64s({3})}, {"height", Floats({1.5F, 2})}, {"name", Bytes({"a"})}})
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "example/example_reader.h"
#include "wire/message_builder.h"

namespace tflite_serving {

inline MessageBuilder Feature(FeatureKind kind, const MessageBuilder& list) { return MessageBuilder().Message(static_cast<uint32_t>(kind), list); }
inline MessageBuilder Floats(std::initializer_list<float> values) { return Feature(FeatureKind::kFloat, MessageBuilder().PackedFixed(1, values)); }
inline MessageBuilder Int64s(std::initializer_list<int64_t> values) {
  return Feature(FeatureKind::kInt64, MessageBuilder().PackedVarints(1, values));
}
inline MessageBuilder Bytes(std::initializer_list<std::string> values) {
  MessageBuilder list;
  for (const std::string& value : values) list.Delimited(1, value);
  return Feature(FeatureKind::kBytes, list);
}

inline std::string Example(std::initializer_list<std::pair<std::string, MessageBuilder>> features) {
  MessageBuilder map;
  for (const auto& [name, feature] : features) map.Message(1, MessageBuilder().Delimited(1, name).Message(2, feature));
  return MessageBuilder().Message(1, map).text();
}

}  // namespace tflite_serving
