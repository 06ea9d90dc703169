// What the server must know about TFLite's operators: who keeps state, whose time depends on the data, whose output shapes are known beforehand.
//
// The numbers are BuiltinOperator's in TFLite's schema. Immutable tables, so thread-safe.
#pragma once

#include <cstdint>

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

}  // namespace tflite_serving
