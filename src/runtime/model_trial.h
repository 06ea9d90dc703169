// Tries a model in a process of its own before the server takes it.
//
// LiteRT checks files badly: of 300 small corruptions of a sound file a fifth end the process that loads it (SIGSEGV, SIGBUS, SIGABRT). So the
// server starts itself once more, as `program --internal_model_trial=FD,CPUS LIBRARY…`, which loads, compiles and runs the model, with the operators
// of these libraries, and says how it went. main() hands these arguments to RunModelTrial before anything else.
//
// The child has low priority, is the first that the kernel's out-of-memory killer takes, leaves no core dump, and does not outlive the thread that
// started it.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancellation.h"
#include "base/sealed_file.h"
#include "base/status.h"
#include "runtime/batch_probe.h"
#include "runtime/parallelism.h"

namespace tflite_serving {

inline constexpr std::string_view kModelTrialFlag = "--internal_model_trial=";

// What a child may take. One that takes more is ended.
struct TrialLimits {
  // Loading and a first run take a second for a model of a gigabyte; some corrupt files never return. For a model that has run, measuring
  // (TryParallelism) comes on top.
  std::chrono::milliseconds cpu_time{20'000};
  // By the clock, for one that waits for something. Ample, since a child of low priority stands behind the server's requests.
  std::chrono::milliseconds time{200'000};
  // Resident at once: the file, its packed weights, tensors, and some 10 MB of the program. 0: kTrialMemoryShare of UsableMemoryBytes().
  size_t memory_bytes = 0;
  // Cores for which TryParallelism measures; with 1 there is nothing to measure.
  int cpus = 1;
};
inline constexpr double kTrialMemoryShare = 0.75;

inline constexpr int kTrialNiceness = 10;

struct TrialReport {
  // By signature: whether its rows may share a run. Shorter than the signatures where trying that took too much or ended the process.
  std::vector<RowsTrial> rows;
  std::chrono::microseconds load_time{0};  // to open, compile and run every signature once, at the child's priority
  size_t peak_memory_bytes = 0;            // resident, until every signature had run
  size_t interpreter_bytes = 0;            // what the first interpreter and its runs took, beside the file and the packed weights
  ParallelismTrial parallelism;            // for the limits' cpus
};

// Starts `program` (the server: "/proc/self/exe") on `file` and waits for its verdict: it opens and compiles the model and runs each signature on
// zeros, then on random numbers, which it may refuse; then TryRows and TryParallelism. `path` is for messages, and `libraries` are those of operators
// that it may use (library_operator.h). Thread-safe.
//
// Verdicts on the file: the model's own errors; INVALID_ARGUMENT if it ended the process that tried it, or took more processor time;
// RESOURCE_EXHAUSTED if it took more memory. CANCELLED once `stop` is set; null: never. UNAVAILABLE if it took too long by the clock, or somebody
// else killed the child (an operator, the out-of-memory killer); others if no process could be started.
StatusOr<TrialReport> TryModel(const std::string& program, const std::string& path, const SealedFile& file, const TrialLimits& limits = {},
                               const Cancellation* stop = nullptr, std::span<const std::string> libraries = {});

// The child's side: tries the model that the first argument names, the flag, with the libraries that the others name, and reports on standard output;
// the process's exit status.
int RunModelTrial(std::span<const char* const> arguments);

}  // namespace tflite_serving
