#include "base/cgroup.h"

#include <sstream>

#include <fmt/format.h>

#include "base/file.h"

namespace tflite_serving {
namespace {

constexpr size_t kSmallFileBytes = 1 << 16;

}  // namespace

std::vector<std::string> ReadCgroupFiles(std::string_view name) {
  const StatusOr<std::string> membership = ReadFile("/proc/self/cgroup", kSmallFileBytes);
  std::string group;
  if (membership.ok()) {
    std::istringstream lines(*membership);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("0::")) group = line.substr(3);
    }
  }
  std::vector<std::string> texts;
  for (;;) {
    StatusOr<std::string> text = ReadFile(fmt::format("/sys/fs/cgroup{}/{}", group, name), kSmallFileBytes);
    if (text.ok()) texts.push_back(*std::move(text));
    const size_t slash = group.rfind('/');
    if (group.empty() || slash == std::string::npos) return texts;
    group.resize(slash);
  }
}

}  // namespace tflite_serving
