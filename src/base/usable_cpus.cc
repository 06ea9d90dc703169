#include "base/usable_cpus.h"

#include <sched.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>

#include "base/cgroup.h"
#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kSmallFileBytes = 1 << 16;

int RoundUp(long quota, long period) { return quota > 0 && period > 0 ? static_cast<int>((quota + period - 1) / period) : 0; }

// The quota that applies to this process: the smallest on the way from its own group up to the root. 0 = none.
int QuotaV2() {
  int smallest = 0;
  for (const std::string& text : ReadCgroupFiles("cpu.max")) {
    const int quota = ParseCpuMax(text);
    if (quota > 0) smallest = smallest == 0 ? quota : std::min(smallest, quota);
  }
  return smallest;
}

int QuotaV1() {
  const StatusOr<std::string> quota = ReadFile("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", kSmallFileBytes);
  const StatusOr<std::string> period = ReadFile("/sys/fs/cgroup/cpu/cpu.cfs_period_us", kSmallFileBytes);
  if (!quota.ok() || !period.ok()) return 0;
  return RoundUp(std::strtol(quota->c_str(), nullptr, 10), std::strtol(period->c_str(), nullptr, 10));
}

}  // namespace

int ParseCpuMax(const std::string& text) {
  std::istringstream words(text);
  long quota = 0;
  long period = 0;
  if (!(words >> quota >> period)) return 0;  // "max …": no quota
  return RoundUp(quota, period);
}

int UsableCpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cpus = CPU_COUNT(&mask);
  for (const int quota : {QuotaV2(), QuotaV1()}) {
    if (quota > 0) cpus = std::min(cpus, quota);
  }
  return std::max(cpus, 1);
}

}  // namespace tflite_serving
