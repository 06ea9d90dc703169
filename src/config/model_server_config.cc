#include "config/model_server_config.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "config/model_config_text.h"
#include "config/proto_text.h"
#include "tensorflow_serving/config/model_server_config.pb.h"

namespace tflite_serving {
namespace {

namespace proto = tensorflow::serving;

constexpr std::array<std::string_view, 3> kPlatforms = {"tensorflow", "tflite", "litert"};
constexpr std::string_view kCustomPlatform = "custom";
constexpr std::string_view kPluginPlatform = "plugin";

constexpr std::string_view kModelType = "model_type";
constexpr std::string_view kModelKind = "model_kind";

constexpr std::string_view kExample = R"(model_config_list { config { name: "digits" base_path: "/models/digits" model_platform: "tensorflow" } })";

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// With a scheme, as the original counts them, or from the root.
bool IsAbsolute(std::string_view path) {
  const std::string_view scheme = path.substr(0, path.find("://"));
  if (path.starts_with('/') || scheme.size() == path.size()) return path.starts_with('/');
  return !scheme.empty() && IsLetter(scheme.front()) && std::ranges::all_of(scheme, [](char c) { return IsLetter(c) || IsDigit(c) || c == '.'; });
}

Status CheckPlatform(const proto::ModelConfig& model) {
  const std::string& platform = model.model_platform();
  // These two whatever the model_type is: users write any word there.
  if (platform == kCustomPlatform || platform == kPluginPlatform) return OkStatus();
  const bool has_type = model.model_type() != proto::MODEL_TYPE_UNSPECIFIED || !model.model_kind().empty();
  if (has_type == !platform.empty()) {
    return InvalidArgumentError(
        fmt::format("Illegal setting {} ModelServerConfig::model_type (deprecated) {} ModelServerConfig::model_platform, model name is {}",
                    has_type ? "both" : "neither", has_type ? "and" : "nor", model.name()));
  }
  if (has_type && model.model_type() != proto::TENSORFLOW && model.model_kind() != proto::ModelType_Name(proto::TENSORFLOW)) {
    const std::string type = model.model_kind().empty() ? fmt::format("{}", static_cast<int>(model.model_type())) : model.model_kind();
    return InvalidArgumentError(fmt::format("ModelServerConfig::model_type choice {} not supported. Model {} may have model_platform: \"{}\" instead",
                                            type, model.name(), kPlatforms.front()));
  }
  if (!has_type && std::ranges::find(kPlatforms, platform) == kPlatforms.end()) {
    return InvalidArgumentError(fmt::format("Model {} requests unsupported platform {}; there are {}, {}, {}", model.name(), platform,
                                            fmt::join(kPlatforms, ", "), kCustomPlatform, kPluginPlatform));
  }
  if (model.has_custom_model_config()) {
    return InvalidArgumentError(
        fmt::format("Model {} has a custom_model_config, which only model_platform: \"custom\" and \"plugin\" take", model.name()));
  }
  return OkStatus();
}

VersionPolicy FromProto(const proto::FileSystemStoragePathSourceConfig::ServableVersionPolicy& policy) {
  if (policy.has_all()) return {.kind = VersionPolicy::Kind::kAll};
  if (policy.has_specific()) {
    const auto& versions = policy.specific().versions();
    return {.kind = VersionPolicy::Kind::kSpecific, .versions = {versions.begin(), versions.end()}};
  }
  return {.num_versions = std::max(policy.latest().num_versions(), 1U)};
}

Status CheckRange(const proto::ModelConfig& model, std::string_view field, int32_t value, int32_t most) {
  if (value >= 0 && value <= most) return OkStatus();
  return InvalidArgumentError(fmt::format("Model {} has {} {}, where 0 to {} are allowed", model.name(), field, value, most));
}

StatusOr<TfliteOptions> CheckTfliteOptions(const proto::ModelConfig& model) {
  const TfliteOptions options{
      .num_interpreters = model.tflite_options().num_interpreters(),
      .threads_per_interpreter = model.tflite_options().threads_per_interpreter(),
      .custom_op_libraries = {model.tflite_options().custom_op_library().begin(), model.tflite_options().custom_op_library().end()}};
  TFLS_RETURN_IF_ERROR(CheckRange(model, "tflite_options.num_interpreters", options.num_interpreters, kMaxInterpreters));
  TFLS_RETURN_IF_ERROR(CheckRange(model, "tflite_options.threads_per_interpreter", options.threads_per_interpreter, kMaxThreadsPerInterpreter));
  return options;
}

constexpr int32_t kMaxSeconds = 24 * 60 * 60;
constexpr int32_t kMaxMemoryMb = std::numeric_limits<int32_t>::max();

StatusOr<CustomModel> CheckPlugin(const proto::ModelConfig& model) {
  proto::CustomModelConfig config = model.custom_model_config();
  CustomModel plugin{.kind = CustomModel::Kind::kPlugin,
                     .base_path = model.base_path(),
                     .module_path = config.module_path(),
                     .parameters = {config.parameters().begin(), config.parameters().end()}};
  if (plugin.module_path.empty()) {
    return InvalidArgumentError(
        fmt::format("Model {} of platform plugin has no custom_model_config.module_path: expected custom_model_config {{ module_path: "
                    "\"/models/libplugin.so\" }}",
                    model.name()));
  }
  config.clear_module_path();
  config.clear_parameters();
  if (config.ByteSizeLong() == 0) return plugin;
  return InvalidArgumentError(fmt::format("Model {} of platform plugin has in its custom_model_config what only servables in Python take: {}",
                                          model.name(), config.ShortDebugString()));
}

// Nothing for a model that is not custom.
StatusOr<std::optional<CustomModel>> CheckCustomModel(const proto::ModelConfig& model) {
  std::optional<CustomModel> custom;
  if (model.model_platform() == kPluginPlatform) {
    TFLS_ASSIGN_OR_RETURN(custom, CheckPlugin(model));
    return custom;
  }
  if (model.model_platform() != kCustomPlatform) return custom;
  const proto::CustomModelConfig& config = model.custom_model_config();
  for (const auto& [field, value] : {std::pair("module_path", &config.module_path()), {"model_class_name", &config.model_class_name()}}) {
    if (!value->empty()) continue;
    return InvalidArgumentError(
        fmt::format("Model {} of platform custom has no custom_model_config.{}: expected custom_model_config {{ module_path: "
                    "\"/models/model_wrapper.py\" model_class_name: \"load_servable\" }}",
                    model.name(), field));
  }
  if (model.has_tflite_options()) return InvalidArgumentError(fmt::format("Model {} of platform custom takes no tflite_options", model.name()));
  TFLS_RETURN_IF_ERROR(CheckRange(model, "custom_model_config.instances", config.instances(), kMaxWorkerProcesses));
  TFLS_RETURN_IF_ERROR(CheckRange(model, "custom_model_config.load_timeout_seconds", config.load_timeout_seconds(), kMaxSeconds));
  TFLS_RETURN_IF_ERROR(CheckRange(model, "custom_model_config.request_timeout_seconds", config.request_timeout_seconds(), kMaxSeconds));
  TFLS_RETURN_IF_ERROR(CheckRange(model, "custom_model_config.max_memory_mb", config.max_memory_mb(), kMaxMemoryMb));
  custom = CustomModel{.base_path = model.base_path(),
                       .module_path = config.module_path(),
                       .model_class_name = config.model_class_name(),
                       .virtual_environment = config.virtual_environment(),
                       .instances = std::max(config.instances(), 1),
                       .load_timeout_seconds = config.load_timeout_seconds(),
                       .request_timeout_seconds = config.request_timeout_seconds(),
                       .max_memory_mb = config.max_memory_mb(),
                       .parameters = {config.parameters().begin(), config.parameters().end()}};
  return custom;
}

StatusOr<std::optional<RequestLogConfig>> CheckLoggingConfig(const proto::ModelConfig& model) {
  if (!model.has_logging_config()) return std::optional<RequestLogConfig>();
  const proto::LoggingConfig& logging = model.logging_config();
  const proto::LogCollectorConfig& collector = logging.log_collector_config();
  const double rate = logging.sampling_config().sampling_rate();
  if (logging.has_custom_logging_config() || (!collector.type().empty() && collector.type() != "file")) {
    return InvalidArgumentError(fmt::format("Model {}: requests are logged to files: log_collector_config {{ type: \"file\" … }}", model.name()));
  }
  if (!collector.filename_prefix().starts_with('/')) {
    return InvalidArgumentError(fmt::format("Model {}: log_collector_config.filename_prefix must be an absolute path, got \"{}\"", model.name(),
                                            collector.filename_prefix()));
  }
  if (!(rate >= 0 && rate <= 1)) {
    return InvalidArgumentError(fmt::format("Model {}: sampling_config.sampling_rate is {}, expected 0 to 1", model.name(), rate));
  }
  if (logging.sampling_config().per_task_sampling_configs_size() > 0) {
    return InvalidArgumentError(fmt::format("Model {}: per_task_sampling_configs are not supported; sampling_rate is", model.name()));
  }
  return std::optional(RequestLogConfig{.filename_prefix = collector.filename_prefix(), .sampling_rate = rate});
}

StatusOr<ModelConfig> CheckModel(const proto::ModelConfig& model) {
  if (model.name().empty()) return InvalidArgumentError(fmt::format("a model has no name; its base_path is \"{}\"", model.base_path()));
  TFLS_RETURN_IF_ERROR(CheckPlatform(model));
  if (!IsAbsolute(model.base_path())) {
    return InvalidArgumentError(
        fmt::format("Expected model {} to have an absolute path or URI; got base_path()={}", model.name(), model.base_path()));
  }
  TFLS_ASSIGN_OR_RETURN(std::optional<RequestLogConfig> request_log, CheckLoggingConfig(model));
  TFLS_ASSIGN_OR_RETURN(const TfliteOptions tflite_options, CheckTfliteOptions(model));
  TFLS_ASSIGN_OR_RETURN(std::optional<CustomModel> custom, CheckCustomModel(model));
  return ModelConfig{.name = model.name(),
                     .base_path = model.base_path(),
                     .version_policy = FromProto(model.model_version_policy()),
                     .labels = {model.version_labels().begin(), model.version_labels().end()},
                     .load_options = {.tflite = tflite_options, .custom = std::move(custom)},
                     .request_log = std::move(request_log)};
}

}  // namespace

StatusOr<ModelConfigList> CheckModelServerConfig(const proto::ModelServerConfig& config) {
  switch (config.config_case()) {
    case proto::ModelServerConfig::CONFIG_NOT_SET:
      return ModelConfigList();
    case proto::ModelServerConfig::kCustomModelConfig:
      return InvalidArgumentError(
          "ModelServerConfig::custom_model_config names a source of models, and none is built in; list the models in model_config_list");
    case proto::ModelServerConfig::kModelConfigList:
      break;
  }
  std::vector<ModelConfig> models;
  std::set<std::string_view> names;
  for (const proto::ModelConfig& model : config.model_config_list().config()) {
    TFLS_ASSIGN_OR_RETURN(ModelConfig checked, CheckModel(model));
    models.push_back(std::move(checked));
    if (!names.insert(model.name()).second) {
      return InvalidArgumentError(fmt::format("Illegal to list model {} multiple times in config list", model.name()));
    }
  }
  return ModelConfigList(std::move(models));
}

StatusOr<ModelConfigList> ParseModelServerConfigText(std::string_view text, std::string_view file_name) {
  proto::ModelServerConfig config;
  if (const Status status = ParseProtoText(ReadableModelConfig(text), kExample, config); !status.ok()) {
    std::string reason = status.message();  // in the words of the text as it was given
    if (const size_t at = reason.find(kModelKind); at != std::string::npos) reason.replace(at, kModelKind.size(), kModelType);
    return InvalidProtoTextFile(file_name, reason);
  }
  StatusOr<ModelConfigList> models = CheckModelServerConfig(config);
  if (!models.ok()) return AddFileName(models.status(), file_name);
  return models;
}

StatusOr<ModelConfigList> ReadModelServerConfigFile(const std::string& path, const std::string& root) {
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadProtoTextFile(path, kMaxModelServerConfigBytes, root));
  return ParseModelServerConfigText(text, path);
}

}  // namespace tflite_serving
