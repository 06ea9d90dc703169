// What the server needs to know of a .tflite file before any of it runs, read from the file itself.
//
// LiteRT's C API tells too little: it has one name for each tensor where the file may have several, sizes of 1 where the file leaves a dimension
// open, and nothing about operators. So this reads the FlatBuffer (schema.fbs of TFLite, file identifier "TFL3") through bounds-checked accessors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "runtime/example_operator.h"
#include "runtime/library_operator.h"
#include "runtime/litert_c_api.h"
#include "servable/signature.h"

namespace tflite_serving {

// Where the content of one output of a subgraph comes from. One tensor needs one memory however often it is an input or an output: given two, the
// runtime fills only the last, and would take an input's content from an output's memory.
struct OutputSource {
  enum Kind { kOwn, kConstant, kSameAsInput, kSameAsOutput } kind = kOwn;
  size_t slot = 0;            // of the input, or of the earlier output
  size_t constant_bytes = 0;  // of a constant: what the file has of it
};

// A tensor at the border of a subgraph. `slot` below means a position in a subgraph's list of inputs (outputs): how LiteRT counts them.
struct SlotType {
  DType dtype = DType::kInvalid;
  LiteRtElementType element_type = kLiteRtElementTypeNone;
};

// A ParseExample operator that stands before the graph: parses what is fed into one slot, and feeds the slots that no client knows.
struct ExampleInput {
  ExampleOperator op;
  size_t serialized_slot = 0;
  std::vector<std::optional<size_t>> produced_slots;  // by the operator's outputs; none where nothing reads them
};

// A signature and how it lies over its subgraph.
struct GraphSignature {
  Signature signature;
  size_t runtime_index = 0;                  // the signature that the runtime runs for this one: several may share one graph
  std::vector<size_t> input_slots;           // signature.inputs[i] is fed into slot input_slots[i]; all distinct
  std::vector<ExampleInput> example_inputs;  // feed the other slots
  std::vector<size_t> output_slots;          // signature.outputs[i] comes from slot output_slots[i]
  std::vector<SlotType> input_types;         // by slot
  std::vector<SlotType> output_types;        // by slot
  std::vector<OutputSource> output_sources;  // by slot
  // Some output's shape, or that of a tensor it is made from, may be known only in the run. What the runtime says about the outputs' sizes
  // beforehand is then a guess.
  bool shapes_known_late = false;
  // Those outputs that an operator of unknown shape makes directly, and that could not be edited. The runtime may refuse to run them.
  std::vector<std::string> late_outputs;
};

// A signature as the runtime has it: numbered as in the (edited) file.
struct RuntimeSignature {
  std::string key;  // empty in a file without a signature table
  size_t num_inputs = 0;
  size_t num_outputs = 0;
};

struct OperatorUse {
  std::string first_place;  // DescribeOperator
  size_t count = 0;         // in all subgraphs
};

// Immutable once read.
struct ModelGraph {
  std::vector<GraphSignature> signatures;  // those of the file's table, in its order, then those that only its metadata has
  std::vector<RuntimeSignature> runtime_signatures;
  bool has_signature_table = false;                                  // false: a signature here was made up from tensor names
  std::map<std::pair<std::string, int32_t>, OperatorUse> operators;  // builtin ones and libraries', by name and version
  std::vector<LibraryOperator> library_operators;                    // by FileOperator::library_number
  AlignedBuffer edited_file;       // what the runtime is to read instead of the file, if its graphs had to be edited (graph_edit.h)
  std::vector<std::string> words;  // some of the file's constants that are strings: for inputs to try it with
  bool has_state = false;          // a run may leave something behind for the next one
  bool has_control_flow = false;   // a run's time may depend on the data
};

// Reads `bytes`. `path` is for messages. INVALID_ARGUMENT for what is not a sound .tflite file; UNIMPLEMENTED, naming the tensor and its type or
// rank, for an input or output that the runtime cannot carry.
//
// Where the file has signatures for TensorFlow Serving in its metadata (legacy_signatures.h), they win over those of the same key.
// A file without any signature gets one signature kDefaultSignatureKey over its first subgraph. Inputs and outputs are then called by the
// names of their tensors up to the first ':', as TensorFlow Serving does, or by the full name where two would become the same.
// Custom operators are looked for in `libraries` first, which the result borrows.
// Labels (class_labels.h) that cannot be read are left out, with a warning, and those of the outputs behind them.
StatusOr<ModelGraph> ReadModelGraph(const std::string& path, std::span<const std::byte> bytes, const OperatorLibraries& libraries = {});

}  // namespace tflite_serving
