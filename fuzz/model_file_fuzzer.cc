// What reads a .tflite file before the runtime does: the graph, its edits, signatures and labels in its metadata. Whatever the bytes are, reading
// ends with a graph or a reason; and a graph that was edited reads, once written, as one that needs no edit and has the same slots.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "runtime/class_labels.h"
#include "runtime/legacy_signatures.h"
#include "runtime/model_graph.h"
#include "runtime/zip_file.h"
#include "telemetry/log.h"

namespace {

using tflite_serving::ModelGraph;
using tflite_serving::StatusOr;

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckSlots(const ModelGraph& graph) {
  for (const tflite_serving::GraphSignature& signature : graph.signatures) {
    Require(signature.runtime_index < graph.runtime_signatures.size());
    for (const size_t slot : signature.input_slots) Require(slot < signature.input_types.size());
    for (const size_t slot : signature.output_slots) Require(slot < signature.output_types.size());
    for (const tflite_serving::ExampleInput& input : signature.example_inputs) {
      Require(input.serialized_slot < signature.input_types.size());
      Require(input.produced_slots.size() == input.op.num_outputs());
      Require(!input.op.SmallestExample().empty());
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tflite_serving::SetLogLevel(tflite_serving::LogLevel::kError);  // labels that cannot be read are a warning
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const StatusOr<ModelGraph> graph = tflite_serving::ReadModelGraph("m", bytes);
  if (graph.ok()) CheckSlots(*graph);
  if (graph.ok() && graph->edited_file.size() > 0) {
    const StatusOr<ModelGraph> edited = tflite_serving::ReadModelGraph("m", graph->edited_file.bytes());
    if (edited.ok()) Require(edited->runtime_signatures.size() == graph->runtime_signatures.size());
  }
  // The same bytes as what a file has inside.
  (void)tflite_serving::ReadLegacySignatures(bytes);
  StatusOr<tflite_serving::ClassLabels> labels = tflite_serving::ClassLabels::Open(bytes, bytes);
  if (labels.ok()) (void)labels->Read(0, 0);
  (void)tflite_serving::ReadZippedFile(bytes, "labels.txt");
  return 0;
}
