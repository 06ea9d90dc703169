#include "runtime/graph_partitions.h"

#include <algorithm>
#include <cstdint>

#include "runtime/operators.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

// Whether it may do more than make its outputs: such operators stay in the file's order.
bool HasEffects(const FileSubgraph& subgraph, const FileOperator& op) {
  const auto is_resource = [&](int32_t tensor) {
    const int type = tensor < 0 ? -1 : subgraph.tensors[static_cast<size_t>(tensor)].type;
    return type == kResourceType || type == kVariantType;
  };
  return IsControlFlow(op.code) || op.code == kCallOnceOperator || std::ranges::any_of(op.inputs, is_resource) ||
         std::ranges::any_of(op.outputs, is_resource);
}

}  // namespace

std::vector<OperatorGroup> ExecutionOrder(const FileSubgraph& subgraph, const std::vector<bool>& delegated) {
  std::vector<bool> is_there(subgraph.tensors.size(), true);  // what no operator makes is there from the beginning
  const auto mark = [&](const FileOperator& op, bool there) {
    for (const int32_t output : op.outputs) {
      if (output >= 0) is_there[static_cast<size_t>(output)] = there;
    }
  };
  for (const FileOperator& op : subgraph.operators) mark(op, false);
  std::vector<bool> is_placed(subgraph.operators.size(), false);
  std::vector<size_t> waits_for(subgraph.operators.size());  // itself: for none
  size_t last = subgraph.operators.size();
  for (size_t i = 0; i < waits_for.size(); ++i) {
    const bool has_effects = HasEffects(subgraph, subgraph.operators[i]);
    waits_for[i] = has_effects && last < i ? last : i;
    if (has_effects) last = i;
  }
  const auto is_ready = [&](size_t i) {
    return !is_placed[i] && (waits_for[i] == i || is_placed[waits_for[i]]) &&
           std::ranges::all_of(subgraph.operators[i].inputs, [&](int32_t input) { return input < 0 || is_there[static_cast<size_t>(input)]; });
  };
  std::vector<OperatorGroup> groups;
  for (;;) {
    OperatorGroup group;
    for (bool again = true; again;) {
      again = false;
      for (size_t i = 0; i < subgraph.operators.size(); ++i) {
        if (!is_ready(i)) continue;
        if (group.operators.empty()) group.delegated = delegated[i];
        if (group.delegated != delegated[i]) continue;
        group.operators.push_back(i);
        is_placed[i] = true;
        mark(subgraph.operators[i], true);
        again = true;
      }
    }
    if (group.operators.empty()) return groups;
    groups.push_back(std::move(group));
  }
}

}  // namespace tflite_serving
