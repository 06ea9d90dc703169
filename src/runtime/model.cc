#include "runtime/model.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string_view>

#include <fmt/format.h>

#include "runtime/stderr_capture.h"
#include "runtime/weight_pages.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// Options travel as TOML text under these names.
constexpr const char* kCpuOptionsId = "xnnpack";
constexpr const char* kRuntimeOptionsId = "runtime_options_string";
// Mode 2 collects the messages for LiteRtCompiledModelGetErrorMessages; the default prints them to standard error, where any bad request could
// fill the log.
constexpr std::string_view kCollectErrors = "error_reporter_mode = 2\n";
constexpr std::string_view kEnableProfiling = "enable_profiling = true\n";

Status LiteRtError(std::string_view path, std::string_view doing, LiteRtStatus status) {
  const std::string message = fmt::format("{}: {}: {} (LiteRT status {})", path, doing, LiteRtStatusText(status), static_cast<int>(status));
  switch (status) {
    case kLiteRtStatusErrorMemoryAllocationFailure:
      return ResourceExhaustedError(message);
    case kLiteRtStatusErrorInvalidArgument:
    case kLiteRtStatusErrorInvalidFlatbuffer:
    case kLiteRtStatusErrorIndexOOB:
      return InvalidArgumentError(message);
    case kLiteRtStatusErrorUnsupported:
      return UnimplementedError(message);
    default:
      return InternalError(message);
  }
}

Status AddOption(LiteRtOptions options, const char* id, std::string_view toml) {
  char* text = ::strndup(toml.data(), toml.size());
  if (text == nullptr) return ResourceExhaustedError("no memory for the options of a model");
  LiteRtOpaqueOptions opaque = nullptr;
  if (const LiteRtStatus status = LiteRtCreateOpaqueOptions(id, text, std::free, &opaque); status != kLiteRtStatusOk) {
    std::free(text);
    return LiteRtError(id, "creating options", status);
  }
  if (const LiteRtStatus status = LiteRtAddOpaqueOptions(options, opaque); status != kLiteRtStatusOk) {
    LiteRtDestroyOpaqueOptions(opaque);
    return LiteRtError(id, "adding options", status);
  }
  return OkStatus();
}

StatusOr<EnvironmentPtr> NewEnvironment() {
  LiteRtEnvOption options[2] = {};
  options[0].tag = kLiteRtEnvOptionTagMinLoggerSeverity;
  options[0].value.type = kLiteRtAnyTypeInt;
  options[0].value.int_value = kLiteRtLogSeveritySilent;
  options[1].tag = kLiteRtEnvOptionTagAutoRegisterAccelerators;
  options[1].value.type = kLiteRtAnyTypeInt;
  options[1].value.int_value = kLiteRtHwAcceleratorCpu;
  LiteRtEnvironment environment = nullptr;
  const LiteRtStatus status = LiteRtCreateEnvironment(2, options, &environment);
  if (status != kLiteRtStatusOk) return LiteRtError("LiteRT", "creating an environment", status);
  return EnvironmentPtr(environment);
}

// `text` was caught on standard error while LiteRT was at work.
void LogCaught(std::string_view text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (!line.empty()) TFLS_DEBUG("LiteRT: {}", line);
  }
}

}  // namespace

StatusOr<std::unique_ptr<Model>> Model::Open(const std::string& path, std::unique_ptr<SealedFile> file, const OperatorLibraries& libraries) {
  const std::span<const std::byte> bytes = file->bytes();
  TFLS_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Open(path, bytes, libraries));
  if (model->graph_.edited_file.size() == 0) model->file_ = std::move(file);
  return model;
}

StatusOr<std::unique_ptr<Model>> Model::Open(const std::string& path, std::span<const std::byte> bytes, const OperatorLibraries& libraries) {
  TFLS_ASSIGN_OR_RETURN(ModelGraph graph, ReadModelGraph(path, bytes, libraries));
  std::unique_ptr<Model> model(new Model(path, std::move(graph), libraries));
  model->weight_cache_ = UniqueFd(::memfd_create("tflite_weights", MFD_CLOEXEC));
  if (!model->weight_cache_.valid()) return ErrnoToStatus(errno, fmt::format("{}: memfd_create for the weight cache", path));
  TFLS_ASSIGN_OR_RETURN(model->environment_, NewEnvironment());
  LiteRtModel handle = nullptr;
  const std::span<const std::byte> edited = model->graph_.edited_file.bytes();
  model->runtime_file_ = edited.empty() ? bytes : edited;
  const LiteRtStatus status =
      LiteRtCreateModelFromBuffer(model->environment_.get(), model->runtime_file_.data(), model->runtime_file_.size(), &handle);
  if (status != kLiteRtStatusOk) return LiteRtError(path, "the runtime cannot read the file", status);
  model->model_.reset(handle);
  TFLS_RETURN_IF_ERROR(model->CheckSignatures());
  return model;
}

