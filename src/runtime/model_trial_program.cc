// The server's side of a trial as a program of its own, for model_trial_test. Content that no model has makes it misbehave.
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include "runtime/model_trial.h"

namespace {

std::string FirstBytes(int fd) {
  char bytes[8] = {};
  return ::pread(fd, bytes, sizeof(bytes), 0) == sizeof(bytes) ? std::string(bytes, sizeof(bytes)) : "";
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view flag = argc == 2 ? argv[1] : "";
  if (!flag.starts_with(tflite_serving::kModelTrialFlag)) return 2;
  const int fd = std::atoi(argv[1] + tflite_serving::kModelTrialFlag.size());
  const std::string first = FirstBytes(fd);
  if (first == "sleep...") ::pause();
  if (first == "abort...") std::abort();
  if (first == "exit....") return 3;
  if (first == "runs....") {
    std::cout << "runs\n" << std::flush;
    std::abort();
  }
  return tflite_serving::RunModelTrial(fd);
}
