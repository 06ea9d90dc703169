// tflite_model_server: reads the flags, and does what they say.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "config/flags.h"
#include "custom/worker_process.h"
#include "runtime/model_trial.h"
#include "server/api_key_command.h"
#include "server/dry_run.h"
#include "server/entrypoint.h"
#include "server/model_commands.h"
#include "server/probe_command.h"
#include "server/serve.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

int Main(std::span<const char* const> arguments, const std::string& notice) {
  const std::string_view first = arguments.empty() ? "" : arguments[0];
  if (first.starts_with(kModelTrialFlag)) return RunModelTrial(arguments);
  if (first == kPythonWorkerFlag) return LaunchWorker(arguments.subspan(1));
  if (const std::optional<int> status = RunModelCommand(arguments)) return *status;
  if (const std::optional<int> status = RunApiKeyCommand(arguments)) return *status;
  if (const std::optional<int> status = RunProbeCommand(arguments)) return *status;
  const StatusOr<ParsedFlags> flags = ParseFlags(arguments);
  if (!flags.ok()) return RefuseToStart(flags.status(), "Try --help for the list of flags.\n");
  switch (flags->action) {
    case ParsedFlags::Action::kShowHelp:
      std::fputs(HelpText().c_str(), stdout);
      return EXIT_SUCCESS;
    case ParsedFlags::Action::kShowVersion:
      std::fputs(VersionText(TFLITE_SERVING_VERSION).c_str(), stdout);
      return EXIT_SUCCESS;
    case ParsedFlags::Action::kServe:
      break;
  }
  SetLogLevel(flags->options.log_level);
  SetLogFormat(flags->options.log_format == "json" ? LogFormat::kJson : LogFormat::kText);
  if (!notice.empty()) TFLS_WARNING("{}", notice);
  for (const std::string& one : flags->notices) TFLS_WARNING("{}", one);
  if (flags->options.dry_run) {
    const StatusOr<int> status = DryRun(flags->options);
    return status.ok() ? *status : RefuseToStart(status.status());
  }
  return Serve(flags->options);
}

// As the image's entrypoint.
int MainOfImage(std::span<const char* const> given) {
  if (const Status status = DropRoot(); !status.ok()) return RefuseToStart(status);
  const EntrypointArguments read = ReadEntrypoint(
      given, [](const char* name) -> const char* { return std::getenv(name); },  // NOLINT(concurrency-mt-unsafe): nobody sets any
      [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; });
  std::vector<const char*> arguments(read.arguments.size());
  std::ranges::transform(read.arguments, arguments.begin(), [](const std::string& argument) { return argument.c_str(); });
  return Main(arguments, read.notice);
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  const std::span<const char* const> words(argv, static_cast<size_t>(argc));
  const std::span<const char* const> arguments = words.subspan(words.empty() ? 0 : 1);
  const bool is_entrypoint = !words.empty() && tflite_serving::IsEntrypoint(words[0]);
  return is_entrypoint ? tflite_serving::MainOfImage(arguments) : tflite_serving::Main(arguments, "");
}
