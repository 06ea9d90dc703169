// Catches what a library writes to standard error behind the logger's back.
//
// LiteRT's kernels print one line, once in a process ("Created TensorFlow Lite XNNPACK delegate for CPU."), past every hook that the runtime offers.
// So that it reaches our log as a line like any other, descriptor 2 is turned into memory around the first compilation.
#pragma once

#include <string>

#include "base/unique_fd.h"

namespace tflite_serving {

// From construction to Finish() everything that the process writes to standard error goes into memory, from any thread: keep it short. If the
// machine refuses (no descriptors left), nothing is caught. Thread-compatible; one at a time.
class StderrCapture {
 public:
  StderrCapture();
  ~StderrCapture();  // writes what Finish() has not taken to standard error, so that nothing is lost
  StderrCapture(const StderrCapture&) = delete;
  StderrCapture& operator=(const StderrCapture&) = delete;

  // Gives standard error back, and what was written meanwhile.
  std::string Finish();

 private:
  UniqueFd original_;
  UniqueFd memory_;
};

}  // namespace tflite_serving
