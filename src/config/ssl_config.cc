#include "config/ssl_config.h"

#include <utility>

#include <fmt/format.h>

#include "config/proto_text.h"
#include "tensorflow_serving/config/ssl_config.pb.h"

namespace tflite_serving {
namespace {

constexpr std::string_view kExample = "server_key: \"-----BEGIN PRIVATE KEY-----\\n...\" server_cert: \"-----BEGIN CERTIFICATE-----\\n...\"";

// The place alone: the parser's errors quote what they found, which may be a key.
std::string WithoutQuotation(std::string_view error, std::string_view type_name) {
  const size_t at = error.find(type_name);
  if (at == std::string_view::npos) return std::string(error);  // of a string that is not UTF-8
  std::string_view place = error.substr(at + type_name.size());
  place = place.substr(0, place.find_first_not_of(": 0123456789"));
  while (place.ends_with(' ') || place.ends_with(':')) place.remove_suffix(1);
  return fmt::format("Error parsing text-format {}{} (expected is text like: {})", type_name, place, kExample);
}

}  // namespace

StatusOr<SslConfig> ParseSslConfigText(std::string_view text, std::string_view file_name) {
  tensorflow::serving::SSLConfig config;
  if (const Status status = ParseProtoText(text, kExample, config); !status.ok()) {
    return InvalidProtoTextFile(file_name, WithoutQuotation(status.message(), config.GetTypeName()));
  }
  const auto refuse = [&](const char* message) { return AddFileName(InvalidArgumentError(message), file_name); };
  if (config.server_key().empty()) return refuse("server_key is missing");
  if (config.server_cert().empty()) return refuse("server_cert is missing");
  if (config.client_verify() && config.custom_ca().empty()) return refuse("client_verify needs a custom_ca, which says whose certificates are good");
  return SslConfig{.server_key = std::move(*config.mutable_server_key()),
                   .server_cert = std::move(*config.mutable_server_cert()),
                   .custom_ca = std::move(*config.mutable_custom_ca()),
                   .client_verify = config.client_verify()};
}

StatusOr<SslConfig> ReadSslConfigFile(const std::string& path) {
  TFLS_ASSIGN_OR_RETURN(const std::string text, ReadProtoTextFile(path, kMaxSslConfigBytes));
  return ParseSslConfigText(text, path);
}

}  // namespace tflite_serving
