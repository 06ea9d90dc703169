// What a person configured: which models to serve, from where, and which of their versions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace tflite_serving {

// What a configuration may have, as a file's text and as the message of a reload.
inline constexpr size_t kMaxModelServerConfigBytes = size_t{4} << 20;

// Which of the versions found under a base path are to be served; the default is the highest alone.
struct VersionPolicy {
  enum class Kind {
    kLatest,    // the `num_versions` highest
    kAll,       // every one
    kSpecific,  // those in `versions`, as far as they are there
  };
  Kind kind = Kind::kLatest;
  uint32_t num_versions = 1;      // of kLatest; at least 1
  std::vector<int64_t> versions;  // of kSpecific

  friend bool operator==(const VersionPolicy&, const VersionPolicy&) = default;
};

// How many requests of a model run at the same time, and on how many cores each; 0: as the flags of the server say.
struct TfliteOptions {
  int32_t num_interpreters = 0;                       // at most kMaxInterpreters
  int32_t threads_per_interpreter = 0;                // at most kMaxThreadsPerInterpreter
  std::vector<std::string> custom_op_libraries = {};  // shared libraries with operators, beside those of --custom_op_library

  friend bool operator==(const TfliteOptions&, const TfliteOptions&) = default;
};
inline constexpr int32_t kMaxInterpreters = 4096;
inline constexpr int32_t kMaxThreadsPerInterpreter = 4096;

// A servable in Python (model_platform: "custom") or in a shared library ("plugin"): what its custom_model_config says. Zero and empty: as the flags
// of the server say. Of a plug-in module_path and parameters alone.
struct CustomModel {
  enum class Kind { kPython, kPlugin };
  Kind kind = Kind::kPython;
  std::string base_path;                          // of its model
  std::string module_path;                        // the .py file, or the library; a relative one is below the version's directory
  std::string model_class_name;                   // its class, or its function that returns a servable
  std::string virtual_environment;                // the directory whose bin/python runs it
  int32_t instances = 1;                          // worker processes, 1 to kMaxWorkerProcesses
  int32_t load_timeout_seconds = 0;               // for a worker to be ready
  int32_t request_timeout_seconds = 0;            // a worker that takes longer for one request is ended
  int32_t max_memory_mb = 0;                      // resident, of each worker
  std::map<std::string, std::string> parameters;  // handed to the servable

  friend bool operator==(const CustomModel&, const CustomModel&) = default;
};
inline constexpr int32_t kMaxWorkerProcesses = 256;

// How the versions of a model become servables.
struct LoadOptions {
  TfliteOptions tflite;
  std::optional<CustomModel> custom = {};  // nothing: a .tflite file on the built-in runtime. A plug-in opens such files as `tflite` says

  // Whether they name files with code to run: who may say them may do whatever this process may.
  bool name_code() const { return custom || !tflite.custom_op_libraries.empty(); }

  friend bool operator==(const LoadOptions&, const LoadOptions&) = default;
};

// Which of a model's requests are logged, and where (its logging_config).
struct RequestLogConfig {
  std::string filename_prefix;  // as api/request_sampler.h says
  double sampling_rate = 0;     // 0 to 1

  friend bool operator==(const RequestLogConfig&, const RequestLogConfig&) = default;
};

// One entry of a ModelServerConfig (config/model_server_config.proto), checked.
struct ModelConfig {
  std::string name;
  std::string base_path;  // as lifecycle/storage_path.h reads it
  VersionPolicy version_policy;
  std::map<std::string, int64_t, std::less<>> labels;  // to the version that each means
  LoadOptions load_options = {};
  std::optional<RequestLogConfig> request_log = {};

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

}  // namespace tflite_serving
