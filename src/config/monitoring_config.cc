#include "config/monitoring_config.h"

#include <fmt/format.h>

#include "config/proto_text.h"
#include "tensorflow_serving/config/monitoring_config.pb.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kExample = "prometheus_config { enable: true path: \"/monitoring/prometheus/metrics\" }";

}  // namespace

StatusOr<std::string> ParseMonitoringConfigText(std::string_view text, std::string_view file_name) {
  tensorflow::serving::MonitoringConfig config;
  if (const Status status = ParseProtoText(text, kExample, config); !status.ok()) return InvalidProtoTextFile(file_name, status.message());
  if (!config.prometheus_config().enable()) return std::string();
  const std::string& path = config.prometheus_config().path();
  if (path.empty()) return std::string(kDefaultPrometheusPath);
  if (!path.starts_with('/')) {
    return AddFileName(InvalidArgumentError(fmt::format("prometheus_config: path must begin with '/', got \"{}\"", path)), file_name);
  }
  return path;
}

StatusOr<std::string> ReadMonitoringConfigFile(const std::string& path) {
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadProtoTextFile(path, kMaxMonitoringConfigBytes));
  return ParseMonitoringConfigText(text, path);
}

}  // namespace tflite_serving
