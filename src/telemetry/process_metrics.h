// What the kernel knows of this process, for metrics.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "telemetry/metrics.h"

namespace tflite_serving {

// One line of /proc/…/stat (proc(5)); times in clock ticks. The name is as the kernel has it: of at most 15 bytes.
struct ProcessStat {
  std::string name;
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  uint64_t num_threads = 0;
  uint64_t start_ticks = 0;  // since the machine's start
  uint64_t virtual_bytes = 0;
  uint64_t resident_pages = 0;
};

// Nothing if the text is not such a line.
std::optional<ProcessStat> ParseProcessStat(std::string_view text);

// The threads of this process that have a name.
struct ThreadTimes {
  int count = 0;
  std::chrono::nanoseconds cpu{0};
};
// By that name; what cannot be read is left out. Thread-safe, as the next.
std::map<std::string, ThreadTimes, std::less<>> ReadThreadTimes();

// Processor time of this process, in all its threads so far.
std::chrono::nanoseconds ProcessCpuTime();

// The process_… families.
void CollectProcessMetrics(MetricsPage& page);

}  // namespace tflite_serving
