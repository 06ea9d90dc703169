#include "runtime/stderr_capture.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>

namespace tflite_serving {

StderrCapture::StderrCapture() {
  UniqueFd memory(::memfd_create("stderr", MFD_CLOEXEC));
  UniqueFd original(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  if (!memory.valid() || !original.valid() || ::dup2(memory.get(), STDERR_FILENO) < 0) return;
  memory_ = std::move(memory);
  original_ = std::move(original);
}

StderrCapture::~StderrCapture() {
  const std::string rest = Finish();
  std::fwrite(rest.data(), 1, rest.size(), stderr);
}

std::string StderrCapture::Finish() {
  if (!original_.valid()) return "";
  std::fflush(stderr);
  ::dup2(original_.get(), STDERR_FILENO);
  original_ = UniqueFd();
  std::string text;
  char chunk[4096];
  ssize_t n = 0;
  while ((n = ::pread(memory_.get(), chunk, sizeof(chunk), static_cast<off_t>(text.size()))) > 0) text.append(chunk, static_cast<size_t>(n));
  return text;
}

}  // namespace tflite_serving
