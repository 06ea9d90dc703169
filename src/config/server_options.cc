#include "config/server_options.h"

#include <sys/un.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace tflite_serving {
namespace {

constexpr size_t kMaxSocketPathBytes = sizeof(sockaddr_un::sun_path) - 1;  // the kernel's limit, less the final zero

// Of the REST port; or what begins so.
constexpr std::string_view kOtherPages[] = {"/healthz", "/readyz", "/openapi.json", "/v1/", "/admin/"};

Status CheckTls(const ServerOptions& options) {
  const bool has_certificate = !options.tls_certificate_file.empty();
  if (has_certificate != !options.tls_key_file.empty()) {
    return InvalidArgumentError("--tls_certificate_file and --tls_key_file need each other, and one is missing");
  }
  if (!has_certificate && !options.tls_client_ca_file.empty()) {
    return InvalidArgumentError("--tls_client_ca_file needs --tls_certificate_file and --tls_key_file: without TLS no client shows a certificate");
  }
  if (options.tls_client_ca_file.empty() && !options.tls_require_client_certificate) {
    return InvalidArgumentError("--tls_require_client_certificate=false needs --tls_client_ca_file: without it no client is asked for a certificate");
  }
  if (has_certificate && !options.ssl_config_file.empty()) {
    return InvalidArgumentError("--ssl_config_file and --tls_certificate_file do not go together: both say how gRPC is served");
  }
  return OkStatus();
}

Status CheckMetricsPath(std::string_view path) {
  if (path.empty()) return OkStatus();
  if (!path.starts_with('/') || path.find('?') != std::string_view::npos) {
    return InvalidArgumentError(fmt::format("--metrics_path={}: a path begins with '/' and has no query", path));
  }
  const auto is_at = [path](std::string_view page) { return page.ends_with('/') ? path.starts_with(page) : path == page; };
  if (std::ranges::any_of(kOtherPages, is_at)) return InvalidArgumentError(fmt::format("--metrics_path={}: the server has another page there", path));
  return OkStatus();
}

}  // namespace

Status CheckServerOptions(const ServerOptions& options) {
  if (options.port == 0 && options.grpc_socket_path.empty()) {
    return InvalidArgumentError("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.");
  }
  if (options.port != 0 && options.port == options.rest_api_port) {
    return InvalidArgumentError(fmt::format("--port and --rest_api_port must differ, and both are {}", options.port));
  }
  for (const auto& [flag, path] :
       {std::pair("grpc_socket_path", &options.grpc_socket_path), {"rest_api_socket_path", &options.rest_api_socket_path}}) {
    if (path->size() <= kMaxSocketPathBytes) continue;
    return InvalidArgumentError(fmt::format("--{}={}: {} bytes, and a socket's path may have {}", flag, *path, path->size(), kMaxSocketPathBytes));
  }
  if (std::ranges::find(kReadinessPolicies, options.readiness) == std::end(kReadinessPolicies)) {
    return InvalidArgumentError(fmt::format("--readiness={}: expected one of {}", options.readiness, fmt::join(kReadinessPolicies, ", ")));
  }
  if (std::ranges::find(kAdminApis, options.admin_api) == std::end(kAdminApis)) {
    return InvalidArgumentError(fmt::format("--admin_api={}: expected one of {}", options.admin_api, fmt::join(kAdminApis, ", ")));
  }
  if (std::ranges::find(kLogFormats, options.log_format) == std::end(kLogFormats)) {
    return InvalidArgumentError(fmt::format("--log_format={}: expected one of {}", options.log_format, fmt::join(kLogFormats, ", ")));
  }
  TFLS_RETURN_IF_ERROR(CheckMetricsPath(options.metrics_path));
  if (options.keep_state && options.model_memory_budget_mb > 0) {
    return InvalidArgumentError("--keep_state and --model_memory_budget_mb do not go together: a model that is unloaded loses its state");
  }
  if (!options.batching_parameters_file.empty() && !options.enable_batching) {
    return InvalidArgumentError("server_options.batching_parameters_file is set without setting server_options.enable_batching to true.");
  }
  TFLS_RETURN_IF_ERROR(CheckTls(options));
  if (!options.model_config_file.empty()) return OkStatus();  // which names the models itself
  if (options.model_name.empty()) return InvalidArgumentError("--model_name must not be empty");
  if (options.model_base_path.empty()) {
    return InvalidArgumentError(
        "Both server_options.model_base_path and server_options.model_config_file are empty! Write --model_base_path=PATH, where PATH is a .tflite "
        "file or a directory that holds one, or --model_config_file=FILE for several models");
  }
  return OkStatus();
}

}  // namespace tflite_serving
