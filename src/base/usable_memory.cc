#include "base/usable_memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/cgroup.h"
#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
constexpr size_t kSmallFileBytes = 1 << 16;

}  // namespace

size_t ParseMemoryMax(const std::string& text) {
  size_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  return error == std::errc() ? bytes : kNoLimit;
}

size_t UsableMemoryBytes() {
  size_t least = static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  for (const std::string& text : ReadCgroupFiles("memory.max")) least = std::min(least, ParseMemoryMax(text));
  const StatusOr<std::string> v1 = ReadFile("/sys/fs/cgroup/memory/memory.limit_in_bytes", kSmallFileBytes);
  return v1.ok() ? std::min(least, ParseMemoryMax(*v1)) : least;
}

}  // namespace tflite_serving
