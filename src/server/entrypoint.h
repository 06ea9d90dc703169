// The image's entrypoint: what the program does when it is called tf_serving_entrypoint or tf_serving_entrypoint.sh, by TensorFlow Serving's
// conventions.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

// The user and the group that a server of root's becomes.
inline constexpr unsigned kServingUser = 10001;

struct EntrypointArguments {
  std::vector<std::string> arguments;  // for main, without the program's name
  std::string notice;                  // for the log; empty: none
};

// Whether `program`, argv[0], is one of those names, whatever its folder.
bool IsEntrypoint(std::string_view program);
// Whether it is one of the server's own.
bool IsServer(std::string_view program);

// The arguments that `given` (without the program's name) stand for: ports 8500 and 8501, and the model MODEL_NAME (default "model") in
// MODEL_BASE_PATH (default "/models"), with `given` after them, so that they win. Without a model, given in any of these ways, the bundled one. A
// first argument that names this program is dropped, as images derived from TensorFlow Serving's have it in their CMD; one that is no flag is a
// command
// ("inspect"), to which nothing is added. `variable` gives an environment variable or null, `exists` says whether there is a path.
EntrypointArguments ReadEntrypoint(std::span<const char* const> given, const std::function<const char*(const char*)>& variable,
                                   const std::function<bool(const std::string&)>& exists);

// For root: this process becomes kServingUser, and nothing that it starts can become another. For others: nothing. Before any thread is started.
Status DropRoot();

}  // namespace tflite_serving
