// The original's file of TLS settings (--ssl_config_file): a text SSLConfig with PEM in it, for gRPC alone.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace tflite_serving {

inline constexpr size_t kMaxSslConfigBytes = size_t{1} << 20;

// PEM, each of them.
struct SslConfig {
  std::string server_key;
  std::string server_cert;
  std::string custom_ca;       // whose certificates clients must show; empty: they are not asked for one
  bool client_verify = false;  // they are; without it custom_ca means nothing, as in the original
};

// INVALID_ARGUMENT, which names the file and shows nothing of it, for a text that is none, without a key or a certificate, or that is to verify
// clients and names no CA.
StatusOr<SslConfig> ParseSslConfigText(std::string_view text, std::string_view file_name);

// The same of a file; its errors and those of ReadProtoTextFile.
StatusOr<SslConfig> ReadSslConfigFile(const std::string& path);

}  // namespace tflite_serving
