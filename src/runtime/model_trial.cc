#include "runtime/model_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <memory>
#include <random>
#include <sstream>

#include <fmt/format.h>

#include "base/child_process.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "base/unique_fd.h"
#include "base/usable_memory.h"
#include "runtime/interpreter.h"
#include "runtime/model.h"
#include "runtime/parallelism_probe.h"
#include "runtime/sample_inputs.h"
#include "runtime/warm_up.h"

namespace tflite_serving {
namespace {

// The child's report, line by line as it gets there:
//   runs LOAD_MICROSECONDS PEAK_BYTES INTERPRETER_BYTES
//   rows ALIKE IDENTICAL                                  one for each signature
//   one_run NANOSECONDS                                   this and the next as in ParallelismTrial
//   measured INTERPRETERS THREADS RUNS_PER_SECOND CORE_SHARE
// Or, in place of all, the error mark, the code's number, a space and the message.
constexpr std::string_view kRunsMark = "runs ";
constexpr std::string_view kRowsMark = "rows";
constexpr std::string_view kOneRunMark = "one_run";
constexpr std::string_view kMeasuredMark = "measured";
constexpr std::string_view kErrorMark = "error ";
constexpr size_t kMaxReportBytes = 1 << 20;

// How often the parent looks at what the child has taken: in this time no process takes much.
constexpr std::chrono::milliseconds kWatchInterval{10};
constexpr std::chrono::milliseconds kNoTime{0};

constexpr size_t kMiB = 1 << 20;
constexpr unsigned kSeed = 5;

void Report(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // the parent is gone, and so will be this process
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Children of one server measure one after the other: standard input is a file of theirs, to be locked until this process ends. One that cannot lock
// it may be disturbed, which it notices.
void WaitForTurn() {
  struct flock whole{};
  whole.l_type = F_WRLCK;
  while (::fcntl(STDIN_FILENO, F_SETLKW, &whole) != 0 && errno == EINTR) {
  }
}

// A sound model may refuse made-up numbers; what it must not do is end the process.
void RunOnRandomInputs(const Model& model, Interpreter& interpreter) {
  std::mt19937 random(kSeed);
  for (size_t number = 0; number < model.graph().signatures.size(); ++number) {
    const GraphSignature& graph = model.graph().signatures[number];
    for (const int64_t open_dim : kOpenDims) {
      const StatusOr<std::vector<Tensor>> inputs = RandomInputs(graph, model.graph().words, open_dim, open_dim, random);
      if (inputs.ok() && interpreter.Run(number, ViewsOf(*inputs), kNoDeadline).ok()) break;
    }
  }
}

Status TryMapped(std::span<const std::byte> bytes, int cpus, std::span<const std::string> libraries) {
  // No path: messages begin with ": ", and the parent puts its path there.
  const auto start = std::chrono::steady_clock::now();
  TFLS_ASSIGN_OR_RETURN(const OperatorLibraries opened, OperatorLibraries::Open(libraries));
  TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Open("", bytes, opened));
  {
    const size_t before = ProcessMemory("self", "RssAnon");
    TFLS_ASSIGN_OR_RETURN(const std::unique_ptr<Interpreter> interpreter, Interpreter::Create(*model, {}));
    TFLS_RETURN_IF_ERROR(WarmUp(*model, *interpreter));
    const auto load_time = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start);
    const size_t after = ProcessMemory("self", "RssAnon");
    RunOnRandomInputs(*model, *interpreter);
    Report(fmt::format("{}{} {} {}\n", kRunsMark, load_time.count(), ProcessMemory("self", "VmHWM"), after - std::min(after, before)));
  }
  for (size_t i = 0; i < model->graph().signatures.size(); ++i) {
    const RowsTrial rows = TryRows(*model, i);
    Report(fmt::format("{} {:d} {:d}\n", kRowsMark, rows.alike, rows.identical));
  }
  const ParallelismTrial parallelism = TryParallelism(*model, cpus, WaitForTurn);
  std::string text = fmt::format("{} {}\n", kOneRunMark, parallelism.one_run.count());
  for (const ParallelismTrial::Measured& one : parallelism.measured) {
    text +=
        fmt::format("{} {} {} {} {}\n", kMeasuredMark, one.parallelism.interpreters, one.parallelism.threads, one.runs_per_second, one.core_share);
  }
  Report(text);
  return OkStatus();
}

Status TryDescriptor(int fd, int cpus, std::span<const std::string> libraries) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return ErrnoToStatus(errno, fmt::format("descriptor {}", fd));
  const auto size = static_cast<size_t>(info.st_size);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, fmt::format("mapping {} bytes of descriptor {}", size, fd));
  const Status status = TryMapped({static_cast<const std::byte*>(data), size}, cpus, libraries);
  ::munmap(data, size);
  return status;
}

