// The file of API keys: whatever the bytes are, reading them ends with keys that can be used, or with a reason that names the line and shows nothing
// of where a hash should stand.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "api/api_keys_file.h"

namespace {

using tflite_serving::ApiKey;
using tflite_serving::StatusCode;
using tflite_serving::StatusOr;

void Require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const StatusOr<std::vector<ApiKey>> keys = tflite_serving::ParseApiKeys(std::string_view(reinterpret_cast<const char*>(data), size), "FILE");
  if (!keys.ok()) {
    Require(keys.status().code() == StatusCode::kInvalidArgument);
    Require(keys.status().message().starts_with("FILE:"));
    return 0;
  }
  Require(keys->size() <= tflite_serving::kMaxApiKeys);
  for (const ApiKey& key : *keys) {
    Require(!key.name.empty() && key.scopes != 0);
    Require(key.rate_per_second >= 0 && (key.rate_per_second == 0 ? key.burst == 0 : key.burst >= 1));
  }
  return 0;
}
