// `tflite_model_server bench FILE`: how fast this machine runs a .tflite file, and with which flags.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace tflite_serving {

struct BenchOptions {
  std::chrono::nanoseconds time{300'000'000};  // for each measurement
  std::string trial_program;                   // this and the next as in RuntimeOptions
  std::vector<std::string> custom_op_libraries = {};
  bool operators = false;  // what each operator takes, and nothing else
};

// Measures the file's default signature (or its first, without one): runs of 1, 2, 4, … rows, then every number of interpreters and threads that
// the usable cores allow, both powers of two or all cores. Calls `print` with each finished line; the last one is the flags of what
// ChooseParallelism makes of the figures. With `operators` one interpreter of one thread is profiled instead. Errors: LiteRtServable::Create, and
// those of the runs.
Status BenchFile(const std::string& path, const BenchOptions& options, const std::function<void(std::string_view line)>& print);

}  // namespace tflite_serving
