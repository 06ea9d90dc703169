// tflite_model_server: reads the flags, starts the server, and stops it when it is told to.

#include <signal.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "config/flags.h"
#include "custom/worker_process.h"
#include "runtime/model_trial.h"
#include "server/dry_run.h"
#include "server/model_commands.h"
#include "server/server.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// The original's words, which scripts look for.
int Refuse(const Status& status, const char* hint = "") {
  std::fprintf(stderr, "Failed to start server. Error: %s\n%s", status.ToString().c_str(), hint);
  return EXIT_FAILURE;
}

// Signals that stop the server. Blocked before any thread exists, so that only WaitForSignal sees them.
sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

int Serve(const ServerOptions& options) {
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a client that went away is an error of one write

  Status strict_failure;  // written on a thread of the server, which Shutdown joins
  StatusOr<std::unique_ptr<Server>> server = Server::Start(options, [&](const Status& failures) {
    if (!options.strict_start || failures.ok()) return;
    strict_failure = failures;
    ::kill(::getpid(), SIGTERM);
  });
  if (!server.ok()) return Refuse(server.status());
  const int signal = WaitForSignal(signals);
  TFLS_INFO("{}: finishing requests in flight", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  (*server)->Shutdown();
  if (!strict_failure.ok()) return Refuse(strict_failure);
  TFLS_INFO("Stopped");
  return EXIT_SUCCESS;
}

int Main(std::span<const char* const> arguments) {
  const std::string_view first = arguments.empty() ? "" : arguments[0];
  if (first.starts_with(kModelTrialFlag)) return RunModelTrial(arguments);
  if (first == kPythonWorkerFlag) return LaunchWorker(arguments.subspan(1));
  if (const std::optional<int> status = RunModelCommand(arguments)) return *status;
  const StatusOr<ParsedFlags> flags = ParseFlags(arguments);
  if (!flags.ok()) return Refuse(flags.status(), "Try --help for the list of flags.\n");
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
  for (const std::string& notice : flags->notices) TFLS_WARNING("{}", notice);
  if (flags->options.dry_run) {
    const StatusOr<int> status = DryRun(flags->options);
    return status.ok() ? *status : Refuse(status.status());
  }
  return Serve(flags->options);
}

}  // namespace
}  // namespace tflite_serving

int main(int argc, char** argv) {
  return tflite_serving::Main(std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0));
}
