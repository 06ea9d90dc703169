// One compiled instance of a model, for one request at a time.
//
// Inputs are read where the caller has them and outputs are written into memory of the interpreter's own, which is kept and reused: nothing is
// copied, and a request of the same shapes as the one before allocates nothing (but for what a ParseExample operator makes).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "runtime/litert_handles.h"
#include "runtime/model.h"
#include "runtime/operator_nodes.h"
#include "runtime/output_memory.h"
#include "runtime/profiler_events.h"
#include "tensor/tensor.h"

namespace tflite_serving {

struct InterpreterOptions {
  int num_threads = 1;                    // that one run may use
  bool keep_state = false;                // let a model's variables live on from one run to the next
  const Clock* clock = &Clock::Steady();  // for deadlines; must outlive the interpreter
  bool with_profiler = false;             // for RunNoted; each run is the slower for it
  // Borrowed; each run adds when each of its operators began (and each partition of a delegate, and what control flow calls, in order of execution),
  // and then when the last one had ended. Null: nobody asks.
  std::vector<TimePoint>* operator_times = nullptr;
};

// Thread-compatible: the pool lends it to one thread at a time. The model must outlive it.
class Interpreter {
 public:
  static StatusOr<std::unique_ptr<Interpreter>> Create(const Model& model, const InterpreterOptions& options);
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  // Runs the model's signature number `signature` on `inputs` (one for each signature input, in its order; checked by CheckInputs; aligned to
  // kTensorAlignment with AlignedBuffer::kPaddingBytes readable behind). The answer has one view for each signature output, in its order; it is
  // valid until the next call of this object, and an output that is an input itself points into the caller's memory.
  //
  // INVALID_ARGUMENT: the model cannot be run with these shapes, or an input is no Example that it parses. DEADLINE_EXCEEDED: `deadline` passed while
  // it ran. CANCELLED: `cancellation` (may be null) was set while it ran. RESOURCE_EXHAUSTED: no memory. UNIMPLEMENTED: an operator is missing, or an
  // output's shape cannot be known. INTERNAL: the run itself failed. Each with the runtime's reason. Whatever an operator of a library says. After
  // any of them the next Run (or Restore) starts from a freshly compiled model.
  StatusOr<std::span<const TensorView>> Run(size_t signature, std::span<const TensorView> inputs, TimePoint deadline,
                                            const Cancellation* cancellation = nullptr);

  // Run, and what the runtime noted meanwhile. Needs with_profiler. Errors also those of FinishEvents.
  StatusOr<std::vector<RunEvent>> RunNoted(size_t signature, std::span<const TensorView> inputs, TimePoint deadline,
                                           const Cancellation* cancellation = nullptr);

  // Makes the interpreter as new if the last run failed or may have left something behind; otherwise does nothing. To be called once the answer has
  // been read. If it fails the next Run tries again.
  void Restore();

 private:
  // What the graph of one of the runtime's signatures is set up for, by slot (model_graph.h).
  struct Input {
    std::optional<Shape> shape;  // unset: as compiled
    const std::byte* data = nullptr;
    size_t size = 0;
    TensorBufferPtr buffer;  // over data, size
  };
  struct Output {
    Shape shape;
    size_t size_bytes = 0;     // strings: of the header alone
    size_t offered_bytes = 0;  // what the runtime is told to have
    OutputMemory memory;
    TensorBufferPtr buffer;  // over memory; unused if the content is another slot's
  };
  struct Binding {
    bool planned = false;
    std::vector<Input> inputs;
    std::vector<Output> outputs;
    std::vector<LiteRtTensorBuffer> input_handles;
    std::vector<LiteRtTensorBuffer> output_handles;
  };

  Interpreter(const Model& model, const InterpreterOptions& options) : model_(model), options_(options) {}
  // Whether the current run shall end; asked before each of its operators.
  static bool IsCancelled(void* self);
  // The same, for operator_times.
  static bool NoteTime(void* self);
  Status WhyCancelled() const;

  // The steps of Run.
  Status FillSlots(const GraphSignature& graph, std::span<const TensorView> inputs);
  Status RunBound(const GraphSignature& graph, Binding& binding);
  Status ResizeInputs(const GraphSignature& graph, Binding& binding);
  Status PlanOutputs(const GraphSignature& graph, Binding& binding);
  Status PlanOutput(const GraphSignature& graph, size_t slot, Output& output);
  Status BindInput(const GraphSignature& graph, size_t slot, Input& input);
  Status BindOutput(const GraphSignature& graph, size_t slot, Binding& binding);
  Status ReadLateShapes(const GraphSignature& graph, Binding& binding);
  Status CollectViews(const GraphSignature& graph, Binding& binding);
  Status ExplainRunFailure(const GraphSignature& graph, LiteRtStatus status);

  Status Rebuild();

  const Model& model_;
  const InterpreterOptions options_;
  OperatorNodes nodes_;                // called by compiled_
  OptionsPtr profiled_with_;           // of compiled_, with a profiler alone
  CompiledModelPtr compiled_;          // before bindings_: its buffers go first
  std::vector<Binding> bindings_;      // by the runtime's signatures
  std::vector<LiteRtLayout> layouts_;  // scratch
  // Of the current run.
  std::vector<TensorView> slots_;  // the graph's inputs
  std::vector<Tensor> parsed_;     // memory of those that a ParseExample operator made
  std::vector<TensorView> views_;  // the answer
  TimePoint deadline_ = kNoDeadline;
  const Cancellation* cancellation_ = nullptr;
  bool stale_ = false;  // compiled_ must not run again
};

}  // namespace tflite_serving