// What WaitForTurn locks: shared by all trials of this process.
StatusOr<int> TurnFile() {
  static Mutex mutex;
  static UniqueFd file;
  const MutexLock lock(mutex);
  if (!file.valid()) file = UniqueFd(::memfd_create("turn", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoToStatus(errno, "a file for trials of models to take turns");
  return file.get();
}

// How it went with a child.
struct Watched {
  enum End { kItself, kCpuTime, kTime, kMemory, kStopped } end = kItself;  // why: it ended itself, or was ended because it took too much
  std::string report;
  size_t peak_memory_bytes = 0;  // kMemory: when it was ended
};

std::chrono::nanoseconds CpuTime(pid_t pid) {
  clockid_t clock{};
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return kNoTime;
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Waits until the child has closed its end of the pipe `fd`, or has taken too much.
Watched Watch(pid_t pid, int fd, const TrialLimits& limits, const Cancellation* stop) {
  const auto deadline = std::chrono::steady_clock::now() + limits.time;
  const std::string process = std::to_string(pid);
  const std::chrono::nanoseconds measuring = limits.cpus == 1 ? kNoTime : kLongestMeasuring * limits.cpus;
  Watched child;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp(left, kNoTime, kWatchInterval).count()));
    if (ready > 0) {
      char chunk[4096];
      const ssize_t n = ::read(fd, chunk, sizeof(chunk));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || child.report.size() > kMaxReportBytes) return child;
      child.report.append(chunk, static_cast<size_t>(n));
    }
    child.peak_memory_bytes = std::max(child.peak_memory_bytes, ProcessMemory(process, "VmHWM"));
    const auto cpu_limit = limits.cpu_time + (child.report.starts_with(kRunsMark) ? measuring : kNoTime);
    child.end = stop != nullptr && stop->cancelled()            ? Watched::kStopped
                : child.peak_memory_bytes > limits.memory_bytes ? Watched::kMemory
                : CpuTime(pid) > cpu_limit                      ? Watched::kCpuTime
                : std::chrono::steady_clock::now() >= deadline  ? Watched::kTime
                                                                : Watched::kItself;
    if (child.end != Watched::kItself) return child;
  }
}

