#include "server/entrypoint.h"

#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

constexpr std::array<std::string_view, 2> kEntrypointNames = {"tf_serving_entrypoint", "tf_serving_entrypoint.sh"};
constexpr std::array<std::string_view, 2> kServerNames = {"tensorflow_model_server", "tflite_model_server"};
constexpr std::array<std::string_view, 3> kModelFlags = {"--model_name=", "--model_base_path=", "--model_config_file="};
constexpr std::string_view kBundledModel = "/usr/share/tflite-serving/models/digits";

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }  // npos + 1 is 0

bool IsOneOf(std::string_view name, std::span<const std::string_view> names) { return std::ranges::find(names, name) != names.end(); }

}  // namespace

bool IsEntrypoint(std::string_view program) { return IsOneOf(FileName(program), kEntrypointNames); }

bool IsServer(std::string_view program) { return IsOneOf(FileName(program), kServerNames); }

EntrypointArguments ReadEntrypoint(std::span<const char* const> given, const std::function<const char*(const char*)>& variable,
                                   const std::function<bool(const std::string&)>& exists) {
  if (!given.empty() && (IsEntrypoint(given[0]) || IsServer(given[0]))) given = given.subspan(1);
  if (!given.empty() && given[0][0] != '-' && given[0][0] != '\0') return {.arguments = {given.begin(), given.end()}, .notice = ""};

  const auto variable_or = [&variable](const char* name, std::string_view otherwise) {
    const char* const value = variable(name);
    return std::string(value == nullptr || *value == '\0' ? otherwise : value);
  };
  std::string name = variable_or("MODEL_NAME", "model");
  std::string path = fmt::format("{}/{}", variable_or("MODEL_BASE_PATH", "/models"), name);
  std::string notice;
  const bool names_model = std::ranges::any_of(given, [](std::string_view argument) {
    return std::ranges::any_of(kModelFlags, [argument](std::string_view flag) { return argument.starts_with(flag); });
  });
  if (!names_model && variable_or("MODEL_NAME", "").empty() && !exists(path)) {
    notice = fmt::format("MODEL_NAME is not set and {} does not exist: serving the bundled model digits", path);
    name = FileName(kBundledModel);
    path = kBundledModel;
  }
  EntrypointArguments read{.arguments = {"--port=8500", "--rest_api_port=8501", "--model_name=" + name, "--model_base_path=" + path},
                           .notice = std::move(notice)};
  read.arguments.insert(read.arguments.end(), given.begin(), given.end());
  return read;
}

Status DropRoot() {
  if (::geteuid() != 0) return OkStatus();
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kServingUser, kServingUser, kServingUser) != 0 ||
      ::setresuid(kServingUser, kServingUser, kServingUser) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return ErrnoToStatus(errno, fmt::format("cannot become user {0}; run the container with --user {0}", kServingUser));
  }
  return OkStatus();
}

}  // namespace tflite_serving
