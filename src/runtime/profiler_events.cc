#include "runtime/profiler_events.h"

#include <fmt/format.h>

#include "runtime/litert_handles.h"

namespace tflite_serving {
namespace {

// The ring that the runtime makes for a compiled model: a longer run overwrites its beginning.
constexpr int kKeptEvents = 2048;

Status ProfilerError(std::string_view doing, LiteRtStatus status) {
  return InternalError(fmt::format("the runtime's profiler: {}: {}", doing, LiteRtStatusText(status)));
}

StatusOr<LiteRtProfiler> ProfilerOf(LiteRtCompiledModel compiled) {
  LiteRtProfiler profiler = nullptr;
  const LiteRtStatus status = LiteRtCompiledModelGetProfiler(compiled, &profiler);
  if (status != kLiteRtStatusOk || profiler == nullptr) return ProfilerError("there is none", status);
  return profiler;
}

// The others are of the runtime itself: memory that it plans, buffers that it binds.
bool Read(const LiteRtProfiledEvent& event, RunEvent& read) {
  const std::string_view tag = event.tag == nullptr ? std::string_view() : event.tag;
  switch (event.type) {
    case kLiteRtEventTypeDefault:
      if (tag != "Invoke") return false;
      read.kind = RunEvent::kGraph;
      break;
    case kLiteRtEventTypeOperator:
      read.kind = RunEvent::kOperator;
      break;
    case kLiteRtEventTypeDelegatedKernel:
      read.kind = RunEvent::kKernel;
      break;
    default:
      return false;
  }
  read.name = tag;
  read.graph = event.graph;
  read.index = event.index;
  read.time = std::chrono::microseconds(event.elapsed_us);
  return true;
}

}  // namespace

Status StartEvents(LiteRtCompiledModel compiled) {
  TFLS_ASSIGN_OR_RETURN(LiteRtProfiler profiler, ProfilerOf(compiled));
  const LiteRtStatus status = LiteRtStartProfiler(profiler);
  return status == kLiteRtStatusOk ? OkStatus() : ProfilerError("starting", status);
}

StatusOr<std::vector<RunEvent>> FinishEvents(LiteRtCompiledModel compiled) {
  TFLS_ASSIGN_OR_RETURN(LiteRtProfiler profiler, ProfilerOf(compiled));
  if (const LiteRtStatus status = LiteRtStopProfiler(profiler); status != kLiteRtStatusOk) return ProfilerError("stopping", status);
  int count = 0;
  if (const LiteRtStatus status = LiteRtGetNumProfilerEvents(profiler, &count); status != kLiteRtStatusOk) return ProfilerError("counting", status);
  std::vector<RunEvent> events;
  if (count <= 0) return events;
  if (count >= kKeptEvents) {
    return UnimplementedError(fmt::format("one run does more than the runtime's profiler can note, which is {} events", kKeptEvents));
  }
  std::vector<LiteRtProfiledEvent> noted(static_cast<size_t>(count));
  if (const LiteRtStatus status = LiteRtGetProfilerEvents(profiler, count, noted.data()); status != kLiteRtStatusOk) {
    return ProfilerError("reading", status);
  }
  for (const LiteRtProfiledEvent& event : noted) {
    RunEvent read;
    if (Read(event, read)) events.push_back(std::move(read));
  }
  return events;
}

}  // namespace tflite_serving
