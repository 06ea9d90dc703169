#include "runtime/interpreter.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// An empty string tensor: no strings, and the end of the first none is behind the header.
constexpr std::array<int32_t, 2> kNoStrings = {0, 8};

// What TFLite says about operators that it cannot run whatever the shapes.
constexpr std::string_view kMissingOperatorPhrases[] = {"unresolved custom op", "Select TensorFlow op", "Didn't find op"};

std::string Reason(LiteRtCompiledModel compiled, LiteRtStatus status) {
  std::string messages = TakeErrorMessages(compiled);
  if (messages.empty()) messages = fmt::format("{} (LiteRT status {})", LiteRtStatusText(status), static_cast<int>(status));
  return messages;
}

bool NamesMissingOperator(std::string_view reason) {
  return std::ranges::any_of(kMissingOperatorPhrases, [&](std::string_view phrase) { return reason.find(phrase) != std::string_view::npos; });
}

// The name of the signature input that is fed into a slot; for messages.
std::string_view InputName(const GraphSignature& graph, size_t slot) {
  const auto found = std::ranges::find(graph.input_slots, slot);
  if (found == graph.input_slots.end()) return "(parsed from Examples)";
  return graph.signature.inputs[static_cast<size_t>(found - graph.input_slots.begin())].name;
}

// `"x" float[2,3], "y" int32[2]`
std::string Describe(const GraphSignature& graph, std::span<const TensorView> slots) {
  std::string text;
  for (size_t i = 0; i < graph.input_slots.size(); ++i) {
    const TensorView& tensor = slots[graph.input_slots[i]];
    text += fmt::format("{}\"{}\" {}{}", i == 0 ? "" : ", ", graph.signature.inputs[i].name, DTypeName(tensor.dtype), tensor.shape.ToString());
  }
  return text;
}

Shape ShapeOf(const LiteRtLayout& layout) {
  Shape shape;
  for (unsigned i = 0; i < std::min<unsigned>(layout.rank, Shape::kMaxRank); ++i) {
    if (!shape.Append(layout.dimensions[i])) break;
  }
  return shape;
}

LiteRtRankedTensorType TypeOf(LiteRtElementType element_type, const Shape& shape) {
  LiteRtRankedTensorType type{};
  type.element_type = element_type;
  type.layout.rank = static_cast<unsigned>(shape.rank()) & 0x7FU;
  // The runtime takes no memory for a tensor without elements, even if another run will have some.
  for (int i = 0; i < shape.rank(); ++i) type.layout.dimensions[i] = static_cast<int32_t>(std::max<int64_t>(shape[i], 1));
  return type;
}

// The name of the signature output that comes from a slot; for messages.
std::string_view OutputName(const GraphSignature& graph, size_t slot) {
  const auto found = std::ranges::find(graph.output_slots, slot);
  if (found == graph.output_slots.end()) return "(unnamed)";
  return graph.signature.outputs[static_cast<size_t>(found - graph.output_slots.begin())].name;
}

