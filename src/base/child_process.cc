#include "base/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxStatusBytes = 1 << 16;

// posix_spawn's arguments.
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
  int Prepare(const ChildFiles& files) {
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    // The calling thread may block signals, which a child would inherit.
    if (const int error = ::posix_spawnattr_setsigmask(&attributes_, &none)) return error;
    if (const int error = ::posix_spawnattr_setsigdefault(&attributes_, &all)) return error;
    if (const int error = ::posix_spawnattr_setpgroup(&attributes_, 0)) return error;
    const int group = files.is_group_leader ? POSIX_SPAWN_SETPGROUP : 0;
    const auto flags = static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | group);
    if (const int error = ::posix_spawnattr_setflags(&attributes_, flags)) return error;
    if (const int error = Redirect(files.in, STDIN_FILENO, O_RDONLY)) return error;
    if (const int error = Redirect(files.out, STDOUT_FILENO, O_WRONLY)) return error;
    if (const int error = Redirect(files.error, STDERR_FILENO, O_WRONLY)) return error;
    for (const int fd : files.kept) {  // onto itself: stays open across exec
      if (const int error = ::posix_spawn_file_actions_adddup2(&actions_, fd, fd)) return error;
    }
    return 0;
  }
  int Spawn(pid_t& pid, char* const* words) { return ::posix_spawn(&pid, words[0], &actions_, &attributes_, words, environ); }

 private:
  int Redirect(int from, int to, int mode) {
    if (from < 0) return ::posix_spawn_file_actions_addopen(&actions_, to, "/dev/null", mode, 0);
    return ::posix_spawn_file_actions_adddup2(&actions_, from, to);
  }

  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

StatusOr<pid_t> StartChild(const std::string& program, std::vector<std::string> arguments, const ChildFiles& files) {
  arguments.insert(arguments.begin(), program);
  std::vector<char*> words;
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  SpawnSetup setup;
  pid_t pid = 0;
  int error = setup.Prepare(files);
  if (error == 0) error = setup.Spawn(pid, words.data());
  if (error != 0) return ErrnoToStatus(error, fmt::format("starting {}", program));
  return pid;
}

size_t ProcessMemory(std::string_view process, std::string_view field) {
  const StatusOr<std::string> status = ReadFile(fmt::format("/proc/{}/status", process), kMaxStatusBytes);
  const size_t line = status.ok() ? status->find(fmt::format("\n{}:", field)) : std::string::npos;
  return line == std::string::npos ? 0 : std::strtoull(status->c_str() + line + field.size() + 2, nullptr, 10) << 10;
}

int WaitForChild(pid_t pid) {
  int wait_status = 0;
  while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) {
  }
  return wait_status;
}

std::string DescribeEnd(int wait_status) {
  if (!WIFSIGNALED(wait_status)) return fmt::format("exit status {}", WEXITSTATUS(wait_status));
  const char* name = ::sigabbrev_np(WTERMSIG(wait_status));
  return name == nullptr ? fmt::format("signal {}", WTERMSIG(wait_status)) : fmt::format("SIG{}", name);
}

}  // namespace tflite_serving
