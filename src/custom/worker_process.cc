#include "custom/worker_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "base/child_process.h"
#include "custom/worker_protocol.h"

namespace tflite_serving {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;
constexpr size_t kMaxLineBytes = size_t{8} << 10;
constexpr int kMaxChunks = 17;  // one more than what a pipe holds
// For a worker that has closed its socket, or was told to unload, to be gone.
constexpr std::chrono::milliseconds kPatience{2000};
// The server's is 0, and a trial's (runtime/model_trial.h) 1000.
constexpr std::string_view kOomScore = "500";
constexpr int kCannotStart = 127;  // as a shell has it

}  // namespace

WorkerProcess::WorkerProcess(pid_t pid, UniqueFd socket, UniqueFd output, SharedArena input_arena, SharedArena output_arena)
    : pid_(pid),
      socket_(std::move(socket)),
      output_(std::move(output)),
      input_arena_(std::move(input_arena)),
      output_arena_(std::move(output_arena)) {}

StatusOr<std::unique_ptr<WorkerProcess>> WorkerProcess::Start(const WorkerCommand& command) {
  TFLS_ASSIGN_OR_RETURN(SharedArena input, SharedArena::Create("worker-input"));
  TFLS_ASSIGN_OR_RETURN(SharedArena output, SharedArena::Create("worker-output"));
  int sockets[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return ErrnoToStatus(errno, "a socket to a worker");
  UniqueFd socket(sockets[0]);
  const UniqueFd its_socket(sockets[1]);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoToStatus(errno, "a pipe from a worker");
  UniqueFd read_end(ends[0]);
  const UniqueFd write_end(ends[1]);
  ::fcntl(write_end.get(), F_SETFL, 0);  // the worker's prints may wait
  const std::array fds = {its_socket.get(), input.fd(), output.fd()};
  std::vector<std::string> words = {std::string(kPythonWorkerFlag), command.python, command.script};
  for (const int fd : fds) words.push_back(std::to_string(fd));
  TFLS_ASSIGN_OR_RETURN(const pid_t pid, StartChild(command.program, std::move(words),
                                                    {.out = write_end.get(), .error = write_end.get(), .kept = fds, .is_group_leader = true}));
  return std::unique_ptr<WorkerProcess>(new WorkerProcess(pid, std::move(socket), std::move(read_end), std::move(input), std::move(output)));
}

WorkerProcess::~WorkerProcess() { End(false); }

size_t WorkerProcess::memory_bytes() const { return pid_ == 0 ? 0 : ProcessMemory(std::to_string(pid_), "VmRSS"); }

Status WorkerProcess::Send(std::string_view frame) {
  while (!frame.empty()) {
    const ssize_t n = ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return UnavailableError(fmt::format("the worker does not listen ({})", strerrorname_np(errno)));
    frame.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

StatusOr<std::optional<std::span<const std::byte>>> WorkerProcess::Receive() {
  received_.erase(received_.begin(), received_.begin() + static_cast<ptrdiff_t>(std::exchange(consumed_, 0)));
  for (;;) {
    uint32_t size = 0;
    if (received_.size() >= kFrameHeaderBytes) {
      ::memcpy(&size, received_.data(), kFrameHeaderBytes);
      if (size > kMaxFrameBytes)
        return InternalError(fmt::format("the worker sent a message of {} bytes, where {} are allowed", size, kMaxFrameBytes));
      if (received_.size() - kFrameHeaderBytes >= size) {
        consumed_ = kFrameHeaderBytes + size;
        return std::optional(std::span<const std::byte>(received_).subspan(kFrameHeaderBytes, size));
      }
    }
    const size_t before = received_.size();
    received_.resize(before + kReadBytes);
    const ssize_t n = ::recv(socket_.get(), received_.data() + before, kReadBytes, MSG_DONTWAIT);
    received_.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return std::optional<std::span<const std::byte>>();
    if (n <= 0) return UnavailableError("the worker has closed its socket");
  }
}

std::vector<std::string> WorkerProcess::ReadOutput() {
  std::vector<std::string> lines;
  char chunk[4096];
  for (int i = 0; i < kMaxChunks && output_.valid(); ++i) {
    const ssize_t n = ::read(output_.get(), chunk, sizeof(chunk));
    if (n < 0) break;
    if (n == 0) output_ = UniqueFd();  // closed by all that had it: there is nothing to wait for any more
    for (const char c : std::string_view(chunk, static_cast<size_t>(n))) {
      if (c != '\n') line_ += c;
      if (c == '\n' || line_.size() >= kMaxLineBytes) lines.push_back(std::exchange(line_, {}));
    }
  }
  return lines;
}

std::string WorkerProcess::TakeLastLine() { return std::exchange(line_, {}); }

std::string WorkerProcess::End(bool by_itself) {
  if (pid_ == 0) return how_;
  if (by_itself) {
    // Waits for its end and leaves it to be waited for.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    pollfd entry{.fd = process.get(), .events = POLLIN, .revents = 0};
    if (process.valid()) ::poll(&entry, 1, static_cast<int>(kPatience.count()));
  }
  // The group too: what it started ends with it. One that has ended keeps the status that it has.
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  how_ = DescribeEnd(WaitForChild(std::exchange(pid_, 0)));
  return how_;
}

int LaunchWorker(std::span<const char* const> arguments) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const UniqueFd score(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  // Without it the kernel judges this process as any other; nothing else depends on it.
  if (score.valid()) (void)!::write(score.get(), kOomScore.data(), kOomScore.size());
  std::vector<char*> words;
  for (const char* argument : arguments) words.push_back(const_cast<char*>(argument));  // NOLINT(cppcoreguidelines-pro-type-const-cast): execvp's
  words.push_back(nullptr);
  if (words.size() > 1) ::execvp(words[0], words.data());
  std::fprintf(stderr, "cannot run %s: %s\n", words.size() > 1 ? words[0] : "nothing", strerrordesc_np(errno));
  return kCannotStart;
}

}  // namespace tflite_serving
