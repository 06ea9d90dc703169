// --monitoring_config_file: the original's MonitoringConfig in text format.
//
//   prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
//
// All functions are thread-safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

inline constexpr size_t kMaxMonitoringConfigBytes = size_t{1} << 20;
inline constexpr std::string_view kDefaultPrometheusPath = "/monitoring/prometheus/metrics";

// The path at which the REST port has the original's metrics; empty if they are not enabled. INVALID_ARGUMENT, which names the file, for a text that
// is none, and a path that does not begin with '/'.
StatusOr<std::string> ParseMonitoringConfigText(std::string_view text, std::string_view file_name);

// The same of a file; its errors and those of ReadProtoTextFile.
StatusOr<std::string> ReadMonitoringConfigFile(const std::string& path);

}  // namespace tflite_serving
