#include "server/model_commands.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "base/status.h"
#include "server/bench_command.h"
#include "server/inspect.h"
#include "server/model_loading.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

constexpr const char* kTrialProgram = "/proc/self/exe";
constexpr const char* kUsage =
    "usage: tflite_model_server inspect FILE                 what a .tflite file has and takes\n"
    "       tflite_model_server bench FILE [--seconds=0.3]   how fast this machine runs it; seconds for each measurement\n"
    "       tflite_model_server bench FILE --operators       what each of its operators takes\n"
    "       all with [--custom_op_library=LIB.so,…]         where it has operators of its own\n";
constexpr std::string_view kSecondsFlag = "--seconds=";
constexpr std::string_view kOperatorsFlag = "--operators";
constexpr std::string_view kLibraryFlag = "--custom_op_library=";
constexpr double kMaxSeconds = 3600;

int Refuse(const char* command, const Status& status) {
  std::fprintf(stderr, "%s: %s\n", command, status.ToString().c_str());
  return EXIT_FAILURE;
}

int Inspect(const std::string& path, const BenchOptions& options) {
  const StatusOr<std::string> text = InspectFile(path, options.trial_program, options.custom_op_libraries);
  if (!text.ok()) return Refuse("inspect", text.status());
  std::fputs(text->c_str(), stdout);
  return EXIT_SUCCESS;
}

int Bench(const std::string& path, const BenchOptions& options) {
  const Status status = BenchFile(path, options, [](std::string_view line) {
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
    std::fflush(stdout);  // a person waits for the next one
  });
  return status.ok() ? EXIT_SUCCESS : Refuse("bench", status);
}

std::optional<std::chrono::nanoseconds> ParseSeconds(std::string_view flag) {
  if (!flag.starts_with(kSecondsFlag)) return std::nullopt;
  flag.remove_prefix(kSecondsFlag.size());
  double seconds = 0;
  const auto [end, error] = std::from_chars(flag.data(), flag.data() + flag.size(), seconds);
  if (error != std::errc() || end != flag.data() + flag.size() || !(seconds > 0) || seconds > kMaxSeconds) return std::nullopt;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
}

}  // namespace

std::optional<int> RunModelCommand(std::span<const char* const> arguments) {
  const std::string_view command = arguments.empty() ? "" : arguments[0];
  if (command != "inspect" && command != "bench") return std::nullopt;
  if (arguments.size() == 2 && std::string_view(arguments[1]) == "--help") {
    std::fputs(kUsage, stdout);
    return EXIT_SUCCESS;
  }
  SetLogLevel(LogLevel::kWarning);
  BenchOptions options{.trial_program = kTrialProgram};
  std::string_view unknown;
  for (const std::string_view flag : arguments.subspan(std::min<size_t>(arguments.size(), 2))) {
    if (flag.starts_with(kLibraryFlag)) {
      options.custom_op_libraries = LibraryPaths(flag.substr(kLibraryFlag.size()));
    } else if (const auto time = ParseSeconds(flag); time && command == "bench") {
      options.time = *time;
    } else if (flag == kOperatorsFlag && command == "bench") {
      options.operators = true;
    } else {
      unknown = flag;
    }
  }
  if (arguments.size() >= 2 && unknown.empty()) return command == "inspect" ? Inspect(arguments[1], options) : Bench(arguments[1], options);
  if (!unknown.empty()) std::fputs(fmt::format("{} does not take {}\n", command, unknown).c_str(), stderr);
  std::fputs(kUsage, stderr);
  return EXIT_FAILURE;
}

}  // namespace tflite_serving
