// Changes to a model's graphs that let the runtime run what it otherwise could not. Seen from outside a model stays the same.
//
// - ParseExample operators are taken out: what they made becomes an input of the graph, and is parsed before each run (example_operator.h).
// - LiteRT cannot write an output that an operator sizes in the run (WHERE, UNIQUE, …). Behind each such operator comes a slice that takes
// everything:
//   its output is one that the runtime sizes itself.
//
// The edits are made to a TfliteFile; edited_file.h writes them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "runtime/example_operator.h"
#include "runtime/tflite_file.h"

namespace tflite_serving {

// A ParseExample operator that was taken out of its graph.
struct ExampleStep {
  ExampleOperator op;
  int32_t serialized = 0;         // the tensor, an input of the graph, that it parses
  std::vector<int32_t> produced;  // for each of its outputs the new input that takes it, or -1 if nothing reads it
};

struct SubgraphEdit {
  std::vector<ExampleStep> steps;
  std::map<int32_t, int32_t> replaced_outputs;  // outputs of the graph, and the tensors that are it instead
};

// Edits `subgraph`, which signatures run, as far as it needs to. UNIMPLEMENTED, naming the operator, if one cannot be taken out. `path` and `number`,
// the subgraph's, are for messages.
StatusOr<SubgraphEdit> EditSubgraph(const std::string& path, size_t number, FileSubgraph& subgraph);

}  // namespace tflite_serving
