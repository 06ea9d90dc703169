// What LiteRT's own profiler notes of one run.
//
// It is there only in what was compiled for it (Model::Compile), and tells times in whole microseconds. Of what a delegate does XNNPACK tells the
// kernels, each rounded down, and neither what it adds to them nor which operators of the graph they are.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/litert_c_api.h"

namespace tflite_serving {

struct RunEvent {
  enum Kind {
    kGraph,     // a graph begins: the signature's first, then those that control flow calls
    kOperator,  // of the graph, outside of delegates. It comes before what it calls
    kKernel,    // in a delegate: a partition's come one after the other, with indices from 0
  } kind = kGraph;
  std::string name;                  // "CONV_2D", "Convolution (NHWC, F32) IGEMM"
  size_t graph = 0;                  // the subgraph's number
  size_t index = 0;                  // of the operator in its graph, of the kernel in its partition
  std::chrono::nanoseconds time{0};  // whole microseconds
};

// Begins to note, and forgets what was noted before. INTERNAL if `compiled` was not compiled for it.
Status StartEvents(LiteRtCompiledModel compiled);

// Ends that: what came since, in the order of its beginning. UNIMPLEMENTED if it was more than the runtime keeps.
StatusOr<std::vector<RunEvent>> FinishEvents(LiteRtCompiledModel compiled);

}  // namespace tflite_serving
