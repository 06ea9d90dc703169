// The server's side of a trial as a program of its own, for model_trial_test. Content that no model has makes it misbehave.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model_trial.h"

namespace {

std::string FirstBytes(int fd) {
  char bytes[8] = {};
  return ::pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) ? std::string(bytes, sizeof(bytes)) : "";
}

void Spin() {
  for (volatile bool again = true; again;) {
  }
}

// 512 MB, a little at a time; then waits to be found.
void TakeMemory() {
  std::vector<std::vector<char>> taken;
  for (int i = 0; i < 64; ++i) taken.emplace_back(size_t{8} << 20, 'x');
  ::pause();
}

// A sanitizer handles these signals, and exits instead.
void RaiseUnhandled(int number) {
  std::signal(number, SIG_DFL);
  ::raise(number);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flag = argc >= 2 ? argv[1] : "";
  if (!flag.starts_with(tflite_serving::kModelTrialFlag)) return 2;
  const int fd = std::atoi(argv[1] + tflite_serving::kModelTrialFlag.size());
  const std::string first = FirstBytes(fd);
  if (first == "sleep...") ::pause();
  if (first == "abort...") std::abort();
  if (first == "exit....") return 3;
  if (first == "segv....") RaiseUnhandled(SIGSEGV);
  if (first == "bus.....") RaiseUnhandled(SIGBUS);
  if (first == "kill....") ::raise(SIGKILL);
  if (first == "term....") ::raise(SIGTERM);
  if (first == "spin....") Spin();
  if (first == "memory..") TakeMemory();
  if (first == "closes..") {
    ::close(STDOUT_FILENO);
    ::pause();
  }
  if (first.starts_with("run.")) {
    std::cout << "runs 5 " << (first == "run.1gib" ? 1 << 30 : 4096) << " 7\nrows 1 0\n" << std::flush;
    if (first == "run.fast") std::cout << "one_run 1500\n" << std::flush;
    // The last two are nonsense on two cores.
    if (first == "run.slow") std::cout << "one_run 7000000\nmeasured 2 1 285.5 0.99\nmeasured 1 1 143 1\nmeasured 8 1 900 1\nmeasured 1 x\n";
    if (first == "run.abrt") std::abort();
    if (first == "run.kill") ::raise(SIGKILL);
    if (first == "run.spin") Spin();
    if (first == "run.mem.") TakeMemory();
    return 0;
  }
  return tflite_serving::RunModelTrial(std::span<const char* const>(argv, static_cast<size_t>(argc)).subspan(1));
}