// We number signatures, inputs and outputs as the file does. LiteRT must see it the same way, or data would go to the wrong places.
Status Model::CheckSignatures() const {
  const auto check = [&](bool same, std::string_view what) {
    return same ? OkStatus() : InternalError(fmt::format("{}: the runtime sees other {} than the file has", path_, what));
  };
  LiteRtParamIndex count = 0;
  TFLS_RETURN_IF_ERROR(
      check(LiteRtGetNumModelSignatures(model_.get(), &count) == kLiteRtStatusOk && count == graph_.runtime_signatures.size(), "signatures"));
  for (size_t i = 0; i < count; ++i) {
    const RuntimeSignature& expected = graph_.runtime_signatures[i];
    LiteRtSignature signature = nullptr;
    const char* key = nullptr;
    LiteRtParamIndex inputs = 0;
    LiteRtParamIndex outputs = 0;
    TFLS_RETURN_IF_ERROR(check(LiteRtGetModelSignature(model_.get(), i, &signature) == kLiteRtStatusOk &&
                                   LiteRtGetSignatureKey(signature, &key) == kLiteRtStatusOk && (!graph_.has_signature_table || expected.key == key),
                               "signature keys"));
    TFLS_RETURN_IF_ERROR(check(LiteRtGetNumSignatureInputs(signature, &inputs) == kLiteRtStatusOk && inputs == expected.num_inputs &&
                                   LiteRtGetNumSignatureOutputs(signature, &outputs) == kLiteRtStatusOk && outputs == expected.num_outputs,
                               "inputs or outputs"));
  }
  return OkStatus();
}

StatusOr<OptionsPtr> Model::NewOptions(int num_threads, OperatorNodes& nodes) const {
  LiteRtOptions handle = nullptr;
  if (const LiteRtStatus status = LiteRtCreateOptions(&handle); status != kLiteRtStatusOk) return LiteRtError(path_, "creating options", status);
  OptionsPtr options(handle);
  if (const LiteRtStatus status = LiteRtSetOptionsHardwareAccelerators(handle, kLiteRtHwAcceleratorCpu); status != kLiteRtStatusOk) {
    return LiteRtError(path_, "choosing the CPU", status);
  }
  TFLS_RETURN_IF_ERROR(AddOption(handle, kCpuOptionsId,
                                 fmt::format("num_threads = {}\nweight_cache_file_path = \"/proc/self/fd/{}\"\n", num_threads, weight_cache_.get())));
  if (const LiteRtStatus status = nodes.AddTo(handle); status != kLiteRtStatusOk)
    return LiteRtError(path_, "adding the operators of libraries", status);
  return options;
}

StatusOr<CompiledModelPtr> Model::Compile(int num_threads, OperatorNodes& nodes, OptionsPtr* profiled_with) const {
  TFLS_ASSIGN_OR_RETURN(OptionsPtr options, NewOptions(num_threads, nodes));
  TFLS_RETURN_IF_ERROR(
      AddOption(options.get(), kRuntimeOptionsId, fmt::format("{}{}", kCollectErrors, profiled_with != nullptr ? kEnableProfiling : "")));
  LiteRtCompiledModel compiled = nullptr;
  LiteRtStatus status = kLiteRtStatusOk;
  const auto compile = [&] {
    const ScopedWeightPages weight_pages(weight_cache_.get());
    status = LiteRtCreateCompiledModel(environment_.get(), model_.get(), options.get(), &compiled);
  };
  static std::once_flag first_of_process;  // as often as the kernels print their line
  std::call_once(first_of_process, [&] {
    StderrCapture capture;
    compile();
    LogCaught(capture.Finish());
  });
  if (compiled == nullptr && status == kLiteRtStatusOk) compile();
  CompiledModelPtr owner(compiled);
  if (const Status failure = nodes.failure(); !failure.ok()) return Status(failure.code(), fmt::format("{}: {}", path_, failure.message()));
  if (status != kLiteRtStatusOk) return ExplainCompileFailure(num_threads, nodes, status);
  if (profiled_with != nullptr) *profiled_with = std::move(options);
  return owner;
}

// Messages are collected in what could not be compiled, and go with it. So it is tried again without collecting them: the runtime then says on
// standard error `Didn't find op for builtin opcode 'ABS' version '99'. …`
Status Model::ExplainCompileFailure(int num_threads, OperatorNodes& nodes, LiteRtStatus failure) const {
  TFLS_ASSIGN_OR_RETURN(const OptionsPtr options, NewOptions(num_threads, nodes));
  StderrCapture capture;
  LiteRtCompiledModel compiled = nullptr;
  if (LiteRtCreateCompiledModel(environment_.get(), model_.get(), options.get(), &compiled) == kLiteRtStatusOk) LiteRtDestroyCompiledModel(compiled);
  const std::string caught = capture.Finish();
  LogCaught(caught);
  for (const auto& [op, use] : graph_.operators) {
    const std::string phrase = fmt::format("Didn't find op for builtin opcode '{}' version '{}'", op.first, op.second);
    if (caught.find(phrase) == std::string::npos) continue;
    return UnimplementedError(
        fmt::format("{}: the runtime lacks an operator of the model: {}; it knows older versions of it only", path_, use.first_place));
  }
  return LiteRtError(path_, "the runtime cannot compile the model", failure);
}

size_t Model::WeightCacheBytes() const {
  struct stat info{};
  return ::fstat(weight_cache_.get(), &info) == 0 ? static_cast<size_t>(info.st_size) : 0;
}

}  // namespace tflite_serving
