#include "runtime/model_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "base/unique_fd.h"
#include "runtime/batch_probe.h"
#include "runtime/interpreter.h"
#include "runtime/model.h"
#include "runtime/warm_up.h"

namespace tflite_serving {
namespace {

// The child's report: these lines as it gets there, or the last one instead.
constexpr std::string_view kRunsLine = "runs\n";
constexpr std::string_view kProbedLine = "probed\n";
constexpr std::string_view kErrorMark = "error ";  // then the code's number, a space, the message
constexpr size_t kMaxReportBytes = 1 << 16;

constexpr std::chrono::milliseconds kNoTime{0};

void Report(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // the parent is gone, and so will be this process
    text.remove_prefix(static_cast<size_t>(n));
  }
}

Status TryMapped(std::span<const std::byte> bytes) {
  // No path: messages begin with ": ", and the parent puts its path there.
  TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Open("", bytes));
  {
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(*model, {}));
    TFLS_RETURN_IF_ERROR(WarmUp(*model, *interpreter));
  }
  Report(kRunsLine);
  for (size_t i = 0; i < model->graph().signatures.size(); ++i) BatchOfOneIsFree(*model, i);
  Report(kProbedLine);
  return OkStatus();
}

Status TryDescriptor(int fd) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return ErrnoToStatus(errno, fmt::format("descriptor {}", fd));
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, fmt::format("mapping {} bytes of descriptor {}", size, fd));
  const Status status = TryMapped({static_cast<const std::byte*>(data), size});
  ::munmap(data, size);
  return status;
}

class SpawnSetup {
 public:
  SpawnSetup() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~SpawnSetup() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;

  // An errno value, 0 if all went well.
  int Prepare(int report_fd, int model_fd) {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    // The calling thread may block signals, which a child would inherit.
    if (const int error = ::posix_spawnattr_setsigmask(&attributes_, &none)) return error;
    if (const int error = ::posix_spawnattr_setsigdefault(&attributes_, &all)) return error;
    if (const int error = ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF)) return error;
    if (const int error = ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) return error;
    if (const int error = ::posix_spawn_file_actions_adddup2(&actions_, report_fd, STDOUT_FILENO)) return error;
    if (const int error = ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0)) return error;
    return ::posix_spawn_file_actions_adddup2(&actions_, model_fd, model_fd);  // onto itself: stays open across exec
  }

  StatusOr<pid_t> Spawn(const std::string& program, std::string flag) {
    std::string name = program;
    char* arguments[] = {name.data(), flag.data(), nullptr};
    pid_t pid = 0;
    const int error = ::posix_spawn(&pid, program.c_str(), &actions_, &attributes_, arguments, environ);
    if (error != 0) return ErrnoToStatus(error, fmt::format("starting {} to try a model", program));
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// All that comes through `fd` until its other end is closed; nothing if that takes longer than `time_limit`.
std::optional<std::string> ReadReport(int fd, std::chrono::milliseconds time_limit) {
  const auto deadline = std::chrono::steady_clock::now() + time_limit;
  std::string report;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::max(left, kNoTime).count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    char chunk[4096];
    const ssize_t n = ::read(fd, chunk, sizeof(chunk));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || report.size() > kMaxReportBytes) return report;
    report.append(chunk, static_cast<size_t>(n));
  }
}

int WaitFor(pid_t pid) {
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  return wait_status;
}

std::string HowItEnded(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return fmt::format("exit status {}", WEXITSTATUS(wait_status));
  const char* name = ::sigabbrev_np(WTERMSIG(wait_status));
  return name == nullptr ? fmt::format("signal {}", WTERMSIG(wait_status)) : fmt::format("SIG{}", name);
}

// The error in a report that begins with one.
Status ReadError(const std::string& path, std::string_view report) {
  report.remove_prefix(kErrorMark.size());
  int code = 0;
  const auto [end, error] = std::from_chars(report.data(), report.data() + report.size(), code);
  if (error != std::errc() || code <= 0 || code > static_cast<int>(StatusCode::kUnauthenticated)) code = static_cast<int>(StatusCode::kInternal);
  report.remove_prefix(std::min(report.size(), static_cast<size_t>(end - report.data()) + 1));
  return Status(static_cast<StatusCode>(code), fmt::format("{}{}{}", path, report.starts_with(':') ? "" : ": ", report));
}

}  // namespace

StatusOr<TrialReport> TryModel(const std::string& program, const std::string& path, const SealedFile& file, std::chrono::milliseconds time_limit) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "a pipe to the trial of a model");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  SpawnSetup setup;
  if (const int error = setup.Prepare(write_end.get(), file.fd()); error != 0) return ErrnoToStatus(error, "preparing the trial of a model");
  TFLS_ASSIGN_OR_RETURN(const pid_t pid, setup.Spawn(program, fmt::format("{}{}", kModelTrialFlag, file.fd())));
  write_end = UniqueFd();  // the child has the only one: its end is the pipe's

  const std::optional<std::string> report = ReadReport(read_end.get(), time_limit);
  if (!report) ::kill(pid, SIGKILL);
  const int wait_status = WaitFor(pid);
  if (report && report->starts_with(kErrorMark)) return ReadError(path, *report);
  if (report && report->starts_with(kRunsLine)) return TrialReport{.rows_may_be_probed = report->ends_with(kProbedLine)};
  if (!report) {
    return InvalidArgumentError(fmt::format("{}: the model was still loading or running after {} ms", path, time_limit.count()));
  }
  return InvalidArgumentError(fmt::format("{}: the model ended the process that tried it ({})", path, HowItEnded(wait_status)));
}

int RunModelTrial(int fd) {
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const Status status = TryDescriptor(fd);
  if (status.ok()) return 0;
  Report(fmt::format("{}{} {}", kErrorMark, static_cast<int>(status.code()), status.message()));
  return 1;
}

}  // namespace tflite_serving
