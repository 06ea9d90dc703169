// Which operators a delegate runs together: LiteRT does not tell it, but orders a graph by rules that are simple to follow.
#pragma once

#include <cstddef>
#include <vector>

#include "runtime/tflite_file.h"

namespace tflite_serving {

// Operators that run one after the other, by their positions in the subgraph: all in one partition of a delegate, or none.
struct OperatorGroup {
  bool delegated = false;
  std::vector<size_t> operators;
};

// The order in which the runtime executes `subgraph`, of whose operators a delegate takes those that `delegated` says, one element each. A group
// takes whatever is ready, of the kind of the first that is, until nothing more becomes so (as TFLite's graph_info.cc does). Operators with effects
// keep their order.
std::vector<OperatorGroup> ExecutionOrder(const FileSubgraph& subgraph, const std::vector<bool>& delegated);

}  // namespace tflite_serving