Status CheckDimensions(const Signature& signature, std::span<const TensorView> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (const int64_t dim : inputs[i].shape.dims()) {
      if (dim > 0 && dim <= std::numeric_limits<int32_t>::max()) continue;
      return InvalidArgumentError(fmt::format("input \"{}\": a tensor of shape {} cannot be run: the runtime takes dimensions of 1 to {}",
                                              signature.inputs[i].name, inputs[i].shape.ToString(), std::numeric_limits<int32_t>::max()));
    }
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<Interpreter>> Interpreter::Create(const Model& model, const InterpreterOptions& options) {
  std::unique_ptr<Interpreter> interpreter(new Interpreter(model, options));
  interpreter->bindings_.resize(model.graph().runtime_signatures.size());
  for (const GraphSignature& graph : model.graph().signatures) {
    Binding& binding = interpreter->bindings_[graph.runtime_index];
    if (!binding.outputs.empty()) continue;  // another signature over the same graph
    binding.inputs.resize(graph.input_types.size());
    binding.input_handles.resize(graph.input_types.size());
    binding.outputs.resize(graph.output_types.size());
    binding.output_handles.resize(graph.output_types.size());
    for (size_t slot = 0; slot < binding.outputs.size(); ++slot) {
      if (!graph.shapes_known_late || graph.output_sources[slot].kind != OutputSource::kOwn) continue;
      TFLS_ASSIGN_OR_RETURN(binding.outputs[slot].memory, OutputMemory::Reserve());
    }
  }
  TFLS_RETURN_IF_ERROR(interpreter->Rebuild());
  return interpreter;
}

bool Interpreter::IsCancelled(void* self) {
  const auto& interpreter = *static_cast<const Interpreter*>(self);
  return !interpreter.nodes_.failure().ok() || !interpreter.WhyCancelled().ok();
}

bool Interpreter::NoteTime(void* self) {
  const InterpreterOptions& options = static_cast<const Interpreter*>(self)->options_;
  options.operator_times->push_back(options.clock->Now());
  return IsCancelled(self);
}

Status Interpreter::WhyCancelled() const {
  if (cancellation_ != nullptr && cancellation_->cancelled()) return CancelledError("the client went away while the request was running");
  if (deadline_ == kNoDeadline || options_.clock->Now() < deadline_) return OkStatus();
  return DeadlineExceededError("the request was still running at its deadline");
}

Status Interpreter::Rebuild() {
  stale_ = true;
  for (Binding& binding : bindings_) {
    binding.planned = false;
    for (Input& input : binding.inputs) input = Input();
    for (Output& output : binding.outputs) output.buffer.reset();
  }
  compiled_.reset();
  nodes_ = OperatorNodes(model_.graph().library_operators);
  TFLS_ASSIGN_OR_RETURN(compiled_, model_.Compile(options_.num_threads, nodes_, options_.with_profiler ? &profiled_with_ : nullptr));
  const auto ask = options_.operator_times == nullptr ? &IsCancelled : &NoteTime;
  const LiteRtStatus status = LiteRtSetCompiledModelCancellationFunction(compiled_.get(), this, ask);
  if (status != kLiteRtStatusOk) return InternalError(fmt::format("{}: the runtime takes no deadline: {}", model_.path(), LiteRtStatusText(status)));
  stale_ = false;
  return OkStatus();
}

void Interpreter::Restore() {
  if (!stale_) return;
  if (const Status status = Rebuild(); !status.ok())
    TFLS_WARNING("rebuilding an interpreter failed, the next run tries again: {}", status.ToString());
}

StatusOr<std::span<const TensorView>> Interpreter::Run(size_t signature, std::span<const TensorView> inputs, TimePoint deadline,
                                                       const Cancellation* cancellation) {
  const GraphSignature& graph = model_.graph().signatures[signature];
  TFLS_RETURN_IF_ERROR(CheckDimensions(graph.signature, inputs));
  TFLS_RETURN_IF_ERROR(FillSlots(graph, inputs));
  if (stale_) TFLS_RETURN_IF_ERROR(Rebuild());
  deadline_ = deadline;
  cancellation_ = cancellation;
  stale_ = true;  // until the run has gone well
  TFLS_RETURN_IF_ERROR(RunBound(graph, bindings_[graph.runtime_index]));
  stale_ = model_.graph().has_state && !options_.keep_state;
  return std::span<const TensorView>(views_);
}

StatusOr<std::vector<RunEvent>> Interpreter::RunNoted(size_t signature, std::span<const TensorView> inputs, TimePoint deadline,
                                                      const Cancellation* cancellation) {
  if (stale_) TFLS_RETURN_IF_ERROR(Rebuild());  // now, since the profiler is what was compiled's
  TFLS_RETURN_IF_ERROR(StartEvents(compiled_.get()));
  const Status run = Run(signature, inputs, deadline, cancellation).status();
  StatusOr<std::vector<RunEvent>> events = FinishEvents(compiled_.get());
  if (!run.ok()) return run;
  return events;
}

Status Interpreter::FillSlots(const GraphSignature& graph, std::span<const TensorView> inputs) {
  slots_.assign(graph.input_types.size(), TensorView{});
  parsed_.clear();
  for (size_t i = 0; i < inputs.size(); ++i) slots_[graph.input_slots[i]] = inputs[i];
  for (const ExampleInput& input : graph.example_inputs) {
    TFLS_ASSIGN_OR_RETURN(std::vector<Tensor> produced, input.op.Parse(slots_[input.serialized_slot]));
    for (size_t i = 0; i < produced.size(); ++i) {
      if (!input.produced_slots[i]) continue;
      slots_[*input.produced_slots[i]] = produced[i].view();
      parsed_.push_back(std::move(produced[i]));
    }
  }
  const auto unfed = std::ranges::find(slots_, DType::kInvalid, &TensorView::dtype);
  if (unfed != slots_.end()) {
    return InternalError(fmt::format("signature \"{}\": nothing feeds input {} of its graph", graph.signature.key, unfed - slots_.begin()));
  }
  return OkStatus();
}

Status Interpreter::RunBound(const GraphSignature& graph, Binding& binding) {
  TFLS_RETURN_IF_ERROR(ResizeInputs(graph, binding));
  if (!binding.planned) TFLS_RETURN_IF_ERROR(PlanOutputs(graph, binding));
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    TFLS_RETURN_IF_ERROR(BindInput(graph, slot, binding.inputs[slot]));
    binding.input_handles[slot] = binding.inputs[slot].buffer.get();
  }
  for (size_t slot = 0; slot < binding.outputs.size(); ++slot) TFLS_RETURN_IF_ERROR(BindOutput(graph, slot, binding));
  const LiteRtStatus status = LiteRtRunCompiledModel(compiled_.get(), graph.runtime_index, binding.input_handles.size(), binding.input_handles.data(),
                                                     binding.output_handles.size(), binding.output_handles.data());
  if (options_.operator_times != nullptr) options_.operator_times->push_back(options_.clock->Now());
  TFLS_RETURN_IF_ERROR(nodes_.failure());
  if (status != kLiteRtStatusOk) return ExplainRunFailure(graph, status);
  if (graph.shapes_known_late) TFLS_RETURN_IF_ERROR(ReadLateShapes(graph, binding));
  return CollectViews(graph, binding);
}

