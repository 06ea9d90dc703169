// What the server must know about TFLite's operators: who keeps state, whose time depends on the data, whose output shapes are known beforehand.
//
// The numbers are BuiltinOperator's in TFLite's schema. Immutable tables, so thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/tflite_file.h"

namespace tflite_serving {

// Writes into a variable or a table that outlives the run: what one run writes the next one reads.
bool WritesState(int32_t op);

// Runs a subgraph once in an interpreter's life, before anything else: to give variables and tables their initial content.
inline constexpr int32_t kCallOnceOperator = 129;

// Runs other subgraphs, some of them as often as the data says.
bool IsControlFlow(int32_t op);

// Looks at its input's shape, not at its content.
bool ReadsShapesOnly(int32_t op);

// When the runtime can tell the shapes of an operator's outputs from the shapes of its inputs, before any data is there.
enum class ShapeRule {
  kFromShapes,         // always
  kIfTailIsConstant,   // if every input but the first is a constant of the file: the axes of a reduction, the target of a reshape
  kIfFirstIsConstant,  // if the first input is one
  kUnknown,            // perhaps not: it depends on the data, or nobody has looked
};
ShapeRule ShapeRuleOf(int32_t op);

// "ADD", or "operator number 300" for one that this version of the runtime has never heard of.
std::string OperatorName(int32_t op);

// `FlexErf v1 at operator 12 of subgraph 0 "main" (output tensor "x")`, for messages. `number` is the subgraph's.
std::string DescribeOperator(const FileSubgraph& subgraph, size_t number, const FileOperator& op);

// Finds custom operators, TensorFlow's own ("Flex") among them, and builtin ones that the runtime lacks: UNIMPLEMENTED, with DescribeOperator's text.
// A builtin operator of a version that is too new only the runtime finds. To be asked after BindOperators and EditSubgraph, which take some away.
Status CheckOperators(const std::string& path, const TfliteFile& file);

}  // namespace tflite_serving
