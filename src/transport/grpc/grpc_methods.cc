#include "transport/grpc/grpc_methods.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// "/package.Service/Method" -> "package.Service"; empty for anything else.
std::string_view ServiceOf(std::string_view path) {
  const size_t slash = path.find('/', 1);
  if (path.empty() || path[0] != '/' || slash == std::string_view::npos || slash == 1 || slash + 1 == path.size()) return {};
  return path.substr(1, slash - 1);
}

}  // namespace

StatusOr<GrpcMethods> GrpcMethods::Create(const std::vector<GrpcMethod>& unary, const std::vector<GrpcStreamMethod>& streaming) {
  GrpcMethods methods;
  for (const GrpcMethod& method : unary) TFLS_RETURN_IF_ERROR(methods.Add(method.path, {.handler = method.handler, .open = {}}));
  for (const GrpcStreamMethod& method : streaming) TFLS_RETURN_IF_ERROR(methods.Add(method.path, {.handler = {}, .open = method.open}));
  return methods;
}

Status GrpcMethods::Add(const std::string& path, Entry entry) {
  if (ServiceOf(path).empty()) return InvalidArgumentError(fmt::format("gRPC method \"{}\" is not of the form /package.Service/Method", path));
  if (!entries_.emplace(path, std::move(entry)).second) return InvalidArgumentError(fmt::format("gRPC method \"{}\" is there twice", path));
  return OkStatus();
}

const GrpcMethods::Entry* GrpcMethods::Find(std::string_view path) const {
  const auto found = entries_.find(path);
  return found == entries_.end() ? nullptr : &found->second;
}

Status GrpcMethods::Unknown(std::string_view path) const {
  const std::string_view service = ServiceOf(path);
  if (service.empty()) return UnimplementedError(fmt::format("malformed method name \"{}\"", path));
  const bool known = std::ranges::any_of(entries_, [service](const auto& entry) { return ServiceOf(entry.first) == service; });
  if (!known) return UnimplementedError(fmt::format("unknown service {}", service));
  return UnimplementedError(fmt::format("unknown method {} for service {}", path.substr(service.size() + 2), service));
}

}  // namespace tflite_serving