// All of them, before the memory is planned once: planning after each would fail where two inputs must agree.
Status Interpreter::ResizeInputs(const GraphSignature& graph, Binding& binding) {
  for (size_t slot = 0; slot < slots_.size(); ++slot) {
    const Shape& shape = slots_[slot].shape;
    Input& input = binding.inputs[slot];
    if (input.shape == shape) continue;
    binding.planned = false;
    input.buffer.reset();
    input.shape = shape;
    if (shape.rank() == 0) continue;  // nothing to resize, and the runtime refuses to
    std::array<int, Shape::kMaxRank> dims{};
    std::ranges::transform(shape.dims(), dims.begin(), [](int64_t dim) { return static_cast<int>(dim); });
    const LiteRtStatus status =
        LiteRtCompiledModelResizeInputTensorNonStrict(compiled_.get(), graph.runtime_index, slot, dims.data(), static_cast<size_t>(shape.rank()));
    if (status != kLiteRtStatusOk) {
      return InvalidArgumentError(
          fmt::format("input \"{}\" cannot have the shape {}: {}", InputName(graph, slot), shape.ToString(), Reason(compiled_.get(), status)));
    }
  }
  return OkStatus();
}

Status Interpreter::PlanOutputs(const GraphSignature& graph, Binding& binding) {
  layouts_.assign(binding.outputs.size(), LiteRtLayout{});
  const LiteRtStatus status = LiteRtGetCompiledModelOutputTensorLayouts(compiled_.get(), graph.runtime_index, layouts_.size(), layouts_.data(), true);
  TFLS_RETURN_IF_ERROR(nodes_.failure());
  if (status != kLiteRtStatusOk) {
    const std::string reason = Reason(compiled_.get(), status);
    if (NamesMissingOperator(reason)) return UnimplementedError(fmt::format("the runtime lacks an operator of the model: {}", reason));
    return InvalidArgumentError(
        fmt::format("signature \"{}\" cannot be run with inputs {}: {}", graph.signature.key, Describe(graph, slots_), reason));
  }
  for (size_t slot = 0; slot < binding.outputs.size(); ++slot) {
    Output& output = binding.outputs[slot];
    output.shape = ShapeOf(layouts_[slot]);
    TFLS_RETURN_IF_ERROR(PlanOutput(graph, slot, output));
  }
  binding.planned = true;
  return OkStatus();
}

