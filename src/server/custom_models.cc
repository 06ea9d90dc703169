#include "server/custom_models.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "base/usable_memory.h"

namespace tflite_serving {
namespace {

// Beside the program's own directory, as it is built and installed.
constexpr std::string_view kWorkerPath = "../lib/tflite_serving/tflite_serving_worker.py";
constexpr double kMemoryShare = 0.75;  // as a model's trial may take

std::string WorkerPath(const ServerOptions& options) {
  if (!options.python_worker_path.empty()) return options.python_worker_path;
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  return (program.parent_path() / kWorkerPath).lexically_normal().string();
}

// `path`, as far as it is relative, below `directory`.
std::string Below(const std::string& directory, const std::string& path) { return (std::filesystem::path(directory) / path).string(); }

size_t MemoryLimit(const ServerOptions& options, const CustomModel& model) {
  const int32_t megabytes = model.max_memory_mb > 0 ? model.max_memory_mb : options.custom_max_memory_mb;
  return megabytes > 0 ? static_cast<size_t>(megabytes) << 20 : static_cast<size_t>(kMemoryShare * static_cast<double>(UsableMemoryBytes()));
}

std::chrono::seconds Seconds(int32_t own, int32_t flag) { return std::chrono::seconds(own > 0 ? own : flag); }

}  // namespace

PythonServableOptions PythonOptionsOf(const ServerOptions& options, const ServableId& id, const std::string& path, const CustomModel& model) {
  PythonServableOptions python;
  python.command.python = model.virtual_environment.empty() ? options.python : Below(Below(path, model.virtual_environment), "bin/python");
  python.command.script = WorkerPath(options);
  // These first: no parameter takes their place.
  python.values = {{"name", id.name},       {"version", std::to_string(id.version)},         {"base_path", model.base_path},
                   {"servable_path", path}, {"module_path", Below(path, model.module_path)}, {"model_class_name", model.model_class_name}};
  python.values.insert(python.values.end(), model.parameters.begin(), model.parameters.end());
  python.num_workers = model.instances;
  python.load_timeout = Seconds(model.load_timeout_seconds, options.custom_load_timeout_seconds);
  python.request_timeout = Seconds(model.request_timeout_seconds, options.custom_request_timeout_seconds);
  python.max_memory_bytes = MemoryLimit(options, model);
  if (options.max_queue_wait_ms > 0) python.max_wait = std::chrono::milliseconds(options.max_queue_wait_ms);
  return python;
}

StatusOr<std::unique_ptr<PythonServable>> LoadCustomModel(const ServerOptions& options, const ServableId& id, const std::string& path,
                                                          const CustomModel& model, const Cancellation& stop) {
  PythonServableOptions python = PythonOptionsOf(options, id, path, model);
  python.stop = &stop;
  StatusOr<std::unique_ptr<PythonServable>> servable = PythonServable::Create(id, python);
  if (servable.ok()) return servable;
  return Status(servable.status().code(), fmt::format("{}: {}", Below(path, model.module_path), servable.status().message()));
}

StatusOr<std::unique_ptr<PluginServable>> LoadPlugin(const ServableId& id, const std::string& path, const CustomModel& model,
                                                     const std::function<StatusOr<ServableHandle>(const std::string& path)>& open_model) {
  return PluginServable::Load(id, {.module_path = Below(path, model.module_path),
                                   .servable_path = path,
                                   .parameters = model.parameters,
                                   .open_model = [&](const std::string& file) { return open_model(Below(path, file)); }});
}

}  // namespace tflite_serving
