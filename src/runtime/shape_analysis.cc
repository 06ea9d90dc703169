#include "runtime/shape_analysis.h"

#include <algorithm>

#include "runtime/operators.h"
#include "runtime/tflite_schema.h"

namespace tflite_serving {
namespace {

bool IsConstant(const FileSubgraph& subgraph, int32_t tensor) {
  return tensor < 0 || subgraph.tensors[static_cast<size_t>(tensor)].constant_bytes > 0;
}

bool IsString(const FileSubgraph& subgraph, int32_t tensor) {
  return tensor >= 0 && subgraph.tensors[static_cast<size_t>(tensor)].type == kStringType;
}

bool ShapesKnownBefore(const FileSubgraph& subgraph, const FileOperator& op) {
  const auto constant = [&](int32_t tensor) { return IsConstant(subgraph, tensor); };
  if (std::ranges::any_of(op.outputs, [&](int32_t tensor) { return IsString(subgraph, tensor); })) return false;
  if (op.library_number >= 0) return true;
  switch (ShapeRuleOf(op.code)) {
    case ShapeRule::kFromShapes:
      return true;
    case ShapeRule::kIfTailIsConstant:
      return op.inputs.empty() || std::all_of(op.inputs.begin() + 1, op.inputs.end(), constant);
    case ShapeRule::kIfFirstIsConstant:
      return op.inputs.empty() || constant(op.inputs.front());
    case ShapeRule::kUnknown:
      break;
  }
  return false;
}

}  // namespace

ShapeAnalysis AnalyseShapes(const FileSubgraph& subgraph) {
  ShapeAnalysis analysis;
  const auto is_string = [&](int32_t tensor) { return IsString(subgraph, tensor); };
  for (const FileOperator& op : subgraph.operators) {
    const auto is_folded = [&](int32_t tensor) { return analysis.folded.contains(tensor) || IsConstant(subgraph, tensor); };
    const bool folds = !op.inputs.empty() && std::ranges::all_of(op.inputs, is_folded) && std::ranges::none_of(op.outputs, is_string);
    if (folds || ReadsShapesOnly(op.code)) analysis.folded.insert(op.outputs.begin(), op.outputs.end());
    if (ShapesKnownBefore(subgraph, op)) continue;
    analysis.late.insert(op.outputs.begin(), op.outputs.end());
    if (ShapeRuleOf(op.code) == ShapeRule::kUnknown) analysis.depends_on_data = true;
  }
  return analysis;
}

}  // namespace tflite_serving
