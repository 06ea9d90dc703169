#include "base/child_process.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstdlib>

#include <fmt/format.h>

#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxStatusBytes = 1 << 16;

}  // namespace

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