Status Interpreter::PlanOutput(const GraphSignature& graph, size_t slot, Output& output) {
  output.buffer.reset();
  const StatusOr<size_t> size = TensorSizeBytes(graph.output_types[slot].dtype, output.shape);
  if (!size.ok()) return ResourceExhaustedError(fmt::format("output \"{}\": {}", OutputName(graph, slot), size.status().message()));
  output.size_bytes = *size;
  const OutputSource& source = graph.output_sources[slot];
  if (source.kind == OutputSource::kSameAsInput || source.kind == OutputSource::kSameAsOutput) {
    output.offered_bytes = 0;
    return OkStatus();
  }
  if (source.kind == OutputSource::kConstant && source.constant_bytes < *size) {
    return InvalidArgumentError(fmt::format("output \"{}\" is a constant of {} bytes, but a tensor of {}{} has {}", OutputName(graph, slot),
                                            source.constant_bytes, DTypeName(graph.output_types[slot].dtype), output.shape.ToString(), *size));
  }
  // The runtime copies as much of a constant as it is offered room for, beyond its end if need be. All else it writes as far as it goes.
  const size_t needed = source.kind == OutputSource::kConstant ? source.constant_bytes : std::max(*size, kTensorAlignment);
  if (!output.memory.Fit(needed)) {
    return ResourceExhaustedError(fmt::format("output \"{}\": no memory for {} bytes", OutputName(graph, slot), needed));
  }
  output.offered_bytes = output.memory.is_reserved() ? OutputMemory::kReservedBytes : needed;
  return OkStatus();
}

Status Interpreter::BindInput(const GraphSignature& graph, size_t slot, Input& input) {
  const TensorView& tensor = slots_[slot];
  if (input.buffer != nullptr && input.data == tensor.bytes.data() && input.size == tensor.bytes.size()) return OkStatus();
  if (reinterpret_cast<uintptr_t>(tensor.bytes.data()) % kTensorAlignment != 0) {
    return InternalError(fmt::format("the runtime reads inputs in place only at multiples of {} bytes", kTensorAlignment));
  }
  const LiteRtRankedTensorType type = TypeOf(graph.input_types[slot].element_type, tensor.shape);
  LiteRtTensorBuffer buffer = nullptr;
  const LiteRtStatus status = LiteRtCreateTensorBufferFromHostMemory(&type, const_cast<std::byte*>(tensor.bytes.data()),  // only read
                                                                     tensor.bytes.size(), nullptr, &buffer);
  if (status != kLiteRtStatusOk) {
    return InternalError(fmt::format("the runtime takes no input of {}{} in {} bytes: {}", DTypeName(tensor.dtype), tensor.shape.ToString(),
                                     tensor.bytes.size(), Reason(compiled_.get(), status)));
  }
  input.buffer.reset(buffer);
  input.data = tensor.bytes.data();
  input.size = tensor.bytes.size();
  return OkStatus();
}

Status Interpreter::BindOutput(const GraphSignature& graph, size_t slot, Binding& binding) {
  Output& output = binding.outputs[slot];
  const OutputSource source = graph.output_sources[slot];
  const bool is_string = graph.output_types[slot].dtype == DType::kString;
  if (source.kind == OutputSource::kSameAsInput && !is_string) {
    binding.output_handles[slot] = binding.input_handles[source.slot];
    return OkStatus();
  }
  // Strings the runtime copies out, and not onto themselves; nobody reads the copy.
  if (source.kind == OutputSource::kSameAsInput && slots_[source.slot].bytes.size() > output.offered_bytes) {
    output.buffer.reset();
    output.offered_bytes = slots_[source.slot].bytes.size();
    if (!output.memory.Fit(output.offered_bytes)) {
      return ResourceExhaustedError(fmt::format("output \"{}\": no memory for {} bytes", OutputName(graph, slot), output.offered_bytes));
    }
  }
  if (source.kind == OutputSource::kSameAsOutput) {
    binding.output_handles[slot] = binding.output_handles[source.slot];
    return OkStatus();
  }
  // Strings of the last request must not be taken for this one's, should the runtime write none.
  if (is_string) std::memcpy(output.memory.data(), kNoStrings.data(), sizeof(kNoStrings));
  if (output.buffer != nullptr) return OkStatus();
  const LiteRtRankedTensorType type = TypeOf(graph.output_types[slot].element_type, output.shape);
  LiteRtTensorBuffer buffer = nullptr;
  const LiteRtStatus status = LiteRtCreateTensorBufferFromHostMemory(&type, output.memory.data(), output.offered_bytes, nullptr, &buffer);
  if (status != kLiteRtStatusOk) {
    return InternalError(fmt::format("output \"{}\": the runtime takes no memory for shape {}: {}", OutputName(graph, slot), output.shape.ToString(),
                                     Reason(compiled_.get(), status)));
  }
  output.buffer.reset(buffer);
  binding.output_handles[slot] = buffer;
  return OkStatus();
}

