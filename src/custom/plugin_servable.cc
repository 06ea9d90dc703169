#include "custom/plugin_servable.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/clock.h"
#include "custom/output_check.h"
#include "telemetry/log.h"

// What the header leaves open to the server.
struct TflsCall {
  const tflite_serving::RunRequest& request;
  const tflite_serving::RunDone& done;
  bool is_answered = false;
};
struct TflsModel {
  tflite_serving::ServableHandle servable;
  std::vector<std::vector<TflsTensorSpec>> specs;  // inputs and outputs of each signature, in turn
  std::vector<TflsSignature> signatures;
};
struct TflsLoad {
  const tflite_serving::PluginOptions& options;
  std::vector<std::unique_ptr<TflsModel>>& models;
};

namespace tflite_serving {
namespace {

static_assert(TFLS_ALIGNMENT == kTensorAlignment && TFLS_MAX_RANK == Shape::kMaxRank);

TflsStatus FromStatus(const Status& status, TflsError* error) {
  std::snprintf(error->text, sizeof(error->text), "%s", status.message().c_str());
  return static_cast<TflsStatus>(status.code());
}

StatusOr<Shape> ShapeOf(std::string_view name, int32_t rank, const int64_t* dims) {
  if (rank < 0 || rank > TFLS_MAX_RANK) return InternalError(fmt::format("the plug-in gave \"{}\" {} dimensions", name, rank));
  return Shape(std::span(dims, static_cast<size_t>(rank)));
}

StatusOr<TensorView> ViewOf(const TensorSpec& spec, const TflsTensor& tensor) {
  TFLS_ASSIGN_OR_RETURN(const Shape shape, ShapeOf(spec.name, tensor.rank, tensor.dims));
  if (tensor.data == nullptr && tensor.bytes > 0) return InternalError(fmt::format("the plug-in gave \"{}\" no data", spec.name));
  return TensorView{DTypeFromNumber(tensor.dtype), shape, {static_cast<const std::byte*>(tensor.data), tensor.bytes}};
}

std::vector<TflsTensor> TensorsOf(std::span<const TensorView> views) {
  std::vector<TflsTensor> tensors;
  for (const TensorView& view : views) {
    TflsTensor& tensor = tensors.emplace_back();
    tensor.dtype = static_cast<int32_t>(view.dtype);
    tensor.rank = view.shape.rank();
    std::ranges::copy(view.shape.dims(), tensor.dims);
    tensor.data = const_cast<std::byte*>(view.bytes.data());  // to be read alone, which C does not say in this struct
    tensor.bytes = view.bytes.size();
  }
  return tensors;
}

std::vector<TflsTensorSpec> SpecsOf(const std::vector<TensorSpec>& specs) {
  std::vector<TflsTensorSpec> list;
  for (const TensorSpec& spec : specs) {
    TflsTensorSpec& one = list.emplace_back();
    one.name = spec.name.c_str();
    one.dtype = static_cast<int32_t>(spec.dtype);
    one.rank = spec.shape.rank();
    std::ranges::copy(spec.shape.dims(), one.dims);
  }
  return list;
}

Status ReadOutputs(const Signature& signature, const TflsTensor* tensors, std::vector<TensorView>& outputs) {
  for (const TensorSpec& spec : signature.outputs) {
    TFLS_ASSIGN_OR_RETURN(const TensorView view, ViewOf(spec, tensors[outputs.size()]));
    TFLS_RETURN_IF_ERROR(CheckOutput(spec, view));
    outputs.push_back(view);
  }
  return OkStatus();
}

// Checked; `copies` keeps those that did not lie where the runtime reads them.
Status ReadInputs(const Signature& signature, const TflsTensor* tensors, std::vector<TensorView>& inputs, std::vector<AlignedBuffer>& copies) {
  for (const TensorSpec& spec : signature.inputs) {
    TFLS_ASSIGN_OR_RETURN(const TensorView view, ViewOf(spec, tensors[inputs.size()]));
    inputs.push_back(view);
  }
  TFLS_RETURN_IF_ERROR(CheckInputs(signature, inputs));
  for (TensorView& input : inputs) {
    if (input.dtype == DType::kString) TFLS_RETURN_IF_ERROR(ValidateStrings(input.bytes, input.shape.NumElements().value_or(-1)));
    if (reinterpret_cast<uintptr_t>(input.bytes.data()) % kTensorAlignment == 0) continue;
    AlignedBuffer& copy = copies.emplace_back();
    if (!copy.Resize(input.bytes.size())) return ResourceExhaustedError(fmt::format("no memory for an input of {} bytes", input.bytes.size()));
    std::ranges::copy(input.bytes, copy.data());
    input.bytes = copy.bytes();
  }
  return OkStatus();
}

void Emit(TflsCall* call, const TflsTensor* tensors) {
  if (std::exchange(call->is_answered, true)) return;
  if (call->request.times != nullptr) call->request.times->ended = Clock::Steady().Now();
  std::vector<TensorView> outputs;
  const Status status = ReadOutputs(*call->request.signature, tensors, outputs);
  call->done(status, status.ok() ? std::span<const TensorView>(outputs) : std::span<const TensorView>());
}

int32_t IsCancelled(const TflsCall* call) {
  const RunRequest& request = call->request;
  if (request.cancellation != nullptr && request.cancellation->cancelled()) return 1;
  return request.deadline != kNoDeadline && Clock::Steady().Now() >= request.deadline ? 1 : 0;
}

TflsStatus OpenModel(TflsLoad* load, const char* path, TflsModel** model, TflsError* error) {
  StatusOr<ServableHandle> servable = load->options.open_model(path);
  if (!servable.ok()) return FromStatus(servable.status(), error);
  auto opened = std::make_unique<TflsModel>();
  opened->servable = *std::move(servable);
  for (const Signature& signature : opened->servable->signatures()) {
    const std::vector<TflsTensorSpec>& inputs = opened->specs.emplace_back(SpecsOf(signature.inputs));
    const TflsTensorSpec* const first_input = inputs.data();
    const std::vector<TflsTensorSpec>& outputs = opened->specs.emplace_back(SpecsOf(signature.outputs));
    opened->signatures.push_back({.key = signature.key.c_str(),
                                  .method_name = signature.method_name.c_str(),
                                  .inputs = first_input,
                                  .num_inputs = signature.inputs.size(),
                                  .outputs = outputs.data(),
                                  .num_outputs = signature.outputs.size(),
                                  .rows_are_independent = 0});
  }
  *model = load->models.emplace_back(std::move(opened)).get();
  return TFLS_OK;
}

size_t ModelSignatures(const TflsModel* model, const TflsSignature** signatures) {
  *signatures = model->signatures.data();
  return model->signatures.size();
}

TflsStatus RunModel(TflsModel* model, size_t number, const TflsTensor* tensors, const TflsCall* call, TflsOutputs outputs, void* data,
                    TflsError* error) {
  const std::span<const Signature> signatures = model->servable->signatures();
  if (number >= signatures.size()) return FromStatus(InternalError(fmt::format("the model has no signature number {}", number)), error);
  std::vector<TensorView> inputs;
  std::vector<AlignedBuffer> copies;
  Status result = ReadInputs(signatures[number], tensors, inputs, copies);
  if (!result.ok()) return FromStatus(result, error);
  RunRequest request{.signature = &signatures[number], .inputs = inputs};
  if (call != nullptr) {
    request.deadline = call->request.deadline;
    request.cancellation = call->request.cancellation;
  }
  model->servable->Run(request, [&](const Status& status, std::span<const TensorView> views) {
    result = status;
    if (status.ok()) outputs(data, TensorsOf(views).data());
  });
  return FromStatus(result, error);
}

void Log(int32_t level, const char* text) { TFLS_LOG(static_cast<LogLevel>(std::clamp(level, 0, 3)), "{}", text); }

constexpr TflsHost kHost = {.struct_size = sizeof(TflsHost),
                            .emit = Emit,
                            .is_cancelled = IsCancelled,
                            .open_model = OpenModel,
                            .model_signatures = ModelSignatures,
                            .run_model = RunModel,
                            .log = Log};

StatusOr<std::vector<TensorSpec>> ReadSpecs(const Signature& signature, const TflsTensorSpec* specs, size_t count) {
  std::vector<TensorSpec> read;
  for (const TflsTensorSpec& spec : std::span(specs, count)) {
    if (spec.name == nullptr) return InvalidArgumentError(fmt::format("signature \"{}\": an input or output has no name", signature.key));
    TFLS_ASSIGN_OR_RETURN(const Shape shape, ShapeOf(spec.name, spec.rank, spec.dims));
    read.push_back({.name = spec.name, .tensor_name = spec.name, .dtype = DTypeFromNumber(spec.dtype), .shape = shape});
    TFLS_RETURN_IF_ERROR(CheckSpec(signature, read.back()));
  }
  return read;
}

}  // namespace

PluginServable::PluginServable(ServableId id, std::unique_ptr<PluginLibrary> library, const TflsPlugin& plugin)
    : id_(std::move(id)), library_(std::move(library)), plugin_(plugin) {}

PluginServable::~PluginServable() {
  if (is_loaded_) plugin_.unload(instance_);
}

StatusOr<std::unique_ptr<PluginServable>> PluginServable::Load(ServableId id, const PluginOptions& options) {
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<PluginLibrary> library, PluginLibrary::Open(options.module_path));
  TFLS_ASSIGN_OR_RETURN(const TflsPlugin* const plugin, library->Exported<TflsPlugin>("tflite_serving_plugin"));
  if (plugin->load == nullptr || plugin->unload == nullptr || plugin->signatures == nullptr || plugin->predict == nullptr) {
    return InvalidArgumentError(options.module_path + ": the plug-in leaves out one of load, unload, signatures and predict");
  }
  std::unique_ptr<PluginServable> servable(new PluginServable(std::move(id), std::move(library), *plugin));
  Status status = servable->LoadInstance(options);
  if (status.ok()) status = servable->ReadSignatures();
  if (!status.ok()) return Status(status.code(), fmt::format("{}: {}", options.module_path, status.message()));
  return servable;
}

