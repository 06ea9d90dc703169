#include "runtime/known_trials.h"

#include <functional>
#include <string_view>

namespace tflite_serving {
namespace {

size_t HashOf(std::span<const std::byte> bytes) { return std::hash<std::string_view>()({reinterpret_cast<const char*>(bytes.data()), bytes.size()}); }

}  // namespace

std::optional<TrialReport> KnownTrials::Find(const std::string& path, std::span<const std::byte> bytes) const {
  const size_t hash = HashOf(bytes);
  const MutexLock lock(mutex_);
  const auto known = by_path_.find(path);
  if (known == by_path_.end() || known->second.size_bytes != bytes.size() || known->second.hash != hash) return std::nullopt;
  return known->second.report;
}

void KnownTrials::Add(const std::string& path, std::span<const std::byte> bytes, const TrialReport& report) {
  const size_t hash = HashOf(bytes);
  const MutexLock lock(mutex_);
  if (by_path_.size() == kMaxFiles && !by_path_.contains(path)) by_path_.clear();
  by_path_.insert_or_assign(path, Known{bytes.size(), hash, report});
}

}  // namespace tflite_serving
