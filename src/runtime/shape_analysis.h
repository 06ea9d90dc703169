// Which shapes of a graph the runtime can tell before a run.
#pragma once

#include <cstdint>
#include <set>

#include "runtime/tflite_file.h"

namespace tflite_serving {

struct ShapeAnalysis {
  std::set<int32_t> late;    // tensors that an operator makes whose shapes may be known only in the run
  std::set<int32_t> folded;  // tensors that are computed while planning, from nothing but constants and shapes (never strings)
  // Some operator's output may have a shape that depends on the data, not only on other shapes.
  bool depends_on_data = false;
};

// The runtime plans operators one after the other and stops at the first whose output it cannot foresee: if `late` is not empty, every shape after it
// is a guess. And since it first regroups them, any of them may come after it.
ShapeAnalysis AnalyseShapes(const FileSubgraph& subgraph);

}  // namespace tflite_serving