Status PluginServable::LoadInstance(const PluginOptions& options) {
  std::vector<TflsParameter> parameters;
  for (const auto& [key, value] : options.parameters) parameters.push_back({.key = key.c_str(), .value = value.c_str()});
  TflsLoad load{.options = options, .models = models_};
  const TflsLoadOptions load_options = {.struct_size = sizeof(TflsLoadOptions),
                                        .load = &load,
                                        .host = &kHost,
                                        .name = id_.name.c_str(),
                                        .version = id_.version,
                                        .servable_path = options.servable_path.c_str(),
                                        .parameters = parameters.data(),
                                        .num_parameters = parameters.size()};
  TflsError error{};
  TFLS_RETURN_IF_ERROR(StatusFromPlugin(plugin_.load(&load_options, &instance_, &error), error));
  is_loaded_ = true;
  return OkStatus();
}

Status PluginServable::ReadSignatures() {
  const TflsSignature* list = nullptr;
  const size_t count = plugin_.signatures(instance_, &list);
  if (count == 0) return InvalidArgumentError("the plug-in has no signature");
  for (const TflsSignature& one : std::span(list, count)) {
    Signature signature;
    signature.key = one.key == nullptr ? kDefaultSignatureKey : one.key;
    if (one.method_name != nullptr) signature.method_name = one.method_name;
    TFLS_ASSIGN_OR_RETURN(signature.inputs, ReadSpecs(signature, one.inputs, one.num_inputs));
    TFLS_ASSIGN_OR_RETURN(signature.outputs, ReadSpecs(signature, one.outputs, one.num_outputs));
    if (FindSignature(signatures_, signature.key) != nullptr) {
      return InvalidArgumentError(fmt::format("two signatures of the plug-in are called \"{}\"", signature.key));
    }
    signatures_.push_back(std::move(signature));
    batchable_.push_back(one.rows_are_independent != 0);
  }
  return OkStatus();
}

void PluginServable::Run(const RunRequest& request, RunDone done) {
  const std::vector<TflsTensor> inputs = TensorsOf(request.inputs);
  TflsCall call{.request = request, .done = done};
  TflsError error{};
  const auto number = static_cast<size_t>(request.signature - signatures_.data());
  if (request.times != nullptr) request.times->began = Clock::Steady().Now();
  const TflsStatus code = plugin_.predict(instance_, number, inputs.data(), &call, &error);
  if (call.is_answered) return;
  done(code == TFLS_OK ? InternalError("the plug-in answered nothing: its predict returned without emit") : StatusFromPlugin(code, error), {});
}

size_t PluginServable::num_interpreters() const {
  size_t count = 0;
  for (const std::unique_ptr<TflsModel>& model : models_) count += model->servable->num_interpreters();
  return count;
}

size_t PluginServable::memory_bytes() const {
  size_t bytes = 0;
  for (const std::unique_ptr<TflsModel>& model : models_) bytes += model->servable->memory_bytes();
  return bytes;
}

}  // namespace tflite_serving
