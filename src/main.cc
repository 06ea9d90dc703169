// tflite_model_server: reads the flags, and does what they say.

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "config/flags.h"
#include "custom/worker_process.h"
#include "runtime/model_trial.h"
#include "server/api_key_command.h"
#include "server/dry_run.h"
#include "server/model_commands.h"
#include "server/serve.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

int Main(std::span<const char* const> arguments) {
  const std::string_view first = arguments.empty() ? "" : arguments[0];
  if (first.starts_with(kModelTrialFlag)) return RunModelTrial(arguments);
  if (first == kPythonWorkerFlag) return LaunchWorker(arguments.subspan(1));
  if (const std::optional<int> status = RunModelCommand(arguments)) return *status;
  if (const std::optional<int> status = RunApiKeyCommand(arguments)) return *status;
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
  for (const std::string& notice : flags->notices) TFLS_WARNING("{}", notice);
  if (flags->options.dry_run) {
    const StatusOr<int> status = DryRun(flags->options);
    return status.ok() ? *status : RefuseToStart(status.status());
  }
  return Serve(flags->options);
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  return tflite_serving::Main(std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
}
