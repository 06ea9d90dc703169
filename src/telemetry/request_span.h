// What a trace tells of one request: a span of its own, and below it one for each stage that it went through.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "telemetry/trace_context.h"

namespace tflite_serving {

// queue: for a worker; wait: for a batch, an interpreter or a process.
enum class SpanStage { kDecode, kQueue, kWait, kRun, kEncode };

// Only requests whose context is sampled need one. A value; what is left empty is not exported.
struct RequestSpan {
  static constexpr size_t kNumStages = 5;
  struct Interval {
    TimePoint begin{};  // the epoch of the clock: the request did not go through this stage
    TimePoint end{};
  };
  Interval& stage(SpanStage stage) { return stages[static_cast<size_t>(stage)]; }
  size_t num_spans() const {
    return 1 + static_cast<size_t>(std::ranges::count_if(stages, [](const Interval& stage) { return stage.begin != TimePoint{}; }));
  }

  TraceContext context;          // its own
  std::optional<SpanId> parent;  // the client's span
  std::string trace_state;       // the client's
  std::string_view name;         // a literal, as the next
  std::string_view protocol;
  TimePoint begin{};  // by the machine's monotonic clock, as all of these
  TimePoint end{};
  std::array<Interval, kNumStages> stages{};
  std::string model;
  std::optional<int64_t> version;
  std::string signature;
  std::string request_id;
  uint64_t request_bytes = 0;
  uint64_t reply_bytes = 0;
  Status status;
};

}  // namespace tflite_serving