Status Interpreter::ExplainRunFailure(const GraphSignature& graph, LiteRtStatus status) {
  // Inside of a WHILE or an IF the runtime's own status is that of a failed operator.
  TFLS_RETURN_IF_ERROR(WhyCancelled());
  const std::string reason = Reason(compiled_.get(), status);
  if (NamesMissingOperator(reason)) return UnimplementedError(fmt::format("the runtime lacks an operator of the model: {}", reason));
  if (!graph.late_outputs.empty() && reason.find("allocation_type") != std::string::npos) {
    return UnimplementedError(fmt::format("signature \"{}\": the shape of output \"{}\" is known only after the run, which the runtime cannot do",
                                          graph.signature.key, fmt::join(graph.late_outputs, "\", \"")));
  }
  return InternalError(fmt::format("running signature \"{}\" failed: {}", graph.signature.key, reason));
}

Status Interpreter::ReadLateShapes(const GraphSignature& graph, Binding& binding) {
  layouts_.assign(binding.outputs.size(), LiteRtLayout{});
  const LiteRtStatus status =
      LiteRtGetCompiledModelOutputTensorLayouts(compiled_.get(), graph.runtime_index, layouts_.size(), layouts_.data(), false);
  if (status != kLiteRtStatusOk) {
    return InternalError(fmt::format("signature \"{}\": the runtime does not tell the shapes of its outputs: {}", graph.signature.key,
                                     Reason(compiled_.get(), status)));
  }
  for (size_t slot = 0; slot < binding.outputs.size(); ++slot) {
    Output& output = binding.outputs[slot];
    output.shape = ShapeOf(layouts_[slot]);
    const StatusOr<size_t> size = TensorSizeBytes(graph.output_types[slot].dtype, output.shape);
    if (!size.ok()) return ResourceExhaustedError(fmt::format("output \"{}\": {}", OutputName(graph, slot), size.status().message()));
    output.size_bytes = *size;
  }
  return OkStatus();
}

Status Interpreter::CollectViews(const GraphSignature& graph, Binding& binding) {
  views_.resize(graph.signature.outputs.size());
  for (size_t i = 0; i < views_.size(); ++i) {
    const size_t slot = graph.output_slots[i];
    const OutputSource source = graph.output_sources[slot];
    if (source.kind == OutputSource::kSameAsInput) {
      views_[i] = slots_[source.slot];
      continue;
    }
    Output& output = binding.outputs[source.kind == OutputSource::kSameAsOutput ? source.slot : slot];
    TensorView& view = views_[i];
    view = {graph.output_types[slot].dtype, output.shape, {output.memory.data(), output.size_bytes}};
    if (view.dtype != DType::kString) continue;
    int32_t end = 0;
    std::memcpy(&end, view.bytes.data() + output.size_bytes - sizeof(end), sizeof(end));  // the last offset
    view.bytes = {output.memory.data(), std::max(static_cast<size_t>(std::max(end, 0)), output.size_bytes)};
    const Status sound = ValidateStrings(view.bytes, *view.shape.NumElements());
    if (!sound.ok()) return InternalError(fmt::format("output \"{}\": {}", graph.signature.outputs[i].name, sound.message()));
  }
  return OkStatus();
}

}  // namespace tflite_serving
