#include "server/serve.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "server/server.h"
#include "telemetry/log.h"

namespace tflite_serving {
namespace {

// The signals that the server acts on. Blocked before any thread exists, so that only WaitForSignal sees them.
sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  return signals;
}

// Supervisors that signal the process and then its group, as timeout(1) does, send the same signal twice within microseconds.
constexpr std::chrono::milliseconds kRepeat{500};

// The one that the server is ending for, and when it came.
int first_signal = 0;
TimePoint first_came{};

bool IsRepeat(int signal) { return signal == first_signal && Clock::Steady().Now() < first_came + kRepeat; }

// Also in a signal handler.
[[noreturn]] void EndAtOnce(int signal) {
  constexpr std::string_view kWords = "A second signal: ending at once\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kWords.data(), kWords.size());
  ::_exit(128 + signal);
}

// From here on SIGTERM and SIGINT end the process, as they would by default if it were not the first of a container.
void EndAtNextSignal(const sigset_t& signals) {
  std::signal(SIGHUP, SIG_IGN);
  for (const int signal : {SIGTERM, SIGINT}) {
    std::signal(signal, [](int number) {
      if (!IsRepeat(number)) EndAtOnce(number);
    });
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  while (sigwait(&signals, &signal) != 0) {
  }
  return signal;
}

// The first of SIGTERM and SIGINT within so many seconds; negative without one.
int NextSignal(const sigset_t& signals, int32_t seconds) {
  const timespec time{.tv_sec = seconds, .tv_nsec = 0};
  int signal = 0;
  do {
    signal = sigtimedwait(&signals, nullptr, &time);
  } while (signal == SIGHUP || (signal < 0 && errno == EINTR) || (signal > 0 && IsRepeat(signal)));
  return signal;
}

}  // namespace

int Serve(const ServerOptions& options) {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a client that went away is an error of one write

  Status strict_failure;  // written on a thread of the server, which Shutdown joins
  StatusOr<std::unique_ptr<Server>> server = Server::Start(options, [&](const Status& failures) {
    if (!options.strict_start || failures.ok()) return;
    strict_failure = failures;
    ::kill(::getpid(), SIGTERM);
  });
  if (!server.ok()) return RefuseToStart(server.status());
  int signal = 0;
  while ((signal = WaitForSignal(signals)) == SIGHUP) {
    TFLS_INFO("SIGHUP: reading files again");
    (*server)->Reload();
  }
  first_signal = signal;
  first_came = Clock::Steady().Now();
  const std::string_view name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
  if (options.shutdown_grace_seconds > 0 && strict_failure.ok()) {
    TFLS_INFO("{}: not ready any more, and serving on for {} s", name, options.shutdown_grace_seconds);
    (*server)->BeginDrain();
    if (const int second = NextSignal(signals, options.shutdown_grace_seconds); second > 0) EndAtOnce(second);
  }
  EndAtNextSignal(signals);
  if (strict_failure.ok()) TFLS_INFO("{}: finishing requests in flight", name);  // otherwise the signal is the server's own
  (*server)->Shutdown();
  if (!strict_failure.ok()) return RefuseToStart(strict_failure);
  TFLS_INFO("Stopped");
  return EXIT_SUCCESS;
}

int RefuseToStart(const Status& status, const char* hint) {
  std::fprintf(stderr, "Failed to start server. Error: %s\n%s", status.ToString().c_str(), hint);
  return EXIT_FAILURE;
}

}  // namespace tflite_serving
