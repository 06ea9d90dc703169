// What came of trials of models, so that a file that is loaded again as it was need not be tried again: a trial takes longer than a load.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "base/mutex.h"
#include "runtime/model_trial.h"

namespace tflite_serving {

// Thread-safe.
class KnownTrials {
 public:
  // Files that are remembered; the next one makes it forget all.
  static constexpr size_t kMaxFiles = 16384;

  // What Add was given last for this path, if the file held the same bytes then. By their size and a hash: proof against accidents, not against
  // malice, and a trial is not either.
  std::optional<TrialReport> Find(const std::string& path, std::span<const std::byte> bytes) const;
  void Add(const std::string& path, std::span<const std::byte> bytes, const TrialReport& report);

 private:
  struct Known {
    size_t size_bytes;
    size_t hash;
    TrialReport report;
  };

  mutable Mutex mutex_;
  std::map<std::string, Known> by_path_ TFLS_GUARDED_BY(mutex_);
};

}  // namespace tflite_serving
