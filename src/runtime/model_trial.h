// Tries a model in a process of its own before the server takes it.
//
// LiteRT checks files badly: of 300 small corruptions of a sound file a fifth end the process that loads it (SIGSEGV, SIGBUS, SIGABRT). So the
// server starts itself once more, as `program --internal_model_trial=FD`, which loads, compiles and runs the model and says how it went. main()
// hands that flag to RunModelTrial before anything else.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/sealed_file.h"
#include "base/status.h"

namespace tflite_serving {

inline constexpr std::string_view kModelTrialFlag = "--internal_model_trial=";
// Loading and a first run take a second for a model of a gigabyte; some corrupt files never return.
inline constexpr std::chrono::milliseconds kModelTrialTimeLimit{20'000};

struct TrialReport {
  // The model also survived being run with more rows than it was exported for (batch_probe.h), so that may be done again here.
  bool rows_may_be_probed = false;
};

// Starts `program` (the server: "/proc/self/exe") on `file` and waits for its verdict. `path` is for messages. Thread-safe.
// Errors: the model's own; INVALID_ARGUMENT if it ended the process that tried it, or took longer than `time_limit`; others if no process could be
// started. The child leaves no core dump, and does not outlive the calling thread.
StatusOr<TrialReport> TryModel(const std::string& program, const std::string& path, const SealedFile& file,
                               std::chrono::milliseconds time_limit = kModelTrialTimeLimit);

// The child's side: tries the model in descriptor `fd`, reports on standard output; the process's exit status.
int RunModelTrial(int fd);

}  // namespace tflite_serving
