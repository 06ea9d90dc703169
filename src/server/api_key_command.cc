#include "server/api_key_command.h"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/api_keys_file.h"

namespace tflite_serving {

std::optional<int> RunApiKeyCommand(std::span<const char* const> arguments) {
  if (arguments.empty() || std::string_view(arguments[0]) != "api_key") return std::nullopt;
  if (arguments.size() != 3) {
    std::fputs(
        "usage: tflite_model_server api_key NAME SCOPES >>api_keys     prints the client's key, and adds its hash to the file\n"
        "       SCOPES: inference, metadata, metrics, admin, with commas between\n",
        stderr);
    return EXIT_FAILURE;
  }
  std::string key;
  const StatusOr<std::string> line = NewApiKeyLine(arguments[1], arguments[2], key);
  if (!line.ok()) {
    std::fprintf(stderr, "api_key: %s\n", line.status().ToString().c_str());
    return EXIT_FAILURE;
  }
  std::printf("%s\n", line->c_str());
  std::fprintf(stderr, "The key of %s, which nothing shows again: %s\n", arguments[1], key.c_str());
  return EXIT_SUCCESS;
}

}  // namespace tflite_serving
