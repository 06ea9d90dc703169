// How long a signature's runs take, from those that were.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace tflite_serving {

// Thread-safe, without waiting: of two records at the same time one may be lost.
class RunEstimate {
 public:
  // A run over `input_bytes` of tensors took this long.
  void Record(std::chrono::nanoseconds time, size_t input_bytes);

  // What a request of `request_bytes` is expected to take: the recent average, and in proportion more for a request that is larger than the recent
  // inputs were. Nothing before the first record.
  std::optional<std::chrono::nanoseconds> Expected(size_t request_bytes) const;

 private:
  std::atomic<int64_t> time_ns_{-1};  // moving averages; -1 before the first record
  std::atomic<int64_t> input_bytes_{0};
};

}  // namespace tflite_serving
