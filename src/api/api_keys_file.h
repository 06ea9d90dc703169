// --api_keys_file: who may ask for what, one client on each line. Keys are not in it, only their SHA-256.
//
//   # name   scopes               key                                                                        at most so many requests a second
//   mobile   inference            sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08    rate=100 burst=200
//   ops      inference,metadata,metrics,admin  sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752
//
// Names are letters, digits, '_', '-' and '.'; several lines may have the same one, with different keys (so that a key can be changed in steps). '#'
// begins a comment. All functions are thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

enum class Scope : uint8_t { kInference = 1, kMetadata = 2, kMetrics = 4, kAdmin = 8 };
std::string_view ScopeName(Scope scope);  // "inference"

using Sha256Digest = std::array<uint8_t, 32>;
Sha256Digest Sha256(std::string_view bytes);

struct ApiKey {
  std::string name;
  uint8_t scopes = 0;  // Scope, or'ed
  Sha256Digest digest{};
  double rate_per_second = 0;  // 0: no limit
  double burst = 0;            // requests that may come at once; at least 1 with a rate

  bool has(Scope scope) const { return (scopes & static_cast<uint8_t>(scope)) != 0; }
};

inline constexpr size_t kMaxApiKeys = 1000;
inline constexpr size_t kMaxApiKeysFileBytes = size_t{1} << 20;
inline constexpr double kMaxRatePerSecond = 1e9;

// INVALID_ARGUMENT with the file's name and the line's number; it never shows what stands where a hash should. A file without a key is one that lets
// nobody in.
StatusOr<std::vector<ApiKey>> ParseApiKeys(std::string_view text, std::string_view file_name);
// The same of a file; also the errors of ReadFile.
StatusOr<std::vector<ApiKey>> ReadApiKeysFile(const std::string& path);

// The line of a new client, whose random key is `key`. INVALID_ARGUMENT for a name or scopes ("inference,metadata") that cannot be in the file.
StatusOr<std::string> NewApiKeyLine(std::string_view name, std::string_view scopes, std::string& key);

}  // namespace tflite_serving
