#include "telemetry/process_metrics.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kMaxProcFileBytes = size_t{1} << 20;

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<ProcessStat> ReadProcessStat(const std::string& path) {
  const StatusOr<std::string> text = ReadFile(path, kMaxProcFileBytes);
  if (!text.ok()) return std::nullopt;  // a thread that has ended since it was listed
  return ParseProcessStat(*text);
}

// Seconds from the epoch to the machine's start.
std::optional<uint64_t> BootTime() {
  const StatusOr<std::string> text = ReadFile("/proc/stat", kMaxProcFileBytes);
  if (!text.ok()) return std::nullopt;
  constexpr std::string_view kKey = "btime ";
  const size_t begin = text->starts_with(kKey) ? 0 : text->find("\nbtime ") + 1;
  if (begin == std::string::npos + 1 && !text->starts_with(kKey)) return std::nullopt;
  const std::string_view rest = std::string_view(*text).substr(begin + kKey.size());
  return ParseNumber(rest.substr(0, rest.find('\n')));
}

}  // namespace

std::optional<ProcessStat> ParseProcessStat(std::string_view text) {
  // "PID (NAME) STATE …": a name may hold spaces and brackets. The numbers below count the fields behind it, from 0.
  constexpr size_t kUser = 11;
  constexpr size_t kSystem = 12;
  constexpr size_t kThreads = 17;
  constexpr size_t kStart = 19;
  constexpr size_t kVirtual = 20;
  constexpr size_t kResident = 21;
  const size_t open = text.find('(');
  const size_t close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open || close + 2 > text.size()) return std::nullopt;
  std::array<uint64_t, kResident + 1> numbers{};
  std::string_view rest = text.substr(close + 2);
  for (size_t field = 0; field <= kResident; ++field) {
    const size_t end = rest.find(' ');
    if (end == std::string_view::npos) return std::nullopt;
    if (field >= kUser) numbers[field] = ParseNumber(rest.substr(0, end)).value_or(0);  // some may be negative; none of ours
    rest.remove_prefix(end + 1);
  }
  return ProcessStat{.name = std::string(text.substr(open + 1, close - open - 1)),
                     .user_ticks = numbers[kUser],
                     .system_ticks = numbers[kSystem],
                     .num_threads = numbers[kThreads],
                     .start_ticks = numbers[kStart],
                     .virtual_bytes = numbers[kVirtual],
                     .resident_pages = numbers[kResident]};
}

void CollectProcessMetrics(MetricsPage& page) {
  const auto ticks_per_second = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto cpu_seconds = [&](const ProcessStat& stat) { return static_cast<double>(stat.user_ticks + stat.system_ticks) / ticks_per_second; };
  if (const std::optional<ProcessStat> process = ReadProcessStat("/proc/self/stat")) {
    page.Add(metrics::kProcessCpu, {}, cpu_seconds(*process));
    page.Add(metrics::kProcessResident, {}, static_cast<double>(process->resident_pages) * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    page.Add(metrics::kProcessVirtual, {}, static_cast<double>(process->virtual_bytes));
    page.Add(metrics::kProcessThreads, {}, static_cast<double>(process->num_threads));
    if (const std::optional<uint64_t> boot = BootTime()) {
      page.Add(metrics::kProcessStart, {}, static_cast<double>(*boot) + static_cast<double>(process->start_ticks) / ticks_per_second);
    }
  }
  if (const StatusOr<std::vector<std::string>> descriptors = ListDirectory("/proc/self/fd"); descriptors.ok()) {
    page.Add(metrics::kProcessOpenFds, {}, static_cast<double>(descriptors->size()) - 1);  // but for the one that lists them
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) page.Add(metrics::kProcessMaxFds, {}, static_cast<double>(limit.rlim_cur));
}

std::chrono::nanoseconds ProcessCpuTime() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::map<std::string, ThreadTimes, std::less<>> ReadThreadTimes() {
  std::map<std::string, ThreadTimes, std::less<>> by_name;
  const StatusOr<std::vector<std::string>> threads = ListDirectory("/proc/self/task");
  if (!threads.ok()) return by_name;
  const std::chrono::nanoseconds tick = std::chrono::nanoseconds(std::chrono::seconds(1)) / ::sysconf(_SC_CLK_TCK);
  for (const std::string& id : *threads) {
    const std::optional<ProcessStat> stat = ReadProcessStat(fmt::format("/proc/self/task/{}/stat", id));
    if (!stat) continue;
    ThreadTimes& thread = by_name[stat->name];
    ++thread.count;
    thread.cpu += tick * static_cast<int64_t>(stat->user_ticks + stat->system_ticks);
  }
  return by_name;
}

}  // namespace tflite_serving