// Signals by which a process ends itself. All others come from outside.
bool IsOwnDoing(int signal) {
  constexpr int kOwn[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
  return std::ranges::find(kOwn, signal) != std::end(kOwn);
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

// A report that begins with kRunsMark.
TrialReport ReadReport(const std::string& text, int cpus) {
  TrialReport report;
  report.parallelism.cpus = cpus;
  std::istringstream words(text.substr(kRunsMark.size()));
  int64_t load_time = 0;
  words >> load_time >> report.peak_memory_bytes >> report.interpreter_bytes;
  report.load_time = std::chrono::microseconds(load_time);
  const std::vector<Parallelism> candidates = ParallelismCandidates(cpus);
  for (std::string mark; words >> mark;) {
    if (mark == kRowsMark) {
      RowsTrial rows;
      if (words >> rows.alike >> rows.identical) report.rows.push_back(rows);
    } else if (mark == kOneRunMark) {
      int64_t nanoseconds = 0;
      if (words >> nanoseconds) report.parallelism.one_run = std::chrono::nanoseconds(nanoseconds);
    } else if (mark == kMeasuredMark) {
      ParallelismTrial::Measured one;
      words >> one.parallelism.interpreters >> one.parallelism.threads >> one.runs_per_second >> one.core_share;
      if (words && std::ranges::find(candidates, one.parallelism) != candidates.end()) report.parallelism.measured.push_back(one);
    }
  }
  return report;
}

StatusOr<TrialReport> Judge(const std::string& path, const Watched& child, int wait_status, const TrialLimits& limits) {
  if (child.end == Watched::kStopped) return CancelledError(fmt::format("{}: the trial of the model was given up", path));
  if (child.report.starts_with(kErrorMark)) return ReadError(path, child.report);
  if (child.end == Watched::kItself && WIFSIGNALED(wait_status) && !IsOwnDoing(WTERMSIG(wait_status))) {
    return UnavailableError(fmt::format("{}: the trial of the model was killed ({})", path, DescribeEnd(wait_status)));
  }
  const bool runs = child.report.starts_with(kRunsMark);
  const TrialReport report = runs ? ReadReport(child.report, limits.cpus) : TrialReport{.peak_memory_bytes = child.peak_memory_bytes};
  if (report.peak_memory_bytes > limits.memory_bytes) {
    return ResourceExhaustedError(fmt::format("{}: loading and running the model takes {} MiB of memory, where {} MiB are allowed", path,
                                              (report.peak_memory_bytes + kMiB - 1) / kMiB, limits.memory_bytes / kMiB));
  }
  // It runs. What came of trying rows together is in the report as far as it got.
  if (runs) return report;
  if (child.end == Watched::kCpuTime) {
    return InvalidArgumentError(
        fmt::format("{}: the model was still loading or running after {} ms of processor time (--trial_cpu_seconds)", path, limits.cpu_time.count()));
  }
  if (child.end == Watched::kTime) {
    return UnavailableError(fmt::format("{}: the model was still loading or running after {} ms", path, limits.time.count()));
  }
  return InvalidArgumentError(fmt::format("{}: the model ended the process that tried it ({})", path, DescribeEnd(wait_status)));
}

// Makes this process one that the machine can do without.
void MakeDispensable() {
  const rlimit no_core{.rlim_cur = 0, .rlim_max = 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  StepBack(kTrialNiceness);
  constexpr std::string_view kFirst = "1000";
  const UniqueFd choice(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  // Without it the kernel judges this process as any other; nothing else depends on it.
  if (choice.valid()) (void)!::write(choice.get(), kFirst.data(), kFirst.size());
}

}  // namespace

StatusOr<TrialReport> TryModel(const std::string& program, const std::string& path, const SealedFile& file, const TrialLimits& given,
                               const Cancellation* stop, std::span<const std::string> libraries) {
  TrialLimits limits = given;
  if (limits.memory_bytes == 0) limits.memory_bytes = static_cast<size_t>(kTrialMemoryShare * static_cast<double>(UsableMemoryBytes()));
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "a pipe to the trial of a model");
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  TFLS_ASSIGN_OR_RETURN(const int turn_fd, TurnFile());
  const int model_fd = file.fd();
  std::vector<std::string> words = {fmt::format("{}{},{}", kModelTrialFlag, model_fd, limits.cpus)};
  words.insert(words.end(), libraries.begin(), libraries.end());
  TFLS_ASSIGN_OR_RETURN(const pid_t pid, StartChild(program, std::move(words), {.in = turn_fd, .out = write_end.get(), .kept = {&model_fd, 1}}));
  write_end = UniqueFd();  // the child has the only one: its end is the pipe's

  const Watched child = Watch(pid, read_end.get(), limits, stop);
  // Even one that ended itself: a corrupt model may have closed the pipe only. One that is on its way out keeps the status that it has.
  ::kill(pid, SIGKILL);
  return Judge(path, child, WaitForChild(pid), limits);
}

int RunModelTrial(std::span<const char* const> arguments) {
  MakeDispensable();
  int fd = -1;
  int cpus = 1;
  char comma = 0;
  std::istringstream words{std::string(arguments[0] + kModelTrialFlag.size())};
  words >> fd >> comma >> cpus;
  const std::span<const char* const> rest = arguments.subspan(1);
  const std::vector<std::string> libraries(rest.begin(), rest.end());
  const Status status = TryDescriptor(fd, cpus, libraries);
  if (status.ok()) return 0;
  Report(fmt::format("{}{} {}", kErrorMark, static_cast<int>(status.code()), status.message()));
  return 1;
}

}  // namespace tflite_serving
