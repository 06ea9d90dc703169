// What the operators of a model take: what is asked for a profile of it, and the answer. Value types.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/status.h"
#include "servable/model_spec.h"

namespace tflite_serving {

inline constexpr int kDefaultProfileRuns = 20;
inline constexpr int kMaxProfileRuns = 1000;
// What a profile may take in all: fewer runs are made where they take longer.
inline constexpr std::chrono::seconds kMaxProfileTime{10};

struct ProfileRequest {
  std::string_view signature_name;             // empty: the default one
  int64_t runs = kDefaultProfileRuns;          // 1 to kMaxProfileRuns
  TimePoint deadline = kNoDeadline;            // ends it with DEADLINE_EXCEEDED
  const Cancellation* cancellation = nullptr;  // once set, it ends with CANCELLED; null: never
};

// INVALID_ARGUMENT, with both bounds, for a number of runs that nobody may ask for.
inline Status CheckProfileRuns(int64_t runs) {
  if (runs >= 1 && runs <= kMaxProfileRuns) return OkStatus();
  return InvalidArgumentError("runs: expected 1 to " + std::to_string(kMaxProfileRuns) + ", got " + std::to_string(runs));
}

// An operator of the graph that runs by itself, a partition of it that a delegate runs, or a kernel in one.
struct OperatorProfile {
  std::string name;                     // "CONV_2D", a custom operator's own, "XNNPACK delegate: 8 operators", "Softmax (NC, F32)"
  std::string tensor;                   // its first output; empty for what is no operator of the graph
  std::vector<std::string> operators;   // of a partition: those of the graph that it runs, in the graph's order, where that is known
  std::chrono::nanoseconds mean{0};     // in one run, all its calls together
  double calls = 0;                     // in one run
  std::vector<OperatorProfile> inside;  // of a partition: its kernels; of control flow: what it called. In order of their first call
};

struct ModelProfile {
  ServableId id;
  std::string signature;
  std::vector<std::pair<std::string, std::string>> inputs;  // names, and what they were run with: "float[1,28,28]"
  int threads = 1;                                          // of one run
  int runs = 0;                                             // that were made
  std::chrono::nanoseconds mean{0};                         // of a run as requests have it. Like all means here it leaves out the slowest tenth
  std::chrono::nanoseconds min{0};
  std::chrono::nanoseconds max{0};
  std::string delegate;                    // its name; empty if none runs anything
  size_t graph_operators = 0;              // of the signature's graph
  size_t delegated_operators = 0;          // those of them that a delegate runs
  size_t partitions = 0;                   // into which it has put them
  std::vector<OperatorProfile> operators;  // in order of execution
};

}  // namespace tflite_serving
